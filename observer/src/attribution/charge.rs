//! What an interval of a path is charged to, with what supports it.

use crate::model::cause::Cause;
use crate::model::id::{ConnId, Pid, RequestId, Task, Tid};
use crate::model::request::RuntimeWork;
use crate::threads::{Block, Occupant, Owner};

/// The system call that a thread blocked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// Process.
    pub(super) pid: Pid,
    /// System call, -1 for none.
    pub(super) syscall: i32,
    /// First argument.
    pub(super) arg0: u32,
    /// The connection whose data ended it, see [`observer_common::conn`].
    pub(super) woken_for: ConnId,
}

impl Call {
    /// The call of process `pid` in which a thread was blocked.
    pub(super) const fn of(pid: Pid, block: &Block) -> Self {
        Self {
            pid,
            syscall: block.syscall,
            arg0: block.arg0,
            woken_for: match block.wake {
                Some(wake) => wake.conn,
                None => ConnId::NONE,
            },
        }
    }
}

/// What supports the cause of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The cause says it all.
    Plain,
    /// A remark, where the cause alone would mislead.
    Note(&'static str),
    /// The request was on no thread, and no event says what for; with a remark.
    Idle(&'static str),
    /// The same, and its goroutine says what it does while garbage is collected.
    IdleInMark(&'static str, &'static str),
    /// The language's runtime did this.
    Runtime(RuntimeWork),
    /// The peer of this connection had not sent or not taken bytes.
    Peer(ConnId),
    /// This thread had the CPU.
    Occupied(Occupant),
    /// The thread ran for somebody else, in this task.
    RanFor(Owner, Task),
    /// The thread was in this call for somebody else, in this task.
    BlockedFor(Call, Owner, Task),
    /// The request's own thread was in this call.
    Blocked(Call),
    /// The same, until this thread woke it.
    WokenBy(Call, Occupant),
    /// This thread of the language runtime had stopped the program.
    StoppedBy(Occupant),
    /// A goroutine of this request had to let go of something first, on this thread.
    LetGoBy(Tid, Task, RequestId),
    /// The thread was in this call for a lock, which another thread had.
    LockHeldBy(Call, Tid),
}

impl Reason {
    /// Whether the request was on no thread, for nothing that an event says.
    pub(super) const fn is_idle(self) -> bool {
        matches!(self, Self::Idle(_) | Self::IdleInMark(..))
    }
}

/// What an interval of the path is charged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Charge {
    pub(super) cause: Cause,
    pub(super) tid: Option<Tid>,
    pub(super) cpu: Option<u16>,
    pub(super) reason: Reason,
}

impl Charge {
    /// To what no thread did.
    pub(super) const fn of(cause: Cause, reason: Reason) -> Self {
        Self {
            cause,
            tid: None,
            cpu: None,
            reason,
        }
    }

    /// To what thread `tid` did, on a CPU if it had one.
    pub(super) const fn on(tid: Tid, cpu: Option<u16>, cause: Cause, reason: Reason) -> Self {
        Self {
            cause,
            tid: Some(tid),
            cpu,
            reason,
        }
    }

    /// To nothing that is known, with a remark for people.
    pub(super) const fn unexplained(tid: Option<Tid>, note: &'static str) -> Self {
        Self {
            tid,
            ..Self::of(Cause::Unexplained, Reason::Note(note))
        }
    }

    /// To nothing that is known, while the request was on no thread.
    pub(super) const fn idle(tid: Option<Tid>, note: &'static str) -> Self {
        Self {
            tid,
            ..Self::of(Cause::Unexplained, Reason::Idle(note))
        }
    }

    /// Whether a thread ran meanwhile, from which a hypervisor can have taken the CPU.
    pub(super) fn runs(&self) -> bool {
        match self.cause {
            Cause::OnCpu | Cause::WorkerBusy | Cause::TaskQueue => true,
            // The thread that accepts ran for others, and one that helps to collect garbage runs.
            Cause::AcceptQueue | Cause::Runtime => self.cpu.is_some(),
            _ => false,
        }
    }
}
