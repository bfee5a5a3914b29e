//! Each rule of the judgement is a row; those of socket operations stand in [`super::tests`].

use super::rows::*;
use super::*;
use crate::syscall::Wait;

use Observation::{Ends, InTask, IsPreempted, Lost, Moved, Readies, StillInTask, TurnsToTask, Waits};
use Owner::{Mixed, Nobody, Others, Request, WokenFor};

#[test]
fn a_thread_that_is_seen_in_another_task_turned_to_it_somewhere_in_between() {
    let (own, other) = (works_for(A, true), works_for(B, true));
    holds(&[
        (
            "what was nobody's since it was idle is the task's",
            believed(Nobody, Task::NONE),
            InTask(OWN, own),
            Some(since_idle(Request(A), OWN)),
            believed(Request(A), OWN),
        ),
        (
            "an answer ends a request: what follows is the next task's",
            answered(Request(A), OWN),
            InTask(OTHER, other),
            Some(until_now(Request(B), OTHER)),
            believed(Request(B), OTHER),
        ),
        (
            "without an answer it is not known which of both",
            believed(Request(A), OWN),
            InTask(OTHER, other),
            Some(until_now(Mixed, Task::NONE)),
            believed(Request(B), OTHER),
        ),
        (
            "only what came after it was seen in its task is open",
            confirmed(believed(Request(A), OWN)),
            InTask(OTHER, other),
            Some(since_seen(until_now(Mixed, Task::NONE))),
            confirmed(believed(Request(B), OTHER)),
        ),
        (
            "the request's own comes second, after one that was begun for it",
            believed(WokenFor(A), OTHER),
            InTask(OWN, own),
            Some(until_now(WokenFor(A), OTHER)),
            believed(Request(A), OWN),
        ),
    ]);
    Inferring(A).holds(&[(
        "one that was begun for a request mostly runs for longer than the request's own",
        believed(Request(A), OWN),
        InTask(OTHER, works_for(A, false)),
        Some(until_now(WokenFor(A), OTHER)),
        believed(WokenFor(A), OTHER),
    )]);
}

#[test]
fn a_task_of_which_nothing_is_known_is_judged_by_what_its_thread_did_before() {
    Inferring(A).holds(&[
        (
            "the newest task was begun by what ran before it",
            believed(Request(A), OWN),
            InTask(OTHER, unknown(true)),
            Some(until_now(WokenFor(A), OTHER)),
            believed(WokenFor(A), OTHER),
        ),
        (
            "task ids begin to be read: it did not leave its request meanwhile",
            believed(WokenFor(A), Task::UNKNOWN),
            InTask(OTHER, works_for(B, false)),
            Some(since_idle(WokenFor(A), OTHER)),
            believed(WokenFor(A), OTHER),
        ),
    ]);
    holds(&[(
        "unless that had answered",
        answered(Request(A), OWN),
        InTask(OTHER, unknown(true)),
        Some(until_now(Nobody, OTHER)),
        believed(Nobody, OTHER),
    )]);
}

#[test]
fn outside_of_tasks_nothing_is_done_for_a_request() {
    holds(&[
        (
            "by itself",
            believed(Request(A), OWN),
            InTask(Task::NONE, TaskFacts::default()),
            Some(until_now(Request(A), OWN)),
            believed(Nobody, Task::NONE),
        ),
        (
            "long after an answer it was done with it",
            answered(Request(A), OWN),
            InTask(Task::NONE, TaskFacts::default()),
            Some(until_now(Others, Task::NONE)),
            believed(Nobody, Task::NONE),
        ),
    ]);
}

#[test]
fn a_thread_that_turns_to_a_task_did_not_do_it_before() {
    holds(&[
        (
            "what it did before stays as it was",
            believed(Request(A), OWN),
            TurnsToTask(OTHER, works_for(B, true)),
            Some(until_now(Request(A), OWN)),
            believed(Request(B), OTHER),
        ),
        (
            "a job for which it was woken is over with its task",
            believed(WokenFor(A), OTHER),
            TurnsToTask(Task::NONE, TaskFacts::default()),
            Some(until_now(WokenFor(A), OTHER)),
            believed(Nobody, Task::NONE),
        ),
        (
            "a task that answered may begin with another request",
            believed(Nobody, Task::NONE),
            TurnsToTask(OWN, answered_last(A)),
            Some(until_now(Nobody, Task::NONE)),
            believed(Nobody, OWN),
        ),
    ]);
    Inferring(A).holds(&[(
        "but where it was woken to find this",
        believed(WokenFor(A), Task::NONE),
        TurnsToTask(OTHER, unknown(true)),
        Some(since_idle(WokenFor(A), OTHER)),
        believed(WokenFor(A), OTHER),
    )]);
}

