//! Explains why a thread that could run did not: who had its CPU.

use super::Evidence;
use super::path::{Charge, Path, Reason};
use crate::model::cause::Cause;
use crate::model::id::Tid;
use crate::threads::{Slice, State};

/// Charges a runnable slice: a CPU quota first, where one was used up; then who ran instead, as far as that was
/// recorded: the last occupant of the CPU for as long as it had run, and those before it.
pub(super) fn charge(evidence: &Evidence<'_>, tid: Tid, slice: &Slice, from_ns: u64, path: &mut Path) {
    let State::Runnable {
        cpu,
        behind,
        behind_ran_ns,
        throttled_ns,
        ..
    } = slice.state
    else {
        return;
    };
    let throttled_until_ns = slice.from_ns.saturating_add(throttled_ns).min(slice.to_ns);
    let charge = |until_ns: u64, reason, path: &mut Path| {
        let until_ns = until_ns.max(from_ns).max(throttled_until_ns);
        path.charge(until_ns, Charge::on(tid, Some(cpu), Cause::RunQueue, reason));
    };
    let behind_since_ns = slice.to_ns.saturating_sub(behind_ran_ns);
    charge(behind_since_ns, Reason::Occupied(behind), path);
    if path.cursor_ns() <= from_ns {
        return;
    }
    for before in evidence.threads.occupants(cpu, slice.from_ns, slice.to_ns) {
        charge(before.to_ns, Reason::Plain, path);
        charge(before.from_ns, Reason::Occupied(before.by), path);
    }
    charge(from_ns, Reason::Plain, path);
    let throttled = Charge::on(tid, Some(cpu), Cause::Throttled, Reason::Plain);
    path.charge(from_ns, throttled);
}
