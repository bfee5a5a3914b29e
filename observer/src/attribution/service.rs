//! Explains the time from a request's first read to its last send.
//!
//! Going backwards, the request is found on a thread that ran for it, or between two such stretches: put
//! aside, until something made it go on. What that was is seen where the later stretch begins: bytes received
//! from a peer, a wakeup by another thread, by the network, by a timer. Where nothing of the kind is seen the
//! time between is unexplained.

use super::path::{Call, Path, Reason};
use super::{Evidence, waiting};
use crate::cause::Cause;
use crate::connections::{Role, Turn};
use crate::syscall::{self, Wait};
use crate::threads::{Block, Owner, Slice, State};

/// Slices looked at for one request, at most.
const MAX_STEPS: usize = 20_000;

/// Walks back from the last send to the first read.
pub(super) fn walk(evidence: &Evidence<'_>, turn: &Turn, path: &mut Path) {
    let mut walk = Walk { evidence, turn, path, tid: turn.sent_tid, handed_off: false };
    for _ in 0..MAX_STEPS {
        if walk.path.cursor_ns() <= turn.read_ns {
            return;
        }
        walk.step();
    }
    walk.path.mark_partial();
    walk.path.unexplained_until(turn.read_ns, None, "too many stretches");
}

struct Walk<'a, 'b> {
    evidence: &'a Evidence<'b>,
    turn: &'a Turn,
    path: &'a mut Path,
    /// Thread on which the walk is.
    tid: u32,
    /// It came here by a wakeup: what this thread did, it did for the request, unless it says otherwise.
    handed_off: bool,
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
            self.path.unexplained_until(read_ns, Some(self.tid), "no record of the thread");
            return;
        };
        let from_ns = slice.from_ns.max(read_ns);
        let tid = Some(self.tid);
        match slice.state {
            State::Unknown => {
                self.path.mark_partial();
                self.path.unexplained_until(from_ns, tid, "what the thread did was not seen");
            }
            State::Running { cpu, owner, received } => {
                if !self.is_ours(owner) {
                    self.suspended("put aside: nothing recorded says what it waited for");
                    return;
                }
                self.path.add_faults(slice.faults);
                self.path.charge_until(from_ns, Cause::OnCpu, tid, Some(cpu), Reason::Plain);
                if let Some((conn, arrived_ns)) = received
                    && slice.from_ns > read_ns
                {
                    self.answered(conn, arrived_ns);
                }
            }
            State::Runnable { .. } => {
                waiting::run_queue(self.tid, &slice, from_ns, self.path);
            }
            State::Blocked(block) if block.wait.is_idle() => self.idle(&slice, &block),
            State::Blocked(block) if self.is_ours(block.owner) => self.blocked(pid, &block, from_ns),
            State::Blocked(_) => self.suspended("put aside: nothing recorded says what it waited for"),
        }
    }

    fn is_ours(&self, owner: Owner) -> bool {
        match owner {
            Owner::Request(id) => id == self.turn.id,
            Owner::Nobody => self.handed_off,
            Owner::Mixed => false,
        }
    }

    /// When and where the request last ran before the cursor; its first read at the latest.
    fn last_ran(&self) -> (u64, u32) {
        let (now_ns, read_ns) = (self.path.cursor_ns(), self.turn.read_ns);
        self.turn
            .tids()
            .filter_map(|tid| {
                let ran_ns = self.evidence.threads.get(tid)?.last_ran_for(self.turn.id, now_ns, read_ns)?;
                Some((ran_ns, tid))
            })
            .max()
            .unwrap_or((read_ns, self.turn.read_tid))
    }

    /// Goes to where the request last ran, charging what lies between.
    fn resume_from_last_run(&mut self, cause: Cause, reason: Reason) {
        let (ran_ns, tid) = self.last_ran();
        // A request that stopped just here is no progress: then the rest has no evidence.
        let ran_ns = if ran_ns >= self.path.cursor_ns() { self.turn.read_ns } else { ran_ns };
        self.path.charge_until(ran_ns, cause, None, None, reason);
        self.tid = tid;
        self.handed_off = false;
    }

    fn suspended(&mut self, note: &'static str) {
        self.resume_from_last_run(Cause::Unexplained, Reason::Note(note));
    }

    /// The thread was blocked in a call that the request made itself.
    fn blocked(&mut self, pid: u32, block: &Block, from_ns: u64) {
        let call = Call { pid, syscall: block.syscall, arg0: block.arg0 };
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
            (_, Some((conn, _))) if receives && conn == self.turn.id.conn => {
                self.path.unexplained_until(from_ns, Some(self.tid), "waiting for the client's next bytes");
                return;
            }
            _ => Cause::Syscall,
        };
        self.path.charge_until(from_ns, cause, Some(self.tid), None, reason);
    }

    /// The thread had nothing to do until it was woken: the waker is the reason.
    fn idle(&mut self, slice: &Slice, block: &Block) {
        if let Some(waker) = waiting::hand_off(self.evidence, block) {
            // From the wakeup backwards, the waker's time is the request's. What lies between the wakeup and
            // the cursor is nothing: a block ends at its wakeup.
            let known = self.evidence.threads.get(waker).is_some_and(|thread| thread.before(slice.to_ns).is_some());
            if known && slice.to_ns >= self.path.cursor_ns() {
                self.tid = waker;
                self.handed_off = true;
                return;
            }
        }
        let wake_conn = block.wake.map_or(observer_common::conn::NONE, |wake| wake.conn);
        if wake_conn == self.turn.id.conn {
            self.suspended("waiting for the client's next bytes");
        } else if let Some(connection) = self.evidence.connections.get(wake_conn)
            && connection.role == Role::Outbound
        {
            self.resume_from_last_run(Cause::Downstream, Reason::Peer(wake_conn));
        } else if self.turn.stalled_ns.is_some_and(|stalled_ns| {
            stalled_ns <= slice.from_ns && self.last_ran().0 <= stalled_ns.max(slice.from_ns)
        }) && wake_conn == observer_common::conn::NONE
        {
            self.resume_from_last_run(Cause::SendBlocked, Reason::Peer(self.turn.id.conn));
        } else if wake_conn == observer_common::conn::NONE && block.wait.has_timeout() && block.wake.is_some() {
            self.resume_from_last_run(Cause::Timer, Reason::Plain);
        } else {
            self.suspended("put aside: what woke the worker was not for it");
        }
    }

    /// The request went on because `conn`, which the process opened, had bytes: from their arrival on they
    /// waited for this thread; before, the request waited for the peer.
    fn answered(&mut self, conn: u64, arrived_ns: u64) {
        let Some(connection) = self.evidence.connections.get(conn) else { return };
        if connection.role != Role::Outbound {
            return;
        }
        let received_ns = self.path.cursor_ns();
        let read_ns = self.turn.read_ns;
        if arrived_ns > 0 {
            let ready_ns = arrived_ns.clamp(read_ns, received_ns);
            waiting::walk(self.evidence, self.turn.id, self.tid, ready_ns, self.path);
        }
        let ready_ns = self.path.cursor_ns();
        let sent = connection.sends.iter().rev().find(|&&(at_ns, _)| at_ns < ready_ns && at_ns >= read_ns);
        let (from_ns, tid) = sent.copied().unwrap_or_else(|| self.last_ran());
        self.path.charge_until(from_ns.max(read_ns), Cause::Downstream, None, None, Reason::Peer(conn));
        self.tid = tid;
        self.handed_off = true;
    }
}
