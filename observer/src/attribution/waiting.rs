//! Explains why something that was ready was not yet taken: bytes of a request before its first read, or a
//! peer's answer before it was received. Everything a worker did meanwhile is evidence.

use observer_common::limits::NETWORK_MARK_NS;

use super::Evidence;
use super::path::{Call, Keep, Path, Reason};
use crate::cause::Cause;
use crate::threads::{Block, RequestId, Slice, State};

/// Slices looked at for one stretch, at most.
const MAX_STEPS: usize = 10_000;

/// Walks back from the cursor to `ready_ns` on thread `tid`, which took what was ready for `request`.
pub(super) fn walk(evidence: &Evidence<'_>, request: RequestId, tid: u32, ready_ns: u64, path: &mut Path) {
    let mut tid = tid;
    let mut steps = 0;
    'thread: while let Some(thread) = evidence.threads.get(tid) {
        for slice in thread.back_from(path.cursor_ns()) {
            if path.cursor_ns() <= ready_ns {
                return;
            }
            steps += 1;
            if steps > MAX_STEPS {
                break 'thread;
            }
            if let State::Blocked(block) = slice.state
                && block.wait.is_idle()
                && slice.to_ns <= path.cursor_ns()
                && let Some(waker) = hand_off(evidence, &block)
            {
                // From the wakeup backwards, what the waker did is the reason.
                tid = waker;
                continue 'thread;
            }
            if path.keep() == Keep::Sums
                && let State::Running { .. } = slice.state
                && let Some((from_ns, longest)) = thread.ran_for_others(request, path.cursor_ns(), ready_ns)
            {
                charge_others(tid, from_ns, &longest, path);
                continue 'thread;
            }
            charge(request, tid, thread.pid, &slice, ready_ns, path);
        }
        break;
    }
    if path.cursor_ns() > ready_ns {
        path.mark_partial();
        path.unexplained_until(ready_ns, Some(tid), "no record of the thread");
    }
}

/// Charges a stretch in which the thread ran for others. Only sums are kept, so only its longest slice counts by
/// itself.
fn charge_others(tid: u32, from_ns: u64, longest: &Slice, path: &mut Path) {
    let State::Running { cpu, owner, .. } = longest.state else {
        return;
    };
    for (from_ns, reason) in [
        (longest.to_ns, Reason::Plain),
        (longest.from_ns, Reason::RanFor(owner)),
        (from_ns, Reason::Plain),
    ] {
        path.charge_until(from_ns, Cause::WorkerBusy, Some(tid), Some(cpu), reason);
    }
}

fn charge(request: RequestId, tid: u32, pid: u32, slice: &Slice, ready_ns: u64, path: &mut Path) {
    let from_ns = slice.from_ns.max(ready_ns);
    let on = Some(tid);
    match slice.state {
        State::Unknown { .. } => {
            path.mark_partial();
            path.unexplained_until(from_ns, on, "what the thread did was not seen");
        }
        State::Running { cpu, owner, .. } if owner.request() == Some(request) => {
            path.add_faults(slice.faults);
            path.charge_until(from_ns, Cause::OnCpu, on, Some(cpu), Reason::Plain);
        }
        State::Running { cpu, owner, .. } => {
            path.charge_until(from_ns, Cause::WorkerBusy, on, Some(cpu), Reason::RanFor(owner));
        }
        State::Runnable { .. } => run_queue(tid, slice, from_ns, path),
        State::Blocked(block) if block.wait.is_idle() => {
            if woken_by(&block, request) && slice.to_ns <= path.cursor_ns() {
                // From data ready to the wakeup that it caused: the kernel on its way.
                let marked_ns = slice.to_ns.saturating_sub(NETWORK_MARK_NS).max(from_ns);
                path.charge_until(
                    marked_ns,
                    Cause::RunQueue,
                    on,
                    None,
                    Reason::Note("waking the thread"),
                );
                path.unexplained_until(from_ns, on, "the thread was idle meanwhile");
            } else {
                path.unexplained_until(from_ns, on, "the thread was idle meanwhile");
            }
        }
        State::Blocked(block) => {
            let call = Call {
                pid,
                syscall: block.syscall,
                arg0: block.arg0,
            };
            let reason = Reason::BlockedFor(call, block.owner);
            path.charge_until(from_ns, Cause::WorkerBlocked, on, None, reason);
        }
    }
}

/// Charges a runnable stretch: a CPU quota first, where one was used up; then who ran instead, as far as that was
/// recorded: the last occupant of the CPU for as long as it had run. Who ran before it is known only when the one
/// that took the CPU was the same.
pub(super) fn run_queue(tid: u32, slice: &Slice, from_ns: u64, path: &mut Path) {
    let State::Runnable {
        cpu,
        behind,
        behind_ran_ns,
        preempted_by,
        throttled_ns,
    } = slice.state
    else {
        return;
    };
    let throttled_until_ns = slice.from_ns.saturating_add(throttled_ns).min(slice.to_ns);
    let alone = preempted_by.is_some_and(|first| first.tid == behind.tid);
    let known_from_ns = if alone {
        from_ns
    } else {
        from_ns.max(slice.to_ns.saturating_sub(behind_ran_ns))
    };
    let mut charge = |from_ns, reason| {
        path.charge_until(from_ns, Cause::RunQueue, Some(tid), Some(cpu), reason);
    };
    charge(known_from_ns.max(throttled_until_ns), Reason::Occupied(behind));
    charge(from_ns.max(throttled_until_ns), Reason::Plain);
    path.charge_until(from_ns, Cause::Throttled, Some(tid), Some(cpu), Reason::Plain);
}

/// The thread of a watched process that woke this one by what it did, if one did.
pub(super) fn hand_off(evidence: &Evidence<'_>, block: &Block) -> Option<u32> {
    let by = block.handed_off_by()?;
    evidence
        .threads
        .get(by.tid)
        .is_some_and(|thread| thread.pid == by.pid)
        .then_some(by.tid)
}

fn woken_by(block: &Block, request: RequestId) -> bool {
    block.wake.is_some_and(|wake| wake.conn == request.conn)
}
