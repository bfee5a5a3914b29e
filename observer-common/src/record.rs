//! Record layouts. `repr(C)`, no padding, integers only; sizes are asserted at compile time.

use crate::limits::{COMM_BYTES, REQUEST_HEAD_BYTES, RESPONSE_HEAD_BYTES};

/// Bits of the `flags` fields.
pub mod flags {
    /// [`super::SwitchOut`]: the thread was still runnable (preempted or yielding).
    pub const PREEMPTED: u32 = 1;
    /// [`super::Receive`]: the bytes were only looked at (`MSG_PEEK`).
    pub const PEEK: u32 = 1 << 2;
    /// [`super::Process`]: the whole process is gone, not only the thread. Of threads that end at the same moment each
    /// can find the others gone.
    pub const GROUP_DEAD: u32 = 1 << 3;
    /// [`super::Connection`]: first seen in the middle of its life.
    pub const FOUND: u32 = 1 << 4;
    /// [`super::Connection`]: the application accepted it now.
    pub const ACCEPTED: u32 = 1 << 5;
    /// [`super::SwitchOut`]: the thread was in a runtime task and under no scheduler of its runtime.
    pub const NO_SCHEDULER: u32 = 1 << 6;
    /// [`super::SwitchOut`]: the thread was looking for events, in a runtime of the first kind that the runtime knows.
    pub const FIRST_KIND: u32 = 1 << 7;
    /// [`super::SwitchOut`]: the same for the second kind.
    pub const SECOND_KIND: u32 = 1 << 8;
    /// [`super::Connection`], [`super::Receive`], [`super::Send`]: the peer opened the connection, as its socket tells.
    pub const INBOUND: u32 = 1 << 9;
    /// The same: this side opened it. With neither, the socket does not tell.
    pub const OUTBOUND: u32 = 1 << 10;
    /// [`crate::Left`]: it can have been earlier.
    pub const AT_THE_LATEST: u32 = 1 << 11;
    /// [`crate::Left`]: as exact as the ticks of the kernel's clock, which come 100 to 1000 times a second.
    pub const TO_A_TICK: u32 = 1 << 12;
    /// [`super::Process`]: the child is watched, from its first instruction on.
    pub const WATCHED: u32 = 1 << 13;
    /// [`super::SwitchOut`]: the thread waits in `poll` or `ppoll` for bytes on one descriptor or two. `args` begins
    /// with the first of these, and not with the address at which they stand.
    pub const POLLS_FEW: u32 = 1 << 14;
}

/// Values of `conn` fields that are not a connection.
pub mod conn {
    /// No connection.
    pub const NONE: u64 = 0;
    /// A listening socket: a new connection was ready to be accepted.
    pub const LISTENER: u64 = u64::MAX;
}

