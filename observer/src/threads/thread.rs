//! One thread, as its events change it: what is recorded of it, for whom it is believed to work, and what is metered.

use observer_common::{SwitchIn, SwitchOut, Waking, flags};

use super::event_loop::EventLoop;
use super::facts::ThreadFacts;
use super::judgement::{Before, Belief, HandOff, Moment, Observation, Verdict, Waiting, Wakeup};
use super::roles::Deeds;
use super::state::{Began, Block, Occupant, Owner, State, Wake};
use super::tasks::Tasks;
use super::usage::{AtWork, Metering};
use crate::model::id::{ConnId, Pid, RequestId, Task, Tid};
use crate::model::operation::{Direction, Operation};
use crate::runtime::{Runtime, ThreadInRuntime};
use crate::syscall::{self, Wait};

/// One thread.
#[derive(Debug)]
pub struct Thread {
    /// Its process.
    pub pid: Pid,
    /// Its name, where known.
    pub comm: Option<std::sync::Arc<str>>,
    /// Thread that began it, and when, ns.
    pub(super) started_by: Option<(Tid, u64)>,
    /// When it began to end, ns.
    pub(super) exits_ns: Option<u64>,
    /// It received from clients: it is a worker, of whatever runtime.
    pub(super) serves: bool,
    /// The `epoll` at which it waits for events.
    pub(super) event_loop: Option<EventLoop>,
    pub(super) facts: ThreadFacts,
    pub(super) belief: Belief,
    pub(super) in_runtime: ThreadInRuntime,
    pub(super) metering: Metering,
    pub(super) deeds: Deeds,
}

impl Thread {
    /// A thread of which nothing is known before `lost_until_ns`.
    pub(super) fn new(pid: Pid, lost_until_ns: u64, runtime: Runtime) -> Self {
        Self {
            pid,
            comm: None,
            started_by: None,
            exits_ns: None,
            serves: false,
            event_loop: None,
            facts: ThreadFacts::new(lost_until_ns),
            belief: Belief::default(),
            in_runtime: ThreadInRuntime::of(runtime),
            metering: Metering::default(),
            deeds: Deeds::default(),
        }
    }

    /// Judges what is observed of it now. If it runs on, it began to do that with `began`. Gives the request for which
    /// the task is inferred to work, if one is.
    pub(super) fn observe(
        &mut self,
        at_ns: u64,
        observed: Observation<'_>,
        began: Began,
        faults: Option<(u32, u32)>,
    ) -> Option<RequestId> {
        let verdict = self.judge(at_ns, observed);
        let next = match self.facts.state {
            State::Running { cpu, .. } => State::Running {
                cpu,
                owner: verdict.after.owner,
                began,
            },
            state => state,
        };
        self.apply(at_ns, &verdict, next, faults);
        verdict.task_works_for
    }

    fn judge(&self, at_ns: u64, observed: Observation<'_>) -> Verdict {
        let moment = Moment {
            at_ns,
            running_since_ns: self.facts.running_since_ns(),
            since_it_made_ready: self.facts.made_ready(),
        };
        self.belief.judge(moment, observed)
    }

    /// Carries a verdict out: nothing else changes for whom the thread works. For whom it worked can be told later
    /// (`worked_for`).
    fn apply(&mut self, at_ns: u64, verdict: &Verdict, next: State, faults: Option<(u32, u32)>) {
        if let Some(before) = verdict.before {
            let closed = self.closed(before);
            self.close_in(before.task, at_ns, closed, next, faults);
        }
        self.belief = verdict.after;
    }

    /// What it did until now, of which it is judged whose that is.
    fn closed(&mut self, before: Before) -> State {
        let State::Running { cpu, owner, began } = self.facts.state else {
            return State::Unknown {
                owner: self.belief.owner,
            };
        };
        let mut closed_began = began;
        if let Some(splits_ns) = before.splits_ns {
            closed_began = Began::Plain;
            let goes_on = State::Running {
                cpu,
                owner,
                began: closed_began,
            };
            self.close(splits_ns, self.facts.state, goes_on, None);
        }
        if let Some(task) = before.claims {
            self.facts.past.claim_unowned(before.owner, task);
        }
        if before.mixes_calls {
            self.facts.past.mix_calls(owner);
        }
        State::Running {
            cpu,
            owner: before.owner,
            began: closed_began,
        }
    }

    /// What it did between two times was for this request, which is told only when a job was handed back.
    pub(super) fn worked_for(&mut self, request: RequestId, from_ns: u64, to_ns: u64) {
        let past = &mut self.facts.past;
        past.give_between(from_ns, to_ns, Owner::Request(request));
    }

    /// It was `state` until `at_ns`, and is `next` from then on.
    pub(super) fn close(&mut self, at_ns: u64, state: State, next: State, faults: Option<(u32, u32)>) {
        self.close_in(self.belief.task, at_ns, state, next, faults);
    }

