//! Explains why a request that an event loop had read waited for a thread of the pool that answers what the loop reads:
//! none was free, and the one that took it up was busy with another request until then.
//!
//! Evidence: that thread answered the other request and then this one, no thread of the pool had nothing to do since
//! the loop left the request, and each time that the loop was awake meanwhile it read a request. What else it did in
//! such a time is not seen.

use std::cell::OnceCell;

use super::moves::{Move, PoolWait, Position};
use super::path::{Call, Charge, Path, Reason};
use super::service::Walk;
use super::{Evidence, lock, run_queue, waiting};
use crate::model::cause::Cause;
use crate::model::id::Pid;
use crate::syscall::Wait;
use crate::threads::{Block, FREE_NS, Owner, Slice, State};

const BEFORE: &str = "suspended: nothing recorded says whether it was already waiting for the pool";

const FOR_ANOTHER: &str =
    "another thread, which ran for somebody else, ended the wait of the one that took it";

const NOT_WHOSE: &str = "the thread had answered another request, and ran on for that one or for this";

impl Walk<'_, '_> {
    /// Whether the thread is one of a pool that did not read the request.
    fn was_fed(&self) -> bool {
        let (turn, tid) = (self.turn, self.at.tid);
        turn.read_tid != tid && self.evidence.threads.is_fed(turn.pid, tid)
    }

    /// The thread answered another request until it took this one up. If no thread of its pool was free since the
    /// request ran elsewhere, that is why it waited.
    pub(super) fn waited_for_pool(&self) -> Option<Move> {
        if !self.was_fed() || self.at.handed_off.is_some() && !self.is_handed_back() {
            return None;
        }
        let run = self.last_run_that_is(true);
        let threads = self.evidence.threads;
        let pid = self.turn.pid;
        let until_ns = self.answered_another_ns()?;
        if run.tid == self.at.tid || run.end_ns >= until_ns {
            return None;
        }
        let since_ns = threads.only_read_since(pid, run.tid, run.end_ns, until_ns);
        if !threads.none_is_free(pid, self.at.tid, since_ns, until_ns) {
            return None;
        }
        let step = Move {
            pool: Some(PoolWait {
                tid: self.at.tid,
                since_ns,
                until_ns,
            }),
            ..Move::to(Position::on(run.tid)).charging(run.end_ns, Charge::unexplained(None, BEFORE))
        };
        Some(step.inferred_if(true))
    }

    /// Whether what a thread of a pool did for nobody that is known was the request's own: it answers that next, and
    /// began with it after the request had been read.
    pub(super) fn is_of_fed_job(&self, slice: &Slice, owner: Owner) -> bool {
        owner.is_open()
            && self.at.handed_off.is_none()
            && slice.from_ns >= self.turn.read_ns
            && !self.is_handed_back()
            && self.was_fed()
    }

    /// When the thread answered another request, if since then it did nothing but run, ns: whatever else it did can be
    /// of the request's own job.
    fn answered_another_ns(&self) -> Option<u64> {
        let thread = self.evidence.threads.get(self.at.tid)?;
        let mut back = thread.back_from(self.now_ns);
        let answered = back.find_map(|slice| match slice.state {
            State::Running {
                owner: Owner::Request(_),
                ..
            } => Some(Some(slice.to_ns.min(self.now_ns))),
            State::Running { .. } | State::Runnable { .. } => None,
            // Its loop gave it this when it was awake for what it had handed back.
            State::Blocked(block)
                if block.wait.is_idle() && slice.duration_ns() < FREE_NS && self.is_handed_back() =>
            {
                None
            }
            State::Blocked(_) | State::Unknown { .. } => Some(None),
        });
        answered.flatten()
    }

