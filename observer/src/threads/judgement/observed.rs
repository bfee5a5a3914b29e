//! What is observed of a thread that tells for whom it works.

use super::super::state::Operation;
use super::super::tasks::TaskFacts;
use crate::model::id::{RequestId, Task};

/// Something that tells for whom a thread works.
#[derive(Clone, Copy, Debug)]
pub(in super::super) enum Observation<'a> {
    /// It is in another task than before, or in none. Since when is not known.
    InTask(Task, TaskFacts),
    /// It is in the task in which it was before, or still in none.
    StillInTask,
    /// It turns to a task, or to none, just now: polls are recorded.
    TurnsToTask(Task, TaskFacts),
    /// It finished a socket operation in this task.
    Operates(&'a Operation, Task),
    /// It goes to wait for work, in this task.
    GoesIdle(Task),
    /// It leaves its CPU otherwise.
    Leaves,
    /// It leaves its CPU otherwise, in a call that it can make for anybody if the last request was answered.
    Calls,
    /// It leaves its CPU for the last time.
    Ends,
    /// It had nothing to do, and a thread that works for this request woke it by what it did.
    WokenFor(RequestId),
    /// It woke another thread by what it did.
    HandsOff,
    /// The same, before it began with the job for which it was woken.
    HandsOffBeforeJob,
    /// Its goroutine made another one ready, which serves this request, if one.
    Readies(Option<RequestId>),
    /// A thread that works for this request, if for one, began it; it is in no task, or that is not known.
    BegunFor(Option<RequestId>, Task),
    /// It runs on another CPU than before: it left that one unseen, and may have been idle since.
    Moved,
    /// Events were lost.
    Lost,
}

/// When something is observed.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Moment {
    pub(in super::super) at_ns: u64,
    /// Since when the thread runs, or did something else that is recorded, ns; nothing if it does not run.
    pub(in super::super) running_since_ns: Option<u64>,
}
