//! How a slice is kept: in a cache line, because a saturated thread's past has tens of thousands.
//!
//! Nothing that is asked of a slice is lost in it. Slices follow each other, so a slice begins where the one before
//! it ended; only what runs has page faults; and the numbers of system calls are small.

use super::state::{Began, Block, Occupant, Owner, Slice, State, Wake};
use crate::model::id::RequestId;
use crate::model::id::Task;
use crate::syscall::Wait;

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
        conn: u64,
        arrived_ns: u64,
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
        wake_conn: u64,
    },
}

/// An [`Owner`] in 16 bytes: its connection, and its place with the kind in the lowest bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct PackedOwner {
    conn: u64,
    nth_and_kind: u64,
}

/// A [`Began`] without its connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum PackedBegan {
    Plain,
    Received,
    Stalled,
    HandedOff,
}

/// A [`Wait`] without its time.
#[derive(Clone, Copy, Debug)]
pub(super) enum PackedWait {
    EventLoop,
    Accept,
    Park,
    TimedPark,
    Condition,
    TimedCondition,
    Mutex,
    Send,
    PageFault,
    Call,
    Unknown,
}

/// Number of no system call.
const NO_SYSCALL: i16 = -1;

/// An event loop that waits for ever; a timeout is a positive `int`.
const FOR_EVER: u32 = u32::MAX;

