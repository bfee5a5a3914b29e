//! Explains the time from a request's first read to its last send.
//!
//! Going backwards, the request is found on a thread that ran for it, or between two such intervals: suspended, until
//! something made it go on. What that was is seen where the later interval begins: bytes received from a peer, a wakeup
//! by another thread, by the network, by a timer. Where nothing of the kind is seen the time between is unexplained.
//!
//! Each step is found by looking only, and [`Walk::make`] makes it.

use super::moves::{Charged, HandedOff, Move, Position};
use super::path::{Call, Charge, Path, Reason};
use super::runs::Runs;
use super::{Evidence, fed, notes, waiting};
use crate::connections::{Opened, Turn};
use crate::model::cause::Cause;
use crate::model::id::{Pid, Task, TaskId, Tid};
use crate::syscall::{self, Wait};
use crate::threads::{Began, Block, LastRun, Owner, Slice, State};

/// Slices examined for one request, at most.
const MAX_STEPS: usize = 20_000;

/// Steps that explain nothing before that is seen: from thread to thread, of which none did anything in between.
const MAX_STEPS_AT_ONCE: usize = 64;

const ONE_JOB_OR_MORE: &str = "suspended: the thread that ended it was busy with this job or with others";

/// Walks back from the cursor, where the request was on thread `tid`, to `since`.
pub(super) fn walk(
    evidence: &Evidence<'_>,
    turn: &Turn,
    since: LastRun,
    tid: Tid,
    runs: &Runs,
    path: &mut Path,
) {
    runs.begin();
    let mut walk = Walk {
        evidence,
        turn,
        runs,
        since,
        now_ns: path.cursor_ns(),
        at: Position::on(tid),
        passed_last_wait: turn.sent_tid.is_none() || path.cursor_ns() != turn.sent_ns,
        jobs_are_handed_back: evidence.threads.jobs_are_handed_back(turn.pid),
        goroutines: evidence.threads.follows_goroutines(turn.pid),
    };
    let mut steps_at_once = 0;
    for _ in 0..MAX_STEPS {
        if walk.now_ns <= since.end_ns {
            return;
        }
        let found = walk.slice_before_now();
        let step = if steps_at_once < MAX_STEPS_AT_ONCE {
            walk.step(found.as_ref())
        } else {
            walk.goes_in_circles()
        };
        let before_ns = walk.now_ns;
        walk.make(&step, found.as_ref().map(|(_, slice)| slice), path);
        steps_at_once = if walk.now_ns < before_ns {
            0
        } else {
            steps_at_once + 1
        };
        let received = step.received;
        if let Some(step) = received.and_then(|(conn, arrived_ns)| walk.received(conn, arrived_ns)) {
            walk.make(&step, None, path);
        }
    }
    path.mark_partial();
    path.charge(since.end_ns, Charge::unexplained(None, notes::TOO_MANY_STEPS));
}

/// A walk through what threads did for a request, or why they did not.
#[derive(Clone, Copy)]
pub(super) struct Walk<'a, 'b> {
    pub(super) evidence: &'a Evidence<'b>,
    pub(super) turn: &'a Turn,
    /// Where the request ran.
    pub(super) runs: &'a Runs,
    /// Its end: the first read, or up to where the request was explained before.
    pub(super) since: LastRun,
    /// Everything from here on is charged.
    pub(super) now_ns: u64,
    pub(super) at: Position,
    /// What its goroutine says at the last send that it waited for last was later than now.
    pub(super) passed_last_wait: bool,
    /// Threads of its process hand jobs back to event loops.
    pub(super) jobs_are_handed_back: bool,
    /// It is recorded which goroutines of its process made which ready.
    pub(super) goroutines: bool,
}

impl Walk<'_, '_> {
    /// Makes a step: nothing else charges or moves.
    fn make(&mut self, step: &Move, slice: Option<&Slice>, path: &mut Path) {
        let Self { evidence, turn, .. } = *self;
        let tid = self.at.tid;
        if step.inferred {
            path.mark_inferred();
        }
        if step.partial {
            path.mark_partial();
        }
        path.add_faults(step.faults);
        if let Some(queued_ns) = step.queued_ns {
            waiting::walk_queue(evidence, turn, tid, queued_ns, path);
        }
        if let Some(ready_ns) = step.ready_ns {
            waiting::walk(evidence, turn, tid, ready_ns, path);
        }
        if let Some(wait) = step.pool {
            fed::charge(evidence, turn.pid, wait, path);
        }
        self.passed_last_wait |= step.is_past_a_wait(self.at);
        step.charged.charge(evidence, tid, slice, path);
        if let Some((from_ns, charge)) = step.before {
            path.charge(from_ns, charge);
        }
        self.at = step.to;
        self.now_ns = path.cursor_ns();
    }

