//! What verdicts are made of.

use super::{Before, Belief, Moment, Owner, Verdict};
use crate::model::id::Task;

impl Verdict {
    /// What a thread did before it made another goroutine ready was for that, and is not its next owner's.
    pub(super) fn without_claims(self) -> Self {
        let before = self.before.map(|before| Before {
            claims: None,
            ..before
        });
        Self { before, ..self }
    }
}

impl Belief {
    /// For how long nothing was seen of it, ns.
    pub(super) fn unseen_ns(&self, moment: Moment) -> u64 {
        let since_ns = moment.running_since_ns.unwrap_or_default();
        moment.at_ns.saturating_sub(since_ns.max(self.confirmed_ns))
    }

    /// Where it was last seen in its task: only what came after is still to be judged.
    pub(super) fn splits_ns(&self, moment: Moment) -> Option<u64> {
        let since_ns = moment.running_since_ns?;
        (self.confirmed_ns > since_ns).then_some(self.confirmed_ns)
    }

    /// It was as it is believed until now.
    pub(super) fn as_believed(&self) -> Before {
        Before {
            owner: self.owner,
            task: self.task,
            splits_ns: None,
            claims: None,
            mixes_calls: false,
        }
    }

    /// It was `owner`'s in `task` until now, and before that since it was idle.
    pub(super) fn claims(&self, owner: Owner, task: Task) -> Before {
        Before {
            owner,
            task,
            splits_ns: None,
            claims: Some(task),
            mixes_calls: false,
        }
    }

    /// It works for `owner` in `task` from now on.
    pub(super) fn serves(self, before: Option<Before>, task: Task, owner: Owner, served: Owner) -> Verdict {
        Verdict {
            before,
            after: Self {
                owner,
                answered: false,
                task,
                ..self
            },
            task_works_for: match served {
                Owner::WokenFor(request) if task.id().is_some() => Some(request),
                _ => None,
            },
        }
    }

    pub(super) fn splits(self, before: Before, after: Self) -> Verdict {
        Verdict {
            before: Some(before),
            after,
            task_works_for: None,
        }
    }

    pub(super) fn becomes(self, after: Self) -> Verdict {
        Verdict {
            before: None,
            after,
            task_works_for: None,
        }
    }
}
