//! What a worker did over an interval of time, and what kept it longest.

use super::state::{Owner, Slice, State};
use crate::model::id::Task;
use crate::runtime::tokio::JobCounts;

/// What a worker did since it was asked last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// It ran, ns.
    pub ran_ns: u64,
    /// It could have run, ns.
    pub runnable_ns: u64,
    /// It was blocked in a call, ns.
    pub blocked_ns: u64,
    /// It had nothing to do, ns.
    pub parked_ns: u64,
    /// How often it was seen to turn to a task; a poll in which nothing was recorded is not seen.
    pub turns: u64,
    /// What kept it longest.
    pub longest: Option<Longest>,
    /// Its jobs, if it is a thread of the blocking pool.
    pub jobs: Option<JobCounts>,
}

/// What kept a worker from other tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Longest {
    /// How long: it ran, or it was blocked, ns.
    pub dur_ns: u64,
    /// The task that did it.
    pub task: Task,
    /// For whom.
    pub owner: Owner,
    /// The system call that it was blocked in.
    pub syscall: Option<i32>,
}

/// What is metered of a thread.
#[derive(Debug, Default)]
pub(super) struct Metering {
    usage: Usage,
    /// From here on it was not yet asked what it did, ns.
    from_ns: u64,
    /// What it runs now, and for how long it did, ns.
    run: (Task, u64),
    /// It had nothing to do, and did nothing since that was recorded.
    pub(super) free: bool,
    /// Whether it was free when that was counted.
    pub(super) counted_free: Option<bool>,
}

impl Metering {
    /// The thread did this.
    pub(super) fn add(&mut self, slice: &Slice) {
        let task = slice.task;
        let ns = slice.to_ns.saturating_sub(slice.from_ns.max(self.from_ns));
        match slice.state {
            State::Running { owner, .. } => {
                self.usage.ran_ns = self.usage.ran_ns.saturating_add(ns);
                if task.id().is_none() {
                    return;
                }
                if self.run.0 != task {
                    self.run = (task, 0);
                    self.usage.turns += 1;
                }
                self.run.1 = self.run.1.saturating_add(ns);
                self.consider(self.run.1, task, owner, None);
            }
            State::Runnable { .. } => self.usage.runnable_ns = self.usage.runnable_ns.saturating_add(ns),
            State::Blocked(block) if block.wait.is_idle() => {
                self.usage.parked_ns = self.usage.parked_ns.saturating_add(ns);
                self.end_run();
            }
            State::Blocked(block) => {
                self.usage.blocked_ns = self.usage.blocked_ns.saturating_add(ns);
                self.run.1 = 0;
                self.consider(ns, task, block.owner, Some(block.syscall));
            }
            State::Unknown { .. } => self.end_run(),
        }
    }

    /// What it runs from now on is another run, though it may be of the same task.
    pub(super) fn end_run(&mut self) {
        self.run = (Task::UNKNOWN, 0);
    }

    fn consider(&mut self, dur_ns: u64, task: Task, owner: Owner, syscall: Option<i32>) {
        if self.usage.longest.is_none_or(|longest| longest.dur_ns < dur_ns) {
            self.usage.longest = Some(Longest {
                dur_ns,
                task,
                owner,
                syscall,
            });
        }
    }

    /// What was done until `now_ns`; begins anew.
    pub(super) fn take(&mut self, now_ns: u64) -> Usage {
        self.from_ns = self.from_ns.max(now_ns);
        std::mem::take(&mut self.usage)
    }
}
