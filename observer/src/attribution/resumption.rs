//! Explains why a request that had been suspended went on: what ended the idle time of its worker, or what the worker
//! did until it took the request up.

use super::moves::{Move, Position};
use super::path::{Charge, Reason};
use super::service::Walk;
use super::waiting;
use crate::connections::{Opened, OutboundSend};
use crate::model::cause::Cause;
use crate::model::id::{ConnId, Tid};
use crate::threads::{Block, LastRun, Owner, Slice, State};

/// Hand-offs that are followed to find what woke a row of workers, at most.
const MAX_HOPS: usize = 8;

/// A worker can begin to wait for a timer while the one that set it still runs. Where that runs on for longer, who woke
/// the worker tells.
const TIMER_SLACK_NS: u64 = 1_000_000;

/// Samples see a worker, at their default rate, in each task that runs for half as long as this.
const MAX_TURN_NS: u64 = 2_000_000;

const NOTHING_RECORDED: &str = "suspended: nothing recorded says what it waited for";

/// A time in which a thread had nothing to do.
pub(super) struct Idle {
    pub(super) tid: Tid,
    pub(super) slice: Slice,
    pub(super) block: Block,
}

/// Why a request that was suspended went on.
#[derive(Clone, Copy)]
enum WentOn {
    /// Its timer was due.
    Timer,
    /// There was room again for what it had to send.
    Room,
    /// A peer answered on this connection what was sent for it.
    Answer(ConnId, OutboundSend),
}

impl Idle {
    /// Whether it began after a request had stopped at `run`, or when it was about to.
    fn began_after(&self, run: LastRun) -> bool {
        self.slice.from_ns.saturating_add(TIMER_SLACK_NS) >= run.end_ns
    }
}

impl Walk<'_, '_> {
    /// The thread had nothing to do until it was woken: the waker is the reason.
    pub(super) fn idle(&self, slice: &Slice, block: &Block) -> Move {
        if self.is_handed_back()
            && let Some(step) = self.waited_for_pool()
        {
            return step;
        }
        if let Some(step) = self.waited_for_another(slice, block) {
            return step;
        }
        let waker = waiting::hand_off(self.evidence, block);
        if waker.is_some_and(|waker| self.evidence.threads.is_in_no_goroutine(waker)) {
            return self.woken_by_monitor(slice);
        }
        if let Some(waker) = waker.filter(|&waker| self.may_have_been_handed_back_by(waker, slice.to_ns)) {
            // From the wakeup backwards, the waker's time is the request's. What lies between the wakeup and
            // now is nothing: a block ends at its wakeup.
            let thread = self.evidence.threads.get(waker);
            let known = thread.is_some_and(|thread| thread.before(slice.to_ns).is_some());
            if known && slice.to_ns >= self.now_ns {
                return Move::to(self.handed_off_by(waker));
            }
        }
        if let Some(step) = self.waited_in_its_job(slice, block) {
            return step;
        }
        let run = self.last_run();
        let idle = Idle {
            tid: self.at.tid,
            slice: *slice,
            block: *block,
        };
        if block.wake.is_some_and(|wake| wake.conn == self.turn.id.conn) {
            let note = "suspended: bytes of its client woke the worker, and were not read";
            return self.resumed(run, Cause::Unexplained, Reason::Idle(note));
        }
        if let Some(why) = self.reason_to_resume(run, &idle) {
            let is_inferred = matches!(why, WentOn::Timer) && !idle.began_after(run);
            return self.went_on(run, &idle, why).inferred_if(is_inferred);
        }
        let step = if self.due_ns(run, &idle).is_some() {
            self.timer_was_due(run, &idle)
        } else {
            self.as_its_goroutine_says(run, "suspended: what woke the worker was not for it")
        };
        step.inferred_if(true)
    }

