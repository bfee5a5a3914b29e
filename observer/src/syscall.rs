//! What a thread that left its CPU was waiting in, judged from its system call and arguments.

use observer_common::thread_state;
use syscalls::Sysno;

/// Wait operations of futex(2), from `include/uapi/linux/futex.h`.
mod futex {
    pub(super) const COMMAND_MASK: u64 = 0x7f;
    pub(super) const WAIT: u64 = 0;
    pub(super) const LOCK_PI: u64 = 6;
    pub(super) const WAIT_BITSET: u64 = 9;
    /// The value of a mutex that has waiters, in glibc, musl, Rust's std and Go's runtime alike.
    pub(super) const CONTENDED: u64 = 2;
}

/// Kinds of waits that attribution treats differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The event loop's own wait (epoll, poll, io_uring): the thread had nothing to do.
    EventLoop {
        /// It was to end by itself after so many milliseconds, where that is known and not never.
        timeout_ms: Option<u32>,
    },
    /// A new connection: the thread had nothing else to do.
    Accept,
    /// A futex that is no contended mutex: a parked worker, a condition variable, a join.
    Park {
        /// It was to end by itself after a time.
        timeout: bool,
    },
    /// The same, of a thread in a runtime task, or with a request in hand: whoever waits there keeps that waiting.
    Condition {
        /// It was to end by itself after a time.
        timeout: bool,
    },
    /// A contended mutex.
    Mutex,
    /// A lock that all threads of a program need, and that one has at a time: that of an interpreter.
    GlobalLock,
    /// A send call.
    Send,
    /// Memory being brought in, outside any system call.
    PageFault,
    /// Nothing: a signal or a debugger stopped it, in whatever call it was.
    Stopped,
    /// Any other system call.
    Call,
    /// Not in a system call and not a fault.
    Unknown,
}

impl Wait {
    /// Judges a wait from the saved registers and the thread's state.
    #[must_use]
    pub fn of(syscall: i32, args: &[u64; 4], state: u32) -> Self {
        if state & (thread_state::STOPPED | thread_state::TRACED) != 0 {
            return Self::Stopped;
        }
        match number(syscall) {
            Some(Sysno::epoll_wait | Sysno::epoll_pwait) => Self::event_loop(args[3]),
            Some(Sysno::poll) => Self::event_loop(args[2]),
            // Their timeouts are in the memory of the process, which is not looked at here.
            Some(
                Sysno::epoll_pwait2 | Sysno::ppoll | Sysno::select | Sysno::pselect6 | Sysno::io_uring_enter,
            ) => Self::EventLoop { timeout_ms: None },
            Some(Sysno::accept | Sysno::accept4) => Self::Accept,
            Some(Sysno::futex) => match args[1] & futex::COMMAND_MASK {
                futex::LOCK_PI => Self::Mutex,
                futex::WAIT | futex::WAIT_BITSET if args[2] & 0xffff_ffff == futex::CONTENDED => Self::Mutex,
                _ => Self::Park {
                    timeout: args[3] != 0,
                },
            },
            Some(Sysno::futex_waitv) => Self::Park {
                timeout: args[3] != 0,
            },
            Some(Sysno::sendto | Sysno::sendmsg | Sysno::sendfile | Sysno::sendmmsg) => Self::Send,
            Some(_) => Self::Call,
            None if state & thread_state::UNINTERRUPTIBLE != 0 => Self::PageFault,
            None => Self::Unknown,
        }
    }

    /// Whether the thread had nothing to do: what it waited for is the reason, never the call.
    #[must_use]
    pub const fn is_idle(self) -> bool {
        matches!(self, Self::EventLoop { .. } | Self::Accept | Self::Park { .. })
    }

    /// An `int` of milliseconds; negative waits for ever.
    fn event_loop(milliseconds: u64) -> Self {
        Self::EventLoop {
            timeout_ms: u32::try_from(milliseconds as i32).ok(),
        }
    }

