//! Explains the time that a request spent in jobs that an event loop gave to other threads, and that these handed back.
//!
//! Evidence: what these threads did is known to be the request's, by whom the loop had in hand when it gave a job and
//! whom it answered when the job was over. Where that is not known, nothing else of these threads is the request's.

use super::moves::{Move, Position};
use super::path::Reason;
use super::resumption::Idle;
use super::service::Walk;
use crate::model::cause::Cause;
use crate::model::id::Tid;
use crate::threads::{Began, LastRun, Owner, Slice, State};

/// A loop that was woken for a request is with it after so long, ns.
const MAX_AWAKE_NS: u64 = 2_000_000;

const NOT_TOLD: &str =
    "suspended: nothing recorded says which thread of the pool did its job, or whether one did";

impl Walk<'_, '_> {
    /// Whether the thread hands its jobs back.
    pub(super) fn is_handed_back(&self) -> bool {
        self.hands_back(self.at.tid)
    }

    fn hands_back(&self, tid: Tid) -> bool {
        self.jobs_are_handed_back && self.evidence.threads.hands_back(self.turn.pid, tid)
    }

    /// Whether a thread that woke this one may have done so with the request's job.
    pub(super) fn may_have_been_handed_back_by(&self, waker: Tid, at_ns: u64) -> bool {
        !self.hands_back(waker) || self.is_its_job(waker, at_ns)
    }

    /// Whether a thread was in a job of the request just then.
    fn is_its_job(&self, tid: Tid, at_ns: u64) -> bool {
        let thread = self.evidence.threads.get(tid);
        thread.is_some_and(|thread| thread.owner_before(at_ns).0 == Owner::Request(self.turn.id))
    }

    /// Goes to the thread that was in a job of the request until now, where this one did nothing for it.
    pub(super) fn in_its_job(&self, slice: &Slice) -> Option<Move> {
        if !self.jobs_are_handed_back || self.is_handed_back() {
            return None;
        }
        let is_own = |owner: Owner| owner == Owner::Request(self.turn.id);
        if matches!(slice.state, State::Running { owner, .. } if is_own(owner)) {
            return None;
        }
        let mut others = self.turn.tids().filter(|&tid| self.hands_back(tid));
        let tid = others.find(|&tid| self.is_its_job(tid, self.now_ns))?;
        Some(Move::to(Position::on(tid)).inferred_if(true))
    }

    /// Whether the request may have waited for a job and not for a timer when its loop waited for events: the loop gave
    /// one after the request ran, or there was no thread to give it to. Where the time of the wait was over, only what
    /// ended since can have been that.
    pub(super) fn may_have_waited_for_a_job(&self, run: LastRun, idle: &Idle) -> bool {
        let (threads, pid) = (self.evidence.threads, self.turn.pid);
        if !self.jobs_are_handed_back {
            return false;
        }
        let Idle { slice, block, .. } = idle;
        let woken_ns = slice.to_ns;
        let went_on_ns = self.turn.sent_ns.min(woken_ns.saturating_add(MAX_AWAKE_NS));
        let is_over = block.handed_off_by().is_none() && block.wait.expired(slice.duration_ns());
        if is_over && !threads.may_have_handed_back(pid, woken_ns, went_on_ns) {
            return false;
        }
        self.gave_a_job(run, idle) || threads.a_job_may_wait(pid, run.end_ns)
    }

    /// Whether the loop gave a job after the request ran, before it waited again.
    fn gave_a_job(&self, run: LastRun, idle: &Idle) -> bool {
        let its = Owner::Request(self.turn.id);
        let mut gave = false;
        let thread = self.evidence.threads.get(idle.tid);
        for slice in thread
            .into_iter()
            .flat_map(|thread| thread.back_from(idle.slice.from_ns))
        {
            let is_own = matches!(slice.state, State::Running { owner, .. } if owner == its);
            if slice.to_ns <= run.end_ns && !is_own {
                break;
            }
            match slice.state {
                // Only what it did until then was for what the request waited for.
                State::Blocked(block) if block.wait.is_idle() => gave = false,
                State::Running {
                    began: Began::HandedOff(to),
                    ..
                } => gave |= self.evidence.threads.may_hand_back(self.turn.pid, to),
                _ => {}
            }
        }
        gave
    }

    /// The thread was in a job of which it is not told that it was the request's.
    pub(super) fn job_not_known(&self) -> Move {
        let step = self.resumed(self.last_run(), Cause::Unexplained, Reason::Idle(NOT_TOLD));
        step.inferred_if(true)
    }
}
