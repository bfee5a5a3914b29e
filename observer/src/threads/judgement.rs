//! For whom a thread ran, judged at each event that tells: a socket operation, or the runtime task in which it is seen.

use super::packed::What;
use super::state::{Began, Direction, Operation, Owner, State};
use super::tasks::Tasks;
use super::thread::Thread;
use crate::model::id::Task;
use crate::syscall::Wait;

/// So soon after an answer a thread is done with what it does for it.
const END_OF_ANSWER_NS: u64 = 50_000;

impl Thread {
    /// The task in which the thread was seen; none where it is between tasks. The runtime takes the id away before it
    /// tells those who wait for the task, which the poll still does.
    pub(super) fn task_in(&self, task: Task) -> Task {
        let task = match self.polled {
            polled if task == Task::NONE && polled.id().is_some() => polled,
            _ => task,
        };
        if task.id().is_some() && task == self.worker_task {
            Task::NONE
        } else {
            task
        }
    }

    /// Tells a worker, which waits for work in a task that is the worker itself, from a task that waits for a futex.
    pub(super) fn learn_worker_task(&mut self, task: Task, wait: Wait, tasks: &Tasks) {
        let is_worker = match wait {
            Wait::EventLoop { .. } => true,
            Wait::Park { .. } if task == Task::NONE => true,
            Wait::Park { .. } if self.worker_task.id().is_none() => {
                // Workers are begun before what they run.
                let oldest = tasks.is_older_than_servers(self.pid, task);
                tasks.serves(self.pid, task).is_none() && (oldest || self.task.differs_from(task))
            }
            _ => false,
        };
        if is_worker && task.is_known() {
            self.worker_task = task;
        }
    }

    /// The thread is seen to be in `task` now, or in none: judges for whom it ran until now.
    pub(super) fn seen_in(&mut self, at_ns: u64, task: Task, faults: Option<(u32, u32)>, tasks: &mut Tasks) {
        if task == self.task || !task.is_known() {
            return;
        }
        let owner = match (
            tasks.owner(self.pid, task, self.owner, self.owner_sent),
            task.id(),
        ) {
            // Outside of tasks nothing is done for a request by itself.
            (Owner::Request(_), None) if self.task.id().is_some() => Owner::Nobody,
            // Task ids begin to be read: nothing says that it left the request meanwhile.
            (Owner::Nobody | Owner::WokenFor(_), Some(_)) if !self.task.is_known() && !self.owner_sent => {
                self.owner
            }
            (owner, _) => owner,
        };
        if matches!(self.state, State::Running { .. }) {
            let before = self.until(at_ns, task, owner, false);
            self.split(at_ns, before, owner, Began::Plain, faults);
        }
        self.task = task;
        self.owner = owner;
        self.owner_sent = false;
    }

    /// The thread turns to `task` just now, or to none: what it did before is not touched by that.
    pub(super) fn turned_to(&mut self, at_ns: u64, task: Task, tasks: &mut Tasks) {
        if task == self.task {
            return;
        }
        let owner = match (
            tasks.owner(self.pid, task, self.owner, self.owner_sent),
            task.id(),
        ) {
            _ if tasks.has_answered(self.pid, task) => Owner::Nobody,
            // Outside of tasks nothing is done for a request by itself; the job for which it was woken is over.
            (Owner::Request(_), None) => Owner::Nobody,
            (Owner::WokenFor(_), None) if self.task.id().is_some() => Owner::Nobody,
            (owner, _) => owner,
        };
        if matches!(owner, Owner::WokenFor(_)) && owner == self.owner && self.task.id().is_none() {
            // What it did since it was woken was to find this.
            self.claim_unowned(owner, task);
            self.task = task;
        }
        if let running @ State::Running { cpu, .. } = self.state {
            let next = State::Running {
                cpu,
                owner,
                began: Began::Plain,
            };
            self.close(at_ns, running, next, None);
        }
        self.task = task;
        self.owner = owner;
        self.owner_sent = false;
    }

    /// The thread is seen in the task in which it was seen last, or still in none: until now it ran for the same.
    pub(super) fn still_in_task(&mut self, at_ns: u64) {
        match self.state {
            // Whoever does something next did not do this.
            State::Running {
                owner: Owner::Nobody, ..
            } if self.task == Task::NONE => {
                self.split(at_ns, Owner::Others, Owner::Nobody, Began::Plain, None);
            }
            State::Running { .. } if self.task.id().is_some() => self.seen_ns = at_ns,
            _ => {}
        }
    }

    /// Splits the running slice where the thread was last seen in its task: only what came after is still to be judged.
    fn settle(&mut self) {
        if let State::Running { owner, began, .. } = self.state
            && self.seen_ns > self.since_ns
        {
            let goes_on = match began {
                Began::Stalled => Began::Stalled,
                _ => Began::Plain,
            };
            self.split(self.seen_ns, owner, owner, goes_on, None);
        }
    }