    /// The thread by which Go's runtime watches itself woke this one: it does nothing for requests, and looks for
    /// timers that are due.
    fn woken_by_monitor(&self, slice: &Slice) -> Move {
        let run = self.last_run();
        let since_ns = run.end_ns.saturating_sub(TIMER_SLACK_NS);
        let slack_ns = 2 * TIMER_SLACK_NS;
        let due = self
            .evidence
            .threads
            .waited_for_timer(self.turn.pid, since_ns, slice.to_ns, slack_ns);
        let step = if due && self.may_have_set_a_timer() {
            self.waited_for_timer(run)
        } else {
            self.as_its_goroutine_says(run, NOTHING_RECORDED)
        };
        step.inferred_if(true)
    }

    /// The thread took the request up again after it had worked for others. What is recorded of why its task was queued
    /// is the reason.
    pub(super) fn suspended(&self) -> Move {
        let Some(queued) = self.queued().filter(|_| !self.goroutines) else {
            return self.unqueued();
        };
        let then = self.back_to(queued.at_ns);
        Move {
            queued_ns: Some(queued.at_ns),
            ..then.by_who_queued(queued).unwrap_or_else(|| then.unqueued())
        }
    }

    /// The same where nothing of that is recorded. What ended the thread's last idle time is the reason, as far as it
    /// concerns the request; from then on the request waited for the worker.
    pub(super) fn unqueued(&self) -> Move {
        let run = self.last_run();
        if let Some(ready_ns) = self.had_no_room_at(run) {
            let step = self.when_ready(ready_ns, Self::found_room);
            return step.inferred_if(true);
        }
        let woken = self.last_idle(run.end_ns);
        if let Some(idle) = &woken
            && let Some(why) = self.reason_to_resume(run, idle)
        {
            return self.when_ready(idle.slice.to_ns, |walk, run| walk.went_on(run, idle, why));
        }
        if let Some(step) = self.done_elsewhere(run).or_else(|| self.waited_for_its_job(run)) {
            return step;
        }
        let due = woken.and_then(|idle| Some((self.due_ns(run, &idle)?, idle)));
        let step = if let Some((due_ns, idle)) = due {
            self.when_ready(due_ns, |walk, run| walk.timer_was_due(run, &idle))
        } else if let Some((from_ns, charge)) = self.behind(run.end_ns).filter(|_| self.in_mark().is_none()) {
            Move::to(self.at).charging(from_ns, charge)
        } else {
            self.as_its_goroutine_says(run, NOTHING_RECORDED)
        };
        step.inferred_if(true)
    }

    /// It goes to and fro between threads that are each to have woken another at the same time, which one of them did
    /// before the other slept.
    pub(super) fn goes_in_circles(&self) -> Move {
        let reason = Reason::Idle(NOTHING_RECORDED);
        self.resumed(self.last_run_that_is(true), Cause::Unexplained, reason)
            .inferred_if(true)
    }

    /// Goes to where the request last ran, charging what lies between.
    pub(super) fn resumed(&self, run: LastRun, cause: Cause, reason: Reason) -> Move {
        if run.end_ns >= self.now_ns && run.tid == self.at.tid {
            // No progress: it went on just here, on this thread, which says nothing about how.
            let charge = Charge::unexplained(Some(run.tid), self.waited_or(NOTHING_RECORDED));
            return Move::to(self.at).charging(self.since.end_ns, charge);
        }
        Move::to(Position::on(run.tid)).charging(run.end_ns, Charge::of(cause, reason))
    }

    /// The request could go on from `ready_ns` on, and waited for its worker; before, it had to wait since it last ran.
    fn when_ready(&self, ready_ns: u64, waited: impl FnOnce(&Self, LastRun) -> Move) -> Move {
        let ready = self.back_to(ready_ns);
        Move {
            ready_ns: Some(ready_ns),
            ..waited(&ready, ready.last_run())
        }
    }