    /// Another thread of the pool, which ran for another request, ended a wait that this one began after the request
    /// was read. So this one had that in hand, or was about to, and the wait was in its job.
    pub(super) fn waited_for_another(&self, slice: &Slice, block: &Block) -> Option<Move> {
        if self.at.handed_off.is_some() || self.is_handed_back() || !self.was_fed() {
            return None;
        }
        let (threads, pid) = (self.evidence.threads, self.turn.pid);
        let was_read = slice.from_ns >= self.last_run_that_is(true).end_ns;
        if !was_read || threads.may_be_free(pid, slice, block) {
            return None;
        }
        let waker = waiting::hand_off(self.evidence, block)?;
        let (owner, _) = threads.get(waker)?.owner_before(slice.to_ns);
        let is_of_pool = threads.is_fed(pid, waker) && owner.request() != Some(self.turn.id);
        let charge = Charge::unexplained(Some(self.at.tid), FOR_ANOTHER);
        let step = Move::to(self.at).charging(slice.from_ns, charge);
        (is_of_pool || self.is_of_another(owner)).then(|| step.inferred_if(true))
    }

    /// A thread of a pool that waited until its time was over did so in the request's job: who waits for a job is
    /// woken.
    pub(super) fn waited_in_its_job(&self, slice: &Slice, block: &Block) -> Option<Move> {
        let is_over = block.wake.is_some() && block.handed_off_by().is_none();
        let expired = is_over && block.wait.expired(slice.duration_ns());
        if !expired || !self.was_fed() || slice.from_ns < self.last_run_that_is(true).end_ns {
            return None;
        }
        let call = Call::of(self.turn.pid, block);
        let charge = Charge::on(self.at.tid, None, Cause::Timer, Reason::Blocked(call));
        let step = Move::to(self.at).charging(slice.from_ns, charge);
        Some(step.inferred_if(true))
    }
}

/// Charges what a thread of a pool did for other requests, back to when it began to be waited for.
pub(super) fn charge(evidence: &Evidence<'_>, pid: Pid, wait: PoolWait, path: &mut Path) {
    let PoolWait {
        tid,
        since_ns,
        until_ns,
    } = wait;
    path.charge(until_ns, Charge::unexplained(Some(tid), NOT_WHOSE));
    let Some(thread) = evidence.threads.get(tid) else {
        return;
    };
    let in_order = OnceCell::new();
    let takes_in_order = || *in_order.get_or_init(|| evidence.threads.takes_in_order(pid, tid));
    // What it did before it answered a request, it did for that one.
    let mut job = Owner::Nobody;
    for slice in thread.back_from(path.cursor_ns()) {
        if slice.to_ns <= since_ns {
            return;
        }
        let from_ns = slice.from_ns.max(since_ns);
        match slice.state {
            State::Running {
                owner: Owner::Others, ..
            } => path.charge(from_ns, Charge::unexplained(Some(tid), NOT_WHOSE)),
            State::Running { cpu, owner, .. } => {
                if matches!(owner, Owner::Request(_)) {
                    job = owner;
                }
                let reason = Reason::RanFor(job, slice.task);
                path.charge(from_ns, Charge::on(tid, Some(cpu), Cause::WorkerBusy, reason));
            }
            State::Blocked(block) if block.wait == Wait::GlobalLock => {
                lock::charge(evidence, tid, &slice, from_ns, path);
            }
            State::Blocked(block) if evidence.threads.hands_back(pid, tid) => {
                let call = Call::of(pid, &block);
                let reason = Reason::BlockedFor(call, block.owner, slice.task);
                path.charge(from_ns, Charge::on(tid, None, Cause::WorkerBlocked, reason));
            }
            // It can be the request's own, where that answered another in the middle of its job.
            State::Blocked(_) if slice.from_ns > since_ns && !takes_in_order() => {
                path.charge(from_ns, Charge::unexplained(Some(tid), NOT_WHOSE));
            }
            State::Blocked(block) => {
                let call = Call::of(pid, &block);
                let reason = Reason::BlockedFor(call, job, slice.task);
                path.charge(from_ns, Charge::on(tid, None, Cause::WorkerBlocked, reason));
                if block.wait.is_idle() && evidence.threads.may_be_free(pid, &slice, &block) {
                    // Where it was woken for what it did next, it had done something else before.
                    job = Owner::Nobody;
                }
            }
            State::Runnable { .. } => run_queue::charge(evidence, tid, &slice, from_ns, path),
            State::Unknown { .. } => return,
        }
    }
}
