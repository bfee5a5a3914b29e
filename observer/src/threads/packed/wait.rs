//! What a thread waited in, without its time.

use crate::syscall::Wait;

/// A [`Wait`] without its time.
#[derive(Clone, Copy, Debug)]
pub(in super::super) enum PackedWait {
    EventLoop,
    Accept,
    Park,
    TimedPark,
    Condition,
    TimedCondition,
    Mutex,
    GlobalLock,
    Send,
    PageFault,
    Stopped,
    Call,
    Unknown,
}

/// An event loop that waits for ever; a timeout is a positive `int`.
const FOR_EVER: u32 = u32::MAX;

impl PackedWait {
    /// The wait and its detail.
    pub(super) fn pack(wait: Wait, arg0: u32) -> (Self, u32) {
        match wait {
            Wait::EventLoop { timeout_ms } => (Self::EventLoop, timeout_ms.unwrap_or(FOR_EVER)),
            Wait::Accept => (Self::Accept, arg0),
            Wait::Park { timeout: false } => (Self::Park, arg0),
            Wait::Park { timeout: true } => (Self::TimedPark, arg0),
            Wait::Condition { timeout: false } => (Self::Condition, arg0),
            Wait::Condition { timeout: true } => (Self::TimedCondition, arg0),
            Wait::Mutex => (Self::Mutex, arg0),
            Wait::GlobalLock => (Self::GlobalLock, arg0),
            Wait::Send => (Self::Send, arg0),
            Wait::PageFault => (Self::PageFault, arg0),
            Wait::Stopped => (Self::Stopped, arg0),
            Wait::Call => (Self::Call, arg0),
            Wait::Unknown => (Self::Unknown, arg0),
        }
    }

    /// The wait and the call's first argument. That of an event loop's wait says nothing and is not kept.
    pub(super) fn unpack(self, detail: u32) -> (Wait, u32) {
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
            Self::GlobalLock => Wait::GlobalLock,
            Self::Send => Wait::Send,
            Self::PageFault => Wait::PageFault,
            Self::Stopped => Wait::Stopped,
            Self::Call => Wait::Call,
            Self::Unknown => Wait::Unknown,
        };
        (wait, detail)
    }

    /// The same, of a thread that has something to do.
    pub(in super::super) const fn at_work(self) -> Self {
        match self {
            Self::Park => Self::Condition,
            Self::TimedPark => Self::TimedCondition,
            wait => wait,
        }
    }

    /// Whether sums say enough of it: who had a global lock, and that a thread was stopped, each tells.
    pub(in super::super) const fn is_summed_up(self) -> bool {
        !self.is_idle() && !matches!(self, Self::GlobalLock | Self::Stopped)
    }

    /// As [`Wait::is_idle`].
    pub(in super::super) const fn is_idle(self) -> bool {
        matches!(
            self,
            Self::EventLoop | Self::Accept | Self::Park | Self::TimedPark
        )
    }
}
