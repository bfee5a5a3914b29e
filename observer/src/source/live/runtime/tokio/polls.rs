//! Probes on the functions with which tokio polls and queues tasks, in the code of watched processes.
//!
//! USDT probes are not looked for: nothing published puts tokio's into a Linux program (docs/tokio.md).

use std::os::fd::OwnedFd;

use anyhow::Result;
use observer_common::names::program;

use super::super::probes::{self, AT_RETURN};
pub use super::functions::Functions;
use crate::runtime::tokio::names::POLL;
use crate::source::live::direct::Programs;
use crate::source::live::signals::Outcome;

/// The signal's name.
pub(in crate::source::live) const SIGNAL: &str = "poll";

/// Fails where the kernel cannot probe them.
///
/// # Errors
/// Says what it takes, and what to do without.
pub fn require() -> Result<()> {
    probes::require("--polls", "single polls")
}

/// Probes the functions, of so many processes. What keeps them probed is added to `links`.
pub(in crate::source::live) fn attach(
    programs: &Programs,
    functions: &[Functions],
    processes: usize,
    links: &mut Vec<OwnedFd>,
) -> Outcome {
    let attached = functions.iter().map(|of| {
        // The end of a poll is not probed later than its start: a start without an end would look like a long poll.
        let probes = [
            (program::POLL_END, &of.poll[..], AT_RETURN),
            (program::POLL_START, &of.poll, 0),
            (program::QUEUE_FIRST, &of.queue_first, 0),
            (program::QUEUE_SECOND, &of.queue_second, 0),
        ];
        probes::attach(programs, of.pid, &probes, links)
    });
    probes::outcome(SIGNAL, POLL, "polls are not told", processes, attached)
}
