//! Explains why something that was ready was not yet taken: bytes of a request before its first read, a peer's answer
//! before it was received, or a connection before it was accepted. Everything a worker did meanwhile is evidence.

mod sums;

use observer_common::limits::NETWORK_MARK_NS;

use super::moves::Charged;
use super::path::{Call, Charge, Path, Reason};
use super::{Evidence, notes};
use crate::connections::Turn;
use crate::model::cause::Cause;
use crate::model::id::{Pid, RequestId, Task, Tid};
use crate::syscall::{self, Wait};
use crate::threads::{Block, Owner, Slice, State, Thread};

/// Slices examined for one wait, at most.
const MAX_STEPS: usize = 32_768;

/// Slices that are reported each by itself, at most, and the part of the whole wait from which on one is reported also
/// beyond them. With ten thousand clients a request waits behind ten thousand others: to name them all would take
/// longer than they did.
const MAX_REPORTED: usize = 64;

const BEHIND_MANY: Reason = Reason::Note("behind many others, each of them short");

const ANY_THREAD: &str = "suspended: any thread could go on with it, and nothing recorded says why none did";

const IDLE: &str = "the thread that accepts had nothing to do meanwhile";

/// Walks back from the cursor to `ready_ns` on thread `tid`, which took what was ready for the request of `turn`.
pub(super) fn walk(evidence: &Evidence<'_>, turn: &Turn, tid: Tid, ready_ns: u64, path: &mut Path) {
    walk_with(evidence, turn, tid, ready_ns, Ready::Bytes, path);
}

/// The same where it is recorded that the request's task was queued at `ready_ns`: no worker took it that was idle.
pub(super) fn walk_queue(evidence: &Evidence<'_>, turn: &Turn, tid: Tid, ready_ns: u64, path: &mut Path) {
    walk_with(evidence, turn, tid, ready_ns, Ready::Task, path);
}

/// The same for a connection that thread `tid` accepted at the cursor: whatever that did is `accept_queue`.
pub(super) fn walk_to_accept(evidence: &Evidence<'_>, turn: &Turn, tid: Tid, ready_ns: u64, path: &mut Path) {
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

fn walk_with(evidence: &Evidence<'_>, turn: &Turn, tid: Tid, ready_ns: u64, ready: Ready, path: &mut Path) {
    let ready_ns = ready_ns.max(path.since_ns());
    let mut wait = WaitWalk {
        evidence,
        request: turn.id,
        taken_by: tid,
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
            if let Some(interval) = wait.interval(&mut back, path) {
                wait.pass_interval(thread.pid, &interval, &back, path);
                if path.cursor_ns() <= ready_ns {
                    break;
                }
            }
            let Some(slice) = back.next() else {
                let Some(thinned) = wait.thinned(&mut back) else {
                    break 'thread;
                };
                wait.pass_thinned(thread.pid, &thinned, path);
                continue;
            };
            wait.steps += 1;
            let passed = wait.step(thread.pid, &slice, path.cursor_ns());
            if wait.pass(&passed, Some(&slice), path) {
                continue 'thread;
            }
        }
        break;
    }
    if path.cursor_ns() > ready_ns {
        let note = if wait.steps < MAX_STEPS {
            wait.unseen(notes::NO_RECORD)
        } else {
            notes::TOO_MANY_STEPS
        };
        let passed = wait.not_known(ready_ns, note);
        wait.pass(&passed, None, path);
    }
}

/// What one slice says of a wait. Its parts are charged in their order.
#[derive(Clone, Copy)]
struct Passed {
    /// The kernel was on its way to wake the thread from then on, ns.
    waking_from_ns: Option<u64>,
    charged: Charged,
    /// What the timeline says of it, where that is something else.
    reported: Option<Reason>,
    /// Page faults meanwhile.
    faults: (u32, u32),
    /// It is inferred, at least in part.
    inferred: bool,
    /// Something needed was not seen.
    partial: bool,
    /// The thread ran for another request.
    for_another: bool,
    /// The thread on which the walk goes on.
    to: Tid,
}

impl Passed {
    /// The walk goes on there, and nothing is charged.
    const fn to(tid: Tid) -> Self {
        Self {
            waking_from_ns: None,
            charged: Charged::Nothing,
            reported: None,
            faults: (0, 0),
            inferred: false,
            partial: false,
            for_another: false,
            to: tid,
        }
    }

    /// The same, and what is since `from_ns` is charged to this.
    const fn charging(self, from_ns: u64, charge: Charge) -> Self {
        Self {
            charged: Charged::Since(from_ns, charge),
            ..self
        }
    }
}

