//! What every watched thread did: running, runnable, or blocked in what and woken by whom; and, while it ran,
//! for which request, judged from the order of its socket operations.
//!
//! A thread's past is a row of slices without gap. How long it reaches back is bounded by [`MAX_SLICES`]; what
//! a request needs from before that is `unexplained`.

mod state;
mod thread;

use observer_common::{SwitchIn, SwitchOut, Waking, flags};
use rustc_hash::{FxHashMap, FxHashSet};

pub use state::{Began, Block, Direction, Occupant, Operation, Owner, RequestId, Slice, State, Wake};
pub use thread::{MAX_SLICES, Thread};

use crate::syscall::Wait;

/// Threads kept at once. More than this many at a time are counted and not followed.
pub const MAX_THREADS: usize = 16_384;

/// Futexes that are remembered.
const MAX_FUTEXES: usize = 65_536;

/// `TASK_DEAD`: the thread leaves its CPU for the last time.
const DEAD: u32 = 0x80;

/// All watched threads.
#[derive(Debug, Default)]
pub struct Threads {
    threads: FxHashMap<u32, Thread>,
    /// Threads that were not followed because there were too many.
    pub refused: u64,
    lost_until_ns: u64,
    /// Futexes that are no mutex, by process and address.
    no_mutexes: FxHashSet<(u32, u64)>,
}

impl Threads {
    /// The thread with this id.
    #[must_use]
    pub fn get(&self, tid: u32) -> Option<&Thread> {
        self.threads.get(&tid)
    }

    /// The request for which this thread runs now, where known.
    #[must_use]
    pub fn owner(&self, tid: u32) -> Option<RequestId> {
        self.get(tid)?.owner.request()
    }

    fn known(&mut self, tid: u32, pid: u32) -> Option<&mut Thread> {
        if !self.threads.contains_key(&tid) && self.threads.len() >= MAX_THREADS {
            self.refused += 1;
            return None;
        }
        let thread = self.threads.entry(tid).or_insert_with(|| Thread::new(pid));
        thread.lost_until_ns = self.lost_until_ns;
        Some(thread)
    }

    /// A thread got a CPU.
    pub fn switch_in(&mut self, event: &SwitchIn) {
        if let Some(thread) = self.known(event.header.tid, event.tgid) {
            thread.switch_in(event);
        }
    }

    /// What a thread that left its CPU waits in. A condition variable counts, and sometimes stands at the value
    /// that a contended mutex has; a futex on which anybody waited at another value is no mutex.
    fn wait(&mut self, event: &SwitchOut) -> Wait {
        let wait = Wait::of(event.syscall, &event.args, event.state);
        let futex = (event.tgid, event.args[0]);
        match wait {
            Wait::Mutex if self.no_mutexes.contains(&futex) => Wait::Park {
                timeout: event.args[3] != 0,
            },
            // One that was preempted is not waiting: it may be in the call that wakes.
            Wait::Park { .. } if event.flags & flags::PREEMPTED == 0 => {
                if self.no_mutexes.len() == MAX_FUTEXES {
                    self.no_mutexes.clear();
                }
                self.no_mutexes.insert(futex);
                wait
            }
            _ => wait,
        }
    }

    /// A thread left its CPU.
    pub fn switch_out(&mut self, event: &SwitchOut) {
        if event.state & DEAD != 0 {
            // Its end was told of just before: nothing more comes of it.
            self.ended(event.header.tid);
            return;
        }
        let wait = self.wait(event);
        if let Some(thread) = self.known(event.header.tid, event.tgid) {
            thread.switch_out(event, wait);
        }
    }

    /// A thread was woken. Returns the request for which it will run, if its waker ran for one and handed it on.
    pub fn woken(&mut self, event: &Waking) -> Option<RequestId> {
        let waker_owner = match self.get(event.waker_tid) {
            Some(waker) if waker.pid == event.waker_tgid => waker.owner,
            _ => Owner::Nobody,
        };
        let thread = self.known(event.header.tid, event.tgid)?;
        thread.woken(event, waker_owner);
        match thread.owner {
            Owner::WokenFor(id) => Some(id),
            _ => None,
        }
    }

    /// A thread finished a socket operation on `cpu`.
    pub fn operated(&mut self, tid: u32, pid: u32, cpu: u16, operation: &Operation) {
        let Some(thread) = self.known(tid, pid) else {
            return;
        };
        if !matches!(thread.state, State::Running { cpu: on, .. } if on == cpu) {
            // It runs, or it could not have called: its switch was before observing began, or lost.
            let running = State::Running {
                cpu,
                owner: Owner::Nobody,
                began: Began::Plain,
            };
            thread.close(operation.at_ns, State::Unknown, running, Some(operation.faults));
        }
        thread.operated(operation);
    }

    /// A thread started another of its process, which works for whom it ran, until it says otherwise. Returns
    /// the request, if that is one.
    pub fn started(&mut self, tid: u32, pid: u32, child_tid: u32, comm: &str) -> Option<RequestId> {
        let owner = self.get(tid)?.owner.request();
        let child = self.known(child_tid, pid)?;
        child.comm = Some(comm.into());
        child.owner = owner.map_or(Owner::Nobody, Owner::WokenFor);
        owner
    }

    /// A thread's name.
    pub fn named(&mut self, tid: u32, pid: u32, comm: &str) {
        if let Some(thread) = self.known(tid, pid) {
            thread.comm = Some(comm.into());
        }
    }

    /// A thread ended.
    pub fn ended(&mut self, tid: u32) {
        self.threads.remove(&tid);
    }

    /// Events up to `to_ns` were lost: what threads did since they were last seen is not known.
    pub fn lost(&mut self, to_ns: u64) {
        self.lost_until_ns = self.lost_until_ns.max(to_ns);
        for thread in self.threads.values_mut() {
            thread.owner = Owner::Nobody;
            thread.state = State::Unknown;
        }
    }
}