records! {
    /// Start of every record.
    Header: 16 {
        /// When it happened, ns.
        at_ns: u64,
        /// Thread that the record is about.
        tid: u32,
        /// A [`crate::Kind`].
        kind: u16,
        /// CPU that wrote it.
        cpu: u16,
    }

    /// A watched thread left its CPU.
    SwitchOut: 112 {
        /// `tid`: the thread that left.
        header: Header,
        /// Its process.
        tgid: u32,
        /// Its state: 0 runnable, 1 interruptible, further bits as in [`thread_state`].
        state: u32,
        /// Minor faults of the thread so far (wraps).
        min_flt: u32,
        /// Major faults of the thread so far (wraps).
        maj_flt: u32,
        /// System call that it is in, from its saved registers; -1 when in none (user code, fault, interrupt).
        syscall: i32,
        /// Zero.
        reserved: u32,
        /// Zero.
        reserved_second: u32,
        /// [`flags::PREEMPTED`], [`flags::NO_SCHEDULER`], [`flags::FIRST_KIND`], [`flags::SECOND_KIND`].
        flags: u32,
        /// First, second, third and fourth argument of the system call.
        args: [u64; 4],
        /// How long CPU quotas of its control groups have kept threads waiting so far, ns, over all CPUs.
        throttled_ns: u64,
        /// Runtime task that it was in, see [`crate::task`].
        task: u64,
        /// How long it had waited for CPUs so far by the kernel's account, ns; 0 where the kernel keeps none.
        queued_ns: u64,
        /// Zero.
        reserved_third: u64,
    }

    /// A watched thread got a CPU.
    SwitchIn: 64 {
        /// `tid`: the thread that runs now.
        header: Header,
        /// Its process.
        tgid: u32,
        /// Thread that ran here before it; 0 is the idle thread.
        prev_tid: u32,
        /// Process of that thread.
        prev_tgid: u32,
        /// None defined.
        flags: u32,
        /// How long that thread had run here without a break, ns; 0 when unknown.
        prev_ran_ns: u64,
        /// How long CPU quotas of its control groups have kept threads waiting so far, ns, over all CPUs.
        throttled_ns: u64,
        /// Name of that thread.
        prev_comm: [u8; COMM_BYTES],
    }

    /// A thread that is not watched left a CPU on which a preempted watched thread waits, to another such thread.
    Occupied: 48 {
        /// `tid`: the thread that left.
        header: Header,
        /// Its process.
        tgid: u32,
        /// Zero.
        reserved: u32,
        /// How long it had run there without a break, ns.
        ran_ns: u64,
        /// Its name.
        comm: [u8; COMM_BYTES],
    }

    /// A watched thread ran when its CPU's clock ticked.
    Seen: 32 {
        /// `tid`: the thread.
        header: Header,
        /// Its process.
        tgid: u32,
        /// Zero.
        reserved: u32,
        /// Runtime task that it was in, see [`crate::task`].
        task: u64,
    }

    /// A watched thread was made runnable.
    Waking: 72 {
        /// `tid`: the thread that was woken.
        header: Header,
        /// Its process.
        tgid: u32,
        /// Thread in whose context the wakeup ran. In an interrupt: whatever was interrupted.
        waker_tid: u32,
        /// Process of that thread.
        waker_tgid: u32,
        /// System call that that thread was in, -1 for none.
        waker_syscall: i32,
        /// Connection whose data became ready just before, on this CPU: see [`conn`].
        conn: u64,
        /// How long CPU quotas of the woken thread's control groups have kept threads waiting so far, ns, over all
        /// CPUs.
        throttled_ns: u64,
        /// Runtime task that the waker was in, see [`crate::task`]; unknown if it is of no watched process.
        waker_task: u64,
        /// Name of the waker.
        waker_comm: [u8; COMM_BYTES],
    }

    /// A watched thread finished a receive call on a TCP socket.
    Receive: 72 {
        /// `tid`: the thread that received.
        header: Header,
        /// Its process.
        tgid: u32,
        /// File descriptor, -1 when unknown.
        fd: i32,
        /// Socket cookie.
        conn: u64,
        /// When the first byte that was unread became ready, ns; 0 when that was not seen.
        arrived_ns: u64,
        /// Runtime task that received, see [`crate::task`].
        task: u64,
        /// Bytes received; 0 at the end of the stream; a negative errno.
        result: i32,
        /// [`flags::PEEK`], [`flags::INBOUND`], [`flags::OUTBOUND`].
        flags: u32,
        /// Minor faults of the thread so far (wraps).
        min_flt: u32,
        /// Major faults of the thread so far (wraps).
        maj_flt: u32,
        /// Resident memory of the process, pages.
        rss_pages: u32,
        /// Bytes of `head` that are filled, in a [`ReceiveHead`].
        head_bytes: u32,
    }

    /// A receive among the first bytes of a turn, with the first bytes of what was received.
    ReceiveHead: 200 {
        /// The receive.
        receive: Receive,
        /// Its first bytes.
        head: [u8; REQUEST_HEAD_BYTES],
    }

    /// A watched thread finished a send call on a TCP socket.
    Send: 64 {
        /// `tid`: the thread that sent.
        header: Header,
        /// Its process.
        tgid: u32,
        /// File descriptor, -1 when unknown.
        fd: i32,
        /// Socket cookie.
        conn: u64,
        /// Runtime task that sent, see [`crate::task`].
        task: u64,
        /// Bytes taken by the kernel; a negative errno.
        result: i32,
        /// [`flags::INBOUND`], [`flags::OUTBOUND`].
        flags: u32,
        /// Minor faults of the thread so far (wraps).
        min_flt: u32,
        /// Major faults of the thread so far (wraps).
        maj_flt: u32,
        /// Resident memory of the process, pages.
        rss_pages: u32,
        /// Bytes of `head` that are filled, in a [`SendHead`].
        head_bytes: u32,
    }

    /// The first send after a receive, with the first bytes of what was sent.
    SendHead: 80 {
        /// The send.
        send: Send,
        /// Its first bytes.
        head: [u8; RESPONSE_HEAD_BYTES],
    }

    /// A TCP connection changed its state, was accepted, or was seen for the first time.
    Connection: 80 {
        /// `tid`: the current thread where the change is its doing, else whatever was interrupted.
        header: Header,
        /// Socket cookie.
        conn: u64,
        /// Process of the current thread; of a connection that was found with the process that holds it, that one.
        tgid: u32,
        /// State before, of [`crate::tcp`].
        old_state: u8,
        /// State now.
        new_state: u8,
        /// `AF_INET` or `AF_INET6`.
        family: u16,
        /// Local port.
        local_port: u16,
        /// Remote port.
        remote_port: u16,
        /// [`flags::FOUND`], [`flags::ACCEPTED`], [`flags::INBOUND`], [`flags::OUTBOUND`].
        flags: u32,
        /// Local address; IPv4 in the first four bytes.
        local_addr: [u8; 16],
        /// Remote address.
        remote_addr: [u8; 16],
        /// Number of its network namespace, or [`crate::limits::ANY_NETWORK`]; 0 in older recordings.
        network: u32,
        /// Zero.
        reserved: u32,
    }

    /// A watched process or one of its threads began, became another program, or ended; or it is watched from now on.
    Process: 56 {
        /// `tid`: the thread that did it.
        header: Header,
        /// Its process.
        tgid: u32,
        /// A [`ProcessChange`].
        change: u32,
        /// Fork: the new thread.
        child_tid: u32,
        /// Fork: its process.
        child_tgid: u32,
        /// [`flags::GROUP_DEAD`], [`flags::WATCHED`].
        flags: u32,
        /// Zero.
        reserved: u32,
        /// Name of the new thread, the new program, or the thread that ended.
        comm: [u8; COMM_BYTES],
    }

    /// A thread begins to poll a runtime task, or to run a goroutine.
    PollStart: 48 {
        /// `tid`: the thread that polls.
        header: Header,
        /// Its process.
        tgid: u32,
        /// Thread that queued the task; 0 when that was not seen.
        queued_by: u32,
        /// Where the poll returns to, on the thread's stack: what its end has too. That of a poll inside it is lower.
        /// Of a goroutine, whose end no record tells, it is where in its code that goes on; 0 where nobody can read it.
        frame: u64,
        /// What stands where the task's id is expected in its memory, see [`crate::task`]. To be proved, but for a
        /// goroutine.
        task: u64,
        /// When the task was queued to be polled, ns; 0 when that was not seen.
        queued_ns: u64,
    }

    /// A poll is over.
    PollEnd: 32 {
        /// `tid`: the thread that polled.
        header: Header,
        /// Its process.
        tgid: u32,
        /// Zero.
        reserved: u32,
        /// That of its start.
        frame: u64,
    }

    /// A hypervisor had the CPU on which a watched thread was running.
    Stolen: 48 {
        /// `tid`: the thread.
        header: Header,
        /// Its process.
        tgid: u32,
        /// Zero.
        reserved: u32,
        /// Not before this, ns. The thread was on the CPU from here on.
        from_ns: u64,
        /// Not after this, ns.
        to_ns: u64,
        /// For how long in between, ns.
        stolen_ns: u64,
    }
}

