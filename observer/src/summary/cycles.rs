//! Cycles of garbage collection, by process.

use super::by_process::ByProcess;
use crate::model::full::Full;
use crate::model::id::Pid;
use crate::model::report::CycleTotals;
use crate::runtime::go::{CycleCounts, Heap};

/// The sums of each.
#[derive(Clone, Debug, Default)]
pub(super) struct CycleSums {
    pub(super) of_processes: ByProcess<CycleTotals>,
}

impl CycleSums {
    pub(super) fn add(&mut self, pid: Pid, counts: &CycleCounts, heap: Heap, full: &Full) {
        let Some(sums) = self.of_processes.of(pid, full) else {
            return;
        };
        let CycleCounts {
            cycles,
            missed,
            mark_ns,
            stopped_ns,
            longest_stop_ns,
            assist_ns,
        } = *counts;
        *sums = CycleTotals {
            pid,
            cycles: sums.cycles + cycles,
            missed: sums.missed + missed,
            mark_ns: sums.mark_ns.saturating_add(mark_ns),
            stopped_ns: sums.stopped_ns.saturating_add(stopped_ns),
            longest_stop_ns: sums.longest_stop_ns.max(longest_stop_ns),
            assist_ns: sums.assist_ns.saturating_add(assist_ns),
            heap_bytes: heap.bytes,
            goal_bytes: heap.goal_bytes,
        };
    }

    pub(super) fn clear(&mut self) {
        self.of_processes.clear();
    }

    pub(super) fn totals(&self) -> Vec<CycleTotals> {
        self.of_processes.all().copied().collect()
    }
}
