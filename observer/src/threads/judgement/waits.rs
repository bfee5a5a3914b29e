//! What a thread waits in, where its call alone does not tell: whether it has nothing to do, or is at work and keeps
//! somebody waiting. And for whom it makes that call.

use super::super::state::Owner;
use super::Belief;
use crate::model::id::Task;
use crate::syscall::Wait;

/// How a thread goes to wait.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Waiting {
    /// What it waits in, by its call and by what others do where it waits.
    pub(in super::super) wait: Wait,
    /// In this runtime task.
    pub(in super::super) task: Task,
    /// It reads requests.
    pub(in super::super) serves: bool,
    /// It has an event loop.
    pub(in super::super) loops: bool,
    /// Threads of its process keep what they have read until they have answered it.
    pub(in super::super) keeps: bool,
}

/// Where a thread waits for events.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct EventWait {
    /// In poll(2), for a descriptor or two.
    pub(in super::super) polls_few: bool,
    /// In a runtime task.
    pub(in super::super) in_task: bool,
    /// Its own event loop, beside that.
    pub(in super::super) own: OwnLoop,
}

/// A thread's own event loop, beside where it waits now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum OwnLoop {
    /// It has none, or that is where it waits.
    NotElsewhere,
    /// It has waited elsewhere before.
    Elsewhere,
    /// It has waited elsewhere so often that this is its own.
    KnownElsewhere,
}

impl Belief {
    /// Whether a thread waits for events in the middle of its work: for what a call of it does, such as Node's
    /// `execSync` in a loop of its own. Without a task or a loop, `poll` is its event loop's own wait.
    pub(in super::super) fn waits_at_work(self, at: EventWait) -> bool {
        if at.polls_few {
            at.in_task || at.own != OwnLoop::NotElsewhere
        } else {
            at.own == OwnLoop::KnownElsewhere && self.works_for().is_some()
        }
    }

    /// What a thread waits in: one with something in hand keeps that waiting.
    pub(in super::super) fn waits_in(self, waiting: &Waiting) -> Wait {
        let in_task = waiting.task.id().is_some();
        let has_request = || waiting.keeps && !self.task.is_known() && self.works_for().is_some();
        match waiting.wait {
            // A worker parks between tasks.
            Wait::Park { timeout } if in_task || has_request() => Wait::Condition { timeout },
            // One in a task keeps its worker waiting.
            Wait::Accept if in_task => Wait::Call,
            wait => wait,
        }
    }

    /// For whom a thread makes the call in which it waits. After an answer an event loop may have gone on with any
    /// other request that it has read, and a thread that reads none with any that it was given. One that parks has
    /// nothing in hand.
    pub(in super::super) fn calls_for(self, waiting: &Waiting) -> Owner {
        let goes_on = waiting.loops || !waiting.serves;
        let parks = matches!(waiting.wait, Wait::Park { .. });
        if self.answered && (goes_on || parks) && !self.task.is_known() {
            Owner::Nobody
        } else {
            self.owner
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::{A, OWN, PARK, answered, believed, waits};
    use super::*;

    const CONDITION: Wait = Wait::Condition { timeout: false };

    /// In no task that is known.
    fn in_wait(wait: Wait) -> Waiting {
        waits(wait, Task::UNKNOWN)
    }

    #[test]
    fn who_has_something_in_hand_is_not_idle() {
        let (free, busy) = (
            believed(Owner::Nobody, Task::UNKNOWN),
            believed(Owner::Request(A), Task::UNKNOWN),
        );
        let done = answered(Owner::Request(A), Task::UNKNOWN);
        let keeps = |wait| Waiting {
            keeps: true,
            ..in_wait(wait)
        };
        let in_task = |wait| Waiting {
            task: OWN,
            ..in_wait(wait)
        };
        for (rule, belief, waiting, expected) in [
            ("a worker parks between tasks", free, in_wait(PARK), PARK),
            ("in a task it has something to do", free, in_task(PARK), CONDITION),
            (
                "and keeps its worker from it",
                free,
                in_task(Wait::Accept),
                Wait::Call,
            ),
            (
                "who accepts has nothing to do",
                busy,
                keeps(Wait::Accept),
                Wait::Accept,
            ),
            ("what it read may be with another", busy, in_wait(PARK), PARK),
            ("who keeps what it read is at that", busy, keeps(PARK), CONDITION),
            ("not if it has answered", done, keeps(PARK), PARK),
            ("or has read nothing", free, keeps(PARK), PARK),
            (
                "or where tasks tell",
                believed(Owner::Request(A), Task::NONE),
                keeps(PARK),
                PARK,
            ),
        ] {
            assert_eq!(belief.waits_in(&waiting), expected, "{rule}");
        }
    }

    #[test]
    fn who_waits_for_events_elsewhere_than_in_its_loop_is_at_work() {
        let (free, busy) = (
            believed(Owner::Nobody, Task::UNKNOWN),
            believed(Owner::Request(A), Task::UNKNOWN),
        );
        let at = |polls_few, in_task, own| EventWait {
            polls_few,
            in_task,
            own,
        };
        for (rule, belief, wait, expected) in [
            (
                "poll can be an event loop's own wait",
                busy,
                at(true, false, OwnLoop::NotElsewhere),
                false,
            ),
            ("not in a task", free, at(true, true, OwnLoop::NotElsewhere), true),
            (
                "nor where it loops elsewhere",
                free,
                at(true, false, OwnLoop::Elsewhere),
                true,
            ),
            (
                "at its own epoll",
                busy,
                at(false, true, OwnLoop::NotElsewhere),
                false,
            ),
            (
                "one at which it waited before may be its own no more",
                busy,
                at(false, false, OwnLoop::Elsewhere),
                false,
            ),
            (
                "at another with a request in hand",
                busy,
                at(false, false, OwnLoop::KnownElsewhere),
                true,
            ),
            (
                "without one it moves there",
                free,
                at(false, false, OwnLoop::KnownElsewhere),
                false,
            ),
        ] {
            assert_eq!(belief.waits_at_work(wait), expected, "{rule}");
        }
    }

    #[test]
    fn after_an_answer_a_call_is_for_nobody_unless_the_thread_reads_what_it_serves_one_by_one() {
        let call = in_wait(Wait::Call);
        let (loops, reads_none) = (
            Waiting { loops: true, ..call },
            Waiting {
                serves: false,
                ..call
            },
        );
        let (busy, done) = (
            believed(Owner::Request(A), Task::UNKNOWN),
            answered(Owner::Request(A), Task::UNKNOWN),
        );
        for (rule, belief, waiting, expected) in [
            ("before it, for its request", busy, loops, Owner::Request(A)),
            ("a loop has read others", done, loops, Owner::Nobody),
            (
                "a thread that reads none is given others",
                done,
                reads_none,
                Owner::Nobody,
            ),
            (
                "one that reads goes on with its own",
                done,
                call,
                Owner::Request(A),
            ),
            (
                "and so does a task",
                answered(Owner::Request(A), OWN),
                loops,
                Owner::Request(A),
            ),
        ] {
            assert_eq!(belief.calls_for(&waiting), expected, "{rule}");
        }
    }
}
