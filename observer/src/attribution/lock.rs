//! Explains for whom a thread waited that wanted what another had: a lock of which its program has one, or something
//! that it waited for with a request in hand, and that one let go of which had another request in hand.

use super::path::{Call, Charge, Path, Reason};
use super::service::Walk;
use super::{Evidence, waiting};
use crate::model::cause::Cause;
use crate::model::id::{Pid, Tid};
use crate::syscall::Wait;
use crate::threads::{Block, Owner, Slice, State};

/// Charges a slice in which thread `tid` waited for a lock, back to `from_ns`: to each thread that had it, where that
/// is known.
pub(super) fn charge(evidence: &Evidence<'_>, tid: Tid, slice: &Slice, from_ns: u64, path: &mut Path) {
    let (State::Blocked(block), Some(thread)) = (slice.state, evidence.threads.get(tid)) else {
        return;
    };
    let call = Call::of(thread.pid, &block);
    let charge = |reason| Charge::on(tid, None, Cause::Lock, reason);
    while path.cursor_ns() > from_ns.max(path.since_ns()) {
        let at_ns = path.cursor_ns().min(slice.to_ns);
        let Some((holder, since_ns)) = evidence.threads.holder(thread.pid, tid, slice, at_ns) else {
            path.charge(from_ns, charge(Reason::Blocked(call)));
            return;
        };
        path.charge(since_ns.max(from_ns), charge(Reason::LockHeldBy(call, holder)));
    }
}

impl Walk<'_, '_> {
    /// What is charged for the wait of a thread with the request in hand, if who ended it had another one in hand: it
    /// did nothing for this one, and let go of what both wanted, as is inferred. Which one an event loop has in hand is
    /// not known well enough to say so of a thread that does jobs for it.
    pub(super) fn behind_other_request(&self, pid: Pid, slice: &Slice, block: &Block) -> Option<Charge> {
        let is_for_ever = block.wait == Wait::Condition { timeout: false };
        let wake = block.wake.filter(|_| is_for_ever)?;
        let waker = waiting::hand_off(self.evidence, block).and_then(|tid| self.evidence.threads.get(tid))?;
        let had_other = matches!(
            waker.owner_before(slice.to_ns).0,
            Owner::Request(id) if id != self.turn.id
        );
        let is_told = had_other && !(self.is_handed_back() && waker.is_event_loop());
        let call = Call::of(pid, block);
        is_told.then(|| Charge::on(self.at.tid, None, Cause::Lock, Reason::WokenBy(call, wake.by)))
    }
}
