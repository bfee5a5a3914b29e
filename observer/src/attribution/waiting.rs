//! Explains why something that was ready was not yet taken: bytes of a request before its first read, a peer's answer
//! before it was received, or a connection before it was accepted. Everything a worker did meanwhile is evidence.

use observer_common::limits::NETWORK_MARK_NS;

use super::Evidence;
use super::path::{Call, Charge, Keep, Path, Reason, Step};
use crate::connections::Turn;
use crate::model::cause::Cause;
use crate::model::id::{RequestId, Task};
use crate::threads::{Back, Block, Crossed, MAX_SLICES, Owner, Slice, State, Thread};

/// Slices examined for one wait, at most.
const MAX_STEPS: usize = MAX_SLICES;

/// Slices that are reported each by itself, at most, and the part of the whole wait from which on one is reported also
/// beyond them. With ten thousand clients a request waits behind ten thousand others: to name them all would take
/// longer than they did.
const MAX_REPORTED: usize = 64;

const BEHIND_MANY: Reason = Reason::Note("behind many others, each of them short");

const IDLE: &str = "the thread that accepts had nothing to do meanwhile";

const NOT_KNOWN: &str = "who accepts is not known";

/// Walks back from the cursor to `ready_ns` on thread `tid`, which took what was ready for the request of `turn`.
pub(super) fn walk(evidence: &Evidence<'_>, turn: &Turn, tid: u32, ready_ns: u64, path: &mut Path) {
    walk_with(evidence, turn, tid, ready_ns, Ready::Bytes, path);
}

/// The same where it is recorded that the request's task was queued at `ready_ns`: no worker took it that was idle.
pub(super) fn walk_queue(evidence: &Evidence<'_>, turn: &Turn, tid: u32, ready_ns: u64, path: &mut Path) {
    walk_with(evidence, turn, tid, ready_ns, Ready::Task, path);
}

/// The same for a connection that thread `tid` accepted at the cursor: whatever that did is `accept_queue`.
pub(super) fn walk_to_accept(evidence: &Evidence<'_>, turn: &Turn, tid: u32, ready_ns: u64, path: &mut Path) {
    walk_with(evidence, turn, tid, ready_ns, Ready::Connection, path);
}

/// What was ready.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ready {
    /// Bytes on a socket.
    Bytes,
    /// A task in the runtime's queue.
    Task,
    /// A connection in its listener's queue.
    Connection,
}

