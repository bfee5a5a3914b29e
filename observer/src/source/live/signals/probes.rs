//! Probes in the code of watched processes, on demand: many places of a program with one call, which takes Linux 6.10.
//! Before, either there was no such call or it took a process for its main thread.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Context as _, Result, bail};
use aya_obj::generated::{bpf_attach_type, bpf_cmd};
use procfs::sys::kernel::Version;

use super::super::direct::{self, Programs};
use super::Attacher;
use super::hooks::Hook;
use crate::model::id::Pid;

/// The first kernel with them.
const FIRST: Version = Version {
    major: 6,
    minor: 10,
    patch: 0,
};

/// `BPF_F_UPROBE_MULTI_RETURN`: at the return of the functions.
const AT_RETURN: u32 = 1;

/// Where programs of the kernel half are to run in the code of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probes {
    /// The process.
    pub pid: Pid,
    /// Programs, each with the functions on which it runs: offsets in the file of the process's program.
    pub(in super::super) places: Vec<(&'static str, Vec<u64>)>,
}

impl Probes {
    /// How many functions are probed.
    #[must_use]
    pub fn functions(&self) -> usize {
        let offsets: BTreeSet<_> = self.places.iter().flat_map(|(_, offsets)| offsets).collect();
        offsets.len()
    }

    /// Whether one of these programs is to run.
    pub(super) fn have_any_of(&self, programs: &[&str]) -> bool {
        self.places.iter().any(|(program, _)| programs.contains(program))
    }

    /// Where this program is to run.
    fn of(&self, program: &str) -> &[u64] {
        let place = self.places.iter().find(|(name, _)| *name == program);
        place.map_or(&[], |(_, offsets)| offsets)
    }
}

/// Fails where the kernel has no probes, for which `option` asks.
///
/// # Errors
/// Says what it takes, and what to do without.
pub fn require_probes(option: &str) -> Result<()> {
    let version = Version::current().context("cannot read the kernel's version")?;
    if version < FIRST {
        bail!(
            "{option} needs Linux {}.{} or later, which has probes on many functions of one process, and this is {}.{}; \
             run observer without {option}: it explains requests all the same",
            FIRST.major,
            FIRST.minor,
            version.major,
            version.minor
        );
    }
    Ok(())
}

/// Attaches the programs of a hook in each process that has something to be probed for it: what became of each.
///
/// # Errors
/// When the kernel refuses a program itself.
pub(super) fn attach(attacher: &mut Attacher<'_>, hook: Hook) -> Result<Vec<Result<()>>> {
    let Some(direct) = &attacher.direct else {
        bail!("aya cannot attach it");
    };
    let load = |&name: &&'static str| Ok((name, direct.load(name, hook, attacher.btf)?));
    let loaded: Vec<_> = hook.programs().iter().map(load).collect::<Result<_>>()?;
    let links = &mut attacher.links;
    let of_them = attacher
        .probes
        .iter()
        .filter(|of| of.have_any_of(hook.programs()));
    let attach = |of: &Probes| {
        links.extend(probe(direct, &loaded, of).with_context(|| format!("in process {}", of.pid))?);
        Ok(())
    };
    Ok(of_them.map(attach).collect())
}

/// Probes the code of a process, in the order of the programs: what keeps it probed.
///
/// # Errors
/// When the kernel refuses one of them: then there is none.
fn probe(direct: &Programs, loaded: &[(&str, OwnedFd)], probes: &Probes) -> Result<Vec<OwnedFd>> {
    let mut links = Vec::new();
    for (name, program) in loaded {
        let offsets = probes.of(name);
        let flags = if direct.is_at_return(name) { AT_RETURN } else { 0 };
        if offsets.is_empty() {
            continue;
        }
        match link(program, probes.pid, offsets, flags) {
            Ok(link) => links.push(link),
            Err(error) => {
                // The last goes first: their order holds the other way round, too.
                while links.pop().is_some() {}
                return Err(error);
            }
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

fn link(program: &OwnedFd, pid: Pid, offsets: &[u64], flags: u32) -> Result<OwnedFd> {
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
