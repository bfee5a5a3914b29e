//! In which runtime task a thread is, by the stamps of its records.

use super::tasks::Tasks;
use crate::model::id::Task;
use crate::syscall::Wait;

/// What makes a stamp say something else than it seems to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Identity {
    /// Task whose poll it is in, where polls are recorded.
    pub(super) polled: Task,
    /// The task that a worker of tokio's multi-threaded runtime itself is: it is in it between those that it runs.
    worker: Task,
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

    /// Tells a worker, which waits for work in a task that is the worker itself, from a task that waits for a futex: the
    /// thread of process `pid` waits with this stamp, and was seen in `before` last.
    pub(super) fn learn(&mut self, pid: u32, stamp: Task, wait: Wait, before: Task, tasks: &Tasks) {
        let is_worker = match wait {
            Wait::EventLoop { .. } => true,
            Wait::Park { .. } if stamp == Task::NONE => true,
            Wait::Park { .. } if self.worker.id().is_none() => {
                // Workers are begun before what they run.
                let oldest = tasks.is_older_than_servers(pid, stamp);
                tasks.serves(pid, stamp).is_none() && (oldest || before.differs_from(stamp))
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

/// What a thread in `task` waits in.
pub(super) fn wait_in(task: Task, wait: Wait) -> Wait {
    match wait {
        // A worker parks between tasks.
        Wait::Park { timeout } if task.id().is_some() => Wait::Condition { timeout },
        // One in a task keeps its worker waiting.
        Wait::Accept if task.id().is_some() => Wait::Call,
        _ => wait,
    }
}
