//! Probes on the functions with which tokio polls and queues tasks, in the code of watched processes.
//!
//! All places of a program are probed with one call, which takes Linux 6.10: before, either there was no such call or
//! it took a process for its main thread. USDT probes are not looked for: nothing published puts tokio's into a
//! Linux program (docs/tokio.md).

use std::ffi::CString;
use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Context as _, Result, bail};
use aya_obj::generated::{bpf_attach_type, bpf_cmd};
use observer_common::names::program;
use procfs::sys::kernel::Version;

pub use super::functions::Functions;
use crate::model::id::Pid;
use crate::runtime::tokio::names::POLL;
use crate::source::live::direct::{self, Programs};
use crate::source::live::signals::Outcome;

/// The signal's name.
pub(in crate::source::live) const SIGNAL: &str = "poll";

/// The first kernel with them.
const FIRST: Version = Version {
    major: 6,
    minor: 10,
    patch: 0,
};

/// `BPF_F_UPROBE_MULTI_RETURN`: at the return of the functions.
const AT_RETURN: u32 = 1;

/// Fails where the kernel cannot probe them.
///
/// # Errors
/// Says what it takes, and what to do without.
pub fn require() -> Result<()> {
    let version = Version::current().context("cannot read the kernel's version")?;
    if version < FIRST {
        bail!(
            "--polls needs Linux {}.{} or later, which has probes on many functions of one process, and this is {}.{}; \
             run observer without --polls: it explains requests all the same, and does not tell single polls",
            FIRST.major,
            FIRST.minor,
            version.major,
            version.minor
        );
    }
    Ok(())
}

/// Probes the functions. What keeps them probed is added to `links`.
pub(in crate::source::live) fn attach(
    programs: &Programs,
    functions: &[Functions],
    links: &mut Vec<OwnedFd>,
) -> Outcome {
    let attached: Vec<Result<Vec<OwnedFd>>> = functions.iter().map(|of| attach_one(programs, of)).collect();
    let hook = format!("uprobe:{POLL}");
    let mut outcome = Outcome {
        signal: SIGNAL,
        hook: None,
        note: Some("polls are not told"),
        refused: Vec::new(),
        usable: true,
    };
    for result in attached {
        match result {
            Ok(more) => {
                links.extend(more);
                (outcome.hook, outcome.note) = (Some(hook.clone()), None);
            }
            Err(error) => outcome.refused.push((hook.clone(), format!("{error:#}"))),
        }
    }
    outcome
}

fn attach_one(programs: &Programs, functions: &Functions) -> Result<Vec<OwnedFd>> {
    // The end of a poll is not probed later than its start: a start without an end would look like a long poll.
    let probes = [
        (program::POLL_END, &functions.poll, AT_RETURN),
        (program::POLL_START, &functions.poll, 0),
        (program::QUEUE_FIRST, &functions.queue_first, 0),
        (program::QUEUE_SECOND, &functions.queue_second, 0),
    ];
    let mut links = Vec::new();
    for (name, offsets, flags) in probes {
        if !offsets.is_empty() {
            let program = programs.load_uprobe(name)?;
            links.push(probe(&program, functions.pid, offsets, flags)?);
        }
    }
    Ok(links)
}

/// `union bpf_attr` of `BPF_LINK_CREATE` for `BPF_TRACE_UPROBE_MULTI` (`include/uapi/linux/bpf.h`).
#[repr(C)]
struct ProbeLinkCreate {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
    path: u64,
    offsets: u64,
    reference_counters: u64,
    cookies: u64,
    count: u32,
    probe_flags: u32,
    pid: u32,
    reserved: u32,
}

const _: () = assert!(size_of::<ProbeLinkCreate>() == 64);

fn probe(program: &OwnedFd, pid: Pid, offsets: &[u64], flags: u32) -> Result<OwnedFd> {
    let path = CString::new(format!("/proc/{pid}/exe"))?;
    let link = ProbeLinkCreate {
        program: program.as_raw_fd().cast_unsigned(),
        target: 0,
        attach_type: bpf_attach_type::BPF_TRACE_UPROBE_MULTI as u32,
        flags: 0,
        path: path.as_ptr() as u64,
        offsets: offsets.as_ptr() as u64,
        reference_counters: 0,
        cookies: 0,
        count: u32::try_from(offsets.len())?,
        probe_flags: flags,
        pid: pid.0,
        reserved: 0,
    };
    direct::bpf(bpf_cmd::BPF_LINK_CREATE, &link).context("the BPF_LINK_CREATE syscall failed")
}
