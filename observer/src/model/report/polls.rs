//! What is said of polls of runtime tasks, where they are recorded.

use crate::model::id::{Pid, TaskId, Tid};

/// Polls of runtime tasks. But for the first two, of those whose task was seen to be queued.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PollTotals {
    /// Polls that were seen from start to end.
    pub polls: u64,
    /// Of these, polls of tasks that nothing was seen to queue: jobs of a blocking pool.
    pub unqueued: u64,
    /// Polls that held their worker for longer than a millisecond.
    pub long: u64,
    /// Half of the polls took at most this, ns.
    pub p50_ns: Option<u64>,
    /// 99 %.
    pub p99_ns: Option<u64>,
    /// The longest poll, ns.
    pub max_ns: Option<u64>,
    /// Half of the polls began at most this long after their task was queued, ns.
    pub queue_p50_ns: Option<u64>,
    /// 99 %.
    pub queue_p99_ns: Option<u64>,
    /// The longest time in the queue, ns.
    pub queue_max_ns: Option<u64>,
    /// The longest of the long polls, the longest first.
    pub longest: Vec<LongPoll>,
}

/// A long poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LongPoll {
    /// Process.
    pub pid: Pid,
    /// Thread.
    pub tid: Tid,
    /// The runtime's id of the task, where proved.
    pub task: Option<TaskId>,
    /// When it began, ns since the Unix epoch.
    pub start_unix_ns: u64,
    /// How long it took, ns.
    pub dur_ns: u64,
    /// Request for which its thread did most meanwhile.
    pub request: Option<String>,
}