    fn close_in(&mut self, task: Task, at_ns: u64, state: State, next: State, faults: Option<(u32, u32)>) {
        if let Some(slice) = self.facts.close(at_ns, state, task, next, faults) {
            let at_work = if task.is_known() {
                AtWork::No
            } else {
                self.at_work(&slice.state)
            };
            self.metering.add(&slice, at_work, self.deeds.role);
            self.facts.past.push(&slice);
        }
    }

    /// The thread got a CPU on which `behind` had run.
    pub(super) fn switch_in(&mut self, event: &SwitchIn, behind: Occupant) {
        let cpu = event.header.cpu;
        if let (State::Blocked(block), Some(wake)) = (self.facts.state, self.facts.early_wake.take()) {
            // Nothing else ended the block, so this did, as soon as it had begun.
            self.end_block(self.facts.since_ns.saturating_add(1), block.ended_by(wake), cpu);
        }
        let owner = self.belief.owner;
        let closed = match self.facts.state {
            State::Runnable { preempted, .. } => State::Runnable {
                cpu,
                behind,
                behind_ran_ns: event.prev_ran_ns,
                preempted,
                throttled_ns: event.throttled_ns.saturating_sub(self.facts.throttled_ns),
            },
            // A wakeup was lost: how long it could have run is not known.
            State::Blocked(block) => State::Blocked(block),
            _ => State::Unknown { owner },
        };
        let running = State::Running {
            cpu,
            owner,
            began: Began::Plain,
        };
        self.close(event.header.at_ns, closed, running, None);
    }

    /// The thread left its CPU, to wait for `wait` unless it was preempted. Where threads of its process do, it `keeps`
    /// what it has read until it has answered it.
    pub(super) fn switch_out(&mut self, event: &SwitchOut, wait: Wait, keeps: bool, tasks: &mut Tasks) {
        let (at_ns, stamp) = (event.header.at_ns, Task::new(event.task));
        let faults = Some((event.min_flt, event.maj_flt));
        let preempted = event.flags & flags::PREEMPTED != 0;
        let was_of_pool = self.is_of_pool();
        self.deeds
            .leaves(event.syscall, event.flags & flags::POLLS_FEW != 0);
        let wait = if wait != Wait::Stopped && self.waits_at_work(event) {
            Wait::Call
        } else {
            wait
        };
        let known = || tasks.known(self.pid, stamp);
        self.in_runtime.left(event, wait, self.belief.task, known);
        if self.is_of_pool() && !was_of_pool {
            // What it did before is no part of what the pool did.
            self.take_usage(at_ns);
        }
        let task = self.in_runtime.task(stamp);
        self.seen_in(at_ns, task, faults, tasks);
        self.facts.throttled_ns = event.throttled_ns;
        self.facts.queued_ns = event.queued_ns;
        if preempted {
            self.facts.early_wake = None;
            self.leaves(
                at_ns,
                Observation::IsPreempted { serves: self.serves },
                State::runnable(event.header.cpu, true),
                faults,
            );
            return;
        }
        let waiting = Waiting {
            wait,
            task,
            serves: self.serves,
            loops: self.event_loop.is_some(),
            keeps,
        };
        let block = Block {
            wait: self.belief.waits_in(&waiting),
            syscall: event.syscall,
            arg0: event.args[0] as u32,
            wake: None,
            owner: self.belief.calls_for(&waiting),
        };
        self.metering.keeps_request = keeps && self.metering.has_read;
        self.leaves(at_ns, Observation::Waits(waiting), State::Blocked(block), faults);
        self.metering.free = block.wait.is_idle();
    }

    /// It became another program.
    pub(super) fn forget_role(&mut self) {
        self.in_runtime = ThreadInRuntime::default();
        self.event_loop = None;
        self.deeds = Deeds::default();
    }

    fn leaves(&mut self, at_ns: u64, observed: Observation<'_>, next: State, faults: Option<(u32, u32)>) {
        let verdict = self.judge(at_ns, observed);
        self.apply(at_ns, &verdict, next, faults);
    }

