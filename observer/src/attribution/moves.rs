//! What one step of a walk says: what to charge, and where to go on.

use super::path::{Charge, Path};
use super::{Evidence, goroutines, lock, run_queue};
use crate::model::id::{ConnId, RequestId, TaskId, Tid};
use crate::threads::{LastRun, QueuedPoll, Slice};

/// Where a walk is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    /// Thread.
    pub(super) tid: Tid,
    /// It came here by a wakeup.
    pub(super) handed_off: Option<HandedOff>,
}

impl Position {
    /// On this thread, without a wakeup.
    pub(super) const fn on(tid: Tid) -> Self {
        Self {
            tid,
            handed_off: None,
        }
    }
}

/// Another thread woke the one on which the request went on: what it did since the request last ran elsewhere, it
/// did for the request, unless something says otherwise.
#[derive(Clone, Copy, Debug)]
pub(super) struct HandedOff {
    /// Where the request last ran elsewhere.
    pub(super) run: LastRun,
    /// The task that did it, once it was seen: what other tasks did, they did not do for the request.
    pub(super) task: Option<TaskId>,
    /// It had woken a thread before, when it was done with something else. So the wakeup that led here marks the end
    /// of what it began then.
    pub(super) other_before: bool,
    /// A call of it was found, and it was not woken for the request. Whether what it did before that call was the
    /// same job, no event tells.
    pub(super) call_found: bool,
    /// It is a goroutine that did something for this other request before it turned to ours.
    pub(super) busy_for: Option<RequestId>,
}

/// What one step says. Its parts are charged in their order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Move {
    /// The request's task was queued then: what the thread did since is why it waited.
    pub(super) queued_ns: Option<u64>,
    /// The request could go on from then on: what the thread did since is why it waited.
    pub(super) ready_ns: Option<u64>,
    /// It waited for a thread of a pool.
    pub(super) pool: Option<PoolWait>,
    pub(super) charged: Charged,
    /// What is charged next, back to this time, ns.
    pub(super) before: Option<(u64, Charge)>,
    /// Page faults meanwhile.
    pub(super) faults: (u32, u32),
    /// It is inferred, at least in part.
    pub(super) inferred: bool,
    /// Something needed was not seen.
    pub(super) partial: bool,
    /// Where the walk goes on.
    pub(super) to: Position,
    /// There, bytes were received: their connection and when they had come, ns.
    pub(super) received: Option<(ConnId, u64)>,
}

/// A wait for a thread of a pool, which was busy for others.
#[derive(Clone, Copy, Debug)]
pub(super) struct PoolWait {
    /// The thread.
    pub(super) tid: Tid,
    /// Since when it was waited for, ns.
    pub(super) since_ns: u64,
    /// Until when it was busy for others, ns.
    pub(super) until_ns: u64,
}

/// What a step charges back to some time, ns.
#[derive(Clone, Copy, Debug)]
pub(super) enum Charged {
    Nothing,
    Since(u64, Charge),
    /// To whoever had the CPU for which the thread waited in the slice that the step is about.
    RunQueue(u64),
    /// To whoever had the lock for which the thread waited in the slice that the step is about.
    Lock(u64),
    /// To those who had what the thread waited for in the slice that the step is about, one after the other.
    InTurn(u64),
    /// To whoever had what the goroutine waited for that was made ready so.
    LetGo(u64, QueuedPoll),
}

impl Charged {
    /// Charges it on thread `tid`, by a step that is about `slice`, if about one.
    pub(super) fn charge(&self, evidence: &Evidence<'_>, tid: Tid, slice: Option<&Slice>, path: &mut Path) {
        match (self, slice) {
            (Self::Since(from_ns, charge), _) => path.charge(*from_ns, *charge),
            (Self::RunQueue(from_ns), Some(slice)) => run_queue::charge(evidence, tid, slice, *from_ns, path),
            (Self::Lock(from_ns), Some(slice)) => lock::charge(evidence, tid, slice, *from_ns, path),
            (Self::InTurn(from_ns), Some(slice)) => {
                lock::charge_in_turn(evidence, tid, slice, *from_ns, path);
            }
            (Self::LetGo(from_ns, made), _) => goroutines::charge(evidence, *made, *from_ns, path),
            (Self::Nothing | Self::RunQueue(_) | Self::Lock(_) | Self::InTurn(_), _) => {}
        }
    }
}

impl Move {
    /// Whether the request was on no thread before the walk, which is at `at`, comes to where this leads.
    pub(super) fn is_past_a_wait(&self, at: Position) -> bool {
        let is_suspended = match self.charged {
            Charged::Since(_, charge) => charge.tid.is_none(),
            Charged::LetGo(..) => true,
            _ => false,
        };
        // What another thread did for it after it had stopped is charged on that thread.
        is_suspended || at.handed_off.is_some() && self.to.handed_off.is_none()
    }

    /// Goes there, and charges nothing.
    pub(super) const fn to(to: Position) -> Self {
        Self {
            queued_ns: None,
            ready_ns: None,
            pool: None,
            charged: Charged::Nothing,
            before: None,
            faults: (0, 0),
            inferred: false,
            partial: false,
            to,
            received: None,
        }
    }

    /// The same, and charges what is since `from_ns`.
    pub(super) const fn charging(self, from_ns: u64, charge: Charge) -> Self {
        Self {
            charged: Charged::Since(from_ns, charge),
            ..self
        }
    }

    /// The same, and charges what is before that since `from_ns`.
    pub(super) const fn and_before(self, from_ns: u64, charge: Charge) -> Self {
        Self {
            before: Some((from_ns, charge)),
            ..self
        }
    }

    /// The same, which is inferred if this is.
    pub(super) const fn inferred_if(self, inferred: bool) -> Self {
        Self {
            inferred: self.inferred || inferred,
            ..self
        }
    }
}
