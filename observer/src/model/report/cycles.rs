//! What is said of garbage collection, of processes that run Go.

use crate::model::id::Pid;

/// The cycles of garbage collection of one process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CycleTotals {
    /// Process.
    pub pid: Pid,
    /// Cycles that came to their end.
    pub cycles: u64,
    /// Of these, cycles of which not all is known. What follows leaves them out.
    pub missed: u64,
    /// Time in which they marked, while the program ran, ns.
    pub mark_ns: u64,
    /// Time in which they had the world stopped, ns.
    pub stopped_ns: u64,
    /// The longest of these times at once, ns.
    pub longest_stop_ns: u64,
    /// How long goroutines were found to help marking while they ran, all of them together, ns: at least that.
    pub assist_ns: u64,
    /// The heap at the last look, bytes.
    pub heap_bytes: u64,
    /// What it may be when the next cycle is over, bytes; absent where that is not bounded.
    pub goal_bytes: Option<u64>,
}
