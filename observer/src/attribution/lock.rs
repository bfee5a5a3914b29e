//! Explains for whom a thread waited that wanted what another had: a lock of which its program has one, or something
//! that it waited for with a request in hand, and that one let go of which had another request in hand.

use super::path::{Call, Charge, Path, Reason};
use super::service::Walk;
use super::{Evidence, waiting};
use crate::model::cause::Cause;
use crate::model::id::Tid;
use crate::syscall::Wait;
use crate::threads::{Block, Owner, Slice, State};

/// Those who had one after the other what a thread waited for that are told, at most.
const MAX_HOLDERS: usize = 64;

/// Charges a slice in which thread `tid` waited for a lock, back to `from_ns`: to each thread that had it, where that
/// is known.
pub(super) fn charge(evidence: &Evidence<'_>, tid: Tid, slice: &Slice, from_ns: u64, path: &mut Path) {
    let (State::Blocked(block), Some(thread)) = (slice.state, evidence.threads.get(tid)) else {
        return;
    };
    let call = Call::of(thread.pid, &block);
    while path.cursor_ns() > from_ns.max(path.since_ns()) {
        let at_ns = path.cursor_ns().min(slice.to_ns);
        let Some((holder, since_ns)) = evidence.threads.holder(thread.pid, tid, slice, at_ns) else {
            path.charge(from_ns, lock(tid, Reason::Blocked(call)));
            return;
        };
        path.charge(since_ns.max(from_ns), lock(tid, Reason::LockHeldBy(call, holder)));
    }
}

/// Charges a slice in which thread `tid` waited until others had let go of something, back to `from_ns`: to who ended
/// the wait, back to where that one's own wait for it had ended, then to who ended that, and so on. Where no more is
/// known, to nobody.
pub(super) fn charge_in_turn(
    evidence: &Evidence<'_>,
    tid: Tid,
    slice: &Slice,
    from_ns: u64,
    path: &mut Path,
) {
    let (State::Blocked(block), Some(thread)) = (slice.state, evidence.threads.get(tid)) else {
        return;
    };
    let call = Call::of(thread.pid, &block);
    let (mut until_ns, mut ended) = (slice.to_ns, block);
    for _ in 0..MAX_HOLDERS {
        let holder = waiting::hand_off(evidence, &ended).and_then(|tid| evidence.threads.get(tid));
        let (Some(holder), Some(by)) = (holder, ended.handed_off_by()) else {
            break;
        };
        let (since_ns, before) = holder.had_since(block.arg0, from_ns, until_ns);
        path.charge(since_ns, lock(tid, Reason::WokenBy(call, by)));
        let Some(before) = before else { break };
        (until_ns, ended) = (since_ns, before);
    }
    path.charge(from_ns, lock(tid, Reason::Blocked(call)));
}

fn lock(tid: Tid, reason: Reason) -> Charge {
    Charge::on(tid, None, Cause::Lock, reason)
}

impl Walk<'_, '_> {
    /// Whether who ended the wait of a thread with the request in hand had another one in hand: it did nothing for this
    /// one, and let go of what both wanted, as is inferred. Which one an event loop has in hand is not known well
    /// enough to say so of a thread that does jobs for it.
    pub(super) fn is_behind_other_request(&self, slice: &Slice, block: &Block) -> bool {
        if block.wait != (Wait::Condition { timeout: false }) {
            return false;
        }
        let waker = waiting::hand_off(self.evidence, block).and_then(|tid| self.evidence.threads.get(tid));
        waker.is_some_and(|waker| {
            let had_other = matches!(
                waker.owner_before(slice.to_ns).0,
                Owner::Request(id) if id != self.turn.id
            );
            had_other && !(self.is_handed_back() && waker.is_event_loop())
        })
    }
}
