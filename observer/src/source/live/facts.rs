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

/// Most names of threads that are remembered: beyond, all enter the stream again.
const MAX_NAMES: usize = 16_384;

pub(super) const SECOND_NS: u64 = 1_000_000_000;

/// Adds facts to the merge.
pub(super) struct Facts {
    names: HashMap<Tid, String>,
    pub(super) named_fds: NamedFds,
    own_cpu_ns: u64,
}

impl Facts {
    pub(super) fn new() -> Self {
        Self {
            names: HashMap::new(),
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
        if self.names.len() > MAX_NAMES {
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
