//! Who gave a thread something to do, and where it waited for that.

use crate::model::id::Tid;
use crate::syscall;
use crate::threads::state::Block;

/// Where a thread waited for something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WaitPlace {
    pub(super) is_futex: bool,
    /// The pair of futex words, or the descriptor.
    pub(super) place: u32,
    /// The call that waits there.
    pub(super) syscall: i32,
}

impl WaitPlace {
    pub(super) fn of(block: &Block) -> Self {
        let is_futex = syscall::is_futex(block.syscall);
        Self {
            is_futex,
            place: if is_futex {
                syscall::futex_pair(block.arg0)
            } else {
                block.arg0
            },
            syscall: block.syscall,
        }
    }
}

/// Who gave a thread something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Giver {
    pub(super) by: Tid,
    /// Absent where it answered what this one had read.
    pub(super) waited_in: Option<WaitPlace>,
    /// How often in this window.
    pub(super) window: u32,
    /// How often before.
    pub(super) before: u32,
}

impl Giver {
    /// How often in the run.
    pub(super) fn times(&self) -> u32 {
        self.before.saturating_add(self.window)
    }
}
