//! What is observed of a thread that tells for whom it works.

use super::super::state::Owner;
use super::super::tasks::TaskFacts;
use super::{Belief, Waiting};
use crate::model::id::{RequestId, Task};
use crate::model::operation::Operation;

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
    /// It goes to wait.
    Waits(Waiting),
    /// It loses its CPU, and reads requests itself, or not.
    IsPreempted { serves: bool },
    /// It leaves its CPU for the last time.
    Ends,
    /// It waited, and was woken.
    IsWoken(Wakeup),
    /// It woke another thread by what it did.
    HandsOff(HandOff),
    /// Its goroutine made another one ready, which serves this request, if one.
    Readies(Option<RequestId>),
    /// A thread of which this is believed began it.
    IsStarted(Belief),
    /// It runs on another CPU than before: it left that one unseen, and may have been idle since.
    Moved,
    /// Events were lost.
    Lost,
}

/// How a thread woke another.
#[derive(Clone, Copy, Debug)]
pub(in crate::threads) struct HandOff {
    /// It is of a blocking pool.
    pub(in crate::threads) of_pool: bool,
    /// The other waited for a lock that all threads need.
    pub(in crate::threads) for_lock: bool,
    /// It is recorded which goroutine made which ready: which thread woke which says nothing beside that.
    pub(in crate::threads) is_told_apart: bool,
}

/// How a thread was woken.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Wakeup {
    /// It had nothing to do.
    pub(in super::super) was_idle: bool,
    /// For whom the thread ran that woke it.
    pub(in super::super) by: Owner,
    /// That one did so by what it did, and was not only interrupted.
    pub(in super::super) is_handed_off: bool,
    /// It waited for bytes, and those are of the connection on which it answered last: the next request.
    pub(in super::super) is_next: bool,
    /// For whom this one runs is told otherwise: by its task, or when its job is over.
    pub(in super::super) is_told_otherwise: bool,
}

/// When something is observed.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Moment {
    pub(in super::super) at_ns: u64,
    /// Since when the thread runs, or did something else that is recorded, ns; nothing if it does not run.
    pub(in super::super) running_since_ns: Option<u64>,
    /// That was when it made a goroutine ready.
    pub(in super::super) since_it_made_ready: bool,
}
