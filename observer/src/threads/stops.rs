//! When a Java virtual machine stopped the threads of its process, at a safepoint.
//!
//! One of its threads, the stopper, does what only it may do: it collects garbage, most of all. Whoever else would run
//! the program meanwhile waits at a barrier, a futex without a time limit that is no mutex, until the stopper wakes all
//! of them by one call. From the first that came to the barrier until then the program was stopped. Who does not run it
//! goes on: a thread in a library of C, and the virtual machine's own.
//!
//! Who asked the stopper for something, mostly for memory, waits for it elsewhere, and others perhaps for the mutex
//! that this one holds. So nobody may come to the barrier. Then the program was stopped, at the earliest, when it was
//! seen last to run: a thread of it lost its CPU, or went to wait for something that only the program waits for.

use observer_common::{SwitchOut, Waking, flags};
use rustc_hash::{FxHashMap, FxHashSet};

use super::Threads;
use super::state::{Block, Occupant};
use super::thread::Thread;
use crate::model::full::{Full, Table};
use crate::model::id::{Pid, Tid};
use crate::newest::Newest;
use crate::runtime::jvm;
use crate::syscall::{self, Wait};

/// Stops that are remembered of all processes together, the newest: 256 KiB at most. Of one that collects garbage a
/// hundred times a second these are those of most of a minute.
const MAX_STOPS: usize = 4_096;

const _: () = assert!(MAX_STOPS * size_of::<Stop>() <= 256 << 10);

/// Processes in which a stopper is known.
const MAX_PROCESSES: usize = 256;

/// A time in which the threads of a process did not run the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stop {
    /// Process.
    pub pid: Pid,
    /// Since when, ns: it can have been a little sooner.
    pub from_ns: u64,
    /// Until when, ns.
    pub to_ns: u64,
    /// The thread that stopped them.
    pub by: Occupant,
}

/// The stops that are remembered, in the order of their ends, and what is known of who stops.
#[derive(Debug, Default)]
pub(super) struct Stops {
    newest: Newest<Stop, MAX_STOPS>,
    /// Of processes with a stopper.
    processes: FxHashMap<Pid, Stoppable>,
    /// The latest end of one that was forgotten, ns.
    forgotten_until_ns: u64,
}

/// A process that can be stopped.
#[derive(Debug, Default)]
struct Stoppable {
    /// Since when threads wait where a barrier can be, ns.
    waiting: FxHashMap<Tid, u64>,
    /// Threads that were seen at the barrier: they run the program.
    stoppable: FxHashSet<Tid>,
    /// Threads that the stopper gave work to, or one of these did, and that were not seen at the barrier.
    of_runtime: FxHashSet<Tid>,
    /// When the program was last seen to run, ns.
    ran_ns: u64,
    /// Who stopped it last, and how often that was since it was asked.
    stopper: Option<Tid>,
    stops: u32,
}

impl Stoppable {
    /// A thread was woken by one that works for the runtime, and not at the barrier.
    fn given_work(&mut self, tid: Tid) {
        if !self.stoppable.contains(&tid) {
            self.of_runtime.insert(tid);
        }
    }
}

impl Stops {
    /// A followed thread left its CPU, to wait in this if it was not preempted.
    pub(super) fn switch_out(&mut self, event: &SwitchOut, wait: Wait) {
        if self.processes.is_empty() {
            return;
        }
        let Some(process) = self.processes.get_mut(&Pid(event.tgid)) else {
            return;
        };
        let tid = Tid(event.header.tid);
        let preempted = event.flags & flags::PREEMPTED != 0;
        if !preempted && syscall::may_wait_at_barrier(event.syscall, &event.args) {
            process.waiting.insert(tid, event.header.at_ns);
            return;
        }
        if !preempted {
            process.waiting.remove(&tid);
        }
        let waits_for_another = matches!(wait, Wait::Mutex | Wait::PageFault | Wait::Unknown);
        if process.stoppable.contains(&tid) && (preempted || !waits_for_another) {
            process.ran_ns = event.header.at_ns;
        }
    }

