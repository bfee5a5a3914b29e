//! What a thread can be doing, and for whom.

use super::comms::Comm;
use crate::model::id::{ConnId, Pid, RequestId, Task, Tid};
use crate::syscall::{self, Wait};

/// For whom a thread ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Owner {
    /// Not known.
    #[default]
    Nobody,
    /// This request.
    Request(RequestId),
    /// Woken by a thread that ran for this request, and nothing says otherwise: a blocking pool's thread, or a
    /// worker that looks for work.
    WokenFor(RequestId),
    /// More than one request, and no event says where one ended.
    Mixed,
    /// None that is known: the last request was answered, or the thread was seen between tasks.
    Others,
}

impl Owner {
    /// The request, if it is one.
    #[must_use]
    pub const fn request(self) -> Option<RequestId> {
        match self {
            Self::Request(id) | Self::WokenFor(id) => Some(id),
            Self::Nobody | Self::Mixed | Self::Others => None,
        }
    }

    /// Whether it is not known, or only that the thread was woken for it.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Nobody | Self::WokenFor(_))
    }
}

/// A thread that ran somewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occupant {
    /// Thread; 0 is the idle thread.
    pub tid: Tid,
    /// Process.
    pub pid: Pid,
    /// Name.
    pub comm: Comm,
}

/// What ended a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wake {
    /// In whose context the wakeup ran.
    pub by: Occupant,
    /// System call that it was in.
    pub syscall: i32,
    /// Connection whose data became ready just before; it can be none, or stand for one that was ready to be accepted:
    /// see [`observer_common::conn`].
    pub conn: ConnId,
}

/// What a blocked thread was in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Kind of the wait.
    pub wait: Wait,
    /// System call, -1 for none.
    pub syscall: i32,
    /// First argument of the call, as far as it fits: a descriptor, where the call is on one.
    pub arg0: u32,
    /// What ended it; `None` while it lasts or when that was not seen.
    pub wake: Option<Wake>,
    /// For whom the thread ran when it blocked.
    pub owner: Owner,
}

impl Block {
    /// The descriptor on which the thread waited, where the call was on one. An event loop's says nothing.
    #[must_use]
    pub fn fd(&self) -> Option<i32> {
        syscall::blocking_fd(self.syscall, self.arg0).filter(|_| !self.wait.is_idle())
    }

    /// The thread that ended the block by what it did, as opposed to one that was only interrupted by whoever
    /// did. It need not be a watched one.
    #[must_use]
    pub fn handed_off_by(&self) -> Option<Occupant> {
        let wake = self.wake?;
        let acts = if syscall::is_futex(self.syscall) {
            // Only a futex call or an exit wakes a futex; anything else was interrupted by the timeout.
            syscall::is_futex(wake.syscall) || syscall::exits(wake.syscall)
        } else {
            syscall::hands_off(wake.syscall) && wake.conn == ConnId::NONE
        };
        acts.then_some(wake.by)
    }
}

/// What happened at the start of a running slice, which is why it is one of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Began {
    /// Nothing of interest, or there was none.
    #[default]
    Plain,
    /// Bytes, received on this connection.
    Received {
        /// Connection.
        conn: ConnId,
        /// Their arrival, ns; 0 when unknown.
        arrived_ns: u64,
    },
    /// The thread woke this one by what it did: a job may have ended here.
    HandedOff(Tid),
    /// A goroutine was made ready, by this one or, where it is none, by the runtime itself: what was done for it may
    /// have ended here.
    Readied(Task),
}

/// What a thread did in a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is not known what it did: before the first event, across a loss, or where a switch was not seen.
    Unknown {
        /// For whom, if it ran.
        owner: Owner,
    },
    /// It ran.
    Running {
        /// On this CPU.
        cpu: u16,
        /// For whom.
        owner: Owner,
        /// What happened at its start.
        began: Began,
    },
    /// It could have run.
    Runnable {
        /// On this CPU it ran next.
        cpu: u16,
        /// Who ran there last before it.
        behind: Occupant,
        /// For how long that thread had run there, ns; 0 when unknown.
        behind_ran_ns: u64,
        /// The CPU was taken from it.
        preempted: bool,
        /// How long of it, from its start, a CPU quota kept it from running, ns.
        throttled_ns: u64,
    },
    /// It waited.
    Blocked(Block),
}

/// One interval of a thread's past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Start, ns.
    pub from_ns: u64,
    /// End, ns.
    pub to_ns: u64,
    /// What it did.
    pub state: State,
    /// Minor and major faults meanwhile.
    pub faults: (u32, u32),
    /// In which runtime task it was, or was last if it did not run.
    pub task: Task,
}

impl Slice {
    /// Its length, ns.
    #[must_use]
    pub const fn duration_ns(&self) -> u64 {
        self.to_ns.saturating_sub(self.from_ns)
    }
}
