//! The `runtime` line: whether a watched process tells the ids of its runtime's tasks, and which runtimes were seen in
//! it.
//!
//! It knows nothing of how that was found out.

use serde::Serialize;

use super::id::{Pid, Tid};

/// What is known of the runtime of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuntimeLine {
    /// Since when, ns since the Unix epoch.
    pub unix_ns: u64,
    /// Of which process.
    pub pid: Pid,
    /// Name of the runtime.
    pub name: String,
    /// Its version, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether the ids of its tasks are known from now on.
    pub task_ids: bool,
    /// How that is known, for people.
    pub evidence: String,
    /// The runtimes that were seen at work in the process.
    pub runtimes: Vec<RuntimeAtWork>,
    /// Threads that were seen to run jobs of a blocking pool; absent where these cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool_threads: Option<u64>,
}

/// One of the runtimes of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuntimeAtWork {
    /// Its kind, where that is certain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flavour: Option<Flavour>,
    /// How many threads ran its tasks.
    pub count: u64,
    /// These threads, as far as they are listed.
    pub threads: Vec<RuntimeThread>,
    /// How that is known, for people.
    pub evidence: String,
}

/// A thread that runs a runtime's tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuntimeThread {
    /// Thread.
    pub tid: Tid,
    /// Its name, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comm: Option<String>,
}

/// Kinds of tokio's runtimes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Flavour {
    /// Workers that steal from each other: each is a task itself, in which it looks for events.
    MultiThread,
    /// One thread that looks for events outside of any task.
    CurrentThread,
}