/// A walk through what a worker did while something was ready for it.
struct WaitWalk<'a, 'b> {
    evidence: &'a Evidence<'b>,
    request: RequestId,
    /// The thread that took it.
    taken_by: Tid,
    tid: Tid,
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

impl WaitWalk<'_, '_> {
    /// The thread that woke this one, where that had to come first: from the wakeup backwards, what it did is the
    /// reason. It would have taken up what was ready itself, or handed it over: the connection that it accepted, or one
    /// of which it was told that there are bytes. A thread of a blocking pool does neither.
    fn came_first(&self, block: &Block) -> Option<Tid> {
        let waker = hand_off(self.evidence, block).filter(|&waker| waker != self.tid)?;
        let thread = self.evidence.threads.get(waker)?;
        let comes_first = match self.ready {
            Ready::Connection => !thread.is_of_pool(),
            Ready::Bytes => thread.is_worker() || thread.is_event_loop(),
            Ready::Task => thread.is_worker(),
        };
        comes_first.then_some(waker)
    }

    /// What is charged where a worker that does this is waited for.
    fn instead_of(&self, cause: Cause) -> Cause {
        match self.ready {
            Ready::Connection => Cause::AcceptQueue,
            Ready::Bytes | Ready::Task => cause,
        }
    }

    /// Carries out what a slice says: nothing else of this walk charges a single slice, or moves. Tells whether the
    /// walk goes on on another thread.
    fn pass(&mut self, passed: &Passed, slice: Option<&Slice>, path: &mut Path) -> bool {
        if passed.inferred {
            path.mark_inferred();
        }
        if passed.partial {
            path.mark_partial();
        }
        path.add_faults(passed.faults);
        if let Some(from_ns) = passed.waking_from_ns {
            let waking = Charge::on(self.tid, None, Cause::RunQueue, Reason::Note("waking the thread"));
            path.charge(from_ns, waking);
        }
        match (passed.charged, passed.reported) {
            (Charged::Since(from_ns, charge), Some(reported)) => {
                path.charge_reporting(from_ns, charge, reported);
            }
            (charged, _) => charged.charge(self.evidence, self.tid, slice, path),
        }
        self.none_of_ours_left |= passed.for_another;
        let moves = passed.to != self.tid;
        if moves {
            self.tid = passed.to;
            self.none_of_ours_left = false;
        }
        moves
    }

