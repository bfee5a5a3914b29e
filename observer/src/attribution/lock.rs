//! Explains for whom a thread waited that wanted a lock of which its program has one: who had it meanwhile.

use super::Evidence;
use super::path::{Call, Charge, Path, Reason};
use crate::model::cause::Cause;
use crate::model::id::Tid;
use crate::threads::{Slice, State};

/// Charges a slice in which thread `tid` waited for a lock, back to `from_ns`: to each thread that had it, where that
/// is known.
pub(super) fn charge(evidence: &Evidence<'_>, tid: Tid, slice: &Slice, from_ns: u64, path: &mut Path) {
    let (State::Blocked(block), Some(thread)) = (slice.state, evidence.threads.get(tid)) else {
        return;
    };
    let call = Call {
        pid: thread.pid,
        syscall: block.syscall,
        arg0: block.arg0,
    };
    let charge = |reason| Charge::on(tid, None, Cause::Lock, reason);
    while path.cursor_ns() > from_ns.max(path.since_ns()) {
        let at_ns = path.cursor_ns().min(slice.to_ns);
        let Some((holder, since_ns)) = evidence.threads.holder(thread.pid, tid, slice, at_ns) else {
            path.charge(from_ns, charge(Reason::Blocked(call)));
            return;
        };
        path.charge(since_ns.max(from_ns), charge(Reason::HeldBy(call, holder)));
    }
}
