//! Probes on the functions with which Go's runtime makes goroutines ready and runs them, in the code of watched
//! processes. Only their beginning is probed: the kernel would put the return of a probe onto a stack that Go moves.

use std::os::fd::OwnedFd;

use anyhow::Result;
use observer_common::names::program;

use super::super::probes;
pub use super::functions::Functions;
use super::functions::READY;
use crate::source::live::direct::Programs;
use crate::source::live::signals::Outcome;

/// The signal's name.
pub(in crate::source::live) const SIGNAL: &str = "goroutine";

/// Fails where the kernel cannot probe them.
///
/// # Errors
/// Says what it takes, and what to do without.
pub fn require() -> Result<()> {
    probes::require("--goroutines", "which goroutine made which ready")
}

/// Probes the functions. What keeps them probed is added to `links`.
pub(in crate::source::live) fn attach(
    programs: &Programs,
    functions: &[Functions],
    processes: usize,
    links: &mut Vec<OwnedFd>,
) -> Outcome {
    let attached = functions.iter().map(|of| {
        let probes = [
            (program::GOROUTINE_EXECUTE, &[of.execute][..], 0),
            (program::GOROUTINE_READY, &[of.ready], 0),
        ];
        probes::attach(programs, of.pid, &probes, links)
    });
    probes::outcome(
        SIGNAL,
        READY,
        "which goroutine made which ready is not told",
        processes,
        attached,
    )
}
