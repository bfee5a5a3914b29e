//! How a slice is kept: in a cache line, because a saturated thread's past has tens of thousands.
//!
//! Nothing that is asked of a slice is lost in it. Slices follow each other, so a slice begins where the one before
//! it ended; only what runs has page faults; and the numbers of system calls are small.

mod owner;
mod wait;

use self::owner::PackedOwner;
use self::wait::PackedWait;
use super::state::{Began, Block, Occupant, Slice, State, Wake};
use crate::model::id::{ConnId, Task, Tid};

const _: () = assert!(size_of::<Packed>() <= 64);

/// A slice without its start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packed {
    /// End, ns.
    pub(super) to_ns: u64,
    pub(super) task: Task,
    pub(super) what: What,
}

/// What the thread did.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    Unknown {
        owner: PackedOwner,
    },
    Running {
        cpu: u16,
        owner: PackedOwner,
        began: PackedBegan,
        conn: ConnId,
        /// An arrival, ns, the thread that was woken, or the goroutine that made one ready.
        detail: u64,
        faults: (u32, u32),
    },
    Runnable {
        cpu: u16,
        behind: Occupant,
        behind_ran_ns: u64,
        preempted: bool,
        throttled_ns: u64,
    },
    Blocked {
        wait: PackedWait,
        syscall: i16,
        /// The timeout of an event loop's wait, else the call's first argument.
        detail: u32,
        owner: PackedOwner,
        woken: bool,
        by: Occupant,
        wake_syscall: i16,
        wake_conn: ConnId,
    },
}

/// A [`Began`] without its connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum PackedBegan {
    Plain,
    Received,
    HandedOff,
    Readied,
}

/// Number of no system call.
const NO_SYSCALL: i16 = -1;

impl Packed {
    pub(super) fn new(slice: &Slice) -> Self {
        let what = match slice.state {
            State::Unknown { owner } => What::Unknown { owner: owner.into() },
            State::Running { cpu, owner, began } => {
                let (began, conn, detail) = PackedBegan::pack(began);
                What::Running {
                    cpu,
                    owner: owner.into(),
                    began,
                    conn,
                    detail,
                    faults: slice.faults,
                }
            }
            State::Runnable {
                cpu,
                behind,
                behind_ran_ns,
                preempted,
                throttled_ns,
            } => What::Runnable {
                cpu,
                behind,
                behind_ran_ns,
                preempted,
                throttled_ns,
            },
            State::Blocked(block) => What::blocked(&block),
        };
        Self {
            to_ns: slice.to_ns,
            task: slice.task,
            what,
        }
    }

    /// The slice, which begins at `from_ns`.
    #[inline]
    pub(super) fn slice(&self, from_ns: u64) -> Slice {
        let faults = match self.what {
            What::Running { faults, .. } => faults,
            _ => (0, 0),
        };
        Slice {
            from_ns,
            to_ns: self.to_ns,
            state: self.what.state(),
            faults,
            task: self.task,
        }
    }

    /// Whether nothing is known of it.
    pub(super) const fn is_nothing(&self) -> bool {
        match self.what {
            What::Unknown { owner } => owner.is_nobody() && !self.task.is_known(),
            What::Running { .. } | What::Runnable { .. } | What::Blocked { .. } => false,
        }
    }

    /// Whether the thread was at work and it is not known in which runtime task, or that it was in none or between two.
    pub(super) const fn is_inferred(&self) -> bool {
        match self.what {
            What::Running { .. } | What::Blocked { .. } => !self.task.is_known(),
            What::Runnable { .. } | What::Unknown { .. } => false,
        }
    }
}

impl PackedBegan {
    /// How a slice began, with its connection, and the arrival there, the thread that was woken, or the goroutine
    /// that made one ready.
    fn pack(began: Began) -> (Self, ConnId, u64) {
        match began {
            Began::Plain => (Self::Plain, ConnId::NONE, 0),
            Began::Received { conn, arrived_ns } => (Self::Received, conn, arrived_ns),
            Began::HandedOff(to) => (Self::HandedOff, ConnId::NONE, u64::from(to.0)),
            Began::Readied(by) => (Self::Readied, ConnId::NONE, by.field()),
        }
    }

    fn unpack(self, conn: ConnId, detail: u64) -> Began {
        match self {
            Self::Plain => Began::Plain,
            Self::Received => Began::Received {
                conn,
                arrived_ns: detail,
            },
            Self::HandedOff => Began::HandedOff(Tid(detail as u32)),
            Self::Readied => Began::Readied(Task::new(detail)),
        }
    }
}

