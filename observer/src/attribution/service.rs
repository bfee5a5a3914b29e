//! Explains the time from a request's first read to its last send.
//!
//! Going backwards, the request is found on a thread that ran for it, or between two such stretches: put
//! aside, until something made it go on. What that was is seen where the later stretch begins: bytes received
//! from a peer, a wakeup by another thread, by the network, by a timer. Where nothing of the kind is seen the
//! time between is unexplained.

use observer_common::conn;

use super::path::{Call, Path, Reason};
use super::{Evidence, waiting};
use crate::cause::Cause;
use crate::connections::{Role, Turn};
use crate::syscall::{self, Wait};
use crate::threads::{Began, Block, Owner, Slice, State, Task};

/// Slices looked at for one request, at most.
const MAX_STEPS: usize = 20_000;

/// Hand-offs that are followed to find what woke a row of workers, at most.
const MAX_HOPS: usize = 8;

/// A worker can begin to wait for a timer while the one that set it still runs.
const TIMER_SLACK_NS: u64 = 1_000_000;

/// A worker is seen in each task that runs for longer than this.
const MAX_TURN_NS: u64 = 2_000_000;

const NOTHING_RECORDED: &str = "put aside: nothing recorded says what it waited for";

const ONE_JOB_OR_MORE: &str = "put aside: the thread that ended it was busy with this job or with others";

/// Walks back from the last send to the first read.
pub(super) fn walk(evidence: &Evidence<'_>, turn: &Turn, path: &mut Path) {
    let mut walk = Walk {
        evidence,
        turn,
        path,
        tid: turn.sent_tid,
        handed_off: None,
    };
    for _ in 0..MAX_STEPS {
        if walk.path.cursor_ns() <= turn.read_ns {
            return;
        }
        walk.step();
    }
    walk.path.mark_partial();
    walk.path
        .unexplained_until(turn.read_ns, None, "too many stretches");
}

struct Walk<'a, 'b> {
    evidence: &'a Evidence<'b>,
    turn: &'a Turn,
    path: &'a mut Path,
    /// Thread on which the walk is.
    tid: u32,
    /// It came here by a wakeup.
    handed_off: Option<HandedOff>,
}

/// Another thread woke the one on which the request went on: what it did since the request last ran elsewhere, it
/// did for the request, unless something says otherwise.
#[derive(Clone, Copy)]
struct HandedOff {
    /// Where the request last ran elsewhere.
    run: LastRun,
    /// The task that did it, once it was seen: what other tasks did, they did not do for the request.
    task: Option<u64>,
    /// It had woken a thread before, when it was done with something else. So the wakeup that led here marks the end
    /// of what it began then.
    other_before: bool,
    /// A call of it was found, and it was not woken for the request. Whether what it did before that call was the
    /// same job, no event tells.
    call_found: bool,
}

/// The end of a stretch in which the request ran.
#[derive(Clone, Copy)]
struct LastRun {
    end_ns: u64,
    tid: u32,
    /// It began with a send that found no room.
    stalled: bool,
}

impl Walk<'_, '_> {
    fn step(&mut self) {
        let read_ns = self.turn.read_ns;
        let found = self
            .evidence
            .threads
            .get(self.tid)
            .and_then(|thread| Some((thread.pid, thread.before(self.path.cursor_ns())?)));
        let Some((pid, slice)) = found else {
            self.path.mark_partial();
            self.path
                .unexplained_until(read_ns, Some(self.tid), "no record of the thread");
            return;
        };
        let mut from_ns = slice.from_ns.max(read_ns);
        if let Some(HandedOff { run, .. }) = self.handed_off {
            if run.end_ns >= self.path.cursor_ns() {
                self.tid = run.tid;
                self.handed_off = None;
                return;
            }
            from_ns = from_ns.max(run.end_ns);
        }
        let tid = Some(self.tid);
        match slice.state {
            State::Unknown { .. } => {
                self.path.mark_partial();
                self.path
                    .unexplained_until(from_ns, tid, "what the thread did was not seen");
            }
            State::Running { cpu, owner, began } => {
                if !self.is_ours(owner, slice.task) {
                    self.not_ours();
                    return;
                }
                if self.is_begun_by_it(slice.task) {
                    // Whether the request waited for it to be done, no event tells.
                    self.path.mark_by_order();
                    let reason = Reason::RanFor(owner, slice.task);
                    self.path
                        .charge_until(from_ns, Cause::WorkerBusy, tid, Some(cpu), reason);
                    return;
                }
                self.ran_in(slice.task);
                self.path.add_faults(slice.faults);
                self.path
                    .charge_until(from_ns, Cause::OnCpu, tid, Some(cpu), Reason::Plain);
                if let Began::Received { conn, arrived_ns } = began
                    && slice.from_ns > read_ns
                {
                    self.answered(conn, arrived_ns);
                }
                if began == Began::HandedOff
                    && let Some(handed_off) = &mut self.handed_off
                {
                    handed_off.other_before = true;
                }
            }
            State::Runnable { .. } => {
                waiting::run_queue(self.evidence, self.tid, &slice, from_ns, self.path);
            }
            State::Blocked(block) if block.wait.is_idle() => self.idle(&slice, &block),
            State::Blocked(block) if !self.is_ours(block.owner, slice.task) => self.not_ours(),
            State::Blocked(block) if self.is_of_known_job(block.owner, slice.task) => {
                self.ran_in(slice.task);
                match block.wait {
                    Wait::Condition { .. } if waiting::hand_off(self.evidence, &block).is_some() => {
                        self.idle(&slice, &block);
                    }
                    _ => self.blocked(pid, &block, from_ns),
                }
            }
            State::Blocked(block) => match &mut self.handed_off {
                // The request was not still running elsewhere when this call began.
                Some(handed_off) if !handed_off.call_found && slice.from_ns == from_ns => {
                    handed_off.call_found = true;
                    self.blocked(pid, &block, from_ns);
                }
                handed_off => {
                    let until_ns = handed_off.map_or(from_ns, |handed_off| handed_off.run.end_ns);
                    self.path.unexplained_until(until_ns, tid, ONE_JOB_OR_MORE);
                }
            },
        }
    }

