//! What is said of single processes: their memory, their workers and their blocking pools.

use super::roles::ProcessRoles;
use crate::model::id::{Pid, TaskId, Tid};

/// Memory of one process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessMemory {
    /// Process.
    pub pid: Pid,
    /// Resident memory at the last look, bytes.
    pub rss_bytes: u64,
    /// Most resident memory at any look, bytes.
    pub rss_max_bytes: u64,
    /// Page faults served without I/O, of all its threads.
    pub minor_faults: u64,
    /// Page faults that waited for I/O.
    pub major_faults: u64,
}

/// What the workers of a process did: the threads that received from its clients.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProcessWorkers {
    /// Process.
    pub pid: Pid,
    /// How many workers were seen.
    pub count: u64,
    /// Time in which requests waited to be read while none of them was free, ns.
    pub none_free_ns: u64,
    /// Those that were busiest, the busiest first.
    pub threads: Vec<WorkerTotals>,
    /// The one that ran or waited for a CPU least; it need not be listed.
    pub idlest: Option<WorkerTotals>,
    /// Its blocking pool; absent where no thread of one was seen at work.
    pub pool: Option<PoolTotals>,
    /// What its threads are to it; absent where a runtime's tasks run on them.
    pub by_role: Option<ProcessRoles>,
}

/// What the threads of a process's blocking pools did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PoolTotals {
    /// How many were seen at work.
    pub threads: u64,
    /// Share of its time in which the least busy of them was in a job.
    pub busy: f64,
    /// Jobs that they were seen to begin.
    pub jobs: u64,
    /// Of these, jobs that began right where another one had ended.
    pub queued: u64,
}

/// What one worker did, in shares of the time that is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkerTotals {
    /// Thread.
    pub tid: Tid,
    /// Its name.
    pub comm: Option<String>,
    /// It ran.
    pub busy: f64,
    /// It could have run.
    pub run_queue: f64,
    /// It was blocked in a call.
    pub blocked: f64,
    /// It had nothing to do.
    pub parked: f64,
    /// How often it was seen to turn to a runtime task.
    pub turns: u64,
    /// What kept it longest; absent where the runtime's tasks are not known.
    pub longest: Option<LongestTask>,
}

/// What kept a worker longest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LongestTask {
    /// How long, ns.
    pub dur_ns: u64,
    /// The runtime task that did it.
    pub task: Option<TaskId>,
    /// The request that this served.
    pub request: Option<String>,
    /// The system call that it was blocked in; absent where it ran.
    pub syscall: Option<&'static str>,
}