    /// Goes to `run`, if that was on a thread that was woken for the request, and is done with it: from then on the
    /// request waited for its worker. A task that moves between threads has no worker of its own, and
    /// does itself what it waits for.
    fn done_elsewhere(&self, run: LastRun) -> Option<Move> {
        if self
            .evidence
            .threads
            .runtime(self.turn.pid)
            .tasks_move_between_threads()
        {
            return None;
        }
        let own = self.last_run_that_is(true);
        if run.tid == self.at.tid || run.end_ns <= own.end_ns || run.end_ns >= self.now_ns {
            return None;
        }
        let ready_ns = (!self.is_in_a_call(run.tid)).then_some(run.end_ns);
        let ready = ready_ns.map_or(*self, |ready_ns| self.back_to(ready_ns));
        let step = Move {
            ready_ns,
            ..Move::to(ready.handed_off_by(run.tid))
        };
        Some(step.inferred_if(true))
    }

    /// The same while its worker waits for a CPU in this slice, which it left in another task or had no task for.
    pub(super) fn done_while_its_worker_waits(&self, slice: &Slice) -> Option<Move> {
        if self.at.handed_off.is_some() {
            return None;
        }
        let run = self.last_run();
        let is_since = run.end_ns > slice.from_ns && run.tid != self.at.tid;
        let was_elsewhere = || self.last_run_that_is(true).end_ns < slice.from_ns;
        (is_since && was_elsewhere()).then(|| self.done_elsewhere(run))?
    }

    /// Whether a thread is still in a call for the request, or back from it without a CPU.
    fn is_in_a_call(&self, tid: Tid) -> bool {
        let Some(thread) = self.evidence.threads.get(tid) else {
            return false;
        };
        let mut back = thread.back_from(self.now_ns);
        let last = back.find(|slice| !matches!(slice.state, State::Runnable { .. }));
        last.is_some_and(|slice| match slice.state {
            State::Blocked(block) => !block.wait.is_idle() && block.owner.request() == Some(self.turn.id),
            _ => false,
        })
    }

    /// What the request waited for, and since when, but not before `since_ns`, if it went on right after another task
    /// of the same worker, one that serves no client itself: that one, or the worker that was busy with it.
    fn behind(&self, since_ns: u64) -> Option<(u64, Charge)> {
        let thread = self.evidence.threads.get(self.at.tid)?;
        let before = || {
            let back = thread.back_from(self.now_ns);
            back.take_while(|slice| slice.to_ns > since_ns)
        };
        // Somewhere in a short slice of more than one the worker turned from one task to the other.
        let turned = |slice: &Slice, owner| owner == Owner::Mixed && slice.duration_ns() <= MAX_TURN_NS;
        let last = before().find_map(|slice| match slice.state {
            State::Runnable { .. } => None,
            State::Running { owner, .. } if turned(&slice, owner) => None,
            State::Running { owner, cpu, .. } if owner.is_open() => {
                Some(slice.task.id().map(|_| (slice.task, owner, cpu)))
            }
            _ => Some(None),
        });
        let (task, owner, cpu) = last.flatten()?;
        let first = before()
            .take_while(|slice| match slice.state {
                State::Running { owner, cpu: on, .. } => {
                    on == cpu && (slice.task == task || turned(slice, owner))
                }
                _ => false,
            })
            .last()?;
        let reason = Reason::RanFor(owner, task);
        let charge = Charge::on(self.at.tid, Some(cpu), Cause::WorkerBusy, reason);
        Some((first.from_ns.max(since_ns), charge))
    }

    /// Why a request that stopped at `run` could go on when a thread was no longer idle.
    fn reason_to_resume(&self, run: LastRun, idle: &Idle) -> Option<WentOn> {
        let Idle { slice, block, .. } = idle;
        let wake_conn = block.wake?.conn;
        let asked = self.asked(wake_conn, slice.to_ns);
        if let Some(sent) = asked.filter(|_| self.may_have_waited_for_a_peer(run)) {
            Some(WentOn::Answer(wake_conn, sent))
        } else if self.turn.stalled_since(slice.to_ns).is_some() {
            Some(WentOn::Room)
        } else if wake_conn != ConnId::NONE {
            None
        } else {
            let expired = block.wait.expired(slice.to_ns - slice.from_ns);
            (expired && self.could_be_for(run, idle)).then_some(WentOn::Timer)
        }
    }

