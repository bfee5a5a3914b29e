//! How many goroutines each process had, from one look to the next.

use std::collections::BTreeMap;

use crate::model::full::{Full, Table};
use crate::model::id::Pid;
use crate::model::report::GoroutineTotals;

/// Processes that are told apart.
const MAX_PROCESSES: usize = 256;

/// What was seen of each.
#[derive(Clone, Debug, Default)]
pub(super) struct GoroutineLooks(BTreeMap<Pid, GoroutineTotals>);

impl GoroutineLooks {
    pub(super) fn add(&mut self, pid: Pid, count: u64, runnable: u64, full: &Full) {
        if self.0.len() >= MAX_PROCESSES && !self.0.contains_key(&pid) {
            full.count(Table::Processes, 1);
            return;
        }
        let seen = self.0.entry(pid).or_default();
        *seen = GoroutineTotals {
            pid,
            count,
            count_max: seen.count_max.max(count),
            runnable,
            runnable_max: seen.runnable_max.max(runnable),
        };
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn totals(&self) -> Vec<GoroutineTotals> {
        self.0.values().copied().collect()
    }
}