#[test]
fn what_answered_and_is_seen_again_goes_on_with_that_unless_it_is_a_goroutine() {
    holds(&[
        (
            "of a goroutine that answered it may be for another request",
            believed(Nobody, Task::NONE),
            InTask(OWN, goroutine_answered_last(A)),
            Some(since_idle(Nobody, OWN)),
            believed(Nobody, OWN),
        ),
        (
            "unless it never left that",
            answered(Request(A), OWN),
            InTask(OWN, goroutine_answered_last(A)),
            Some(until_now(Request(A), OWN)),
            believed(Request(A), OWN),
        ),
        (
            "a task of tokio goes on with its answer",
            believed(Nobody, Task::NONE),
            InTask(OWN, answered_last(A)),
            Some(since_idle(Request(A), OWN)),
            believed(Request(A), OWN),
        ),
    ]);
}

#[test]
fn a_thread_that_is_still_where_it_was_did_nothing_else() {
    holds(&[
        (
            "whoever does something next did not do what it did in no task",
            believed(Nobody, Task::NONE),
            StillInTask,
            Some(until_now(Others, Task::NONE)),
            believed(Nobody, Task::NONE),
        ),
        (
            "in a task, nothing ends",
            believed(Request(A), OWN),
            StillInTask,
            None,
            Belief {
                confirmed_ns: MOMENT.at_ns,
                ..believed(Request(A), OWN)
            },
        ),
    ]);
}

#[test]
fn a_thread_that_leaves_its_cpu_works_for_nobody_only_if_it_has_nothing_to_do() {
    holds(&[
        (
            "idle, it works for nobody",
            answered(Request(A), OWN),
            Waits(waits(IDLE, OWN)),
            Some(until_now(Request(A), OWN)),
            believed(Nobody, OWN),
        ),
        (
            "idle long after an answer, it did something else in between",
            confirmed(answered(Request(A), OWN)),
            Waits(waits(IDLE, Task::UNKNOWN)),
            Some(since_seen(until_now(Others, Task::NONE))),
            confirmed(believed(Nobody, Task::NONE)),
        ),
        (
            "preempted, it goes on with the same",
            answered(Request(A), OWN),
            IsPreempted { serves: true },
            Some(until_now(Request(A), OWN)),
            answered(Request(A), OWN),
        ),
        (
            "and so it does in a call",
            answered(Request(A), OWN),
            Waits(waits(Wait::Call, OWN)),
            Some(until_now(Request(A), OWN)),
            answered(Request(A), OWN),
        ),
        (
            "or parked in its task",
            answered(Request(A), OWN),
            Waits(waits(PARK, OWN)),
            Some(until_now(Request(A), OWN)),
            answered(Request(A), OWN),
        ),
    ]);
}

#[test]
fn what_was_not_seen_leaves_nothing_to_believe() {
    holds(&[
        (
            "when it has ended it works for nobody",
            answered(Request(A), OWN),
            Ends,
            Some(until_now(Request(A), OWN)),
            Belief::default(),
        ),
        (
            "on another CPU it may have been idle since",
            answered(Request(A), OWN),
            Moved,
            None,
            believed(Nobody, OWN),
        ),
        (
            "after a loss nothing is known",
            believed(Request(A), OWN),
            Lost,
            None,
            believed(Nobody, Task::UNKNOWN),
        ),
    ]);
}

#[test]
fn of_a_thread_that_reads_nothing_a_call_after_an_answer_is_for_whom_it_does_something_next() {
    let reads_none = Waiting {
        serves: false,
        ..waits(Wait::Call, Task::UNKNOWN)
    };
    holds(&[
        (
            "long after an answer it ran and makes its next call for whom it does something next",
            answered(Request(A), Task::UNKNOWN),
            Waits(reads_none),
            Some(until_now(Others, Task::UNKNOWN)),
            believed(Nobody, Task::UNKNOWN),
        ),
        (
            "nor does it go on with that when it loses its CPU long after it",
            answered(Request(A), Task::UNKNOWN),
            IsPreempted { serves: false },
            Some(until_now(Others, Task::UNKNOWN)),
            believed(Nobody, Task::UNKNOWN),
        ),
        (
            "but one that reads does",
            answered(Request(A), Task::UNKNOWN),
            IsPreempted { serves: true },
            Some(until_now(Request(A), Task::UNKNOWN)),
            answered(Request(A), Task::UNKNOWN),
        ),
        (
            "before the answer a call is for the request",
            believed(Request(A), Task::UNKNOWN),
            Waits(reads_none),
            Some(until_now(Request(A), Task::UNKNOWN)),
            believed(Request(A), Task::UNKNOWN),
        ),
    ]);
}

