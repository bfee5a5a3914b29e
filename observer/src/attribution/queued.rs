//! Where polls are recorded: a request that was put aside goes on from when its task was queued, and from who did it.

use super::service::Walk;
use super::waiting;
use crate::model::id::Task;
use crate::threads::{Owner, Slice, State};

impl Walk<'_, '_> {
    /// Whether it is recorded that a thread that ran for `owner` in `task` had not begun with what it did next.
    pub(super) fn is_between_polls(&self, owner: Owner, task: Task) -> bool {
        owner == Owner::Nobody && task == Task::NONE && self.evidence.threads.tells_polls()
    }

    /// Where it is recorded when the task that is polled at the cursor was queued: goes back to then. Tells whether the
    /// walk goes on with who did it.
    pub(super) fn came_from_who_queued(&mut self) -> bool {
        let threads = self.evidence.threads;
        let Some(queued) = threads.queued(self.tid, self.path.cursor_ns()) else {
            return false;
        };
        if queued.at_ns <= self.turn.read_ns {
            return false;
        }
        waiting::walk_queue(self.evidence, self.turn, self.tid, queued.at_ns, self.path);
        let slice = threads
            .get(queued.by)
            .and_then(|thread| thread.before(queued.at_ns));
        let Some(Slice { state, task, .. }) = slice else {
            return false;
        };
        let State::Running { owner, .. } = state else {
            return false;
        };
        // A task of no other request: what it did led to this.
        let is_ours = owner == Owner::Nobody || owner.request() == Some(self.turn.id);
        if task.id().is_none() || !is_ours {
            return false;
        }
        self.handed_off = Some(self.hand_off());
        self.tid = queued.by;
        true
    }
}