    /// The walk when everything from `from_ns` on is charged.
    pub(super) fn back_to(self, from_ns: u64) -> Self {
        Self {
            now_ns: self.now_ns.min(from_ns.max(self.turn.arrival_ns)),
            ..self
        }
    }

    /// What its thread did just before now, and the process of that thread.
    fn slice_before_now(&self) -> Option<(Pid, Slice)> {
        let thread = self.evidence.threads.get(self.at.tid)?;
        Some((thread.pid, thread.before(self.now_ns)?))
    }

    fn step(&self, found: Option<&(Pid, Slice)>) -> Move {
        let handed_off = self.at.handed_off;
        let mut since_ns = self.since.end_ns;
        if let Some(HandedOff { run, .. }) = handed_off {
            if run.end_ns >= self.now_ns {
                return Move::to(Position::on(run.tid));
            }
            since_ns = since_ns.max(run.end_ns);
        }
        if let Some(step) = self.at_the_beginning_of_its_goroutine() {
            return step;
        }
        let Some(&(pid, ref slice)) = found else {
            return self.before_its_first(handed_off);
        };
        let from_ns = slice.from_ns.max(since_ns);
        if let Some(step) = self.in_its_job(slice) {
            return step;
        }
        if let Some(step) = self.goroutine_was_busy(from_ns, pid, slice) {
            return step;
        }
        match slice.state {
            State::Unknown { .. } => self.not_seen(from_ns, notes::NOT_SEEN),
            State::Running { owner, .. } if !self.is_ours(owner, slice) => self.not_ours(slice.task),
            State::Running { cpu, owner, began } => self.ran(from_ns, slice, cpu, owner, began),
            State::Runnable { .. } => self.done_while_its_worker_waits(slice).unwrap_or(Move {
                charged: Charged::RunQueue(from_ns),
                ..Move::to(self.at)
            }),
            State::Blocked(block) if block.wait == Wait::Stopped => {
                let charge = Charge::unexplained(Some(self.at.tid), notes::STOPPED);
                Move::to(self.at).charging(from_ns, charge)
            }
            State::Blocked(block) if block.wait.is_idle() => self.idle(slice, &block),
            State::Blocked(block) if !self.is_ours(block.owner, slice) => self.not_ours(slice.task),
            State::Blocked(block) if block.wait == Wait::GlobalLock => {
                let step = Move {
                    charged: Charged::Lock(from_ns),
                    ..Move::to(self.at)
                };
                step.inferred_if(true)
            }
            State::Blocked(block) if self.is_of_known_job(block.owner, slice) => {
                let at = self.worked_in(slice.task);
                let is_condition = matches!(block.wait, Wait::Condition { .. });
                let step = if self.is_behind_other_request(slice, &block) {
                    Move {
                        charged: Charged::InTurn(from_ns),
                        ..Move::to(at).inferred_if(true)
                    }
                } else if is_condition && waiting::hand_off(self.evidence, &block).is_some() {
                    self.idle(slice, &block)
                } else {
                    Move::to(at).charging(from_ns, self.blocked(pid, slice, &block))
                };
                step.inferred_if(slice.task.id().is_none())
            }
            State::Blocked(block) => self.blocked_for_it_or_not(from_ns, pid, slice, &block),
        }
    }

    fn not_seen(&self, from_ns: u64, note: &'static str) -> Move {
        Move {
            partial: true,
            ..Move::to(self.at).charging(from_ns, Charge::unexplained(Some(self.at.tid), note))
        }
    }

    /// Nothing is recorded of the thread before now: it was begun, or first seen, just then. Where the request ran
    /// elsewhere is still known.
    fn before_its_first(&self, handed_off: Option<HandedOff>) -> Move {
        let run = handed_off.map_or_else(|| self.last_run_that_is(true), |handed_off| handed_off.run);
        let to = Position::on(run.tid);
        if run.end_ns >= self.now_ns && run.tid != self.at.tid {
            return Move::to(to);
        }
        let run_ns = run.end_ns.max(self.since.end_ns);
        Move {
            to,
            ..self.not_seen(run_ns, notes::NO_RECORD)
        }
    }

    /// The thread ran for the request.
    fn ran(&self, from_ns: u64, slice: &Slice, cpu: u16, owner: Owner, began: Began) -> Move {
        let tid = self.at.tid;
        if self.is_spawned_by_it(slice.task) {
            // Whether the request waited for it to be done, no event tells.
            let reason = Reason::RanFor(owner, slice.task);
            let charge = Charge::on(tid, Some(cpu), Cause::WorkerBusy, reason);
            return Move::to(self.at).charging(from_ns, charge).inferred_if(true);
        }
        let mut to = self.worked_in(slice.task);
        if matches!(began, Began::HandedOff(_))
            && let Some(handed_off) = &mut to.handed_off
        {
            handed_off.other_before = true;
        }
        let received = match began {
            // Unless the request still ran elsewhere when the slice began.
            Began::Received { conn, arrived_ns }
                if slice.from_ns == from_ns && from_ns > self.since.end_ns =>
            {
                Some((conn, arrived_ns))
            }
            _ => None,
        };
        let charge = Charge::on(tid, Some(cpu), Cause::OnCpu, Reason::Plain);
        Move {
            faults: slice.faults,
            received,
            ..Move::to(to)
                .charging(from_ns, charge)
                .inferred_if(slice.task.id().is_none())
        }
    }