    /// A thread was woken by another, after it had been in this wait for so long, ns.
    pub(super) fn woken(&mut self, event: &Waking, by: Occupant, waited: Option<(u64, Block)>, full: &Full) {
        let (tid, pid, at_ns) = (Tid(event.header.tid), Pid(event.tgid), event.header.at_ns);
        let may_stop = jvm::may_be_vm_thread(&event.waker_comm) && by.pid == pid;
        if !may_stop || !syscall::is_futex(event.waker_syscall) {
            if let Some(process) = self.processes.get_mut(&pid) {
                process.waiting.remove(&tid);
                if process.of_runtime.contains(&by.tid) && syscall::is_futex(event.waker_syscall) {
                    process.given_work(tid);
                }
            }
            return;
        }
        if self.processes.len() == MAX_PROCESSES && !self.processes.contains_key(&pid) {
            full.count(Table::Stops, 1);
            return;
        }
        let process = self.processes.entry(pid).or_default();
        let from_ns = if let Some(since_ns) = process.waiting.remove(&tid) {
            process.stoppable.insert(tid);
            process.of_runtime.remove(&tid);
            since_ns
        } else if let Some((waited_ns, block)) = waited
            && process.stoppable.contains(&tid)
            && matches!(
                block.wait,
                Wait::Park { timeout: false } | Wait::Condition { timeout: false }
            )
        {
            process.ran_ns.max(at_ns.saturating_sub(waited_ns))
        } else {
            process.given_work(tid);
            return;
        };
        self.add(Stop {
            pid,
            from_ns,
            to_ns: at_ns,
            by,
        });
    }

    /// One that is seen of one thread more: of each that waits at the barrier, one after the other.
    fn add(&mut self, stop: Stop) {
        let same = |before: &Stop| before.pid == stop.pid;
        let last = self.newest.iter().rposition(same);
        if let Some(process) = self.processes.get_mut(&stop.pid) {
            let is_new = last.is_none_or(|place| self.newest[place].to_ns <= stop.from_ns);
            process.stops = process.stops.saturating_add(u32::from(is_new));
            process.stopper = Some(stop.by.tid);
        }
        let merged = match last.map(|place| (place, self.newest[place])) {
            Some((place, before)) if stop.from_ns < before.to_ns => {
                self.newest.remove(place);
                Stop {
                    from_ns: before.from_ns.min(stop.from_ns),
                    ..stop
                }
            }
            _ => stop,
        };
        self.push(merged);
    }

    fn push(&mut self, stop: Stop) {
        if let Some(forgotten) = self.newest.push(stop) {
            self.forgotten_until_ns = self.forgotten_until_ns.max(forgotten.to_ns);
        }
    }

    /// Records were lost: a thread that waited may have been woken since.
    pub(super) fn lost(&mut self) {
        for process in self.processes.values_mut() {
            process.waiting.clear();
        }
    }

    pub(super) fn thread_ended(&mut self, pid: Pid, tid: Tid) {
        if let Some(process) = self.processes.get_mut(&pid) {
            process.waiting.remove(&tid);
            process.stoppable.remove(&tid);
            process.of_runtime.remove(&tid);
        }
    }

    pub(super) fn forget(&mut self, pid: Pid) {
        self.processes.remove(&pid);
    }

    /// Who stopped process `pid`, and how often since this was asked last.
    pub(super) fn take_stopper(&mut self, pid: Pid) -> Option<(Tid, u32)> {
        let process = self.processes.get_mut(&pid)?;
        Some((process.stopper?, std::mem::take(&mut process.stops)))
    }
}

impl Threads {
    /// Whether a thread of a process was seen that can stop its program.
    #[must_use]
    pub fn can_be_stopped(&self, pid: Pid) -> bool {
        self.stops.processes.contains_key(&pid)
    }

    /// When the program of a process was stopped between two times; the last to end first.
    pub fn stops(&self, pid: Pid, from_ns: u64, to_ns: u64) -> impl Iterator<Item = &Stop> {
        let stops = &self.stops;
        let was_forgotten = self.can_be_stopped(pid) && stops.forgotten_until_ns > from_ns;
        let end = self.full.end_of(Table::Stops, was_forgotten);
        let newest = stops
            .newest
            .iter()
            .rev()
            .take_while(move |stop| stop.to_ns > from_ns);
        newest
            .filter(move |stop| stop.pid == pid && stop.from_ns < to_ns)
            .chain(end)
    }

    /// Threads of a process that work for its runtime, beside the one that stops it.
    pub fn of_runtime(&self, pid: Pid) -> impl Iterator<Item = Tid> {
        let process = self.stops.processes.get(&pid);
        process
            .into_iter()
            .flat_map(|process| process.of_runtime.iter().copied())
            .filter(|&tid| !self.get(tid).is_some_and(Thread::is_worker))
    }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable as _;
    use observer_common::Header;
    use syscalls::Sysno;

    use super::*;