#[test]
fn soon_after_an_answer_a_thread_is_still_at_it() {
    let moment = Moment {
        at_ns: CONFIRMED_NS + END_OF_ANSWER_NS,
        ..MOMENT
    };
    let belief = confirmed(answered(Request(A), OWN));
    let verdict = belief.judge(moment, Waits(waits(IDLE, Task::UNKNOWN)));
    assert_eq!(verdict.before, Some(until_now(Request(A), OWN)));
}

#[test]
fn what_it_did_before_it_made_a_goroutine_ready_was_for_that() {
    let moment = Moment {
        since_it_made_ready: true,
        ..MOMENT
    };
    let belief = believed(Nobody, Task::NONE);
    let observed = || InTask(OWN, works_for(A, true));
    let before = |moment| belief.judge(moment, observed()).before;
    assert_eq!(before(MOMENT), Some(since_idle(Request(A), OWN)));
    assert_eq!(before(moment), Some(until_now(Request(A), OWN)));
}

#[test]
fn a_task_is_inferred_to_work_for_whom_its_thread_was_woken() {
    let infers = |belief: Belief, facts| belief.judge(MOMENT, InTask(OTHER, facts)).task_works_for;
    assert_eq!(infers(believed(WokenFor(A), Task::NONE), unknown(false)), Some(A));
    assert_eq!(infers(believed(Request(A), OWN), unknown(false)), None);
    assert_eq!(
        infers(believed(WokenFor(A), Task::NONE), works_for(B, true)),
        None,
        "it tells itself"
    );
}

#[test]
fn who_makes_a_goroutine_ready_was_done_with_something_for_its_request() {
    holds(&[
        (
            "of one that serves no client",
            believed(Nobody, OWN),
            Readies(Some(A)),
            Some(since_idle(WokenFor(A), OWN)),
            believed(Nobody, OWN),
        ),
        (
            "also where it was taken to work for another",
            believed(WokenFor(B), OWN),
            Readies(Some(A)),
            Some(since_idle(WokenFor(A), OWN)),
            believed(Nobody, OWN),
        ),
        (
            "a request's own goroutine works for that",
            believed(Request(B), OWN),
            Readies(Some(A)),
            Some(until_now(Request(B), OWN)),
            believed(Request(B), OWN),
        ),
        (
            "one that serves no client says nothing",
            believed(WokenFor(B), OWN),
            Readies(None),
            Some(until_now(WokenFor(B), OWN)),
            believed(WokenFor(B), OWN),
        ),
        (
            "nor does the runtime itself",
            believed(Nobody, Task::NONE),
            Readies(Some(A)),
            Some(until_now(Nobody, Task::NONE)),
            believed(Nobody, Task::NONE),
        ),
    ]);
}

#[test]
fn for_whom_a_thread_worked_says_nothing_of_the_goroutine_that_it_runs_next() {
    let goroutine = |facts| TaskFacts { runtime: GO, ..facts };
    let left = Some(until_now(WokenFor(A), OWN));
    holds(&[(
        "of which nothing is known",
        believed(WokenFor(A), OWN),
        TurnsToTask(OTHER, goroutine(unknown(false))),
        left,
        believed(Nobody, OTHER),
    )]);
    Inferring(B).holds(&[
        (
            "unless that was made ready for another request",
            believed(WokenFor(A), OWN),
            TurnsToTask(OTHER, goroutine(works_for(B, false))),
            left,
            believed(WokenFor(B), OTHER),
        ),
        (
            "what it did before to find it is not the goroutine's",
            believed(WokenFor(B), Task::NONE),
            TurnsToTask(OTHER, goroutine(works_for(B, false))),
            Some(until_now(WokenFor(B), Task::NONE)),
            believed(WokenFor(B), OTHER),
        ),
    ]);
}
