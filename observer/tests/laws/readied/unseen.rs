//! What is told of goroutines that go on without an event that says who made them ready.

use super::*;

/// What it says that it waited for last only another goroutine ends, or it goes on where none does that has waited. Or
/// else it came from a socket: what its thread ran before says nothing of that.
#[test]
fn a_goroutine_that_nothing_was_seen_to_make_ready_was_so_if_only_another_could_make_it_ready() -> Law {
    // Its thread runs it for 10 us after it has made A's ready.
    for (reason, goes_on, busy_us) in [
        (RECEIVE, 0, 2_010),
        (RECEIVE, PARKED, 2_010),
        (IO_WAIT, 0, 10),
        (IO_WAIT, PARKED, 10),
        (IO_WAIT, PREEMPTED, 2_010),
        // It was suspended, and says so.
        (SUSPENDED, PREEMPTED, 10),
    ] {
        let given = Ready {
            at_us: 60,
            by_second: false,
            runs_us: 70,
            on_second: false,
        };
        let done = Ready {
            at_us: 3_100,
            by_second: false,
            runs_us: 3_110,
            on_second: false,
        };
        let does = waited(OTHER, reason);
        let script = Script::of_go().reads(50, A, goroutine(TASK_A), 40);
        let script = script
            .hands_on(&given, goroutine(TASK_A), does)
            .runs(header(Kind::PollStart, 1_000), goroutine(99), None)
            .runs_from(header(Kind::PollStart, 3_000), does, None, goes_on)
            .hands_on(&done, does, goroutine(TASK_A));
        let request = script.sends(3_200, A, goroutine(TASK_A)).request(A)?;
        prop_assert_eq!(charged_us(&request, Cause::WorkerBusy), busy_us);
        prop_assert_eq!(charged_us(&request, Cause::Unexplained), 2_010 - busy_us);
    }
    Ok(())
}

/// A goroutine that another one made ready goes on elsewhere than the one before: they do not tell where those go on
/// that have waited.
#[test]
fn where_goroutines_go_on_says_nothing_if_those_that_waited_go_on_at_several_places() -> Law {
    for (other_place, unexplained_us) in [(PARKED, 0), (PREEMPTED, 2_000)] {
        let given = Ready {
            at_us: 60,
            by_second: false,
            runs_us: 70,
            on_second: false,
        };
        let done = Ready {
            at_us: 3_100,
            by_second: false,
            runs_us: 3_110,
            on_second: false,
        };
        let does = waited(OTHER, IO_WAIT);
        let script = Script::of_go().reads(50, A, goroutine(TASK_A), 40);
        let again = header(Kind::Readied, 995);
        let script = script
            .hands_on(&given, goroutine(TASK_A), does)
            .readies(again, does, goroutine(99))
            .runs_from(
                header(Kind::PollStart, 1_000),
                goroutine(99),
                Some(again),
                other_place,
            )
            .runs_from(header(Kind::PollStart, 3_000), does, None, PREEMPTED)
            .hands_on(&done, does, goroutine(TASK_A));
        let request = script.sends(3_200, A, goroutine(TASK_A)).request(A)?;
        prop_assert_eq!(charged_us(&request, Cause::Unexplained), unexplained_us);
    }
    Ok(())
}