    /// What is remarked where the thread was not seen.
    fn unseen(&self, note: &'static str) -> &'static str {
        match self.ready {
            Ready::Connection => notes::ACCEPTER_NOT_SEEN,
            Ready::Bytes | Ready::Task => note,
        }
    }

    /// It is not known what the thread did. That a connection was not accepted is.
    fn not_known(&self, from_ns: u64, note: &'static str) -> Passed {
        let passed = Passed::to(self.tid);
        if self.ready == Ready::Connection {
            return passed.charging(from_ns, Charge::of(Cause::AcceptQueue, Reason::Note(note)));
        }
        Passed {
            partial: true,
            ..passed.charging(from_ns, Charge::unexplained(Some(self.tid), note))
        }
    }

    /// Whether the request's task was ready in a slice in which a worker was in none. What it did before it ran for
    /// others is charged by sums, where requests are only counted, and to the worker.
    fn is_ready(&self, slice: &Slice) -> bool {
        let is_queued = || self.evidence.threads.queued(self.tid, slice.to_ns).is_some();
        self.ready != Ready::Connection && (!self.unread || !self.none_of_ours_left && is_queued())
    }

    /// What a slice says, of which what follows `now_ns` is charged.
    fn step(&self, pid: Pid, slice: &Slice, now_ns: u64) -> Passed {
        let from_ns = slice.from_ns.max(self.ready_ns);
        match slice.state {
            State::Unknown { .. } => self.not_known(from_ns, self.unseen(notes::NOT_SEEN)),
            State::Running { cpu, owner, .. } => self.ran(from_ns, slice, cpu, owner),
            State::Runnable { .. } => Passed {
                charged: Charged::RunQueue(from_ns),
                ..Passed::to(self.tid)
            },
            State::Blocked(block) if block.wait == Wait::Stopped => {
                Passed::to(self.tid).charging(from_ns, self.stopped())
            }
            State::Blocked(block) if self.had_nothing_to_do(pid, slice, &block) => {
                self.idle(from_ns, slice, &block, now_ns)
            }
            // For whomever it wanted the lock: nothing else kept it from what was ready.
            State::Blocked(block) if block.wait == Wait::GlobalLock && self.ready != Ready::Connection => {
                Passed {
                    charged: Charged::Lock(from_ns),
                    inferred: true,
                    ..Passed::to(self.tid)
                }
            }
            State::Blocked(_) if self.could_go_elsewhere(pid) => {
                Passed::to(self.tid).charging(self.ready_ns, Charge::idle(Some(self.tid), ANY_THREAD))
            }
            State::Blocked(block) => Passed {
                inferred: !slice.task.is_known(),
                ..Passed::to(self.tid).charging(from_ns, self.blocked(pid, &block, slice.task))
            },
        }
    }

    /// Whether a thread waited for whatever there would be to do, or for just this request when that came.
    fn had_nothing_to_do(&self, pid: Pid, slice: &Slice, block: &Block) -> bool {
        let waited_then = || slice.from_ns < self.ready_ns && woken_by(block, self.request);
        let waited_for_it = || syscall::receives(block.syscall) && waited_then();
        let is_idle = block.wait.is_idle() && !self.has_in_hand(pid, block);
        is_idle || self.unread && self.ready == Ready::Bytes && waited_for_it()
    }

    /// Whether a thread that parked had another request in hand, where it is known by now that threads keep what they
    /// have read until they have answered it.
    fn has_in_hand(&self, pid: Pid, block: &Block) -> bool {
        let is_in_hand = |id| id != self.request && self.evidence.threads.keep_requests(pid);
        matches!((block.wait, block.owner), (Wait::Park { .. }, Owner::Request(id)) if is_in_hand(id))
    }

    /// The thread was stopped. That a connection was not accepted meanwhile is known.
    fn stopped(&self) -> Charge {
        match self.ready {
            Ready::Connection => Charge::of(Cause::AcceptQueue, Reason::Note(notes::STOPPED)),
            Ready::Bytes | Ready::Task => Charge::unexplained(Some(self.tid), notes::STOPPED),
        }
    }

    /// Whether what had been read already can be taken up by any thread, also while this one is in a call.
    fn could_go_elsewhere(&self, pid: Pid) -> bool {
        let runtime = self.evidence.threads.runtime(pid);
        !self.unread && self.ready == Ready::Bytes && runtime.tasks_move_between_threads()
    }

    /// The thread ran: for the request, for nobody while the request's task was ready, or for others.
    fn ran(&self, from_ns: u64, slice: &Slice, cpu: u16, owner: Owner) -> Passed {
        let on = |cause, reason| Charge::on(self.tid, Some(cpu), cause, reason);
        let passed = Passed::to(self.tid);
        if owner.request() == Some(self.request) {
            return Passed {
                faults: slice.faults,
                inferred: slice.task.id().is_none(),
                ..passed.charging(from_ns, on(Cause::OnCpu, Reason::Plain))
            };
        }
        // Its task was ready, and its worker in none, or in none that is known.
        let for_nobody = matches!(owner, Owner::Nobody | Owner::Others) && slice.task == Task::NONE;
        if for_nobody && self.is_ready(slice) {
            return passed.charging(from_ns, on(Cause::TaskQueue, Reason::Plain));
        }
        // Between two tasks that are known, a request that was not yet read can have done nothing.
        let known = slice.task.is_known() && (self.unread || owner != Owner::Mixed);
        let is_reported = self.steps <= MAX_REPORTED || slice.duration_ns() >= self.reported_from_ns;
        let charge = on(
            self.instead_of(Cause::WorkerBusy),
            Reason::RanFor(owner, slice.task),
        );
        Passed {
            inferred: !known,
            reported: (!is_reported).then_some(BEHIND_MANY),
            for_another: true,
            ..passed.charging(from_ns, charge)
        }
    }

    /// The thread had nothing to do.
    fn idle(&self, from_ns: u64, slice: &Slice, block: &Block, now_ns: u64) -> Passed {
        let is_whole = slice.to_ns <= now_ns;
        let waker = is_whole.then(|| self.came_first(block)).flatten();
        let has_ended = is_whole && block.wake.is_some();
        if has_ended && self.had_handed_over(slice, waker) {
            return Passed::to(self.taken_by);
        }
        if let Some(waker) = waker {
            return Passed::to(waker);
        }
        let on = |cause, reason| Charge::on(self.tid, None, cause, reason);
        let charge = match self.ready {
            Ready::Bytes => Charge::idle(Some(self.tid), "the thread was idle meanwhile"),
            Ready::Task => on(Cause::TaskQueue, Reason::Plain),
            Ready::Connection => on(Cause::AcceptQueue, Reason::Note(IDLE)),
        };
        // From data ready to the wakeup that it caused: the kernel on its way.
        let is_waking = is_whole && woken_by(block, self.request);
        Passed {
            waking_from_ns: is_waking.then(|| slice.to_ns.saturating_sub(NETWORK_MARK_NS).max(from_ns)),
            ..Passed::to(self.tid).charging(from_ns, charge)
        }
    }

    /// Whether an event loop that `waker` woke, if one did, had told who takes them of the bytes before: it had nothing
    /// to do when they were there. Where another loop had it go on, that one may have had them.
    fn had_handed_over(&self, slice: &Slice, waker: Option<Tid>) -> bool {
        let loops = |tid| {
            let thread = self.evidence.threads.get(tid);
            thread.is_some_and(Thread::is_event_loop)
        };
        let was_told = self.ready == Ready::Bytes && self.unread && slice.from_ns >= self.ready_ns;
        let is_other = self.tid != self.taken_by && !slice.task.is_known();
        was_told && is_other && loops(self.tid) && !waker.is_some_and(loops)
    }

    /// The thread was in a call for others.
    fn blocked(&self, pid: Pid, block: &Block, task: Task) -> Charge {
        let call = Call::of(pid, block);
        let reason = Reason::BlockedFor(call, block.owner, task);
        Charge::on(self.tid, None, self.instead_of(Cause::WorkerBlocked), reason)
    }
}

/// The thread of a watched process that woke this one by what it did, if one did.
pub(super) fn hand_off(evidence: &Evidence<'_>, block: &Block) -> Option<Tid> {
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
