//! One thread, as its runtime has it: whatever `threads` asks of that.

use observer_common::SwitchOut;

use super::Runtime;
use super::go::Version;
use super::tokio::{JobCounts, KnownTask, ThreadOfTokio};
use crate::model::id::Task;
use crate::syscall::Wait;

/// What is known of a thread in the runtime of its process.
#[derive(Debug, Default)]
pub(crate) enum ThreadInRuntime {
    /// That is not known. Where a record has a task, the thread was in that.
    #[default]
    Unknown,
    /// It runs tasks of tokio, or jobs of its blocking pool.
    Tokio(ThreadOfTokio),
    /// It runs goroutines, where it was `seen` to. The task of a record is the one that it runs, and there is no more
    /// to it.
    Go { version: Option<Version>, seen: bool },
}

impl ThreadInRuntime {
    /// In this one, and not seen yet.
    pub(crate) fn of(runtime: Runtime) -> Self {
        match runtime {
            Runtime::Unknown => Self::Unknown,
            Runtime::Tokio => Self::Tokio(ThreadOfTokio::default()),
            Runtime::Go { version } => Self::Go { version, seen: false },
        }
    }

    /// The runtime.
    pub(crate) const fn runtime(&self) -> Runtime {
        match *self {
            Self::Unknown => Runtime::Unknown,
            Self::Tokio(_) => Runtime::Tokio,
            Self::Go { version, .. } => Runtime::Go { version },
        }
    }

    /// What it is to tokio, if that is its runtime.
    pub(crate) const fn tokio(&self) -> Option<&ThreadOfTokio> {
        match self {
            Self::Tokio(thread) => Some(thread),
            Self::Unknown | Self::Go { .. } => None,
        }
    }

    const fn tokio_mut(&mut self) -> Option<&mut ThreadOfTokio> {
        match self {
            Self::Tokio(thread) => Some(thread),
            Self::Unknown | Self::Go { .. } => None,
        }
    }

    /// Whether it was seen in a goroutine.
    pub(crate) const fn ran_goroutine(&self) -> bool {
        matches!(self, Self::Go { seen: true, .. })
    }

    /// The task that it is in with this stamp; none where it is between tasks.
    pub(crate) fn task(&self, stamp: Task) -> Task {
        self.tokio().map_or(stamp, |thread| thread.task(stamp))
    }

    /// It left its CPU, to wait for `wait` unless it was preempted. It was seen in `before` last, and of the task of
    /// its stamp this is `known`.
    pub(crate) fn left(
        &mut self,
        event: &SwitchOut,
        wait: Wait,
        before: Task,
        known: impl FnOnce() -> KnownTask,
    ) {
        match self {
            Self::Tokio(thread) => thread.left(event, wait, before, known),
            Self::Go { seen, .. } => *seen |= before.id().is_some(),
            Self::Unknown => {}
        }
    }

    /// Its runtime ran this task on it.
    pub(crate) fn ran(&mut self, task: Task) {
        if let Some(thread) = self.tokio_mut() {
            thread.ran(task);
        }
    }

    /// It is in the poll of this task, or of none: polls are recorded.
    pub(crate) fn polls(&mut self, task: Task) {
        if let Some(thread) = self.tokio_mut() {
            thread.polls(task);
        }
    }

    /// Whether it runs jobs of a blocking pool.
    pub(crate) fn is_of_pool(&self) -> bool {
        self.tokio().is_some_and(ThreadOfTokio::is_of_pool)
    }

    /// Its jobs since this was asked last.
    pub(crate) fn take_jobs(&mut self) -> JobCounts {
        let thread = self.tokio_mut();
        thread.map_or_else(JobCounts::default, ThreadOfTokio::take_jobs)
    }

    /// Events were lost.
    pub(crate) fn lost(&mut self) {
        if let Some(thread) = self.tokio_mut() {
            thread.lost();
        }
    }
}