impl Packed {
    pub(super) fn new(slice: &Slice) -> Self {
        let what = match slice.state {
            State::Unknown { owner } => What::Unknown { owner: owner.into() },
            State::Running { cpu, owner, began } => {
                let (began, conn, arrived_ns) = match began {
                    Began::Plain => (PackedBegan::Plain, 0, 0),
                    Began::Received { conn, arrived_ns } => (PackedBegan::Received, conn, arrived_ns),
                    Began::Stalled => (PackedBegan::Stalled, 0, 0),
                    Began::HandedOff => (PackedBegan::HandedOff, 0, 0),
                };
                What::Running {
                    cpu,
                    owner: owner.into(),
                    began,
                    conn,
                    arrived_ns,
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
    pub(super) fn slice(&self, from_ns: u64) -> Slice {
        let mut faults = (0, 0);
        let state = match self.what {
            What::Unknown { owner } => State::Unknown { owner: owner.into() },
            What::Running {
                cpu,
                owner,
                began,
                conn,
                arrived_ns,
                faults: meanwhile,
            } => {
                faults = meanwhile;
                State::Running {
                    cpu,
                    owner: owner.into(),
                    began: match began {
                        PackedBegan::Plain => Began::Plain,
                        PackedBegan::Received => Began::Received { conn, arrived_ns },
                        PackedBegan::Stalled => Began::Stalled,
                        PackedBegan::HandedOff => Began::HandedOff,
                    },
                }
            }
            What::Runnable {
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
            What::Blocked {
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
        };
        Slice {
            from_ns,
            to_ns: self.to_ns,
            state,
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

impl What {
    fn blocked(block: &Block) -> Self {
        let (wait, detail) = PackedWait::pack(block.wait, block.arg0);
        let wake = block.wake.unwrap_or(Wake {
            by: Occupant::default(),
            syscall: NO_SYSCALL.into(),
            conn: 0,
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

impl PackedOwner {
    const NOBODY: u64 = 0;
    const MIXED: u64 = 1;
    const REQUEST: u64 = 2;
    const WOKEN_FOR: u64 = 3;
    const OTHERS: u64 = 4;
    const KIND_BITS: u32 = 3;

    const fn kind(self) -> u64 {
        self.nth_and_kind & ((1 << Self::KIND_BITS) - 1)
    }

    const fn is_nobody(self) -> bool {
        self.kind() == Self::NOBODY
    }

    /// Whether it is not known for whom, or only for whom the thread was woken.
    pub(super) const fn is_open(self) -> bool {
        matches!(self.kind(), Self::NOBODY | Self::WOKEN_FOR)
    }
}

impl From<Owner> for PackedOwner {
    fn from(owner: Owner) -> Self {
        let (kind, RequestId { conn, nth }) = match owner {
            Owner::Nobody => (Self::NOBODY, RequestId::default()),
            Owner::Mixed => (Self::MIXED, RequestId::default()),
            Owner::Others => (Self::OTHERS, RequestId::default()),
            Owner::Request(id) => (Self::REQUEST, id),
            Owner::WokenFor(id) => (Self::WOKEN_FOR, id),
        };
        Self {
            conn,
            nth_and_kind: nth << Self::KIND_BITS | kind,
        }
    }
}

impl From<PackedOwner> for Owner {
    fn from(owner: PackedOwner) -> Self {
        let id = RequestId {
            conn: owner.conn,
            nth: owner.nth_and_kind >> PackedOwner::KIND_BITS,
        };
        match owner.kind() {
            PackedOwner::REQUEST => Self::Request(id),
            PackedOwner::WOKEN_FOR => Self::WokenFor(id),
            PackedOwner::MIXED => Self::Mixed,
            PackedOwner::OTHERS => Self::Others,
            _ => Self::Nobody,
        }
    }
}

impl PackedWait {
    /// The wait and its detail.
    fn pack(wait: Wait, arg0: u32) -> (Self, u32) {
        match wait {
            Wait::EventLoop { timeout_ms } => (Self::EventLoop, timeout_ms.unwrap_or(FOR_EVER)),
            Wait::Accept => (Self::Accept, arg0),
            Wait::Park { timeout: false } => (Self::Park, arg0),
            Wait::Park { timeout: true } => (Self::TimedPark, arg0),
            Wait::Condition { timeout: false } => (Self::Condition, arg0),
            Wait::Condition { timeout: true } => (Self::TimedCondition, arg0),
            Wait::Mutex => (Self::Mutex, arg0),
            Wait::Send => (Self::Send, arg0),
            Wait::PageFault => (Self::PageFault, arg0),
            Wait::Call => (Self::Call, arg0),
            Wait::Unknown => (Self::Unknown, arg0),
        }
    }

    /// The wait and the call's first argument. That of an event loop's wait says nothing and is not kept.
    fn unpack(self, detail: u32) -> (Wait, u32) {
        let wait = match self {
            Self::EventLoop => {
                let timeout_ms = (detail != FOR_EVER).then_some(detail);
                return (Wait::EventLoop { timeout_ms }, 0);
            }
            Self::Accept => Wait::Accept,
            Self::Park => Wait::Park { timeout: false },
            Self::TimedPark => Wait::Park { timeout: true },
            Self::Condition => Wait::Condition { timeout: false },
            Self::TimedCondition => Wait::Condition { timeout: true },
            Self::Mutex => Wait::Mutex,
            Self::Send => Wait::Send,
            Self::PageFault => Wait::PageFault,
            Self::Call => Wait::Call,
            Self::Unknown => Wait::Unknown,
        };
        (wait, detail)
    }

    /// As [`Wait::is_idle`].
    pub(super) const fn is_idle(self) -> bool {
        matches!(
            self,
            Self::EventLoop | Self::Accept | Self::Park | Self::TimedPark
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::comms::Comm;
    use super::*;

    const ID: RequestId = RequestId {
        conn: u64::MAX,
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
            arg0: 0,
            wake,
            owner,
        })
    }

    fn every_state() -> Vec<State> {
        let by = Occupant {
            tid: 1,
            pid: 2,
            comm: Comm::default(),
        };
        let wake = Wake {
            by,
            syscall: -1,
            conn: u64::MAX,
        };
        let begans = [
            Began::Plain,
            Began::Received {
                conn: 7,
                arrived_ns: 9,
            },
            Began::Stalled,
            Began::HandedOff,
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
            Wait::Send,
            Wait::PageFault,
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
