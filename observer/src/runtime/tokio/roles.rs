//! What a thread is to its runtime, judged from how it waits and what it runs: a worker waits for events between the
//! tasks that it runs, and a thread of the blocking pool runs tasks that no scheduler runs. What it is called says
//! nothing: programs choose the names of their threads.

use observer_common::{SwitchOut, flags};

use crate::model::id::Task;
use crate::model::runtime::Flavour;
use crate::syscall::{self, Wait};

/// What one thread is.
#[derive(Debug, Default)]
pub(super) struct RuntimeRole {
    /// Where it waited for events last.
    waits: Option<EventSource>,
    /// It has run another task since it first waited there.
    ran: bool,
    /// Where it waited for events, ran something else, and waited again.
    worker: Option<EventSource>,
    jobs: Jobs,
}

/// Where a thread waits for events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EventSource {
    /// The descriptor, which is the runtime's own.
    pub(super) fd: u32,
    /// The task in which it does: none, or the one that the worker itself is.
    pub(super) task: Task,
    /// The kind of runtime that it is in, where its variables say so.
    pub(super) flavour: Option<Flavour>,
}

/// The jobs of a thread of the blocking pool.
#[derive(Debug, Default)]
struct Jobs {
    last: Task,
    before_last: Task,
    /// It had nothing to do since the last one.
    waited: bool,
    /// A task came back after another one. A job is run once, to its end.
    came_back: bool,
    /// Since this was asked last.
    counted: JobCounts,
}

/// How many jobs a thread was seen to begin. Those that never leave their CPU are not seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobCounts {
    /// All of them.
    pub begun: u64,
    /// Those that began right where another one had ended: they had waited for the thread.
    pub queued: u64,
}

impl RuntimeRole {
    /// The thread left its CPU, to wait for `wait` unless it was preempted.
    pub(super) fn left(&mut self, event: &SwitchOut, wait: Wait) {
        let task = Task::new(event.task);
        if !task.is_known() {
            return;
        }
        if event.flags & flags::NO_SCHEDULER != 0 {
            // Unless it is this job that brought a runtime of its own, it is a worker no more.
            self.worker = self.worker.filter(|source| source.task == task);
            self.jobs.ran(task);
        } else if task.id().is_some() {
            self.ran(task);
        } else if event.flags & flags::PREEMPTED == 0 && matches!(wait, Wait::Park { .. }) {
            self.jobs.waited = true;
        }
        // Also where it is preempted: a saturated worker asks for events without ever waiting for them.
        if syscall::waits_for_events(event.syscall) {
            self.waits_at(EventSource {
                fd: event.args[0] as u32,
                task,
                flavour: match event.flags & (flags::FIRST_KIND | flags::SECOND_KIND) {
                    flags::FIRST_KIND => Some(Flavour::CurrentThread),
                    flags::SECOND_KIND => Some(Flavour::MultiThread),
                    _ => None,
                },
            });
        }
    }

    /// A scheduler ran this task on the thread.
    pub(super) fn ran(&mut self, task: Task) {
        if task.id().is_none() {
            return;
        }
        self.ran |= self.waits.is_some_and(|source| source.task != task);
        // A job may bring a scheduler of its own. Otherwise the thread has become a worker.
        if self.jobs.last != task {
            self.jobs = Jobs::default();
        }
    }

    fn waits_at(&mut self, source: EventSource) {
        if self.waits != Some(source) {
            self.waits = Some(source);
            self.ran = false;
        } else if self.ran {
            self.worker = self.waits;
        }
    }

    /// Events were lost: it may have had nothing to do meanwhile.
    pub(super) fn lost(&mut self) {
        self.jobs.waited = true;
    }

    /// Where it waits for events between the tasks that it runs, as a worker.
    pub(super) fn worker(&self) -> Option<EventSource> {
        self.worker
    }

    /// Whether it runs jobs.
    pub(super) fn is_of_pool(&self) -> bool {
        self.jobs.last.id().is_some() && !self.jobs.came_back
    }

    /// Its jobs since this was asked last.
    pub(super) fn take_jobs(&mut self) -> JobCounts {
        std::mem::take(&mut self.jobs.counted)
    }
}

impl Jobs {
    fn ran(&mut self, task: Task) {
        if task == self.last {
            return;
        }
        self.came_back |= task == self.before_last;
        self.counted.begun += 1;
        self.counted.queued += u64::from(self.last.id().is_some() && !self.waited);
        self.waited = false;
        self.before_last = self.last;
        self.last = task;
    }
}
