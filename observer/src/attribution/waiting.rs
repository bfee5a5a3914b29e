//! Explains why something that was ready was not yet taken: bytes of a request before its first read, or a
//! peer's answer before it was received. Everything a worker did meanwhile is evidence.

use observer_common::limits::NETWORK_MARK_NS;

use super::Evidence;
use super::path::{Call, Keep, Path, Reason, Step};
use crate::cause::Cause;
use crate::connections::Turn;
use crate::threads::{Back, Block, Crossed, MAX_SLICES, Owner, RequestId, Slice, State, Task, Thread};

/// Slices looked at for one stretch, at most.
const MAX_STEPS: usize = MAX_SLICES;

/// Slices that are told each by itself, at most, and the part of the whole wait from which on one is told also
/// beyond them. With ten thousand clients a request waits behind ten thousand others: to name them all would take
/// longer than they did.
const MAX_TOLD: usize = 64;

const BEHIND_MANY: Reason = Reason::Note("behind many others, each of them short");

/// Walks back from the cursor to `ready_ns` on thread `tid`, which took what was ready for the request of `turn`.
pub(super) fn walk(evidence: &Evidence<'_>, turn: &Turn, tid: u32, ready_ns: u64, path: &mut Path) {
    walk_with(evidence, turn, tid, ready_ns, false, path);
}

/// The same where it is recorded that the request's task was queued at `ready_ns`: no worker took it that was idle.
pub(super) fn walk_queue(evidence: &Evidence<'_>, turn: &Turn, tid: u32, ready_ns: u64, path: &mut Path) {
    walk_with(evidence, turn, tid, ready_ns, true, path);
}

fn walk_with(evidence: &Evidence<'_>, turn: &Turn, tid: u32, ready_ns: u64, queued: bool, path: &mut Path) {
    let mut wait = Wait {
        evidence,
        request: turn.id,
        tid,
        ready_ns,
        told_from_ns: path.cursor_ns().saturating_sub(ready_ns) / MAX_TOLD as u64,
        steps: 0,
        // What a thread did for a request before it read it comes right before the read.
        none_of_ours_left: false,
        unread: path.cursor_ns() <= turn.read_ns,
        queued,
    };
    'thread: while let Some(thread) = evidence.threads.get(wait.tid) {
        let mut back = thread.back_from(path.cursor_ns());
        while path.cursor_ns() > ready_ns && wait.steps < MAX_STEPS {
            if wait.unread && wait.none_of_ours_left && wait.charge_stretch(thread.pid, &mut back, path) {
                continue;
            }
            wait.steps += 1;
            let Some(slice) = back.next() else {
                break 'thread;
            };
            if let State::Blocked(block) = slice.state
                && block.wait.is_idle()
                && slice.to_ns <= path.cursor_ns()
                && let Some(waker) = hand_off(evidence, &block)
                && evidence.threads.get(waker).is_some_and(Thread::is_worker)
            {
                // From the wakeup backwards, what the waker did is the reason; unless it is one that would not have taken
                // the request up itself, as a thread of a blocking pool.
                wait.tid = waker;
                wait.none_of_ours_left = false;
                continue 'thread;
            }
            wait.charge(thread.pid, &slice, path);
        }
        break;
    }
    if path.cursor_ns() > ready_ns {
        path.mark_partial();
        path.unexplained_until(ready_ns, Some(wait.tid), "no record of the thread");
    }
}

/// A walk through what a worker did while something was ready for it.
struct Wait<'a, 'b> {
    evidence: &'a Evidence<'b>,
    request: RequestId,
    tid: u32,
    ready_ns: u64,
    /// A slice of this length is told by itself in any case, ns.
    told_from_ns: u64,
    steps: usize,
    /// The thread ran for another request: if ours was not read yet, the thread did nothing for it before.
    none_of_ours_left: bool,
    /// The request was not yet read.
    unread: bool,
    /// Its task was in the runtime's queue all the time.
    queued: bool,
}

impl Wait<'_, '_> {
    /// Whether the request's task was ready in a slice in which a worker was in none.
    fn is_ready(&self, slice: &Slice) -> bool {
        !self.unread || self.evidence.threads.queued(self.tid, slice.to_ns).is_some()
    }