    /// The request stopped at `run`, and went on for this when `idle` had ended.
    fn went_on(&self, run: LastRun, idle: &Idle, why: WentOn) -> Move {
        match why {
            WentOn::Timer => self.timer_was_due(run, idle),
            WentOn::Room => self.found_room(run),
            WentOn::Answer(conn, sent) => self.peer_answered(run, conn, sent),
        }
    }

    /// When a timer was due that the worker waited for when something else woke it, if the request went on after that:
    /// the runtime looks for such timers whenever it is awake.
    fn due_ns(&self, run: LastRun, idle: &Idle) -> Option<u64> {
        let Idle { slice, block, .. } = idle;
        let due_ns = block.wait.due_ns(slice.from_ns)?;
        let went_on_ns = self.now_ns;
        // The wait was for whole milliseconds, and its timer can be due within the last of them.
        let is_due = due_ns <= went_on_ns.saturating_add(TIMER_SLACK_NS);
        let ready_ns = if due_ns <= slice.to_ns.saturating_add(TIMER_SLACK_NS) {
            slice.to_ns
        } else {
            due_ns
        };
        (is_due && self.could_be_for(run, idle)).then_some(ready_ns.min(went_on_ns))
    }

    /// Whether a request that stopped at `run` can have set the timer that a worker waited for: not if the wait had
    /// begun before, unless the request had woken the worker just before that. It does where its timer is due before
    /// all others.
    fn could_be_for(&self, run: LastRun, idle: &Idle) -> bool {
        if !self.may_have_set_a_timer() || self.may_have_waited_for_a_job(run, idle) {
            return false;
        }
        let thread = self.evidence.threads.get(idle.tid);
        let was_woken_for = |owner| owner == Owner::WokenFor(self.turn.id);
        idle.began_after(run)
            || thread.is_some_and(|thread| was_woken_for(thread.owner_before(idle.slice.from_ns).0))
    }

    /// The last idle time of the thread, or of the one that handed work to it, if it ended after `ran_ns`.
    pub(super) fn last_idle(&self, ran_ns: u64) -> Option<Idle> {
        let (mut tid, mut at_ns) = (self.at.tid, self.now_ns);
        for _ in 0..MAX_HOPS {
            if tid != self.turn.read_tid && self.evidence.threads.is_fed(self.turn.pid, tid) {
                // It waited in the job of another request.
                return None;
            }
            let (slice, block) = self.evidence.threads.get(tid)?.last_idle(at_ns)?;
            if slice.to_ns <= ran_ns {
                return None;
            }
            let Some(waker) = waiting::hand_off(self.evidence, &block) else {
                return Some(Idle { tid, slice, block });
            };
            (tid, at_ns) = (waker, slice.to_ns);
        }
        None
    }

    /// The request stopped at `run`, and went on with what its peer answered on `conn` to what was `sent` for it.
    fn peer_answered(&self, run: LastRun, conn: ConnId, sent: OutboundSend) -> Move {
        if sent.at_ns <= run.end_ns || sent.at_ns >= self.now_ns {
            return self.resumed(run, Cause::Downstream, Reason::Peer(conn));
        }
        // A thread asked for it when it did not run itself: before that it waited for something else.
        let charge = Charge::of(Cause::Downstream, Reason::Peer(conn));
        Move::to(self.back_to(sent.at_ns).handed_off_by(sent.tid)).charging(sent.at_ns, charge)
    }

    /// What this request sent to the peer on `conn` that bytes which came at `at_ns` answer. Where no tasks are known,
    /// many use a connection in turn, and it is known to be the request's.
    fn asked(&self, conn: ConnId, at_ns: u64) -> Option<OutboundSend> {
        let connections = self.evidence.connections;
        let is_outbound = connections.get(conn)?.opened == Opened::Outbound;
        let sent = connections.last_send_for(conn, self.turn.id, self.turn.read_ns, at_ns)?;
        let is_known = sent.request == Some(self.turn.id) || self.turn.read_task.is_known();
        (is_outbound && is_known).then_some(sent)
    }
}