    /// Takes a wakeup by a thread that ran for `waker_owner`; for whom this one runs can be told otherwise than by
    /// that. Tells whether that thread did it on purpose.
    pub(super) fn woken(
        &mut self,
        event: &Waking,
        by: Occupant,
        waker_owner: Owner,
        is_told_otherwise: bool,
    ) -> bool {
        let wake = Wake {
            by,
            syscall: event.waker_syscall,
            conn: ConnId(event.conn),
        };
        let State::Blocked(block) = self.facts.state else {
            self.facts.early_wake = Some(wake);
            return false;
        };
        self.facts.early_wake = None;
        self.facts.throttled_ns = event.throttled_ns;
        let (at_ns, block) = (event.header.at_ns, block.ended_by(wake));
        let is_handed_off = block.handed_off_by().is_some();
        let wakeup = Wakeup {
            was_idle: block.wait.is_idle(),
            by: waker_owner,
            is_handed_off,
            is_next: syscall::receives(block.syscall) && self.belief.has_answered_on(wake.conn),
            // Where its tasks move, it looks for whatever there is to do.
            is_told_otherwise: is_told_otherwise || self.in_runtime.runtime().tasks_move_between_threads(),
        };
        self.observe(at_ns, Observation::IsWoken(wakeup), Began::Plain, None);
        self.end_block(at_ns, block, event.header.cpu);
        is_handed_off
    }

    /// It woke another thread by what it did.
    pub(super) fn handed_off(&mut self, at_ns: u64, to: Tid, for_lock: bool, is_told_apart: bool) {
        let hand_off = HandOff {
            of_pool: self.is_of_pool(),
            for_lock,
            is_told_apart,
        };
        self.observe(at_ns, Observation::HandsOff(hand_off), Began::HandedOff(to), None);
    }

    /// It did something on `cpu`, so it runs there. Where its switch was not seen, it is not known since when;
    /// nor, then, how long it waited before.
    pub(super) fn seen_running(&mut self, at_ns: u64, cpu: u16, faults: Option<(u32, u32)>) {
        if let State::Running { cpu: on, .. } = self.facts.state {
            if on == cpu {
                return;
            }
            self.observe(at_ns, Observation::Moved, Began::Plain, None);
        }
        self.facts.early_wake = None;
        let owner = self.belief.owner;
        let running = State::Running {
            cpu,
            owner,
            began: Began::Plain,
        };
        self.close(at_ns, State::Unknown { owner }, running, faults);
    }

    pub(super) fn end_block(&mut self, at_ns: u64, block: Block, cpu: u16) {
        self.close(at_ns, State::Blocked(block), State::runnable(cpu, false), None);
    }

    /// It is seen in `task` now, or in none.
    pub(super) fn seen_in(&mut self, at_ns: u64, task: Task, faults: Option<(u32, u32)>, tasks: &mut Tasks) {
        if task == self.belief.task || !task.is_known() {
            return;
        }
        let observed = Observation::InTask(task, tasks.facts(self.pid, task, self.in_runtime.runtime()));
        let request = self.observe(at_ns, observed, Began::Plain, faults);
        tasks.infer(self.pid, task, request);
    }

    /// It turns to `task` just now, or to none.
    pub(super) fn turned_to(&mut self, at_ns: u64, task: Task, tasks: &mut Tasks) {
        if task == self.belief.task {
            return;
        }
        let observed = Observation::TurnsToTask(task, tasks.facts(self.pid, task, self.in_runtime.runtime()));
        let request = self.observe(at_ns, observed, Began::Plain, None);
        tasks.infer(self.pid, task, request);
    }

    /// It finished a socket operation.
    pub(super) fn operated(&mut self, operation: &Operation) {
        let receives = operation.direction == Direction::In;
        let began = match operation.direction {
            Direction::In => Began::Received {
                conn: operation.conn,
                arrived_ns: operation.arrived_ns,
            },
            Direction::Out => Began::Plain,
        };
        let observed = Observation::Operates(operation, self.in_runtime.task(operation.task));
        self.observe(operation.at_ns, observed, began, Some(operation.faults));
        self.metering.free = false;
        if receives && !operation.outbound {
            self.serves = true;
            self.metering.end_run();
            self.metering.has_read = true;
        } else if operation.read_by.is_some() {
            self.metering.has_read = false;
        }
    }

    /// Events up to `to_ns` were lost.
    pub(super) fn lost(&mut self, to_ns: u64) {
        self.facts.lost(to_ns);
        self.metering.has_read = false;
        self.observe(to_ns, Observation::Lost, Began::Plain, None);
        self.in_runtime.lost();
    }

    /// It ended: from then on it does nothing.
    pub(super) fn ended(&mut self, at_ns: u64) {
        let nothing = State::Unknown { owner: Owner::Nobody };
        self.leaves(at_ns, Observation::Ends, nothing, None);
    }

    /// Whether it was seen to take up requests.
    #[must_use]
    pub fn is_worker(&self) -> bool {
        self.serves
    }

    /// Whether it is one of a runtime's blocking pool.
    #[must_use]
    pub fn is_of_pool(&self) -> bool {
        self.in_runtime.is_of_pool() && !self.serves
    }

    /// Whether it has nothing to do, if it is a worker.
    pub(super) fn free(&self) -> Option<bool> {
        self.serves.then_some(self.metering.free)
    }
}