    fn charge(&mut self, pid: u32, slice: &Slice, path: &mut Path) {
        let from_ns = slice.from_ns.max(self.ready_ns);
        let on = Some(self.tid);
        match slice.state {
            State::Unknown { .. } => {
                path.mark_partial();
                path.unexplained_until(from_ns, on, "what the thread did was not seen");
            }
            State::Running { cpu, owner, .. } if owner.request() == Some(self.request) => {
                path.add_faults(slice.faults);
                path.charge_until(from_ns, Cause::OnCpu, on, Some(cpu), Reason::Plain);
                if slice.task.id().is_none() {
                    path.mark_by_order();
                }
            }
            // Its task was ready, and its worker in none, or in none that is known.
            State::Running {
                cpu,
                owner: Owner::Nobody | Owner::Others,
                ..
            } if slice.task == Task::NONE && self.is_ready(slice) => {
                path.charge_until(from_ns, Cause::TaskQueue, on, Some(cpu), Reason::Plain);
            }
            State::Running { cpu, owner, .. } => {
                self.none_of_ours_left = true;
                // Between two tasks that are known, a request that was not yet read can have done nothing.
                let known = slice.task.is_known() && (self.unread || owner != Owner::Mixed);
                if !known {
                    path.mark_by_order();
                }
                let reason = Reason::RanFor(owner, slice.task);
                let told = if self.steps <= MAX_TOLD || slice.duration_ns() >= self.told_from_ns {
                    reason
                } else {
                    BEHIND_MANY
                };
                path.charge_telling(from_ns, Cause::WorkerBusy, on, Some(cpu), reason, told);
            }
            State::Runnable { .. } => run_queue(self.evidence, self.tid, slice, from_ns, path),
            State::Blocked(block) if block.wait.is_idle() => {
                if woken_by(&block, self.request) && slice.to_ns <= path.cursor_ns() {
                    // From data ready to the wakeup that it caused: the kernel on its way.
                    let marked_ns = slice.to_ns.saturating_sub(NETWORK_MARK_NS).max(from_ns);
                    path.charge_until(
                        marked_ns,
                        Cause::RunQueue,
                        on,
                        None,
                        Reason::Note("waking the thread"),
                    );
                }
                if self.queued {
                    path.charge_until(from_ns, Cause::TaskQueue, on, None, Reason::Plain);
                } else {
                    path.unexplained_until(from_ns, on, "the thread was idle meanwhile");
                }
            }
            State::Blocked(block) => {
                if !slice.task.is_known() {
                    path.mark_by_order();
                }
                let reason = Reason::BlockedFor(call(pid, &block), block.owner, slice.task);
                path.charge_until(from_ns, Cause::WorkerBlocked, on, None, reason);
            }
        }
    }

    /// Charges in one step as many slices as are not to be told by themselves. The longest of them is still considered
    /// as the longest wait.
    fn charge_stretch(&self, pid: u32, back: &mut Back<'_>, path: &mut Path) -> bool {
        let crossed = match path.keep() {
            Keep::Sums => Crossed::Work {
                longest_ns: path.longest_wait_ns(),
            },
            Keep::Steps if self.steps < MAX_TOLD => return false,
            Keep::Steps => Crossed::ShortRuns {
                below_ns: self.told_from_ns,
            },
        };
        let keeps_steps = path.keep() == Keep::Steps;
        // Up to a theft, and then through it only while the thread runs: that is what is stolen from.
        let (since_ns, crossed) = match path.last_theft(self.tid) {
            Some(theft) if theft.to_ns < path.cursor_ns() => (theft.to_ns, crossed),
            Some(theft) => (theft.from_ns, crossed.only_runs()),
            None => (0, crossed),
        };
        let Some(stretch) = back.stretch(self.ready_ns.max(since_ns), crossed) else {
            return false;
        };
        if stretch.by_order {
            path.mark_by_order();
        }
        if !keeps_steps {
            path.charge_sums(self.tid, stretch.from_ns, stretch.sums);
            if stretch.longest_ns <= path.longest_wait_ns() {
                return true;
            }
        }
        let longest = back.longest(&stretch);
        let (mut from_ns, mut on) = (longest.from_ns, None);
        let (cause, reason) = match longest.state {
            State::Running { cpu, owner, .. } => {
                on = Some(cpu);
                (Cause::WorkerBusy, Reason::RanFor(owner, longest.task))
            }
            State::Blocked(block) => (
                Cause::WorkerBlocked,
                Reason::BlockedFor(call(pid, &block), block.owner, longest.task),
            ),
            State::Runnable {
                behind, throttled_ns, ..
            } => {
                from_ns = from_ns.saturating_add(throttled_ns);
                (Cause::RunQueue, Reason::Occupied(behind))
            }
            State::Unknown { .. } => (Cause::Unexplained, Reason::Plain),
        };
        let tid = Some(self.tid);
        if keeps_steps {
            // A thread that runs on stays on its CPU.
            path.charge_until(stretch.from_ns, cause, tid, on, BEHIND_MANY);
        }
        path.consider(Step {
            from_ns,
            to_ns: longest.to_ns,
            cause,
            tid,
            cpu: None,
            reason,
        });
        true
    }
}

fn call(pid: u32, block: &Block) -> Call {
    Call {
        pid,
        syscall: block.syscall,
        arg0: block.arg0,
    }
}

/// Charges a runnable stretch: a CPU quota first, where one was used up; then who ran instead, as far as that was
/// recorded: the last occupant of the CPU for as long as it had run, and those before it.
pub(super) fn run_queue(evidence: &Evidence<'_>, tid: u32, slice: &Slice, from_ns: u64, path: &mut Path) {
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
    let mut charge = |until_ns: u64, reason| {
        let until_ns = until_ns.max(from_ns).max(throttled_until_ns);
        path.charge_until(until_ns, Cause::RunQueue, Some(tid), Some(cpu), reason);
    };
    let behind_since_ns = slice.to_ns.saturating_sub(behind_ran_ns);
    charge(behind_since_ns, Reason::Occupied(behind));
    for before in evidence.threads.occupants(cpu, slice.from_ns, slice.to_ns) {
        charge(before.to_ns, Reason::Plain);
        charge(before.from_ns, Reason::Occupied(before.by));
    }
    charge(from_ns, Reason::Plain);
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
