//! What is said of goroutines, of processes that run Go.

use crate::model::id::Pid;

/// How many goroutines a process had, at each look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GoroutineTotals {
    /// Process.
    pub pid: Pid,
    /// All at the last look, but those that serve the runtime itself.
    pub count: u64,
    /// The most at a look.
    pub count_max: u64,
    /// Those that could run and had no thread, at the last look.
    pub runnable: u64,
    /// The most of these at a look.
    pub runnable_max: u64,
}