fn walk_with(evidence: &Evidence<'_>, turn: &Turn, tid: u32, ready_ns: u64, ready: Ready, path: &mut Path) {
    let mut wait = Wait {
        evidence,
        request: turn.id,
        tid,
        ready_ns,
        reported_from_ns: path.cursor_ns().saturating_sub(ready_ns) / MAX_REPORTED as u64,
        steps: 0,
        // What a thread did for a request before it read it comes right before the read.
        none_of_ours_left: false,
        unread: path.cursor_ns() <= turn.read_ns,
        ready,
    };
    'thread: while let Some(thread) = evidence.threads.get(wait.tid) {
        let mut back = thread.back_from(path.cursor_ns());
        while path.cursor_ns() > ready_ns && wait.steps < MAX_STEPS {
            if wait.unread && wait.none_of_ours_left && wait.charge_interval(thread.pid, &mut back, path) {
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
                && evidence
                    .threads
                    .get(waker)
                    .is_some_and(|thread| wait.comes_first(thread))
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
        wait.not_seen(ready_ns, "no record of the thread", path);
    }
}

/// A walk through what a worker did while something was ready for it.
struct Wait<'a, 'b> {
    evidence: &'a Evidence<'b>,
    request: RequestId,
    tid: u32,
    ready_ns: u64,
    /// A slice of this length is reported by itself in any case, ns.
    reported_from_ns: u64,
    steps: usize,
    /// The thread ran for another request: if ours was not read yet, the thread did nothing for it before.
    none_of_ours_left: bool,
    /// The request was not yet read.
    unread: bool,
    ready: Ready,
}

impl Wait<'_, '_> {
    /// Whether another thread, which woke this one, had to come first: one that would have taken up what was ready itself, or
    /// that accepted the connection and handed it over. A thread of a blocking pool does neither.
    fn comes_first(&self, waker: &Thread) -> bool {
        match self.ready {
            Ready::Connection => !waker.is_of_pool(),
            Ready::Bytes | Ready::Task => waker.is_worker(),
        }
    }

    /// What is charged where a worker that does this is waited for.
    fn instead_of(&self, cause: Cause) -> Cause {
        match self.ready {
            Ready::Connection => Cause::AcceptQueue,
            Ready::Bytes | Ready::Task => cause,
        }
    }

    /// It is not known what the thread did. That a connection was not accepted is.
    fn not_seen(&self, from_ns: u64, note: &'static str, path: &mut Path) {
        let charge = if self.ready == Ready::Connection {
            Charge::of(Cause::AcceptQueue, Reason::Note(NOT_KNOWN))
        } else {
            path.mark_partial();
            Charge::unexplained(Some(self.tid), note)
        };
        path.charge(from_ns, charge);
    }

    /// Whether the request's task was ready in a slice in which a worker was in none.
    fn is_ready(&self, slice: &Slice) -> bool {
        self.ready != Ready::Connection
            && (!self.unread || self.evidence.threads.queued(self.tid, slice.to_ns).is_some())
    }

    fn charge(&mut self, pid: u32, slice: &Slice, path: &mut Path) {
        let from_ns = slice.from_ns.max(self.ready_ns);
        match slice.state {
            State::Unknown { .. } => self.not_seen(from_ns, "what the thread did was not seen", path),
            State::Running { cpu, owner, .. } => self.ran(from_ns, slice, cpu, owner, path),
            State::Runnable { .. } => run_queue(self.evidence, self.tid, slice, from_ns, path),
            State::Blocked(block) if block.wait.is_idle() => self.idle(from_ns, slice, &block, path),
            State::Blocked(block) => {
                if !slice.task.is_known() {
                    path.mark_inferred();
                }
                path.charge(from_ns, self.blocked(pid, &block, slice.task));
            }
        }
    }

    /// The thread ran: for the request, for nobody while the request's task was ready, or for others.
    fn ran(&mut self, from_ns: u64, slice: &Slice, cpu: u16, owner: Owner, path: &mut Path) {
        let on = |cause, reason| Charge::on(self.tid, Some(cpu), cause, reason);
        if owner.request() == Some(self.request) {
            path.add_faults(slice.faults);
            path.charge(from_ns, on(Cause::OnCpu, Reason::Plain));
            if slice.task.id().is_none() {
                path.mark_inferred();
            }
            return;
        }
        // Its task was ready, and its worker in none, or in none that is known.
        let for_nobody = matches!(owner, Owner::Nobody | Owner::Others) && slice.task == Task::NONE;
        if for_nobody && self.is_ready(slice) {
            path.charge(from_ns, on(Cause::TaskQueue, Reason::Plain));
            return;
        }
        // Between two tasks that are known, a request that was not yet read can have done nothing.
        let known = slice.task.is_known() && (self.unread || owner != Owner::Mixed);
        if !known {
            path.mark_inferred();
        }
        let charge = on(
            self.instead_of(Cause::WorkerBusy),
            Reason::RanFor(owner, slice.task),
        );
        let is_reported = self.steps <= MAX_REPORTED || slice.duration_ns() >= self.reported_from_ns;
        let reported = if is_reported { charge.reason } else { BEHIND_MANY };
        path.charge_reporting(from_ns, charge, reported);
        self.none_of_ours_left = true;
    }

    /// The thread had nothing to do.
    fn idle(&self, from_ns: u64, slice: &Slice, block: &Block, path: &mut Path) {
        let on = |cause, reason| Charge::on(self.tid, None, cause, reason);
        if woken_by(block, self.request) && slice.to_ns <= path.cursor_ns() {
            // From data ready to the wakeup that it caused: the kernel on its way.
            let marked_ns = slice.to_ns.saturating_sub(NETWORK_MARK_NS).max(from_ns);
            path.charge(marked_ns, on(Cause::RunQueue, Reason::Note("waking the thread")));
        }
        let charge = match self.ready {
            Ready::Bytes => Charge::unexplained(Some(self.tid), "the thread was idle meanwhile"),
            Ready::Task => on(Cause::TaskQueue, Reason::Plain),
            Ready::Connection => on(Cause::AcceptQueue, Reason::Note(IDLE)),
        };
        path.charge(from_ns, charge);
    }

    /// The thread was in a call for others.
    fn blocked(&self, pid: u32, block: &Block, task: Task) -> Charge {
        let call = Call {
            pid,
            syscall: block.syscall,
            arg0: block.arg0,
        };
        let reason = Reason::BlockedFor(call, block.owner, task);
        Charge::on(self.tid, None, self.instead_of(Cause::WorkerBlocked), reason)
    }

    /// What may be charged in one step, if anything, and not before when, ns.
    fn crossed(&self, path: &mut Path) -> Option<(u64, Crossed)> {
        let crossed = match path.keep() {
            Keep::Sums => Crossed::Work {
                longest_ns: path.longest_wait_ns(),
            },
            Keep::Steps if self.steps < MAX_REPORTED => return None,
            Keep::Steps => Crossed::ShortRuns {
                below_ns: self.reported_from_ns,
            },
        };
        // Up to a theft, and then through it only while the thread runs: that is what is stolen from.
        let (since_ns, crossed) = match path.last_theft(self.tid) {
            Some(theft) if theft.to_ns < path.cursor_ns() => (theft.to_ns, crossed),
            Some(theft) => (theft.from_ns, crossed.only_runs()),
            None => (0, crossed),
        };
        Some((since_ns.max(self.ready_ns), crossed))
    }

    /// Charges in one step as many slices as are not to be reported by themselves. The longest of them is still considered
    /// as the longest wait.
    fn charge_interval(&self, pid: u32, back: &mut Back<'_>, path: &mut Path) -> bool {
        let interval = self
            .crossed(path)
            .and_then(|(since_ns, crossed)| back.interval(since_ns, crossed));
        let Some(interval) = interval else {
            return false;
        };
        if interval.inferred {
            path.mark_inferred();
        }
        let keeps_steps = path.keep() == Keep::Steps;
        if !keeps_steps {
            let [busy, blocked] =
                [Cause::WorkerBusy, Cause::WorkerBlocked].map(|cause| self.instead_of(cause));
            path.charge_sums(self.tid, interval.from_ns, interval.sums, busy, blocked);
            if interval.longest_ns <= path.longest_wait_ns() {
                return true;
            }
        }
        let longest = self.wait_in(pid, &back.longest(&interval));
        if keeps_steps {
            // A thread that runs on stays on its CPU.
            let charge = Charge {
                reason: BEHIND_MANY,
                ..longest.charge
            };
            path.charge(interval.from_ns, charge);
        }
        path.consider(longest.from_ns, longest.to_ns, &longest.charge);
        true
    }

    /// What of a slice is a wait, and for what.
    fn wait_in(&self, pid: u32, slice: &Slice) -> Step {
        let mut from_ns = slice.from_ns;
        let charge = match slice.state {
            State::Running { cpu, owner, .. } => {
                let reason = Reason::RanFor(owner, slice.task);
                Charge::on(self.tid, Some(cpu), self.instead_of(Cause::WorkerBusy), reason)
            }
            State::Blocked(block) => self.blocked(pid, &block, slice.task),
            State::Runnable {
                behind, throttled_ns, ..
            } => {
                from_ns = from_ns.saturating_add(throttled_ns);
                Charge::on(self.tid, None, Cause::RunQueue, Reason::Occupied(behind))
            }
            State::Unknown { .. } => Charge::on(self.tid, None, Cause::Unexplained, Reason::Plain),
        };
        Step {
            from_ns,
            to_ns: slice.to_ns,
            charge,
        }
    }
}

/// Charges a runnable slice: a CPU quota first, where one was used up; then who ran instead, as far as that was
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
        path.charge(until_ns, Charge::on(tid, Some(cpu), Cause::RunQueue, reason));
    };
    let behind_since_ns = slice.to_ns.saturating_sub(behind_ran_ns);
    charge(behind_since_ns, Reason::Occupied(behind));
    for before in evidence.threads.occupants(cpu, slice.from_ns, slice.to_ns) {
        charge(before.to_ns, Reason::Plain);
        charge(before.from_ns, Reason::Occupied(before.by));
    }
    charge(from_ns, Reason::Plain);
    let throttled = Charge::on(tid, Some(cpu), Cause::Throttled, Reason::Plain);
    path.charge(from_ns, throttled);
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
