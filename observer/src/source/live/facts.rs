//! Facts from procfs that the stream carries beside the kernel's records: thread names, what descriptors are,
//! memory, and observer's own cost.

use std::collections::HashMap;

use observer_common::limits::COMM_BYTES;
use observer_common::{SwitchOut, flags};
use procfs::process::Process;

use super::named_fds::NamedFds;
use super::targets::{Targets, look};
use crate::event::{self, Event, text_field};
use crate::model::id::{Pid, Tid};
use crate::source::Merge;
use crate::syscall;

/// Most names of threads that are remembered: those of others enter the stream at each look.
const MAX_NAMES: usize = 16_384;

pub(super) const SECOND_NS: u64 = 1_000_000_000;

/// Adds facts to the merge.
pub(super) struct Facts {
    names: ThreadNames,
    pub(super) named_fds: NamedFds,
    own_cpu_ns: u64,
}

impl Facts {
    pub(super) fn new() -> Self {
        Self {
            names: ThreadNames::default(),
            named_fds: NamedFds::default(),
            own_cpu_ns: own_cpu_ns(),
        }
    }

    /// Reacts to one record: names the descriptor that a thread blocks on.
    pub(super) fn on_event(&mut self, event: &Event<'_>, merge: &mut Merge) {
        if let Event::SwitchOut(out) = event
            && let Some(fd) = waits_on(out)
        {
            let (at_ns, pid) = (out.header.at_ns, Pid(out.tgid));
            let look = || look::fd_name(pid, fd);
            if let Some(name) = self.named_fds.blocked_on(at_ns, (pid, fd), look) {
                merge.push(bytemuck::bytes_of(&event::FdName::new(at_ns, pid, fd, &name)));
            }
        }
    }

    /// Facts that are looked up again each second. Descriptor numbers are reused, so their names are too.
    pub(super) fn each_second(
        &mut self,
        now_ns: u64,
        targets: &Targets,
        records: u64,
        ebpf_ns: Option<u64>,
        merge: &mut Merge,
    ) {
        self.named_fds.each_second(now_ns);
        let threads = targets.pids().flat_map(|pid| {
            let tids = look::thread_ids(pid).into_iter();
            tids.filter_map(move |tid| Some((pid, tid, look::thread_name(pid, tid)?)))
        });
        self.names.look(threads, |pid, tid, name| {
            let comm: [u8; COMM_BYTES] = text_field(name);
            merge.push(bytemuck::bytes_of(&event::ThreadName::new(
                now_ns, pid, tid, comm,
            )));
        });
        for memory in targets.pids().filter_map(|pid| memory(now_ns, pid)) {
            merge.push(bytemuck::bytes_of(&memory));
        }
        let cpu_ns = own_cpu_ns();
        let spent = cpu_ns.saturating_sub(self.own_cpu_ns);
        self.own_cpu_ns = cpu_ns;
        let own_rss = Process::myself()
            .and_then(|me| me.statm())
            .map_or(0, |statm| statm.resident * procfs::page_size());
        merge.push(bytemuck::bytes_of(&event::Cost::new(
            now_ns,
            ebpf_ns.unwrap_or(event::Cost::UNKNOWN),
            spent,
            own_rss,
            records,
        )));
    }
}

/// The names of threads, as they entered the stream.
#[derive(Default)]
struct ThreadNames(HashMap<Tid, String>);

impl ThreadNames {
    /// A look at all threads that there are. Those with a new name are told; of those that have ended none is
    /// remembered, as the next thread with such an id is another also where it has the same name.
    fn look(
        &mut self,
        threads: impl Iterator<Item = (Pid, Tid, String)>,
        mut tell: impl FnMut(Pid, Tid, &str),
    ) {
        let before = std::mem::take(&mut self.0);
        for (pid, tid, name) in threads {
            if before.get(&tid) != Some(&name) {
                tell(pid, tid, &name);
            }
            if self.0.len() < MAX_NAMES {
                self.0.insert(tid, name);
            }
        }
    }
}

/// The descriptor on which a thread that left its CPU waits.
fn waits_on(out: &SwitchOut) -> Option<i32> {
    let is_on_one = out.flags & flags::POLLS_FEW != 0 || !syscall::is_poll(out.syscall);
    let waits = out.flags & flags::PREEMPTED == 0;
    let fd = syscall::blocking_fd(out.syscall, out.args[0] as u32);
    fd.filter(|_| waits && is_on_one)
}

fn memory(now_ns: u64, pid: Pid) -> Option<event::Memory> {
    let process = Process::new(i32::try_from(pid.0).ok()?).ok()?;
    let stat = process.stat().ok()?;
    let rss_bytes = stat.rss * procfs::page_size();
    Some(event::Memory::new(
        now_ns,
        pid,
        rss_bytes,
        stat.minflt,
        stat.majflt,
    ))
}

/// CPU time that this process has used, ns.
fn own_cpu_ns() -> u64 {
    clock(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// Time of a clock, ns.
pub(super) fn clock(id: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes one timespec that lives on the stack.
    let status = unsafe { libc::clock_gettime(id, &raw mut time) };
    if status != 0 {
        return 0;
    }
    u64::try_from(time.tv_sec).unwrap_or(0) * SECOND_NS + u64::try_from(time.tv_nsec).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The threads that are told of a look at these.
    fn told(names: &mut ThreadNames, threads: &[(u32, &str)]) -> Vec<u32> {
        let mut told = Vec::new();
        let threads = threads
            .iter()
            .map(|&(tid, name)| (Pid(1), Tid(tid), name.to_owned()));
        names.look(threads, |_, tid, _| told.push(tid.0));
        told
    }

    #[test]
    fn a_thread_is_told_once_for_each_name_and_one_with_the_id_of_another_that_ended_again() {
        let mut names = ThreadNames::default();
        let mut told = |threads: &[(u32, &str)]| told(&mut names, threads);
        assert_eq!(told(&[(7, "worker"), (8, "worker")]), [7, 8]);
        assert_eq!(told(&[(7, "worker"), (8, "io")]), [8]);
        assert!(told(&[(8, "io")]).is_empty());
        assert_eq!(told(&[(7, "worker"), (8, "io")]), [7]);
    }
}
