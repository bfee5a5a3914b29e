//! Cycles of garbage collection, by process.

use std::collections::BTreeMap;

use crate::model::full::{Full, Table};
use crate::model::id::Pid;
use crate::model::report::CycleTotals;
use crate::runtime::go::{CycleCounts, Heap};

/// Processes that are told apart.
const MAX_PROCESSES: usize = 256;

/// The sums of each.
#[derive(Clone, Debug, Default)]
pub(super) struct CycleSums(BTreeMap<Pid, CycleTotals>);

impl CycleSums {
    pub(super) fn add(&mut self, pid: Pid, counts: &CycleCounts, heap: Heap, full: &Full) {
        if self.0.len() >= MAX_PROCESSES && !self.0.contains_key(&pid) {
            full.count(Table::Processes, 1);
            return;
        }
        let CycleCounts {
            cycles,
            missed,
            mark_ns,
            stopped_ns,
            longest_stop_ns,
            assist_ns,
        } = *counts;
        let sums = self.0.entry(pid).or_default();
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
        self.0.clear();
    }

    pub(super) fn totals(&self) -> Vec<CycleTotals> {
        self.0.values().copied().collect()
    }
}