    /// Whether a thread that ran for `owner` in `task` did so for the request.
    fn is_ours(&self, owner: Owner, task: Task) -> bool {
        let is_other_task = |job: u64| task.id().is_some_and(|id| id != job);
        match self.handed_off {
            Some(HandedOff { task: Some(job), .. }) if is_other_task(job) => {
                owner == Owner::Request(self.turn.id)
            }
            Some(HandedOff { task: Some(job), .. }) if task.id() == Some(job) => true,
            handed_off => {
                let unowned = matches!(owner, Owner::Nobody | Owner::WokenFor(_));
                owner.request() == Some(self.turn.id)
                    || unowned && handed_off.is_some_and(|handed_off| !handed_off.other_before)
            }
        }
    }

    /// Whether a worker ran a task that the request had begun, and not the request's own.
    fn is_begun_by_it(&self, task: Task) -> bool {
        let other = |own: Task| own.id().is_some() && own != task;
        let Turn {
            read_task, sent_task, ..
        } = *self.turn;
        self.handed_off.is_none() && task.id().is_some() && other(read_task) && other(sent_task)
    }

    /// Whether what a thread did is known to be the request's, by more than that it woke the request up.
    fn is_of_known_job(&self, owner: Owner, task: Task) -> bool {
        owner.request() == Some(self.turn.id) || self.handed_off.is_some() && task.id().is_some()
    }

    /// The request's work was done in `task`.
    fn ran_in(&mut self, task: Task) {
        match (&mut self.handed_off, task.id()) {
            (_, None) => self.path.mark_by_order(),
            (Some(handed_off), id) if handed_off.task.is_none() => handed_off.task = id,
            _ => {}
        }
    }

    /// The thread ran or was blocked for somebody else.
    fn not_ours(&mut self) {
        match self.handed_off.take() {
            // It took the request up when it was done with that, and until then the request waited for it.
            Some(HandedOff {
                run,
                other_before,
                task,
                ..
            }) if other_before || task.is_some() => {
                waiting::walk(self.evidence, self.turn, self.tid, run.end_ns, self.path);
                self.tid = run.tid;
            }
            handed_off => {
                self.handed_off = handed_off;
                self.put_aside();
            }
        }
    }

    /// Where the request last ran before the cursor; its first read at the latest.
    fn last_run(&self) -> LastRun {
        self.last_run_that_is(false)
    }

    /// A hand-off from where the request last ran, leaving out threads of which it is only known that they were woken
    /// for it.
    fn hand_off(&self) -> HandedOff {
        HandedOff {
            run: self.last_run_that_is(true),
            task: None,
            other_before: false,
            call_found: false,
        }
    }

    fn last_run_that_is(&self, sure: bool) -> LastRun {
        let (now_ns, read_ns) = (self.path.cursor_ns(), self.turn.read_ns);
        let runs = self.turn.tids().filter_map(|tid| {
            let thread = self.evidence.threads.get(tid)?;
            let (end_ns, stalled) = thread.last_ran_for(self.turn.id, sure, now_ns, read_ns)?;
            Some(LastRun { end_ns, tid, stalled })
        });
        let first_read = LastRun {
            end_ns: read_ns,
            tid: self.turn.read_tid,
            stalled: false,
        };
        runs.max_by_key(|run| run.end_ns).unwrap_or(first_read)
    }

