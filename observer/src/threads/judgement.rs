//! For whom a thread works: what is believed, what is observed now, and the verdict that follows. And what it waits in,
//! as far as its call does not tell.
//!
//! Pure functions of these, in which every rule has a name. [`Thread::apply`](super::Thread) carries verdicts out.

mod by_others;
mod observed;
mod verdicts;
mod waits;

use super::state::Owner;
use super::tasks::TaskFacts;
use crate::model::id::{ConnId, RequestId, Task};
use crate::model::operation::{Direction, Operation};

pub(super) use self::observed::{HandOff, Moment, Observation, Wakeup};
pub(super) use self::waits::{EventWait, OwnLoop, Waiting};

/// So soon after an answer a thread is done with what it does for it.
const END_OF_ANSWER_NS: u64 = 50_000;

/// For whom a thread is believed to work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Belief {
    pub(super) owner: Owner,
    /// The owner was answered: what follows may already be another's.
    pub(super) answered: bool,
    /// Runtime task in which the thread was seen last.
    pub(super) task: Task,
    /// When it was last seen to be still in that task, ns.
    pub(super) confirmed_ns: u64,
}

/// What an observation says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Whose the time is in which the thread ran until now, where the observation ends that interval.
    pub(super) before: Option<Before>,
    /// What is believed from now on.
    pub(super) after: Belief,
    /// The task is inferred to work for this request.
    pub(super) task_works_for: Option<RequestId>,
}

/// Whose the time is until an observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Before {
    pub(super) owner: Owner,
    pub(super) task: Task,
    /// Where the interval splits, ns: up to there it is as it was believed.
    pub(super) splits_ns: Option<u64>,
    /// The owner has, too, what the thread did since it was idle that is nobody's and in no other task than this.
    pub(super) claims: Option<Task>,
    /// The calls just before were believed to be the owner's, and may have been another request's.
    pub(super) mixes_calls: bool,
}

impl Belief {
    /// The request for which it works, if what it does next is that one's.
    pub(super) fn works_for(&self) -> Option<RequestId> {
        self.owner.request().filter(|_| !self.answered)
    }

    /// Whether what it did last was to answer a request of this connection.
    pub(super) fn has_answered_on(&self, conn: ConnId) -> bool {
        self.answered && self.owner.request().is_some_and(|request| request.conn == conn)
    }

    /// Judges what is observed.
    pub(super) fn judge(self, moment: Moment, observed: Observation<'_>) -> Verdict {
        let verdict = self.judge_since_idle(moment, observed);
        if moment.since_it_made_ready {
            verdict.without_claims()
        } else {
            verdict
        }
    }

    /// The same, where the interval that ends now did not begin so. A claim ends at earlier ones that did.
    fn judge_since_idle(self, moment: Moment, observed: Observation<'_>) -> Verdict {
        match observed {
            Observation::InTask(task, facts) => self.in_task(moment, task, facts),
            Observation::StillInTask => self.still_in_task(moment),
            Observation::TurnsToTask(task, facts) => self.turns_to_task(task, facts),
            Observation::Operates(operation, task) => self.operates(moment, operation, task),
            Observation::Waits(waiting) => self.waits(moment, &waiting),
            Observation::IsPreempted { serves } if self.may_be_for_anybody(serves, self.task) => {
                self.goes_on_with_anything(moment, self)
            }
            Observation::IsPreempted { .. } => self.splits(self.as_believed(), self),
            Observation::Ends => self.splits(self.as_believed(), Self::default()),
            Observation::HandsOff(hand_off) => self.hands_off(hand_off),
            Observation::Readies(request) => self.readies(request),
            Observation::IsWoken(wakeup) => self.is_woken(wakeup),
            Observation::IsStarted(by) => self.is_started(by),
            Observation::Moved => self.becomes(Self {
                owner: Owner::Nobody,
                answered: false,
                ..self
            }),
            Observation::Lost => self.becomes(Self {
                owner: Owner::Nobody,
                task: Task::UNKNOWN,
                ..self
            }),
        }
    }