impl What {
    fn state(&self) -> State {
        match *self {
            Self::Unknown { owner } => State::Unknown { owner: owner.into() },
            Self::Running {
                cpu,
                owner,
                began,
                conn,
                detail,
                faults: _,
            } => State::Running {
                cpu,
                owner: owner.into(),
                began: began.unpack(conn, detail),
            },
            Self::Runnable {
                cpu,
                behind,
                behind_ran_ns,
                preempted,
                throttled_ns,
            } => State::Runnable {
                cpu,
                behind,
                behind_ran_ns,
                preempted,
                throttled_ns,
            },
            Self::Blocked {
                wait,
                syscall,
                detail,
                owner,
                woken,
                by,
                wake_syscall,
                wake_conn,
            } => {
                let (wait, arg0) = wait.unpack(detail);
                State::Blocked(Block {
                    wait,
                    syscall: syscall.into(),
                    arg0,
                    wake: woken.then_some(Wake {
                        by,
                        syscall: wake_syscall.into(),
                        conn: wake_conn,
                    }),
                    owner: owner.into(),
                })
            }
        }
    }

    fn blocked(block: &Block) -> Self {
        let (wait, detail) = PackedWait::pack(block.wait, block.arg0);
        let wake = block.wake.unwrap_or(Wake {
            by: Occupant::default(),
            syscall: NO_SYSCALL.into(),
            conn: ConnId::NONE,
        });
        Self::Blocked {
            wait,
            syscall: pack_syscall(block.syscall),
            detail,
            owner: block.owner.into(),
            woken: block.wake.is_some(),
            by: wake.by,
            wake_syscall: pack_syscall(wake.syscall),
            wake_conn: wake.conn,
        }
    }
}

/// A number that fits no system call is as good as none.
fn pack_syscall(syscall: i32) -> i16 {
    i16::try_from(syscall).unwrap_or(NO_SYSCALL)
}

#[cfg(test)]
mod tests {
    use super::super::comms::Comm;
    use super::super::state::Owner;
    use super::*;
    use crate::model::id::{Pid, RequestId};
    use crate::syscall::Wait;

    const ID: RequestId = RequestId {
        conn: ConnId(u64::MAX),
        nth: u64::MAX >> PackedOwner::KIND_BITS,
    };
    const OWNERS: [Owner; 5] = [
        Owner::Nobody,
        Owner::Mixed,
        Owner::Others,
        Owner::Request(ID),
        Owner::WokenFor(ID),
    ];

    fn blocked(wait: Wait, owner: Owner, wake: Option<Wake>) -> State {
        State::Blocked(Block {
            wait,
            syscall: 202,
            // An event loop's says nothing: its place has when the wait was to end.
            arg0: if matches!(wait, Wait::EventLoop { .. }) {
                0
            } else {
                7
            },
            wake,
            owner,
        })
    }

    fn every_state() -> Vec<State> {
        let by = Occupant {
            tid: Tid(1),
            pid: Pid(2),
            comm: Comm::default(),
        };
        let wake = Wake {
            by,
            syscall: -1,
            conn: ConnId(u64::MAX),
        };
        let begans = [
            Began::Plain,
            Began::Received {
                conn: ConnId(7),
                arrived_ns: 9,
            },
            Began::HandedOff(Tid(3)),
            Began::Readied(Task::new(4)),
            Began::Readied(Task::NONE),
        ];
        let waits = [
            Wait::EventLoop { timeout_ms: None },
            Wait::EventLoop { timeout_ms: Some(0) },
            Wait::Accept,
            Wait::Park { timeout: false },
            Wait::Park { timeout: true },
            Wait::Condition { timeout: false },
            Wait::Condition { timeout: true },
            Wait::Mutex,
            Wait::GlobalLock,
            Wait::Send,
            Wait::PageFault,
            Wait::Stopped,
            Wait::Call,
            Wait::Unknown,
        ];
        let mut states = vec![State::Runnable {
            cpu: u16::MAX,
            behind: by,
            behind_ran_ns: 3,
            preempted: true,
            throttled_ns: 4,
        }];
        for owner in OWNERS {
            states.push(State::Unknown { owner });
            states.extend(begans.map(|began| State::Running { cpu: 5, owner, began }));
            states.extend(waits.map(|wait| blocked(wait, owner, None)));
            states.extend(waits.map(|wait| blocked(wait, owner, Some(wake))));
        }
        states
    }

    #[test]
    fn what_is_kept_is_what_was_there() {
        for state in every_state() {
            let runs = matches!(state, State::Running { .. });
            let slice = Slice {
                from_ns: 1,
                to_ns: 2,
                state,
                task: Task::new(u64::MAX - 1),
                faults: if runs { (5, 6) } else { (0, 0) },
            };
            assert_eq!(Packed::new(&slice).slice(1), slice);
        }
    }

    #[test]
    fn both_forms_agree_on_what_is_idle_and_open() {
        for state in every_state() {
            if let State::Blocked(block) = state {
                let (wait, _) = PackedWait::pack(block.wait, 0);
                assert_eq!(wait.is_idle(), block.wait.is_idle());
            }
        }
        assert_eq!(
            OWNERS.map(|owner| PackedOwner::from(owner).is_open()),
            OWNERS.map(Owner::is_open)
        );
    }
}
