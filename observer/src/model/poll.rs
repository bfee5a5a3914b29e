//! A poll of a runtime task, where polls are recorded.

use super::id::{Pid, Task, Tid};

/// A poll that takes longer holds its worker for long, ns: the runtime's other tasks wait meanwhile.
pub const LONG_POLL_NS: u64 = 1_000_000;

/// A poll that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Poll {
    /// Its task, as far as it is proved.
    pub task: Task,
    /// Process.
    pub pid: Pid,
    /// Thread.
    pub tid: Tid,
    /// When it began, ns.
    pub start_ns: u64,
    /// How long it took, ns.
    pub dur_ns: u64,
    /// How long its task had been queued before, ns, where that was seen. A job of the blocking pool is never queued.
    pub queued_for_ns: Option<u64>,
}
