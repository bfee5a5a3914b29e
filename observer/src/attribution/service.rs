//! Explains the time from a request's first read to its last send.
//!
//! Going backwards, the request is found on a thread that ran for it, or between two such stretches: put
//! aside, until something made it go on. What that was is seen where the later stretch begins: bytes received
//! from a peer, a wakeup by another thread, by the network, by a timer. Where nothing of the kind is seen the
//! time between is unexplained.

use super::path::{Call, Path, Reason};
use super::{Evidence, waiting};
use crate::connections::{Role, Turn};
use crate::model::cause::Cause;
use crate::model::id::Task;
use crate::syscall::{self, Wait};
use crate::threads::{Began, Block, Owner, State};

/// Slices looked at for one request, at most.
const MAX_STEPS: usize = 20_000;

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

pub(super) struct Walk<'a, 'b> {
    pub(super) evidence: &'a Evidence<'b>,
    pub(super) turn: &'a Turn,
    pub(super) path: &'a mut Path,
    /// Thread on which the walk is.
    pub(super) tid: u32,
    /// It came here by a wakeup.
    pub(super) handed_off: Option<HandedOff>,
}

/// Another thread woke the one on which the request went on: what it did since the request last ran elsewhere, it
/// did for the request, unless something says otherwise.
#[derive(Clone, Copy)]
pub(super) struct HandedOff {
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
pub(super) struct LastRun {
    pub(super) end_ns: u64,
    pub(super) tid: u32,
    /// It began with a send that found no room.
    pub(super) stalled: bool,
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
                    self.received(conn, arrived_ns);
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
            Some(HandedOff { task: Some(_), .. }) if self.is_between_polls(owner, task) => false,
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
    pub(super) fn last_run(&self) -> LastRun {
        self.last_run_that_is(false)
    }

    /// A hand-off from where the request last ran, leaving out threads of which it is only known that they were woken
    /// for it.
    pub(super) fn hand_off(&self) -> HandedOff {
        HandedOff {
            run: self.last_run_that_is(true),
            task: None,
            other_before: false,
            call_found: false,
        }
    }

    pub(super) fn last_run_that_is(&self, sure: bool) -> LastRun {
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
            _ if self.waits_for_client(block) => Cause::Client,
            _ => Cause::Syscall,
        };
        self.path
            .charge_until(from_ns, cause, Some(self.tid), None, reason);
    }

    /// The request went on with bytes that were received on `conn` at the cursor.
    fn received(&mut self, conn: u64, arrived_ns: u64) {
        if conn != self.turn.id.conn {
            self.answered(conn, arrived_ns);
        } else if arrived_ns > 0 {
            self.client_went_on(arrived_ns);
        }
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
