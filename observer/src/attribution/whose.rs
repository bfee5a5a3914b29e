//! Whether what a thread did was the request's, as far as is known.

use super::moves::HandedOff;
use super::service::Walk;
use crate::connections::Turn;
use crate::model::id::{Task, TaskId};
use crate::threads::{Owner, Slice};

impl Walk<'_, '_> {
    /// Whether what a thread did for `owner` in a slice it did for the request.
    pub(super) fn is_ours(&self, owner: Owner, slice: &Slice) -> bool {
        let task = slice.task;
        if self.is_handed_back() {
            return owner == Owner::Request(self.turn.id);
        }
        if self.is_of_runtime(task) {
            return false;
        }
        let is_other_task = |job: TaskId| task.id().is_some_and(|id| id != job);
        match self.at.handed_off {
            Some(HandedOff { task: Some(job), .. }) if is_other_task(job) => {
                owner == Owner::Request(self.turn.id)
            }
            Some(HandedOff { task: Some(job), .. }) if task.id() == Some(job) => !self.is_of_another(owner),
            Some(HandedOff { task: Some(_), .. }) if self.is_between_polls(owner, task) => false,
            handed_off => {
                let is_of_hand_off = handed_off.is_some_and(|handed_off| !handed_off.other_before);
                owner.request() == Some(self.turn.id)
                    || owner.is_open() && is_of_hand_off
                    || self.is_of_fed_job(slice, owner)
            }
        }
    }

    /// Whether the runtime has this task for itself, such as to collect garbage, whoever began it.
    pub(super) fn is_of_runtime(&self, task: Task) -> bool {
        let marks = |task| self.evidence.go.marks(self.turn.pid, task);
        task.id().is_some_and(marks)
    }

    /// Whether what a thread did is known to be another request's.
    pub(super) fn is_of_another(&self, owner: Owner) -> bool {
        matches!(owner, Owner::Request(request) if request != self.turn.id)
    }

    /// Whether a worker ran a task that the request had begun, and not the request's own.
    pub(super) fn is_spawned_by_it(&self, task: Task) -> bool {
        let other = |own: Task| own.id().is_some() && own != task;
        let Turn {
            read_task, sent_task, ..
        } = *self.turn;
        // Of one that has sent nothing yet it is not known whether another will.
        let sends = if self.turn.sent_tid.is_some() {
            sent_task
        } else {
            read_task
        };
        self.at.handed_off.is_none() && task.id().is_some() && other(read_task) && other(sends)
    }

    /// Whether what a thread did is known to be the request's, by more than that it woke the request up.
    pub(super) fn is_of_known_job(&self, owner: Owner, slice: &Slice) -> bool {
        owner.request() == Some(self.turn.id)
            || self.at.handed_off.is_some() && slice.task.id().is_some()
            || self.is_of_fed_job(slice, owner)
    }
}