    fn in_task(self, moment: Moment, task: Task, facts: TaskFacts) -> Verdict {
        let served = self.served_in(task, facts);
        let owner = match (served, task.id()) {
            (Owner::Request(_), None) if self.task.id().is_some() => Owner::Nobody,
            (Owner::Nobody | Owner::WokenFor(_), Some(_)) if self.ids_begin_to_be_read() => self.owner,
            // It came back to a goroutine whose request was answered: for the next one, which it has not read yet. Of a
            // task of tokio that is mostly the rest of a large answer.
            (owner, _)
                if facts.runtime.tasks_are_seen_before_they_read()
                    && facts.has_answered()
                    && owner != self.owner =>
            {
                Owner::Nobody
            }
            (owner, _) => owner,
        };
        let turned = self.task.differs_from(task);
        let before = match (moment.running_since_ns, task.id()) {
            (None, _) => None,
            (_, None) => Some(self.until_it_left(moment)),
            (_, Some(_)) => Some(self.until_seen_in(moment, task, owner, turned)),
        };
        self.serves(before, task, owner, served)
    }

    /// What it did before is not touched by that.
    fn turns_to_task(self, task: Task, facts: TaskFacts) -> Verdict {
        let is_of_any_thread = facts.runtime.tasks_move_between_threads();
        let served = if is_of_any_thread {
            // For whom its thread worked says nothing.
            facts.works_for()
        } else {
            self.served_in(task, facts)
        };
        let owner = match (served, task.id()) {
            _ if facts.has_answered() => Owner::Nobody,
            (Owner::Request(_), None) => Owner::Nobody,
            (Owner::WokenFor(_), None) if self.task.id().is_some() => Owner::Nobody,
            (owner, _) => owner,
        };
        let before = if self.was_woken_to_find(owner) && !is_of_any_thread {
            self.claims(owner, task)
        } else {
            self.as_believed()
        };
        self.serves(Some(before), task, owner, served)
    }

    fn still_in_task(self, moment: Moment) -> Verdict {
        if self.owner == Owner::Nobody && self.task == Task::NONE {
            // Whoever does something next did not do this.
            let before = Before {
                owner: Owner::Others,
                ..self.as_believed()
            };
            return self.splits(before, self);
        }
        let confirmed_ns = if self.task.id().is_some() {
            moment.at_ns
        } else {
            self.confirmed_ns
        };
        self.becomes(Self { confirmed_ns, ..self })
    }

    fn operates(self, moment: Moment, operation: &Operation, task: Task) -> Verdict {
        let request = operation.request.map_or(Owner::Nobody, Owner::Request);
        let sends = operation.direction == Direction::Out;
        let before = if self.is_in_another_task(task) {
            let turned = self.task.differs_from(task);
            // A receive is the first thing that its task does.
            if turned && !sends {
                self.until_it_left(moment)
            } else {
                self.until_seen_in(moment, task, request, turned)
            }
        } else if self.owner.is_open() {
            // The first operation since the thread was idle says for whom it ran until here.
            let during = if self.task.id().is_none() { task } else { self.task };
            Before {
                task: during,
                ..self.claims(request, task)
            }
        } else if sends && request != Owner::Nobody && request != self.owner {
            self.until_it_answers(request)
        } else if !sends && !task.is_known() {
            self.until_it_left(moment)
        } else {
            self.as_believed()
        };
        let says_nothing = sends && operation.outbound && request == Owner::Nobody;
        let after = if says_nothing {
            Self {
                owner: before.owner,
                task,
                ..self
            }
        } else {
            Self {
                owner: request,
                // Where the socket had no room the answer is not yet sent.
                answered: sends && !operation.outbound && !operation.stalled,
                task,
                ..self
            }
        };
        self.splits(before, after)
    }

    fn waits(self, moment: Moment, waiting: &Waiting) -> Verdict {
        if self.waits_in(waiting).is_idle() {
            return self.goes_idle(moment, waiting.task);
        }
        if self.may_be_for_anybody(waiting.serves, waiting.task) {
            let after = Self {
                owner: Owner::Nobody,
                answered: false,
                ..self
            };
            return self.goes_on_with_anything(moment, after);
        }
        self.splits(self.as_believed(), self)
    }

    /// A thread that reads no requests has answered one: others are read for it, and given to it.
    fn may_be_for_anybody(self, serves: bool, task: Task) -> bool {
        self.answered && !serves && !task.is_known()
    }

    /// It goes on with what it was given next, or is not done with its answer, and is believed to do this from then on.
    fn goes_on_with_anything(self, moment: Moment, after: Self) -> Verdict {
        let before = self.until_it_left(moment);
        let has_left = before.owner != self.owner;
        let nobodys = Self {
            owner: Owner::Nobody,
            answered: false,
            ..after
        };
        self.splits(before, if has_left { nobodys } else { after })
    }

