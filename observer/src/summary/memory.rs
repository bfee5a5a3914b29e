//! Resident memory and page faults of the watched processes, from one look to the next.
//!
//! It is told totals since the start of each process, and keeps what was added in this window and since
//! the first look. It does not know where the figures come from.

use crate::model::full::{Full, Table};
use crate::model::id::Pid;
use crate::model::report::ProcessMemory;

/// Most processes that are told apart; beyond, the one that was not seen for longest makes room.
const MAX_PROCESSES: usize = 256;

#[derive(Clone, Debug)]
struct ProcessLooks {
    pid: Pid,
    rss_bytes: u64,
    window_rss_max: u64,
    run_rss_max: u64,
    last: Faults,
    in_window: Faults,
    in_run: Faults,
    seen_in: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Faults {
    minor: u64,
    major: u64,
}

impl Faults {
    fn add(&mut self, more: Self) {
        self.minor = self.minor.saturating_add(more.minor);
        self.major = self.major.saturating_add(more.major);
    }

    /// What came since `before`. Totals that went down belong to a new process with the same pid.
    const fn since(self, before: Self) -> Self {
        if self.minor < before.minor || self.major < before.major {
            return self;
        }
        Self {
            minor: self.minor - before.minor,
            major: self.major - before.major,
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct MemoryLooks {
    processes: Vec<ProcessLooks>,
    window: u64,
    /// Those that made room.
    pub(super) full: Full,
}

impl MemoryLooks {
    pub(super) fn record(&mut self, pid: Pid, rss_bytes: u64, minor: u64, major: u64) {
        let total = Faults { minor, major };
        let window = self.window;
        if let Some(process) = self.processes.iter_mut().find(|process| process.pid == pid) {
            let new = total.since(process.last);
            process.in_window.add(new);
            process.in_run.add(new);
            process.last = total;
            process.rss_bytes = rss_bytes;
            process.window_rss_max = process.window_rss_max.max(rss_bytes);
            process.run_rss_max = process.run_rss_max.max(rss_bytes);
            process.seen_in = window;
            return;
        }
        if self.processes.len() == MAX_PROCESSES
            && let Some((stalest, _)) = self
                .processes
                .iter()
                .enumerate()
                .min_by_key(|(_, process)| process.seen_in)
        {
            self.processes.swap_remove(stalest);
            self.full.count(Table::Memory, 1);
        }
        // The first look is where counting starts from: what came before was not observed.
        self.processes.push(ProcessLooks {
            pid,
            rss_bytes,
            window_rss_max: rss_bytes,
            run_rss_max: rss_bytes,
            last: total,
            in_window: Faults::default(),
            in_run: Faults::default(),
            seen_in: window,
        });
    }

    /// Makes room of the process that had this number before.
    pub(super) fn forget(&mut self, pid: Pid) {
        if let Some(place) = self.processes.iter().position(|process| process.pid == pid) {
            self.processes.swap_remove(place);
            self.full.count(Table::Memory, 1);
        }
    }

    /// The processes that were looked at in this window.
    pub(super) fn window(&self) -> Vec<ProcessMemory> {
        self.list(
            |process| process.seen_in == self.window,
            |process| (process.window_rss_max, process.in_window),
        )
    }

    /// Every process that is remembered.
    pub(super) fn run(&self) -> Vec<ProcessMemory> {
        self.list(|_| true, |process| (process.run_rss_max, process.in_run))
    }

    pub(super) fn close_window(&mut self) {
        self.window += 1;
        for process in &mut self.processes {
            process.in_window = Faults::default();
            process.window_rss_max = process.rss_bytes;
        }
    }

    fn list(
        &self,
        wanted: impl Fn(&ProcessLooks) -> bool,
        figures: impl Fn(&ProcessLooks) -> (u64, Faults),
    ) -> Vec<ProcessMemory> {
        let mut list: Vec<_> = self
            .processes
            .iter()
            .filter(|process| wanted(process))
            .map(|process| {
                let (rss_max_bytes, faults) = figures(process);
                ProcessMemory {
                    pid: process.pid,
                    rss_bytes: process.rss_bytes,
                    rss_max_bytes,
                    minor_faults: faults.minor,
                    major_faults: faults.major,
                }
            })
            .collect();
        list.sort_by_key(|memory| memory.pid);
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_count_from_the_first_look() {
        let mut memory = MemoryLooks::default();
        memory.record(Pid(7), 1_000, 500, 20);
        memory.record(Pid(7), 3_000, 530, 21);
        memory.close_window();
        memory.record(Pid(7), 2_000, 540, 21);
        let (window, run) = (memory.window()[0], memory.run()[0]);
        assert_eq!(
            (window.minor_faults, window.major_faults, window.rss_max_bytes),
            (10, 0, 3_000)
        );
        assert_eq!(
            (run.minor_faults, run.major_faults, run.rss_bytes),
            (40, 1, 2_000)
        );
    }

    #[test]
    fn a_pid_that_was_given_again_does_not_go_below_zero() {
        let mut memory = MemoryLooks::default();
        memory.record(Pid(7), 1_000, 500, 20);
        memory.record(Pid(7), 1_000, 3, 0);
        assert_eq!(
            (memory.run()[0].minor_faults, memory.run()[0].major_faults),
            (3, 0)
        );
    }

    #[test]
    fn a_process_that_is_gone_leaves_the_windows_and_stays_in_the_run() {
        let mut memory = MemoryLooks::default();
        memory.record(Pid(7), 1_000, 0, 0);
        memory.close_window();
        assert!(memory.window().is_empty());
        assert_eq!(memory.run().len(), 1);
    }

    #[test]
    fn many_processes_do_not_make_it_grow() {
        let mut memory = MemoryLooks::default();
        for pid in 1..1_000 {
            memory.record(Pid(pid), 1, 0, 0);
            memory.close_window();
        }
        assert_eq!(memory.run().len(), MAX_PROCESSES);
        let forgotten = 999 - MAX_PROCESSES as u64;
        assert_eq!(
            memory.full.counts().collect::<Vec<_>>(),
            [(Table::Memory, forgotten)]
        );
        assert_eq!(memory.run().last().map(|process| process.pid), Some(Pid(999)));
    }
}