    /// For whom the thread ran until it is seen in `task`, which works for `now`. Of a receive it is known that it is
    /// the first thing that its task does.
    fn until(&mut self, at_ns: u64, task: Task, now: Owner, receives: bool) -> Owner {
        let turned = self.task.differs_from(task);
        if task.id().is_none() || turned && receives {
            return self.until_it_left(at_ns);
        }
        self.settle();
        match self.owner {
            Owner::Nobody | Owner::WokenFor(_) if !turned => {
                self.claim_unowned(now, task);
                self.task = task;
                now
            }
            owner if owner == now || owner == Owner::Others || self.owner_sent => {
                self.task = task;
                now
            }
            // It turned to this task somewhere in between. Of a request's own task and one that was begun for it, the
            // other is mostly the one that runs for long.
            Owner::Request(before) if now == Owner::WokenFor(before) => {
                self.task = task;
                now
            }
            owner @ Owner::WokenFor(before) if now == Owner::Request(before) => owner,
            _ => {
                self.task = Task::NONE;
                Owner::Mixed
            }
        }
    }

    /// For whom the thread ran until it is seen to have left what it did. Nothing says when it did so; but a request
    /// that was answered is probably done with, and what came next is not its doing.
    pub(super) fn until_it_left(&mut self, at_ns: u64) -> Owner {
        let known_until_ns = self.since_ns.max(self.seen_ns);
        if !self.owner_sent || at_ns.saturating_sub(known_until_ns) <= END_OF_ANSWER_NS {
            return self.owner;
        }
        self.settle();
        if self.task.is_known() {
            self.task = Task::NONE;
        }
        Owner::Others
    }

    /// Splits the running slice: until `at_ns` the thread ran for `before`, now it runs for `after`.
    pub(super) fn split(
        &mut self,
        at_ns: u64,
        before: Owner,
        after: Owner,
        next_began: Began,
        faults: Option<(u32, u32)>,
    ) {
        let State::Running { cpu, began, .. } = self.state else {
            return;
        };
        let running = |owner, began| State::Running { cpu, owner, began };
        self.close(at_ns, running(before, began), running(after, next_began), faults);
    }

    /// Splits the running slice at a socket operation, and judges for whom the part before it and the part
    /// after it ran.
    pub(super) fn operated(&mut self, operation: &Operation) {
        if !matches!(self.state, State::Running { .. }) {
            return;
        }
        let request = operation.request.map_or(Owner::Nobody, Owner::Request);
        let task = self.task_in(Task::new(operation.task));
        let before = match (operation.direction, self.owner) {
            (direction, _) if self.task.is_known() && self.task != task && task.id().is_some() => {
                self.until(operation.at_ns, task, request, direction == Direction::In)
            }
            // The first operation since the thread was idle says for whom it ran until here.
            (_, Owner::Nobody | Owner::WokenFor(_)) => {
                self.claim_unowned(request, task);
                if self.task.id().is_none() {
                    self.task = task;
                }
                request
            }
            (Direction::Out, owner) if request != Owner::Nobody && owner != request => {
                // The turn of the former owner had ended; else it was put aside somewhere in between.
                let ended = self.owner_sent || owner == Owner::Others;
                if ended { request } else { Owner::Mixed }
            }
            (Direction::In, _) if !task.is_known() => self.until_it_left(operation.at_ns),
            (_, owner) => owner,
        };
        let unused = operation.outbound && request == Owner::Nobody;
        let after = if unused && operation.direction == Direction::Out {
            before
        } else {
            request
        };
        self.owner = after;
        // Where the socket had no room the answer is not yet sent.
        self.owner_sent = !operation.outbound && operation.direction == Direction::Out && !operation.stalled;
        let found = match operation.direction {
            Direction::In => Began::Received {
                conn: operation.conn,
                arrived_ns: operation.arrived_ns,
            },
            Direction::Out if operation.stalled && !operation.outbound => Began::Stalled,
            Direction::Out => Began::Plain,
        };
        self.split(operation.at_ns, before, after, found, Some(operation.faults));
        self.task = task;
        self.free = false;
        if operation.direction == Direction::In && !operation.outbound {
            self.serves = true;
            self.usage.end_run();
        }
    }

