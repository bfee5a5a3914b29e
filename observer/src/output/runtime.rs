//! The `runtime` line: whether a watched process tells the ids of its runtime's tasks.
//!
//! It knows nothing of how that was found out.

use serde::Serialize;

/// What is known of the runtime of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuntimeLine {
    /// Since when, ns since the Unix epoch.
    pub unix_ns: u64,
    /// Of which process.
    pub pid: u32,
    /// Name of the runtime.
    pub name: String,
    /// Its version, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether the ids of its tasks are known from now on.
    pub task_ids: bool,
    /// How that is known, for people.
    pub evidence: String,
}
