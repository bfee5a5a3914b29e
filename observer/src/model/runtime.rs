//! The `runtime` line: whether a watched process tells the ids of its runtime's tasks, and which runtimes were seen in
//! it.
//!
//! It knows nothing of how that was found out.

use super::id::{Pid, Tid};

/// What is known of the runtime of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeLine {
    /// Since when, ns since the Unix epoch.
    pub unix_ns: u64,
    /// Of which process.
    pub pid: Pid,
    /// Name of the runtime.
    pub name: String,
    /// Its version, where known.
    pub version: Option<String>,
    /// Whether the ids of its tasks are known from now on.
    pub task_ids: bool,
    /// How that is known, for people.
    pub evidence: String,
    /// The runtimes that were seen at work in the process.
    pub runtimes: Vec<RuntimeAtWork>,
    /// Threads that were seen to run jobs of a blocking pool; absent where these cannot be told.
    pub pool_threads: Option<u64>,
    /// What the memory of a process tells that runs Go; absent before that is known.
    pub go: Option<GoProcess>,
}

/// What the memory of a process tells that runs Go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GoProcess {
    /// How many of its threads may run goroutines at a time (`GOMAXPROCS`), where known.
    pub max_procs: Option<u64>,
    /// Whether its cycles of garbage collection are followed, once that is known.
    pub cycles: Option<bool>,
    /// How these are known, or why not, for people.
    pub evidence: Option<String>,
    /// Whether its goroutines are counted, once that is known.
    pub goroutines: Option<bool>,
    /// How these are known, or why not, for people.
    pub goroutines_evidence: Option<String>,
}

/// One of the runtimes of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeAtWork {
    /// Its kind, where that is certain.
    pub flavour: Option<Flavour>,
    /// How many threads ran its tasks.
    pub count: u64,
    /// These threads, as far as they are listed.
    pub threads: Vec<RuntimeThread>,
    /// How that is known, for people.
    pub evidence: String,
}

/// A thread that runs a runtime's tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeThread {
    /// Thread.
    pub tid: Tid,
    /// Its name, where known.
    pub comm: Option<String>,
}

/// Kinds of tokio's runtimes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Workers that steal from each other: each is a task itself, in which it looks for events.
    MultiThread,
    /// One thread that looks for events outside of any task.
    CurrentThread,
}

impl Flavour {
    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MultiThread => "multi_thread",
            Self::CurrentThread => "current_thread",
        }
    }
}