    /// When a timer was due for which an event loop waits from `from_ns` on, ns.
    #[must_use]
    pub fn due_ns(self, from_ns: u64) -> Option<u64> {
        match self {
            Self::EventLoop { timeout_ms } => {
                Some(from_ns.saturating_add(u64::from(timeout_ms?) * 1_000_000))
            }
            _ => None,
        }
    }

    /// Whether a wait of this length, which nobody ended, was ended by its own timeout.
    #[must_use]
    pub fn expired(self, waited_ns: u64) -> bool {
        /// The timer starts with the call, the wait when its thread leaves the CPU.
        const EARLIER_NS: u64 = 1_000_000;
        match self {
            Self::EventLoop {
                timeout_ms: Some(timeout_ms),
            } => waited_ns.saturating_add(EARLIER_NS) >= u64::from(timeout_ms) * 1_000_000,
            Self::Park { timeout } => timeout,
            _ => false,
        }
    }
}

/// Whether it is known of an event loop's wait when it was to end by itself, or that it was not to.
#[must_use]
pub fn tells_timeout(syscall: i32) -> bool {
    matches!(
        number(syscall),
        Some(Sysno::epoll_wait | Sysno::epoll_pwait | Sysno::poll)
    )
}

/// The name of a system call of this architecture.
#[must_use]
pub fn name(syscall: i32) -> Option<&'static str> {
    number(syscall).map(|number| number.name())
}

/// The descriptor that a thread in this call waits on, where the call is on one and its wait is its own (the
/// event loop's descriptor says nothing). `arg0` is the call's first argument, or what is recorded in its place.
#[must_use]
pub fn blocking_fd(syscall: i32, arg0: u32) -> Option<i32> {
    let on_first = matches!(
        number(syscall)?,
        Sysno::read
            | Sysno::write
            | Sysno::readv
            | Sysno::writev
            | Sysno::pread64
            | Sysno::pwrite64
            | Sysno::preadv
            | Sysno::pwritev
            | Sysno::fsync
            | Sysno::fdatasync
            | Sysno::sync_file_range
            | Sysno::fallocate
            | Sysno::ftruncate
            | Sysno::flock
            | Sysno::fcntl
            | Sysno::recvfrom
            | Sysno::recvmsg
            | Sysno::sendto
            | Sysno::sendmsg
            | Sysno::connect
            | Sysno::accept
            | Sysno::accept4
            | Sysno::ioctl
            | Sysno::getdents64
            | Sysno::copy_file_range
            | Sysno::poll
            | Sysno::ppoll
    );
    on_first.then_some(arg0 as i32)
}

/// Whether the call takes bytes in from a descriptor, or waits until it has some.
#[must_use]
pub fn receives(syscall: i32) -> bool {
    matches!(
        number(syscall),
        Some(Sysno::read | Sysno::readv | Sysno::recvfrom | Sysno::recvmsg | Sysno::poll | Sysno::ppoll)
    )
}

/// Whether the call waits for a time, and for nothing else.
#[must_use]
pub fn sleeps(syscall: i32) -> bool {
    matches!(number(syscall), Some(Sysno::clock_nanosleep | Sysno::nanosleep))
}

/// Whether this is the call that waits for any of a list of descriptors.
#[must_use]
pub fn is_poll(syscall: i32) -> bool {
    matches!(number(syscall), Some(Sysno::poll | Sysno::ppoll))
}

/// Whether a thread inside this call wakes others by what it does there, as opposed to a thread that was only
/// interrupted: futex wake, a write to an eventfd, pipe or local socket, a close, an exit.
#[must_use]
pub fn hands_off(syscall: i32) -> bool {
    matches!(
        number(syscall),
        Some(
            Sysno::futex
                | Sysno::write
                | Sysno::writev
                | Sysno::sendto
                | Sysno::sendmsg
                | Sysno::close
                | Sysno::exit
                | Sysno::exit_group
                | Sysno::epoll_ctl
                | Sysno::io_uring_enter
                | Sysno::tgkill
        )
    )
}

