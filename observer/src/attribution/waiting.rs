//! Explains why something that was ready was not yet taken: bytes of a request before its first read, or a
//! peer's answer before it was received. Everything a worker did meanwhile is evidence.

use super::path::Path;
use super::{Evidence, names};
use crate::cause::Cause;
use crate::request::Detail;
use crate::syscall;
use crate::threads::{Block, Occupant, Owner, RequestId, Slice, State};

/// Slices looked at for one stretch, at most.
const MAX_STEPS: usize = 10_000;

/// Walks back from the cursor to `ready_ns` on thread `tid`, which took what was ready for `request`.
pub(super) fn walk(evidence: &Evidence<'_>, request: RequestId, tid: u32, ready_ns: u64, path: &mut Path) {
    let mut tid = tid;
    for _ in 0..MAX_STEPS {
        let now_ns = path.cursor_ns();
        if now_ns <= ready_ns {
            return;
        }
        let Some((pid, slice)) =
            evidence.threads.get(tid).and_then(|thread| Some((thread.pid, thread.before(now_ns)?)))
        else {
            break;
        };
        let from_ns = slice.from_ns.max(ready_ns);
        match slice.state {
            State::Unknown => {
                path.mark_partial();
                path.unexplained_until(from_ns, Some(tid), "what the thread did was not seen");
            }
            State::Running { cpu, owner: Owner::Request(id), .. } if id == request => {
                path.add_faults(slice.faults);
                path.charge_until(from_ns, Cause::OnCpu, Some(tid), Some(cpu), Detail::default(), None);
            }
            State::Running { cpu, owner, .. } => {
                let culprit = names::thread(evidence, tid, owner);
                path.charge_until(
                    from_ns,
                    Cause::WorkerBusy,
                    Some(tid),
                    Some(cpu),
                    Detail::default(),
                    Some(culprit),
                );
            }
            State::Runnable { .. } => run_queue(evidence, tid, &slice, from_ns, path),
            State::Blocked(block) if block.wait.is_idle() => {
                match hand_off(evidence, &block) {
                    Some(waker) => tid = waker,
                    None if woken_by(&block, request) => {
                        // From data ready to the wakeup that it caused: the kernel on its way.
                        let detail = Detail { note: Some("waking the thread"), ..Detail::default() };
                        path.charge_until(ready_ns, Cause::RunQueue, Some(tid), None, detail, None);
                    }
                    None => path.unexplained_until(from_ns, Some(tid), "the thread was idle meanwhile"),
                }
            }
            State::Blocked(block) => {
                let detail = names::detail(evidence, pid, &block);
                let mut culprit = names::thread(evidence, tid, block.owner);
                culprit.syscall = detail.syscall;
                culprit.object.clone_from(&detail.object);
                path.charge_until(from_ns, Cause::WorkerBlocked, Some(tid), None, detail, Some(culprit));
            }
        }
    }
    path.mark_partial();
    path.unexplained_until(ready_ns, Some(tid), "no record of the thread");
}

/// Charges a runnable stretch, with who ran instead as far as that was recorded: the last occupant for as long
/// as it had run, and the one that took the CPU away.
pub(super) fn run_queue(evidence: &Evidence<'_>, tid: u32, slice: &Slice, from_ns: u64, path: &mut Path) {
    let State::Runnable { cpu, behind, behind_ran_ns, preempted_by } = slice.state else { return };
    let known_from_ns = if behind_ran_ns == 0 {
        // Not measured for this class of thread; it was there at the end.
        if preempted_by.is_none_or(|first| first.tid == behind.tid) { from_ns } else { path.cursor_ns() }
    } else {
        from_ns.max(slice.to_ns.saturating_sub(behind_ran_ns))
    };
    let mut charge = |until_ns: u64, occupant: Option<&Occupant>| {
        let culprit = occupant.map(|occupant| names::occupant(evidence, occupant));
        path.charge_until(until_ns, Cause::RunQueue, Some(tid), Some(cpu), Detail::default(), culprit);
    };
    charge(known_from_ns, Some(&behind));
    charge(from_ns, preempted_by.as_ref());
}

/// The thread of a watched process that woke this one by what it did, if one did.
pub(super) fn hand_off(evidence: &Evidence<'_>, block: &Block) -> Option<u32> {
    let wake = block.wake?;
    let by_network = wake.conn != observer_common::conn::NONE && !syscall::is_futex(block.syscall);
    let watched = evidence.threads.get(wake.by.tid).is_some_and(|thread| thread.pid == wake.by.pid);
    let acts = if syscall::is_futex(block.syscall) {
        // Only a futex call or an exit wakes a futex; anything else there was interrupted by the timeout.
        syscall::is_futex(wake.syscall) || matches!(syscall::name(wake.syscall), Some("exit" | "exit_group"))
    } else {
        syscall::hands_off(wake.syscall)
    };
    (watched && acts && !by_network).then_some(wake.by.tid)
}

fn woken_by(block: &Block, request: RequestId) -> bool {
    block.wake.is_some_and(|wake| wake.conn == request.conn)
}