    /// Goes to where the request last ran, charging what lies between.
    fn resume_from(&mut self, run: LastRun, cause: Cause, reason: Reason) {
        if run.end_ns >= self.path.cursor_ns() && run.tid == self.tid {
            // No progress: it went on just here, on this thread, which says nothing about how.
            self.path
                .unexplained_until(self.turn.read_ns, Some(self.tid), NOTHING_RECORDED);
            return;
        }
        self.path.charge_until(run.end_ns, cause, None, None, reason);
        self.tid = run.tid;
        self.handed_off = None;
    }

    /// The thread took the request up again after it had worked for others. What ended the thread's last idle
    /// time is the reason, as far as it concerns the request; from then on the request waited for the worker.
    fn put_aside(&mut self) {
        let run = self.last_run();
        let woken = self.last_idle(run.end_ns);
        match woken.and_then(|(idle, block)| Some((idle.to_ns, self.reason_to_resume(run, &idle, &block)?))) {
            Some((woken_ns, (cause, reason))) => {
                waiting::walk(self.evidence, self.turn, self.tid, woken_ns, self.path);
                self.resume_from(self.last_run(), cause, reason);
            }
            None if self.was_done_elsewhere(run) || self.was_behind(run.end_ns) => {}
            None => {
                self.path.mark_by_order();
                self.resume_from(run, Cause::Unexplained, Reason::Note(NOTHING_RECORDED));
            }
        }
    }

    /// Whether `run` was on a thread that was woken for the request, and is done with it: from then on the request
    /// waited for its worker. Charges that, and goes there.
    fn was_done_elsewhere(&mut self, run: LastRun) -> bool {
        let own = self.last_run_that_is(true);
        if run.tid == self.tid || run.end_ns <= own.end_ns || run.end_ns >= self.path.cursor_ns() {
            return false;
        }
        self.path.mark_by_order();
        waiting::walk(self.evidence, self.turn, self.tid, run.end_ns, self.path);
        self.handed_off = Some(self.hand_off());
        self.tid = run.tid;
        true
    }

    /// Whether the request went on right after another task of the same worker, one that serves no client itself: then
    /// it waited for that one, or for the worker that was busy with it. Charges that, not before `since_ns`.
    fn was_behind(&mut self, since_ns: u64) -> bool {
        let Some(thread) = self.evidence.threads.get(self.tid) else {
            return false;
        };
        let before = || {
            let back = thread.back_from(self.path.cursor_ns());
            back.take_while(|slice| slice.to_ns > since_ns)
        };
        // Somewhere in a short slice of more than one the worker turned from one task to the other.
        let turned = |slice: &Slice, owner| owner == Owner::Mixed && slice.duration_ns() <= MAX_TURN_NS;
        let last = before().find_map(|slice| match slice.state {
            State::Runnable { .. } => None,
            State::Running { owner, .. } if turned(&slice, owner) => None,
            State::Running {
                owner: owner @ (Owner::Nobody | Owner::WokenFor(_)),
                cpu,
                ..
            } => Some(slice.task.id().map(|_| (slice.task, owner, cpu))),
            _ => Some(None),
        });
        let Some((task, owner, cpu)) = last.flatten() else {
            return false;
        };
        let first = before()
            .take_while(|slice| match slice.state {
                State::Running { owner, cpu: on, .. } => {
                    on == cpu && (slice.task == task || turned(slice, owner))
                }
                _ => false,
            })
            .last();
        let Some(first) = first else {
            return false;
        };
        self.path.mark_by_order();
        let from_ns = first.from_ns.max(since_ns);
        let reason = Reason::RanFor(owner, task);
        self.path
            .charge_until(from_ns, Cause::WorkerBusy, Some(self.tid), Some(cpu), reason);
        true
    }

    /// Why a request that stopped at `run` could go on when a thread was woken from `block`, its state in `idle`.
    fn reason_to_resume(&self, run: LastRun, idle: &Slice, block: &Block) -> Option<(Cause, Reason)> {
        let wake_conn = block.wake?.conn;
        if self.is_our_peer(wake_conn, idle.to_ns) {
            Some((Cause::Downstream, Reason::Peer(wake_conn)))
        } else if wake_conn != conn::NONE {
            None
        } else if run.stalled {
            Some((Cause::SendBlocked, Reason::Peer(self.turn.id.conn)))
        } else {
            // A wait that had begun before the request set its timer was not for it.
            let could_be_ours = idle.from_ns.saturating_add(TIMER_SLACK_NS) >= run.end_ns;
            let expired = block.wait.expired(idle.to_ns - idle.from_ns);
            (could_be_ours && expired).then_some((Cause::Timer, Reason::Plain))
        }
    }