    /// Gives the running slices since the thread was last idle to `owner`, as far as they are of no other task than
    /// `task`.
    fn claim_unowned(&mut self, owner: Owner, task: Task) {
        let owner = owner.into();
        for slice in self.past.iter_mut().rev() {
            if slice.task.differs_from(task) {
                return;
            }
            match &mut slice.what {
                What::Running { owner: unowned, .. } if unowned.is_open() => {
                    *unowned = owner;
                    if slice.task == Task::NONE {
                        slice.task = task;
                    }
                }
                What::Running { .. } | What::Unknown { .. } => return,
                What::Blocked { wait, .. } if wait.is_idle() => return,
                What::Blocked { owner: unowned, .. } if unowned.is_open() => *unowned = owner,
                What::Blocked { .. } | What::Runnable { .. } => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable;
    use observer_common::{Header, Seen, SwitchIn, SwitchOut, Waking, task};

    use super::super::Threads;
    use super::*;
    use crate::model::id::RequestId;

    const PID: u32 = 40;
    const WORKER: u32 = 41;
    const OF_POOL: u32 = 42;
    const SERVED: RequestId = RequestId { conn: 5, nth: 1 };

    fn header(tid: u32, at_ns: u64) -> Header {
        Header {
            at_ns,
            tid,
            ..Header::zeroed()
        }
    }

    fn operates(at_ns: u64, direction: Direction, request: RequestId) -> Operation {
        Operation {
            at_ns,
            direction,
            conn: request.conn,
            arrived_ns: at_ns,
            request: Some(request),
            outbound: false,
            stalled: false,
            faults: (0, 0),
            task: 5,
        }
    }

    /// A thread of the blocking pool that was woken at 150 ns for a request and runs from 200 ns.
    fn woken_for_a_job() -> Threads {
        let mut threads = Threads::default();
        threads.operated(WORKER, PID, 0, &operates(100, Direction::In, SERVED));
        let futex = libc::SYS_futex as i32;
        threads.switch_out(&SwitchOut {
            header: header(OF_POOL, 120),
            tgid: PID,
            state: 1,
            syscall: futex,
            args: [0x7000, 137, 1, 0],
            ..SwitchOut::zeroed()
        });
        threads.woken(&Waking {
            header: header(OF_POOL, 150),
            tgid: PID,
            waker_tid: WORKER,
            waker_tgid: PID,
            waker_syscall: futex,
            waker_task: 5,
            ..Waking::zeroed()
        });
        threads.switch_in(&SwitchIn {
            header: header(OF_POOL, 200),
            tgid: PID,
            ..SwitchIn::zeroed()
        });
        threads
    }

    fn doing(threads: &Threads, at_ns: u64) -> (Owner, Task) {
        threads.get(OF_POOL).unwrap().owner_before(at_ns)
    }

    #[test]
    fn a_thread_that_was_woken_for_a_job_is_in_it_from_then_on() {
        let mut threads = woken_for_a_job();
        threads.turned_to(OF_POOL, PID, 0, 300, Task::new(8));
        let job = (Owner::WokenFor(SERVED), Task::new(8));
        assert_eq!((doing(&threads, 250), doing(&threads, 350)), (job, job));
    }

    #[test]
    fn a_job_that_follows_is_not_for_whom_the_thread_was_woken() {
        let mut threads = woken_for_a_job();
        for (at_ns, task) in [
            (300, Task::new(8)),
            (400, Task::NONE),
            (450, Task::new(9)),
            (500, Task::NONE),
        ] {
            threads.turned_to(OF_POOL, PID, 0, at_ns, task);
        }
        assert_eq!(doing(&threads, 350).0, Owner::WokenFor(SERVED));
        assert_eq!(doing(&threads, 425), (Owner::Nobody, Task::NONE));
        assert_eq!(doing(&threads, 475), (Owner::Nobody, Task::new(9)));
    }

    #[test]
    fn a_job_is_not_over_before_its_poll_is() {
        let mut threads = woken_for_a_job();
        threads.turned_to(OF_POOL, PID, 0, 300, Task::new(8));
        threads.seen(&Seen {
            header: header(OF_POOL, 350),
            tgid: PID,
            task: task::NONE,
            ..Seen::zeroed()
        });
        threads.turned_to(OF_POOL, PID, 0, 400, Task::NONE);
        assert_eq!(doing(&threads, 375), (Owner::WokenFor(SERVED), Task::new(8)));
        assert_eq!(doing(&threads, 425), (Owner::Nobody, Task::NONE));
    }

    #[test]
    fn a_poll_in_which_a_next_request_began_was_for_the_one_that_took_most_of_it() {
        let mut threads = Threads::default();
        threads.turned_to(WORKER, PID, 0, 90, Task::new(5));
        for (at_ns, direction, nth) in [
            (100, Direction::In, 1),
            (900, Direction::Out, 1),
            (910, Direction::In, 2),
            (950, Direction::Out, 2),
        ] {
            let request = RequestId { conn: 5, nth };
            threads.operated(WORKER, PID, 0, &operates(at_ns, direction, request));
        }
        let worker = threads.get(WORKER).unwrap();
        assert_eq!(worker.did_most_for(90, 960), Some(SERVED));
        assert_eq!(worker.did_most_for(905, 960), Some(RequestId { conn: 5, nth: 2 }));
    }
}
