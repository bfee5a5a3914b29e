//! What happens to threads, event by event.

use observer_common::{Occupied, SwitchIn, SwitchOut, Waking, conn, flags, thread_state};

use super::fed::MAX_LOOPS;
use super::judgement::Observation;
use super::state::{Began, Block, Occupant, Owner, State, Wake};
use super::thread::Thread;
use super::{Availabilities, Threads};
use crate::model::full::Table;
use crate::model::id::{ConnId, Pid, RequestId, Task, Tid};
use crate::model::operation::{Direction, Operation};
use crate::syscall::{self, Wait};

/// Futexes that are remembered to be no mutex. One more, and all are forgotten.
const MAX_FUTEXES: usize = 65_536;

impl Threads {
    /// A thread got a CPU.
    pub fn switch_in(&mut self, event: &SwitchIn) {
        let behind = Occupant {
            tid: Tid(event.prev_tid),
            pid: Pid(event.prev_tgid),
            comm: self.comms.number(&event.prev_comm),
        };
        let (tid, pid) = (Tid(event.header.tid), Pid(event.tgid));
        if let Some((thread, ..)) = self.known(tid, pid) {
            let block = thread.ends_unseen();
            thread.switch_in(event, behind);
            self.ended_unseen(pid, tid, block);
        }
    }

    /// A thread was seen running on `cpu`, in this task.
    pub fn seen(&mut self, tid: Tid, pid: Pid, cpu: u16, at_ns: u64, task: Task) {
        if let Some((thread, tasks, _)) = self.known(tid, pid) {
            let task = thread.in_runtime.task(task);
            thread.seen_running(at_ns, cpu, None);
            if task == thread.belief.task {
                thread.observe(at_ns, Observation::StillInTask, Began::Plain, None);
            } else {
                thread.seen_in(at_ns, task, None, tasks);
            }
        }
    }

    /// A thread that is not watched had a CPU for which a watched one waited.
    pub fn occupied(&mut self, event: &Occupied) {
        self.occupancy.add(event, self.comms.number(&event.comm));
    }

    /// What a thread that left its CPU waits in. A condition variable counts, and sometimes stands at the value
    /// that a contended mutex has; a futex on which anybody waited at another value is no mutex.
    fn wait(&mut self, event: &SwitchOut) -> Wait {
        let wait = Wait::of(event.syscall, &event.args, event.state);
        let futex = (Pid(event.tgid), event.args[0]);
        match wait {
            Wait::Mutex if self.no_mutexes.contains(&futex) => Wait::Park {
                timeout: event.args[3] != 0,
            },
            // One that was preempted is not waiting: it may be in the call that wakes.
            Wait::Park { .. } if event.flags & flags::PREEMPTED == 0 => {
                if self.no_mutexes.len() == MAX_FUTEXES && !self.no_mutexes.contains(&futex) {
                    self.full.count(Table::Futexes, MAX_FUTEXES as u64);
                    self.no_mutexes.clear();
                }
                self.no_mutexes.insert(futex);
                wait
            }
            _ => wait,
        }
    }

    /// What a thread waits in: a park can be a wait for a global lock.
    fn for_lock(&mut self, event: &SwitchOut, wait: Wait) -> Wait {
        let tid = Tid(event.header.tid);
        let word = syscall::futex_word(event.syscall, &event.args);
        let (Wait::Park { timeout }, Some(word), Some(thread)) = (wait, word, self.threads.get(&tid)) else {
            return wait;
        };
        let is_blocked = event.flags & flags::PREEMPTED == 0;
        if is_blocked && self.locks.waits(tid, thread, word, timeout, event.header.at_ns) {
            Wait::GlobalLock
        } else {
            wait
        }
    }