records! {
    /// What one CPU could not record, by [`LostReason`] (index: its number minus one). Only ever grows.
    Losses: 48 {
        /// How many.
        count: [u64; 3],
        /// When the last of them happened, ns.
        last_ns: [u64; 3],
    }
}

/// What happened to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ProcessChange {
    /// A new thread or child process.
    Fork = 1,
    /// A new program in the same process.
    Exec = 2,
    /// A thread ended.
    Exit = 3,
    /// It begins to listen on a port that is waited for, and is watched from now on.
    Listens = 4,
}

impl ProcessChange {
    /// The change with this number.
    #[must_use]
    pub const fn from_u32(value: u32) -> Option<Self> {
        Some(match value {
            1 => Self::Fork,
            2 => Self::Exec,
            3 => Self::Exit,
            4 => Self::Listens,
            _ => return None,
        })
    }
}

/// Why the kernel half lost a record, or did not watch a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum LostReason {
    /// The CPU's ring buffer was full.
    RingFull = 1,
    /// A socket could not be given its state.
    SocketState = 2,
    /// There are too many to watch a child, or a process that was waited for. No record of others is missing.
    TooManyTargets = 3,
}

impl LostReason {
    /// Every reason, in the order of [`Losses`].
    pub const ALL: [Self; 3] = [Self::RingFull, Self::SocketState, Self::TooManyTargets];

    /// The reason with this number.
    #[must_use]
    pub const fn from_u32(value: u32) -> Option<Self> {
        Some(match value {
            1 => Self::RingFull,
            2 => Self::SocketState,
            3 => Self::TooManyTargets,
            _ => return None,
        })
    }
}
