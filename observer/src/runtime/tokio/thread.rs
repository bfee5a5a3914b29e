//! One thread, as tokio has it: in which task it is, and what it is to the runtime.

use observer_common::{SwitchOut, flags};

use super::identity::{Identity, KnownTask};
use super::roles::{JobCounts, RuntimeRole};
use crate::model::id::Task;
use crate::syscall::Wait;

/// What is known of a thread.
#[derive(Debug, Default)]
pub(crate) struct ThreadOfTokio {
    identity: Identity,
    pub(super) role: RuntimeRole,
}

impl ThreadOfTokio {
    /// The task that it is in with this stamp; none where it is between tasks.
    pub(crate) fn task(&self, stamp: Task) -> Task {
        self.identity.task(stamp)
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
        self.role.left(event, wait);
        if event.flags & flags::PREEMPTED == 0 {
            self.identity.learn(Task::new(event.task), wait, before, known);
        }
    }

    /// Its runtime ran this task on it.
    pub(crate) fn ran(&mut self, task: Task) {
        self.role.ran(task);
    }

    /// It is in the poll of this task, or of none: polls are recorded.
    pub(crate) fn polls(&mut self, task: Task) {
        self.identity.polled = task;
    }

    /// Whether it runs jobs of a blocking pool.
    pub(crate) fn is_of_pool(&self) -> bool {
        self.role.is_of_pool()
    }

    /// Its jobs since this was asked last.
    pub(crate) fn take_jobs(&mut self) -> JobCounts {
        self.role.take_jobs()
    }

    /// Events were lost.
    pub(crate) fn lost(&mut self) {
        self.identity.lost();
        self.role.lost();
    }
}