    /// A thread left its CPU.
    pub fn switch_out(&mut self, event: &SwitchOut) {
        if event.state & thread_state::DEAD != 0 {
            self.ended(Tid(event.header.tid), event.header.at_ns);
            return;
        }
        let wait = self.wait(event);
        let wait = self.for_lock(event, wait);
        let (tid, pid) = (Tid(event.header.tid), Pid(event.tgid));
        let keeps = self.hands.are_kept(pid);
        if let Some((thread, tasks, availability)) = self.known(tid, pid) {
            thread.switch_out(event, wait, keeps, tasks);
            count_free(thread, availability, event.header.at_ns);
            if thread.waits_for_events() {
                if !self.fed.waits(pid, tid, event.header.at_ns, MAX_LOOPS) {
                    self.full.count(Table::PoolThreads, 1);
                }
                self.returns.loops(pid, tid);
            } else if thread.waits_for_connections() {
                // Where many do, they read for themselves: they leave room for loops.
                self.fed.waits(pid, tid, event.header.at_ns, MAX_LOOPS / 2);
            } else if thread.rests() {
                self.returns.rests(pid, tid, event.header.at_ns);
            }
            self.stops.switch_out(event, wait);
        }
    }

    /// For whom the thread ran that wakes another, where it is of the process of which it is known.
    fn wakes_for(&mut self, event: &Waking, by: Occupant) -> Owner {
        match self.threads.get_mut(&by.tid) {
            Some(waker) if waker.pid == by.pid => {
                let at_ns = event.header.at_ns;
                let task = waker.in_runtime.task(Task::new(event.waker_task));
                waker.seen_running(at_ns, event.header.cpu, None);
                let before = waker.belief;
                if task == waker.belief.task && task.id().is_some() {
                    waker.observe(at_ns, Observation::StillInTask, Began::Plain, None);
                }
                waker.seen_in(at_ns, task, None, &mut self.tasks);
                waker.belief.wakes_for(before, task)
            }
            _ => Owner::Nobody,
        }
    }

    /// A thread was woken. Returns the request for which it will run, if its waker ran for one and handed it on.
    pub fn woken(&mut self, event: &Waking) -> Option<RequestId> {
        let (tid, pid) = (Tid(event.header.tid), Pid(event.tgid));
        let by = Occupant {
            tid: Tid(event.waker_tid),
            pid: Pid(event.waker_tgid),
            comm: self.comms.number(&event.waker_comm),
        };
        let waker_owner = self.wakes_for(event, by);
        if event.conn == conn::LISTENER {
            self.acceptors.woken(pid, tid, &self.full);
        }
        // Whatever its loop had in hand last: for whom the job is, its end tells.
        let is_told_later = self.returns.hands_back(pid, tid);
        // Which thread runs a goroutine says nothing, where it is recorded which goroutine made which ready.
        let is_told_apart = self.follows_goroutines(pid);
        let (thread, ..) = self.known(tid, pid)?;
        let waited = thread.waiting(event.header.at_ns);
        let is_unknown = matches!(thread.facts.state, State::Unknown { .. }) || !thread.facts.is_known();
        let handed_off = thread.woken(event, by, waker_owner, is_told_later || is_told_apart);
        let woken_for = match thread.belief.owner {
            Owner::WokenFor(id) => Some(id),
            _ => None,
        };
        let was_for_lock = waited.is_some_and(|(_, block)| block.wait == Wait::GlobalLock);
        if handed_off
            && let Some(waker) = self.threads.get_mut(&by.tid)
            && waker.pid == by.pid
        {
            waker.handed_off(event.header.at_ns, tid, was_for_lock, is_told_apart);
        }
        self.stops.woken(event, by, waited, &self.full);
        if let Some((waited_ns, block)) = waited {
            let wake = Wake {
                by,
                syscall: event.waker_syscall,
                conn: ConnId(event.conn),
            };
            self.waited(pid, tid, (waited_ns, &block.ended_by(wake)), event.header.at_ns);
        }
        if is_unknown {
            self.locks.may_have_been_given(pid, event.header.at_ns);
        }
        woken_for
    }