    const PID: Pid = Pid(7);
    const FUTEX: i32 = Sysno::futex as i32;
    const STOPPER: Tid = Tid(8);
    const FIRST: Tid = Tid(9);
    const SECOND: Tid = Tid(10);
    const BARRIER: [u64; 4] = [0x7000, 128, 3, 0];
    const MUTEX: [u64; 4] = [0x8000, 128, 2, 0];
    /// A condition variable's.
    const ASKED: [u64; 4] = [0x9000, 137, 0, 0];

    /// A process whose two threads run its program.
    #[derive(Default)]
    struct Process(Threads);

    impl Process {
        fn out(&mut self, at_ns: u64, tid: Tid, syscall: Sysno, args: [u64; 4]) {
            self.0.switch_out(&SwitchOut {
                header: header(at_ns, tid),
                tgid: PID.0,
                state: 1,
                syscall: syscall as i32,
                args,
                ..SwitchOut::zeroed()
            });
        }

        fn wakes(&mut self, at_ns: u64, by: Tid, comm: &[u8], tid: Tid) {
            let mut waker_comm = [0; 16];
            waker_comm[..comm.len()].copy_from_slice(comm);
            self.0.woken(&Waking {
                header: header(at_ns, tid),
                tgid: PID.0,
                waker_tid: by.0,
                waker_tgid: PID.0,
                waker_syscall: FUTEX,
                waker_comm,
                ..Waking::zeroed()
            });
        }

        fn stopper_wakes(&mut self, at_ns: u64, tid: Tid) {
            self.wakes(at_ns, STOPPER, b"VM Thread", tid);
        }

        fn stops(&self) -> Vec<(u64, u64)> {
            let stops = self.0.stops(PID, 0, u64::MAX);
            stops.map(|stop| (stop.from_ns, stop.to_ns)).collect()
        }

        /// Both threads were at the barrier.
        fn stopped() -> Self {
            let mut process = Self::default();
            // Who stops it is not known before it has woken somebody.
            process.stopper_wakes(1, FIRST);
            process.out(10, FIRST, Sysno::futex, BARRIER);
            process.out(20, SECOND, Sysno::futex, BARRIER);
            process.stopper_wakes(100, FIRST);
            process.stopper_wakes(101, SECOND);
            process
        }
    }

    fn header(at_ns: u64, tid: Tid) -> Header {
        Header {
            at_ns,
            tid: tid.0,
            ..Header::zeroed()
        }
    }

    #[test]
    fn from_the_first_at_the_barrier_until_all_are_woken_the_program_is_stopped() {
        let mut process = Process::stopped();
        assert_eq!(process.stops(), [(10, 101)]);
        process.out(200, SECOND, Sysno::futex, BARRIER);
        process.stopper_wakes(250, SECOND);
        assert_eq!(process.stops(), [(200, 250), (10, 101)]);
    }

    #[test]
    fn who_was_woken_by_another_or_waits_for_a_mutex_is_not_at_the_barrier() {
        let mut process = Process::stopped();
        process.out(200, FIRST, Sysno::futex, BARRIER);
        process.wakes(210, SECOND, b"VM Thread's not", FIRST);
        process.stopper_wakes(220, FIRST);
        process.out(300, FIRST, Sysno::futex, MUTEX);
        process.stopper_wakes(320, FIRST);
        assert_eq!(process.stops(), [(10, 101)]);
    }

    #[test]
    fn where_nobody_comes_to_the_barrier_the_program_is_stopped_since_it_was_last_seen_to_run() {
        let mut process = Process::stopped();
        process.out(200, FIRST, Sysno::futex, ASKED);
        process.out(210, SECOND, Sysno::epoll_wait, [3, 0, 64, u64::from(u32::MAX)]);
        process.out(220, SECOND, Sysno::futex, MUTEX);
        process.stopper_wakes(300, FIRST);
        assert_eq!(process.stops(), [(210, 300), (10, 101)]);
    }

    #[test]
    fn a_thread_of_the_machine_s_own_that_is_given_work_says_nothing() {
        let mut process = Process::stopped();
        process.out(200, Tid(11), Sysno::futex, ASKED);
        process.stopper_wakes(300, Tid(11));
        assert_eq!(process.stops(), [(10, 101)]);
    }

    #[test]
    fn what_was_lost_is_not_made_up_for() {
        let mut process = Process::stopped();
        process.out(200, FIRST, Sysno::futex, BARRIER);
        process.0.lost(250);
        process.stopper_wakes(300, FIRST);
        assert_eq!(process.stops(), [(10, 101)]);
    }
}