    fn goes_idle(self, moment: Moment, task: Task) -> Verdict {
        let before = match moment.running_since_ns {
            Some(_) if !task.is_known() => self.until_it_left(moment),
            _ => self.as_believed(),
        };
        let after = Self {
            owner: Owner::Nobody,
            answered: false,
            task: before.task,
            ..self
        };
        self.splits(before, after)
    }

    /// Whose goroutine goes on now had something done for it, if it was done for no request that is known. What comes
    /// next can be for another.
    fn readies(self, request: Option<RequestId>) -> Verdict {
        match request {
            Some(request) if self.owner.is_open() && self.task.id().is_some() => {
                let before = self.claims(Owner::WokenFor(request), self.task);
                let owner = Owner::Nobody;
                self.splits(before, Self { owner, ..self })
            }
            _ => self.splits(self.as_believed(), self),
        }
    }

    /// For whom a thread works in `task`, by what is known of that, and else by whom it worked for before.
    fn served_in(&self, task: Task, facts: TaskFacts) -> Owner {
        if task.id().is_none() {
            return self.owner;
        }
        match (facts.work, self.owner) {
            (Some(work), _) if work.by_identity => Owner::Request(work.request),
            // Also one that works for many in turn, such as that of a connection to a peer.
            (_, Owner::WokenFor(request)) => Owner::WokenFor(request),
            (Some(work), _) => Owner::WokenFor(work.request),
            // It was begun lately, and runs where a request ran just before that is not answered.
            (None, Owner::Request(request)) if facts.is_newest && !self.answered => Owner::WokenFor(request),
            (None, _) => Owner::Nobody,
        }
    }

    /// Until a thread is seen in a task that works for `now`: it turned to that somewhere in between, if it `turned`.
    fn until_seen_in(self, moment: Moment, task: Task, now: Owner, turned: bool) -> Before {
        let before = if !turned && self.owner.is_open() {
            self.claims(now, task)
        } else if self.owner == now || self.owner == Owner::Others || self.answered {
            Before {
                owner: now,
                task,
                ..self.as_believed()
            }
        } else {
            self.until_either(task, now)
        };
        Before {
            splits_ns: self.splits_ns(moment),
            ..before
        }
    }

    /// Of a request's own task and one that was begun for it, the other is mostly the one that runs for long.
    fn until_either(self, task: Task, now: Owner) -> Before {
        match (self.owner, now) {
            (Owner::Request(request), Owner::WokenFor(its)) if its == request => Before {
                owner: now,
                task,
                ..self.as_believed()
            },
            (Owner::WokenFor(request), Owner::Request(its)) if its == request => self.as_believed(),
            _ => Before {
                owner: Owner::Mixed,
                task: Task::NONE,
                ..self.as_believed()
            },
        }
    }

    /// Until a thread is seen to have left what it did. Nothing says when it did so; but a request that was answered
    /// is probably done with, and what came next is not its doing.
    fn until_it_left(self, moment: Moment) -> Before {
        if !self.answered || self.unseen_ns(moment) <= END_OF_ANSWER_NS {
            return self.as_believed();
        }
        Before {
            owner: Owner::Others,
            task: if self.task.is_known() {
                Task::NONE
            } else {
                self.task
            },
            splits_ns: self.splits_ns(moment),
            claims: None,
            mixes_calls: false,
        }
    }

    /// Until a thread answers another request than it worked for: that one had ended, or else was suspended somewhere
    /// in between. An event loop can read several before it serves the first.
    fn until_it_answers(self, request: Owner) -> Before {
        let ended = self.answered || self.owner == Owner::Others;
        Before {
            owner: if ended { request } else { Owner::Mixed },
            claims: ended.then_some(self.task),
            mixes_calls: !ended && !self.task.is_known(),
            ..self.as_believed()
        }
    }

    /// Nothing says that it left its request while task ids could not be read.
    fn ids_begin_to_be_read(&self) -> bool {
        !self.task.is_known() && !self.answered
    }

    /// What it did since it was woken for `owner` was to find a task of it.
    fn was_woken_to_find(&self, owner: Owner) -> bool {
        matches!(owner, Owner::WokenFor(_)) && owner == self.owner && self.task.id().is_none()
    }

    fn is_in_another_task(&self, task: Task) -> bool {
        self.task.is_known() && self.task != task && task.id().is_some()
    }
}

#[cfg(test)]
mod rows;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod tests;
