//! A request of which more came after it had begun: until then, if nothing else was done for it, it waited for its
//! client.

use super::moves::{Move, Position};
use super::path::{Call, Charge, Reason};
use super::resumption::Idle;
use super::service::Walk;
use crate::connections::Connection;
use crate::model::cause::Cause;
use crate::model::id::{ConnId, Pid};
use crate::syscall;
use crate::threads::{Block, LastRun, Slice, State};

/// An interrupt can come between the bytes and the wakeup that they cause, so that it is not known to be theirs.
const LATE_WAKEUP_NS: u64 = 1_000_000;

impl Walk<'_, '_> {
    /// The request went on now, where bytes of its client's were received that had come at `arrived_ns`: from then on
    /// they waited for this thread; before, the request waited for them, from where it was last worked on.
    pub(super) fn client_went_on(&self, arrived_ns: u64) -> Option<Move> {
        let arrived_ns = arrived_ns.min(self.now_ns);
        let work = self.last_work(arrived_ns);
        if work.end_ns >= arrived_ns || self.is_blocked_for_client(arrived_ns) {
            return None;
        }
        let inferred = match self.last_idle(work.end_ns) {
            Some(Idle { block, .. }) if block.wake.is_some_and(|wake| wake.conn == self.turn.id.conn) => {
                false
            }
            Some(Idle { slice, block, .. })
                if slice.to_ns > arrived_ns && !woken_late(&slice, &block, arrived_ns) =>
            {
                // It slept on when they came: it did not wait for these.
                return None;
            }
            _ => true,
        };
        let charge = Charge::of(Cause::Client, Reason::Plain);
        let step = Move::to(Position::on(work.tid)).charging(work.end_ns, charge);
        Some(Move {
            ready_ns: Some(arrived_ns),
            ..step.inferred_if(inferred)
        })
    }

    /// Whether the thread was in a call that waits for the client's bytes when they came: then the call itself tells.
    fn is_blocked_for_client(&self, at_ns: u64) -> bool {
        let thread = self.evidence.threads.get(self.at.tid);
        // The slice in which they came ends after that.
        let slices = thread
            .into_iter()
            .flat_map(|thread| thread.back_from(self.now_ns));
        let mut slices = slices.skip_while(|slice| slice.from_ns >= at_ns);
        slices.next().is_some_and(|slice| match slice.state {
            State::Blocked(block) => self.waits_for_client(&slice, &block),
            _ => false,
        })
    }

    /// Whether a thread that was blocked for the request waited for the request's own bytes.
    pub(super) fn waits_for_client(&self, slice: &Slice, block: &Block) -> bool {
        let connection = self.blocked_on(self.turn.pid, slice, block);
        syscall::receives(block.syscall) && connection.is_some_and(|(conn, _)| conn == self.turn.id.conn)
    }

    /// The connection on which a thread of process `pid` was blocked, if on one.
    pub(super) fn blocked_on(&self, pid: Pid, slice: &Slice, block: &Block) -> Option<(ConnId, &Connection)> {
        block.fd()?;
        let call = Call::of(pid, block);
        self.evidence.connection_of(&call, slice.from_ns)
    }

    /// Where the request was last worked on before `before_ns`, by a thread that ran for it, could have, or was blocked
    /// in a call of its own; where the walk ends at the latest.
    fn last_work(&self, before_ns: u64) -> LastRun {
        let since_ns = self.since.end_ns;
        let works = self.turn.tids().filter_map(|tid| {
            let thread = self.evidence.threads.get(tid)?;
            let slices = thread
                .back_from(before_ns)
                .take_while(|slice| slice.to_ns > since_ns);
            let end_ns = self.end_of_work(slices)?.min(before_ns);
            Some(LastRun { end_ns, tid })
        });
        works
            .chain([self.since])
            .max_by_key(|work| work.end_ns)
            .unwrap_or(self.since)
    }

    /// The end of the first of these slices, which go back in time, in which a thread worked for the request.
    fn end_of_work(&self, slices: impl Iterator<Item = Slice>) -> Option<u64> {
        let mut could_run_until_ns = None;
        for slice in slices {
            let is_work = match slice.state {
                State::Runnable { .. } => {
                    could_run_until_ns = could_run_until_ns.or(Some(slice.to_ns));
                    continue;
                }
                State::Running { owner, .. } => owner.request() == Some(self.turn.id),
                State::Blocked(block) => {
                    !block.wait.is_idle()
                        && block.owner.request() == Some(self.turn.id)
                        && !self.waits_for_client(&slice, &block)
                }
                State::Unknown { .. } => false,
            };
            if is_work {
                return could_run_until_ns.or(Some(slice.to_ns));
            }
            could_run_until_ns = None;
        }
        None
    }
}

/// Whether an idle thread can have been woken by what came at `arrived_ns`: something from outside that is not known
/// woke it just after that.
fn woken_late(idle: &Slice, block: &Block, arrived_ns: u64) -> bool {
    let is_unknown = block.wake.is_some_and(|wake| wake.conn == ConnId::NONE);
    let is_late = (arrived_ns..=arrived_ns.saturating_add(LATE_WAKEUP_NS)).contains(&idle.to_ns);
    is_unknown && is_late && !block.wait.expired(idle.to_ns - idle.from_ns)
}