    /// The thread was in a call, of which it is only known that it woke the request up later.
    fn blocked_for_it_or_not(&self, from_ns: u64, pid: Pid, slice: &Slice, block: &Block) -> Move {
        match self.at.handed_off {
            // The request was not still running elsewhere when this call began.
            Some(handed_off) if !handed_off.call_found && slice.from_ns == from_ns => {
                let to = Position {
                    handed_off: Some(HandedOff {
                        call_found: true,
                        ..handed_off
                    }),
                    ..self.at
                };
                Move::to(to).charging(from_ns, self.blocked(pid, slice, block))
            }
            handed_off => {
                let from_ns = handed_off.map_or(from_ns, |handed_off| handed_off.run.end_ns);
                let charge = Charge::unexplained(Some(self.at.tid), ONE_JOB_OR_MORE);
                Move::to(self.at).charging(from_ns, charge)
            }
        }
    }

    /// Here, where the request's work was done in `task`.
    fn worked_in(&self, task: Task) -> Position {
        let mut at = self.at;
        if let Some(handed_off) = &mut at.handed_off {
            handed_off.task = handed_off.task.or(task.id());
        }
        at
    }

    /// The thread ran or was blocked for somebody else, in this task.
    fn not_ours(&self, in_task: Task) -> Move {
        if self.is_handed_back() {
            return self.waited_for_pool().unwrap_or_else(|| self.job_not_known());
        }
        match self.at.handed_off {
            // It took the request up when it was done with that, and until then the request waited for it.
            Some(HandedOff {
                run,
                other_before,
                task,
                ..
            }) if (other_before || task.is_some()) && self.waits_for_the_thread(task, in_task) => Move {
                ready_ns: Some(run.end_ns),
                ..Move::to(Position::on(run.tid))
            },
            _ => self.waited_for_pool().unwrap_or_else(|| self.suspended()),
        }
    }

    /// Whether what waits for a task's turn waits for a thread that does something else in another one. Where any
    /// thread takes any task up, only the task itself can keep it waiting, with another's job.
    fn waits_for_the_thread(&self, task: Option<TaskId>, in_task: Task) -> bool {
        let runtime = self.evidence.threads.runtime(self.turn.pid);
        !runtime.tasks_move_between_threads() || task.is_some() && task == in_task.id()
    }

    /// On a thread that handed work to where the walk is, and from where the request last ran, leaving out threads of
    /// which it is only known that they were woken for it.
    pub(super) fn handed_off_by(&self, tid: Tid) -> Position {
        Position {
            tid,
            handed_off: Some(HandedOff {
                run: self.last_run_that_is(true),
                task: None,
                other_before: false,
                call_found: false,
                busy_for: None,
            }),
        }
    }

    /// The thread was blocked in a call that the request made itself.
    fn blocked(&self, pid: Pid, slice: &Slice, block: &Block) -> Charge {
        let call = Call::of(pid, block);
        let connection = self.blocked_on(pid, slice, block);
        let receives = syscall::receives(block.syscall);
        let cause = match (block.wait, connection) {
            (Wait::Mutex, _) => Cause::Lock,
            (Wait::Send, _) => Cause::SendBlocked,
            (Wait::PageFault, _) => Cause::PageFault,
            (Wait::Unknown, _) => Cause::Unexplained,
            // Only another thread's call wakes it before its time.
            (Wait::Condition { timeout: true }, _)
                if block.wake.is_some() && block.handed_off_by().is_none() =>
            {
                let thread = self.evidence.threads.get(self.at.tid);
                if thread.is_some_and(|thread| thread.waits_again(slice, block)) {
                    // It waits for something else, and looks for it whenever its time is over.
                    Cause::Unexplained
                } else {
                    Cause::Timer
                }
            }
            (_, Some((_, connection))) if receives && connection.opened == Opened::Outbound => {
                Cause::Downstream
            }
            _ if self.waits_for_client(slice, block) => Cause::Client,
            _ => Cause::Syscall,
        };
        let reason = match block.wake {
            Some(wake) if cause == Cause::Lock => Reason::WokenBy(call, wake.by),
            _ => Reason::Blocked(call),
        };
        Charge::on(self.at.tid, None, cause, reason)
    }
}
