//! Where polls are recorded: a request that was suspended goes on from when its task was queued, and from who did it.

use super::moves::Move;
use super::service::Walk;
use crate::model::id::Task;
use crate::threads::{Owner, QueuedPoll, Slice, State};

impl Walk<'_, '_> {
    /// Whether it is recorded that a thread that ran for `owner` in `task` had not begun with what it did next.
    pub(super) fn is_between_polls(&self, owner: Owner, task: Task) -> bool {
        owner == Owner::Nobody && task == Task::NONE && self.evidence.threads.tells_polls()
    }

    /// How the poll that begins now came about, where it is recorded.
    pub(super) fn queued(&self) -> Option<QueuedPoll> {
        let queued = self.evidence.threads.queued(self.at.tid, self.now_ns)?;
        (queued.at_ns > self.turn.read_ns).then_some(queued)
    }

    /// Goes to who queued the request's task now, if that worked for the request, or for no other and so that it led to
    /// this.
    pub(super) fn by_who_queued(&self, queued: QueuedPoll) -> Option<Move> {
        let thread = self.evidence.threads.get(queued.by)?;
        let Slice { state, task, .. } = thread.before(queued.at_ns)?;
        let State::Running { owner, .. } = state else {
            return None;
        };
        let is_ours = owner == Owner::Nobody || owner.request() == Some(self.turn.id);
        (task.id().is_some() && is_ours).then(|| Move::to(self.handed_off_by(queued.by)))
    }
}
