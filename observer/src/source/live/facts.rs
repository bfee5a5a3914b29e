//! Facts from procfs that the stream carries beside the kernel's records: thread names, what descriptors are,
//! memory, and observer's own cost.

use std::collections::{BTreeSet, HashMap};

use observer_common::limits::COMM_BYTES;
use observer_common::{SwitchOut, flags};
use procfs::process::Process;

use super::targets::{Change, Targets, look};
use crate::event::{self, Event, text_field};
use crate::model::full::{Full, Table};
use crate::model::id::{Pid, Tid};
use crate::source::Merge;
use crate::syscall;

/// Most descriptors that are named in a second. As many names of threads are remembered: beyond, all enter the stream again.
const MAX_NAMED: usize = 16_384;

/// Adds facts to the merge.
pub(super) struct Facts {
    names: HashMap<Tid, String>,
    named_fds: BTreeSet<(Pid, i32)>,
    own_cpu_ns: u64,
    /// Descriptors that were not named.
    pub(super) full: Full,
}

impl Facts {
    pub(super) fn new() -> Self {
        Self {
            names: HashMap::new(),
            named_fds: BTreeSet::new(),
            own_cpu_ns: own_cpu_ns(),
            full: Full::default(),
        }
    }

    /// Reacts to one record: names the descriptor that a thread blocks on.
    pub(super) fn on_event(&mut self, event: &Event<'_>, merge: &mut Merge) {
        if let Event::SwitchOut(out) = event
            && let Some(fd) = waits_on(out)
        {
            self.name_fd(out.header.at_ns, Pid(out.tgid), fd, merge);
        }
    }

    /// Reacts to what happened to a target: its descriptors are others now.
    pub(super) fn on_change(&mut self, change: Change) {
        if let Change::Exec { pid } | Change::Gone { pid, .. } = change {
            let of_process = self.named_fds.range((pid, i32::MIN)..=(pid, i32::MAX));
            for named in of_process.copied().collect::<Vec<_>>() {
                self.named_fds.remove(&named);
            }
        }
    }

    fn name_fd(&mut self, at_ns: u64, pid: Pid, fd: i32, merge: &mut Merge) {
        if self.named_fds.contains(&(pid, fd)) {
            return;
        }
        if self.named_fds.len() >= MAX_NAMED {
            self.full.count(Table::FdNames, 1);
            return;
        }
        self.named_fds.insert((pid, fd));
        if let Some(name) = look::fd_name(pid, fd) {
            merge.push(bytemuck::bytes_of(&event::FdName::new(at_ns, pid, fd, &name)));
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
        self.named_fds.clear();
        for pid in targets.pids() {
            for tid in look::thread_ids(pid) {
                let Some(name) = look::thread_name(pid, tid) else {
                    continue;
                };
                if self.names.get(&tid) != Some(&name) {
                    let comm: [u8; COMM_BYTES] = text_field(&name);
                    merge.push(bytemuck::bytes_of(&event::ThreadName::new(
                        now_ns, pid, tid, comm,
                    )));
                    self.names.insert(tid, name);
                }
            }
            if let Some(memory) = memory(now_ns, pid) {
                merge.push(bytemuck::bytes_of(&memory));
            }
        }
        if self.names.len() > MAX_NAMED {
            self.names.clear();
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

/// The descriptor on which a thread that left its CPU waits.
fn waits_on(out: &SwitchOut) -> Option<i32> {
    let is_on_one = out.flags & flags::POLLS_FEW != 0 || !syscall::polls(out.syscall);
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
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}