/// Whether the call ends its thread, which wakes those that join it.
#[must_use]
pub fn exits(syscall: i32) -> bool {
    matches!(number(syscall), Some(Sysno::exit | Sysno::exit_group))
}

/// Whether this is the call in which an event loop waits for its events with `epoll`.
#[must_use]
pub fn waits_for_events(syscall: i32) -> bool {
    matches!(
        number(syscall),
        Some(Sysno::epoll_wait | Sysno::epoll_pwait | Sysno::epoll_pwait2)
    )
}

/// Whether a futex wakes only by another thread's futex call, a timeout or a signal: never by the network.
#[must_use]
pub fn is_futex(syscall: i32) -> bool {
    matches!(number(syscall), Some(Sysno::futex | Sysno::futex_waitv))
}

/// The aligned pair of words that has this futex word: condition variables of C wait at one and the other in turn.
#[must_use]
pub const fn futex_pair(word: u32) -> u32 {
    word & !7
}

/// Whether a call waits at a barrier, if one is there: on a futex without a time limit, which is no contended mutex.
#[must_use]
pub fn may_wait_at_barrier(syscall: i32, args: &[u64; 4]) -> bool {
    number(syscall) == Some(Sysno::futex)
        && args[1] & futex::COMMAND_MASK == futex::WAIT
        && args[2] & 0xffff_ffff != futex::CONTENDED
        && args[3] == 0
}

/// The word of memory at which a thread in this call waits until it is woken, or a time is over: the lower half of its
/// address.
#[must_use]
pub fn futex_word(syscall: i32, args: &[u64; 4]) -> Option<u32> {
    let waits = matches!(args[1] & futex::COMMAND_MASK, futex::WAIT | futex::WAIT_BITSET);
    (number(syscall) == Some(Sysno::futex) && waits).then_some(args[0] as u32)
}

fn number(syscall: i32) -> Option<Sysno> {
    usize::try_from(syscall).ok().and_then(Sysno::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FUTEX: i32 = Sysno::futex as i32;

    #[test]
    fn a_contended_mutex_is_told_from_a_parked_worker() {
        assert_eq!(Wait::of(FUTEX, &[0x7000, 128, 2, 0], 1), Wait::Mutex);
        assert_eq!(
            Wait::of(FUTEX, &[0x7000, 137, 1, 0], 1),
            Wait::Park { timeout: false }
        );
        assert!(Wait::of(FUTEX, &[0x7000, 137, 1, 0x7fff], 1).expired(1));
    }

    #[test]
    fn an_event_loop_ends_by_itself_when_its_time_is_over_and_not_before() {
        let for_ever = Wait::of(232, &[4, 0, 1024, u64::from(u32::MAX)], 1);
        assert_eq!(for_ever, Wait::EventLoop { timeout_ms: None });
        assert!(!for_ever.expired(u64::MAX));
        let five = Wait::of(232, &[4, 0, 1024, 5], 1);
        assert!(!five.expired(3_000_000) && five.expired(4_990_000) && five.expired(9_000_000));
    }

    #[test]
    fn who_is_stopped_waits_in_no_call() {
        assert_eq!(Wait::of(232, &[4, 0, 1024, 5], 1 << 2), Wait::Stopped);
        assert_eq!(Wait::of(FUTEX, &[0x7000, 128, 2, 0], 1 << 3), Wait::Stopped);
    }

    #[test]
    fn an_uninterruptible_wait_outside_a_call_is_a_fault() {
        assert_eq!(Wait::of(-1, &[0; 4], 2), Wait::PageFault);
        assert_eq!(Wait::of(-1, &[0; 4], 1), Wait::Unknown);
        assert_eq!(name(230), Some("clock_nanosleep"));
    }
}