    /// The last idle time of the thread, or of the one that handed work to it, if it ended after `ran_ns`.
    fn last_idle(&self, ran_ns: u64) -> Option<(Slice, Block)> {
        let (mut tid, mut at_ns) = (self.tid, self.path.cursor_ns());
        for _ in 0..MAX_HOPS {
            let (idle, block) = self.evidence.threads.get(tid)?.last_idle(at_ns)?;
            if idle.to_ns <= ran_ns {
                return None;
            }
            let Some(waker) = waiting::hand_off(self.evidence, &block) else {
                return Some((idle, block));
            };
            (tid, at_ns) = (waker, idle.to_ns);
        }
        None
    }

    /// Whether bytes that came on `conn` at `at_ns` answer what this request sent to a peer.
    fn is_our_peer(&self, conn: u64, at_ns: u64) -> bool {
        self.evidence.connections.get(conn).is_some_and(|connection| {
            connection.role == Role::Outbound
                && connection
                    .last_send_for(self.turn.id, self.turn.read_ns, at_ns)
                    .is_some()
        })
    }

    /// The thread was blocked in a call that the request made itself.
    fn blocked(&mut self, pid: u32, block: &Block, from_ns: u64) {
        let call = Call {
            pid,
            syscall: block.syscall,
            arg0: block.arg0,
        };
        let connection = syscall::blocking_fd(block.syscall, block.arg0)
            .and_then(|fd| self.evidence.connections.by_fd(pid, fd));
        let receives = syscall::receives(block.syscall);
        let mut reason = Reason::Blocked(call);
        let cause = match (block.wait, connection) {
            (Wait::Mutex, _) => {
                if let Some(wake) = block.wake {
                    reason = Reason::WokenBy(call, wake.by);
                }
                Cause::Lock
            }
            (Wait::Send, _) => Cause::SendBlocked,
            (Wait::PageFault, _) => Cause::PageFault,
            (Wait::Unknown, _) => Cause::Unexplained,
            (_, Some((_, connection))) if receives && connection.role == Role::Outbound => Cause::Downstream,
            (_, Some((from, _))) if receives && from == self.turn.id.conn => {
                self.path
                    .unexplained_until(from_ns, Some(self.tid), "waiting for the client's next bytes");
                return;
            }
            _ => Cause::Syscall,
        };
        self.path
            .charge_until(from_ns, cause, Some(self.tid), None, reason);
    }

    /// The thread had nothing to do until it was woken: the waker is the reason.
    fn idle(&mut self, slice: &Slice, block: &Block) {
        if let Some(waker) = waiting::hand_off(self.evidence, block) {
            // From the wakeup backwards, the waker's time is the request's. What lies between the wakeup and
            // the cursor is nothing: a block ends at its wakeup.
            let known = self
                .evidence
                .threads
                .get(waker)
                .is_some_and(|thread| thread.before(slice.to_ns).is_some());
            if known && slice.to_ns >= self.path.cursor_ns() {
                self.handed_off = Some(self.hand_off());
                self.tid = waker;
                return;
            }
        }
        let run = self.last_run();
        let (cause, reason) = if block.wake.is_some_and(|wake| wake.conn == self.turn.id.conn) {
            (
                Cause::Unexplained,
                Reason::Note("waiting for the client's next bytes"),
            )
        } else {
            self.reason_to_resume(run, slice, block).unwrap_or((
                Cause::Unexplained,
                Reason::Note("put aside: what woke the worker was not for it"),
            ))
        };
        self.resume_from(run, cause, reason);
    }

    /// The request went on because `conn`, which the process opened, had bytes: from their arrival on they
    /// waited for this thread; before, the request waited for the peer.
    fn answered(&mut self, conn: u64, arrived_ns: u64) {
        let Some(connection) = self.evidence.connections.get(conn) else {
            return;
        };
        if connection.role != Role::Outbound {
            return;
        }
        let received_ns = self.path.cursor_ns();
        let read_ns = self.turn.read_ns;
        if arrived_ns > 0 {
            let ready_ns = arrived_ns.clamp(read_ns, received_ns);
            waiting::walk(self.evidence, self.turn, self.tid, ready_ns, self.path);
        }
        let ready_ns = self.path.cursor_ns();
        let sent = connection.last_send_for(self.turn.id, read_ns, ready_ns);
        let (from_ns, tid) = sent.map_or_else(
            || {
                let run = self.last_run();
                (run.end_ns, run.tid)
            },
            |sent| (sent.at_ns, sent.tid),
        );
        self.path.charge_until(
            from_ns.max(read_ns),
            Cause::Downstream,
            None,
            None,
            Reason::Peer(conn),
        );
        self.handed_off = Some(self.hand_off());
        self.tid = tid;
    }
}
