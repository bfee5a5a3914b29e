//! Bits of [`crate::SwitchOut`]'s `state`, which is that of `task->__state`.

/// `TASK_UNINTERRUPTIBLE`.
pub const UNINTERRUPTIBLE: u32 = 1 << 1;
/// `__TASK_STOPPED`: by a signal.
pub const STOPPED: u32 = 1 << 2;
/// `__TASK_TRACED`: by a debugger.
pub const TRACED: u32 = 1 << 3;
/// `TASK_DEAD`: the thread leaves its CPU for the last time.
pub const DEAD: u32 = 1 << 7;
