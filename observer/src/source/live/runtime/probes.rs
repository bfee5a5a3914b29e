//! Probes in the code of watched processes, on demand: many places of a program with one call, which takes Linux 6.10.
//! Before, either there was no such call or it took a process for its main thread.

use std::ffi::CString;
use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Context as _, Result, bail};
use aya_obj::generated::{bpf_attach_type, bpf_cmd};
use procfs::sys::kernel::Version;

use crate::model::id::Pid;
use crate::source::live::direct::{self, Programs};
use crate::source::live::signals::Outcome;

/// The first kernel with them.
const FIRST: Version = Version {
    major: 6,
    minor: 10,
    patch: 0,
};

/// `BPF_F_UPROBE_MULTI_RETURN`: at the return of the functions.
pub(super) const AT_RETURN: u32 = 1;

/// Fails where the kernel has none. `option` asked for them, and this is `untold` without it.
///
/// # Errors
/// Says what it takes, and what to do without.
pub(super) fn require(option: &str, untold: &str) -> Result<()> {
    let version = Version::current().context("cannot read the kernel's version")?;
    if version < FIRST {
        bail!(
            "{option} needs Linux {}.{} or later, which has probes on many functions of one process, and this is {}.{}; \
             run observer without {option}: it explains requests all the same, and does not tell {untold}",
            FIRST.major,
            FIRST.minor,
            version.major,
            version.minor
        );
    }
    Ok(())
}

/// A program of the kernel half and where it is to run: offsets in the file of a process's program, and flags.
pub(super) type Probe<'a> = (&'static str, &'a [u64], u32);

/// Probes the program of a process, in this order. What keeps it probed is added to `links`.
///
/// # Errors
/// When the kernel refuses one of them: then there is none.
pub(super) fn attach(
    programs: &Programs,
    pid: Pid,
    probes: &[Probe<'_>],
    links: &mut Vec<OwnedFd>,
) -> Result<()> {
    let mut attached = Vec::new();
    for (name, offsets, flags) in probes.iter().filter(|(_, offsets, _)| !offsets.is_empty()) {
        let program = programs.load_uprobe(name)?;
        attached.push(probe(&program, pid, offsets, *flags)?);
    }
    links.extend(attached);
    Ok(())
}

/// What is told of a signal that some processes do not give.
const OF_SOME: &str = "not of every process";

/// What became of a signal whose hook is a function of each of so many processes, of those that have it.
pub(super) fn outcome(
    signal: &'static str,
    function: &str,
    without: &'static str,
    processes: usize,
    attached: impl Iterator<Item = Result<()>>,
) -> Outcome {
    let hook = format!("uprobe:{function}");
    let mut outcome = Outcome {
        signal,
        hook: None,
        note: Some(without),
        refused: Vec::new(),
        usable: true,
    };
    let mut left = processes;
    for result in attached {
        match result {
            Ok(()) => {
                left = left.saturating_sub(1);
                outcome.hook = Some(hook.clone());
                outcome.note = (left > 0).then_some(OF_SOME);
            }
            Err(error) => outcome.refused.push((hook.clone(), format!("{error:#}"))),
        }
    }
    outcome
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

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_signal_that_one_of_several_processes_does_not_give_is_not_exact() {
        let note = |results: Vec<Result<()>>| outcome("poll", "f", "none", 2, results.into_iter()).note;
        let refused = || Err(anyhow!("it has no symbols"));
        assert_eq!(note(vec![Ok(()), Ok(())]), None);
        assert_eq!(note(vec![Ok(()), refused()]), Some(OF_SOME));
        assert_eq!(note(vec![refused(), Ok(())]), Some(OF_SOME));
        assert_eq!(
            note(vec![Ok(())]),
            Some(OF_SOME),
            "the other has no such function"
        );
        assert_eq!(note(vec![refused()]), Some("none"));
    }
}
