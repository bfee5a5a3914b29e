//! What others do to a thread, and it to them.

use super::super::state::Owner;
use super::{Belief, HandOff, Verdict, Wakeup};
use crate::model::id::Task;

impl Belief {
    /// For whom a thread wakes another in `task`, of which this was believed just `before` it was seen there. What
    /// ended just before the task did is still its doing.
    pub(in super::super) fn wakes_for(self, before: Self, task: Task) -> Owner {
        match task.id() {
            Some(_) => self.owner,
            None if before.answered => Owner::Others,
            None => before.owner,
        }
    }

    /// A thread that was woken for a request may be done with it now. Each job of a pool is a task of its own, and to
    /// take one out of the queue, before it begins with it, can wake who waits for that, too.
    pub(super) fn hands_off(self, hand_off: HandOff) -> Verdict {
        if hand_off.for_lock || hand_off.is_told_apart {
            return self.becomes(self);
        }
        let is_before_job = hand_off.of_pool && self.task == Task::NONE;
        let owner = match self.owner {
            Owner::WokenFor(_) if !is_before_job => Owner::Nobody,
            owner => owner,
        };
        self.splits(self.as_believed(), Self { owner, ..self })
    }

    /// A thread that had nothing to do works for whom it was woken on purpose, and who has the next request to read for
    /// nobody until then.
    pub(super) fn is_woken(self, wakeup: Wakeup) -> Verdict {
        if wakeup.is_next {
            return self.becomes(Self {
                owner: Owner::Nobody,
                answered: false,
                ..self
            });
        }
        let is_for_waker = wakeup.was_idle && wakeup.is_handed_off && !wakeup.is_told_otherwise;
        let request = wakeup.by.request().filter(|_| is_for_waker);
        self.becomes(Self {
            owner: request.map_or(self.owner, Owner::WokenFor),
            ..self
        })
    }

    /// A thread works for whom the other did that began it. Where the program has no tasks that are known, it is not
    /// known to be in none.
    pub(super) fn is_started(self, by: Self) -> Verdict {
        self.becomes(Self {
            owner: by.owner.request().map_or(Owner::Nobody, Owner::WokenFor),
            task: if by.task.is_known() {
                Task::NONE
            } else {
                Task::UNKNOWN
            },
            ..self
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Observation::{HandsOff, IsStarted, IsWoken};
    use super::super::rows::*;
    use super::*;

    use Owner::{Mixed, Nobody, Others, Request, WokenFor};

    /// By a thread that did so on purpose and ran for this owner, from nothing to do.
    const fn woken(by: Owner) -> Wakeup {
        Wakeup {
            was_idle: true,
            by,
            is_handed_off: true,
            is_next: false,
            is_told_otherwise: false,
        }
    }

    #[test]
    fn a_thread_that_had_nothing_to_do_works_for_whom_it_was_woken() {
        let free = believed(Nobody, Task::NONE);
        let at_work = Wakeup {
            was_idle: false,
            ..woken(Request(A))
        };
        let interrupted = Wakeup {
            is_handed_off: false,
            ..woken(Request(A))
        };
        let told_otherwise = Wakeup {
            is_told_otherwise: true,
            ..woken(Request(A))
        };
        let for_a = believed(WokenFor(A), Task::NONE);
        let busy = believed(Request(B), OWN);
        holds(&[
            (
                "for the waker's request",
                free,
                IsWoken(woken(Request(A))),
                None,
                for_a,
            ),
            (
                "also if that was woken for it",
                free,
                IsWoken(woken(WokenFor(A))),
                None,
                for_a,
            ),
            ("not for several", free, IsWoken(woken(Mixed)), None, free),
            (
                "from its work it goes on with that",
                busy,
                IsWoken(at_work),
                None,
                busy,
            ),
            (
                "who only interrupted it says nothing",
                free,
                IsWoken(interrupted),
                None,
                free,
            ),
            (
                "nor does anybody if something else tells",
                free,
                IsWoken(told_otherwise),
                None,
                free,
            ),
        ]);
    }

    #[test]
    fn a_thread_that_has_the_next_request_to_read_works_for_nobody_yet() {
        let next = Wakeup {
            was_idle: false,
            is_handed_off: false,
            is_next: true,
            ..woken(Nobody)
        };
        holds(&[(
            "not for the one that it has answered",
            answered(Request(A), Task::NONE),
            IsWoken(next),
            None,
            believed(Nobody, Task::NONE),
        )]);
    }

    const PLAIN: HandOff = HandOff {
        of_pool: false,
        for_lock: false,
        is_told_apart: false,
    };

    #[test]
    fn a_job_for_which_a_thread_was_woken_may_be_over_when_it_wakes_another() {
        let job = believed(WokenFor(A), Task::NONE);
        let its = Some(until_now(WokenFor(A), Task::NONE));
        holds(&[
            (
                "it may be",
                job,
                HandsOff(PLAIN),
                its,
                believed(Nobody, Task::NONE),
            ),
            (
                "one of a pool that is in no task has not begun with it",
                job,
                HandsOff(HandOff {
                    of_pool: true,
                    ..PLAIN
                }),
                its,
                job,
            ),
            (
                "in its task it may be done",
                believed(WokenFor(A), OTHER),
                HandsOff(HandOff {
                    of_pool: true,
                    ..PLAIN
                }),
                Some(until_now(WokenFor(A), OTHER)),
                believed(Nobody, OTHER),
            ),
            (
                "who lets go of a lock goes on with it",
                job,
                HandsOff(HandOff {
                    for_lock: true,
                    ..PLAIN
                }),
                None,
                job,
            ),
            (
                "and who wakes a thread where goroutines tell",
                job,
                HandsOff(HandOff {
                    is_told_apart: true,
                    ..PLAIN
                }),
                None,
                job,
            ),
            (
                "a request is not over by that",
                believed(Request(A), OWN),
                HandsOff(PLAIN),
                Some(until_now(Request(A), OWN)),
                believed(Request(A), OWN),
            ),
        ]);
    }

    #[test]
    fn a_thread_works_for_whom_the_one_did_that_began_it() {
        holds(&[
            (
                "for its request, and in no task",
                Belief::default(),
                IsStarted(believed(Request(A), OWN)),
                None,
                believed(WokenFor(A), Task::NONE),
            ),
            (
                "where no tasks are known its own is not either",
                believed(Nobody, Task::NONE),
                IsStarted(believed(WokenFor(A), Task::UNKNOWN)),
                None,
                believed(WokenFor(A), Task::UNKNOWN),
            ),
            (
                "for nobody if that did",
                Belief::default(),
                IsStarted(believed(Others, Task::UNKNOWN)),
                None,
                believed(Nobody, Task::UNKNOWN),
            ),
        ]);
    }

    #[test]
    fn what_a_task_wakes_just_before_it_is_over_is_still_its_doing() {
        for (rule, before, task, now, expected) in [
            (
                "in a task it is that one's",
                believed(Request(A), OWN),
                OTHER,
                Request(B),
                Request(B),
            ),
            (
                "in none any more, of the one before",
                believed(Request(A), OWN),
                Task::NONE,
                Nobody,
                Request(A),
            ),
            (
                "but not if that had answered",
                answered(Request(A), OWN),
                Task::NONE,
                Nobody,
                Others,
            ),
        ] {
            assert_eq!(believed(now, task).wakes_for(before, task), expected, "{rule}");
        }
    }
}