    /// A thread waited for so long, until then.
    fn waited(&mut self, pid: Pid, tid: Tid, waited: (u64, &Block), at_ns: u64) {
        let (waited_ns, block) = waited;
        self.fed.woken(pid, tid, waited, at_ns, &self.full);
        self.returns.woken(pid, tid, waited, at_ns);
        let giver = block.handed_off_by().and_then(|by| self.threads.get(&by.tid));
        self.locks.woken(pid, tid, block, giver, at_ns);
        self.wait_is_over(pid, tid, waited_ns, block);
    }

    /// A thread finished a socket operation on `cpu`. Returns the threads that are now known to have worked for its
    /// request.
    pub fn operated(&mut self, tid: Tid, pid: Pid, cpu: u16, operation: &Operation) -> Vec<Tid> {
        // Where tasks are known, they tell for whom threads work.
        let tells_by_itself = operation.task.is_known();
        if let Some((reader, read_ns)) = operation.read_by {
            self.hands.answered(pid, tid, reader);
            if !tells_by_itself {
                let read_by = (reader, read_ns);
                self.fed.answers(pid, tid, read_by, operation.at_ns, &self.full);
            }
        }
        let told = if tells_by_itself {
            Vec::new()
        } else {
            self.jobs_known_by(tid, pid, operation)
        };
        let Some((thread, tasks, availability)) = self.known(tid, pid) else {
            return told;
        };
        if let Some(request) = operation.request.filter(|_| !operation.outbound) {
            let answered = operation.direction == Direction::Out && !operation.stalled;
            tasks.took(pid, operation.task, request, answered);
        }
        thread.seen_running(operation.at_ns, cpu, Some(operation.faults));
        thread.operated(operation);
        if !tells_by_itself {
            thread.deeds.operates(tid, operation);
        }
        if !operation.outbound {
            thread.in_runtime.ran(operation.task);
        }
        count_free(thread, availability, operation.at_ns);
        if operation.direction == Direction::In && !operation.outbound && operation.request.is_some() {
            self.fed.reads(pid, tid);
        }
        if operation.direction == Direction::In && !operation.outbound && operation.arrived_ns > 0 {
            let availability = self.availability.entry(pid).or_default();
            if !availability.waited(operation.arrived_ns, operation.at_ns) {
                self.full.count(Table::Waits, 1);
            }
        }
        told
    }

    /// A thread accepted a connection.
    pub fn accepted(&mut self, tid: Tid) {
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.deeds.accepts();
        }
    }

    /// A thread's name.
    pub fn named(&mut self, tid: Tid, pid: Pid, comm: &str) {
        if let Some((thread, ..)) = self.known(tid, pid) {
            thread.comm = Some(comm.into());
        }
    }

    /// A process became another program, or ended.
    pub fn forget_process(&mut self, pid: Pid) {
        self.hands.forget(pid);
        self.fed.forget(pid);
        self.returns.forget(pid);
        self.casts.forget(pid);
        self.stops.forget(pid);
        self.locks.forget(pid);
        self.tasks.forget_process(pid);
        self.runtimes.remove(&pid);
        self.followed.remove(&pid);
        self.queue.forget_process(pid);
        self.acceptors.forget(pid);
        self.no_mutexes.retain(|&(of, _)| of != pid);
        self.forget_roles(pid);
    }

    /// Events up to `to_ns` were lost: what threads did since they were last seen is not known.
    pub fn lost(&mut self, to_ns: u64) {
        self.lost_until_ns = self.lost_until_ns.max(to_ns);
        self.stops.lost();
        self.returns.lost();
        self.locks.lost(self.lost_until_ns);
        for thread in self.threads.values_mut() {
            thread.lost(self.lost_until_ns);
        }
    }
}

/// Keeps count of the workers that are free.
fn count_free(thread: &mut Thread, availability: &mut Availabilities, at_ns: u64) {
    let free = thread.free();
    if free != thread.metering.counted_free {
        let availability = availability.entry(thread.pid).or_default();
        availability.change(at_ns, thread.metering.counted_free, free);
        thread.metering.counted_free = free;
    }
}

#[cfg(test)]
mod tests;
