//! A process that is to be watched, or is, as procfs shows it.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Error, Result, anyhow, bail};
use procfs::ProcError;
use procfs::process::{Process, StatFlags, Status};

use super::super::{runtime, sockets};
use crate::model::full::Full;
use crate::model::id::{Pid, Tid};

/// A process that can be watched.
#[derive(Clone, Debug)]
pub struct Target {
    /// Process id.
    pub pid: Pid,
    /// Name of its main thread.
    pub comm: String,
    /// Path of its program.
    pub exe: Option<String>,
    /// Number of threads.
    pub threads: u32,
    /// TCP ports on which it listens.
    pub ports: Vec<u16>,
    /// TCP ports on which somebody listens in its network.
    pub listeners: Vec<u16>,
    /// Number of its network namespace, where it can be read.
    pub network: Option<u32>,
    /// The language runtime in it, where one was found.
    pub runtime: Option<runtime::DetectedRuntime>,
    /// What of its files was not read, to find that.
    pub unread: Full,
}

/// Looks at process `pid`.
///
/// # Errors
/// When there is no such process, it is a thread of another, has ended, or belongs to the kernel.
pub fn look_at(pid: Pid) -> Result<Target> {
    let (process, status) = running(pid)?;
    let (ports, listeners) = listening_ports(&process);
    let unread = Full::default();
    Ok(Target {
        pid,
        comm: status.name,
        exe: executable(pid),
        threads: u32::try_from(status.threads).unwrap_or(u32::MAX),
        ports,
        listeners,
        network: network(pid),
        runtime: runtime::look_at(pid, &unread),
        unread,
    })
}

/// Makes sure that process `pid` can be watched, or still can.
///
/// # Errors
/// As [`look_at`].
pub fn require(pid: Pid) -> Result<()> {
    running(pid).map(|_| ())
}

fn running(pid: Pid) -> Result<(Process, Status)> {
    let gone =
        || anyhow!("no process has pid {pid}: `pgrep -o NAME` finds one by name, and --port whoever listens");
    let cannot = |error| match error {
        ProcError::NotFound(_) => gone(),
        other => Error::new(other).context(format!("cannot look at process {pid}")),
    };
    let process = Process::new(i32::try_from(pid.0).map_err(|_| gone())?).map_err(cannot)?;
    let status = process.status().map_err(cannot)?;
    let comm = status.name.clone();
    if status.tgid != status.pid {
        bail!(
            "{pid} is a thread of process {}; attach to the process: --pid {}",
            status.tgid,
            status.tgid
        );
    }
    if status.vmsize.is_none() {
        let flags = process.stat().map_err(cannot)?.flags;
        if flags & StatFlags::PF_KTHREAD.bits() != 0 {
            bail!("{pid} ({comm}) is a kernel thread; observer watches server processes");
        }
        // It gives its memory back before it is a zombie.
        bail!("process {pid} ({comm}) has ended and waits to be collected by its parent");
    }
    Ok((process, status))
}

/// Path of the program of process `pid`, where it can be read.
pub(super) fn executable(pid: Pid) -> Option<String> {
    let path = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    Some(path.display().to_string())
}

/// Ports of the listening sockets among the process's descriptors, and of all in its network.
fn listening_ports(process: &Process) -> (Vec<u16>, Vec<u16>) {
    let descriptors = u32::try_from(process.pid)
        .map(|pid| sockets::descriptors(Pid(pid)))
        .unwrap_or_default();
    let (mut own, mut all) = (BTreeSet::new(), BTreeSet::new());
    for (inode, port) in sockets::tcp_listening(process) {
        all.insert(port);
        if descriptors.sockets.contains(&inode) {
            own.insert(port);
        }
    }
    (own.into_iter().collect(), all.into_iter().collect())
}

/// Number of the network namespace that a process is in.
pub(in super::super) fn network(pid: Pid) -> Option<u32> {
    let link = fs::read_link(format!("/proc/{pid}/ns/net")).ok()?;
    let number = link.to_str()?.strip_prefix("net:[")?.strip_suffix(']')?;
    number.parse().ok()
}

/// The parent of process `pid`, and its name. `None` where it has ended.
pub(super) fn parent(pid: Pid) -> Option<(Pid, String)> {
    let stat = Process::new(i32::try_from(pid.0).ok()?).ok()?.stat().ok()?;
    let is_there = stat.state != 'Z' && stat.state != 'X';
    is_there.then_some((u32::try_from(stat.ppid).map_or(Pid::NONE, Pid), stat.comm))
}

/// Name of a thread, as the kernel keeps it.
#[must_use]
pub fn thread_name(pid: Pid, tid: Tid) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/task/{tid}/comm")).ok()?;
    Some(name.trim_end_matches('\n').to_owned())
}

/// Ids of the process's threads.
#[must_use]
pub fn thread_ids(pid: Pid) -> Vec<Tid> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Tid))
        .collect()
}

/// What a descriptor of a process is: a path, `socket:[…]`, `pipe:[…]`, `anon_inode:[…]`.
#[must_use]
pub fn fd_name(pid: Pid, fd: i32) -> Option<String> {
    fs::read_link(format!("/proc/{pid}/fd/{fd}"))
        .ok()
        .map(|path| path.display().to_string())
}
