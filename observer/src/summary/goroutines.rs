//! How many goroutines each process had, from one look to the next.

use super::by_process::ByProcess;
use crate::model::full::Full;
use crate::model::id::Pid;
use crate::model::report::GoroutineTotals;

/// What was seen of each.
#[derive(Clone, Debug, Default)]
pub(super) struct GoroutineLooks {
    pub(super) of_processes: ByProcess<GoroutineTotals>,
}

impl GoroutineLooks {
    pub(super) fn add(&mut self, pid: Pid, count: u64, runnable: u64, full: &Full) {
        if let Some(seen) = self.of_processes.of(pid, full) {
            *seen = GoroutineTotals {
                pid,
                count,
                count_max: seen.count_max.max(count),
                runnable,
                runnable_max: seen.runnable_max.max(runnable),
            };
        }
    }

    pub(super) fn clear(&mut self) {
        self.of_processes.clear();
    }

    pub(super) fn totals(&self) -> Vec<GoroutineTotals> {
        self.of_processes.all().copied().collect()
    }
}
