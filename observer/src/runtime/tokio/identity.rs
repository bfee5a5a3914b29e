//! In which task a thread is, by the stamps of its records: a worker of the multi-threaded runtime is a task itself,
//! and then in that one between those that it runs.

use crate::model::id::Task;
use crate::syscall::Wait;

/// What makes a stamp say something else than it seems to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Identity {
    /// Task whose poll it is in, where polls are recorded.
    pub(super) polled: Task,
    /// The task that it is itself, as a worker of the multi-threaded runtime.
    worker: Task,
}

/// What is known of a task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KnownTask {
    /// It serves a client.
    pub(crate) serves: bool,
    /// It was begun before all that were seen to do so.
    pub(crate) is_older_than_servers: bool,
}

impl Identity {
    /// The task of a thread with this stamp; none where it is between tasks. The runtime takes the id away before it
    /// tells those who wait for the task, which the poll still does.
    pub(super) fn task(&self, stamp: Task) -> Task {
        let task = if stamp == Task::NONE && self.polled.id().is_some() {
            self.polled
        } else {
            stamp
        };
        if task.id().is_some() && task == self.worker {
            Task::NONE
        } else {
            task
        }
    }

    /// Tells a worker, which waits for work in a task that is the worker itself, from a task that waits for a futex:
    /// the thread waits with this stamp, of which this is `known`, and was seen in `before` last.
    pub(super) fn learn(&mut self, stamp: Task, wait: Wait, before: Task, known: impl FnOnce() -> KnownTask) {
        let is_worker = match wait {
            Wait::EventLoop { .. } => true,
            Wait::Park { .. } if stamp == Task::NONE => true,
            Wait::Park { .. } if self.worker.id().is_none() => {
                // Workers are begun before what they run.
                let known = known();
                !known.serves && (known.is_older_than_servers || before.differs_from(stamp))
            }
            _ => false,
        };
        if is_worker && stamp.is_known() {
            self.worker = stamp;
        }
    }

    /// Events were lost: the poll may be over.
    pub(super) fn lost(&mut self) {
        self.polled = Task::UNKNOWN;
    }
}
