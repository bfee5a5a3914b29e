//! What is told of an answer whose socket had no room for more: short streams, each with the one answer that its events
//! support.

use observer::model::cause::Cause;
use observer::model::request::Confidence;
use observer_common::{conn, task};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::check::Law;
use super::script::{A, B, Script, TASK_A, TASK_B, charged_us};

/// Its worker looks for events until something comes.
const FOREVER_MS: u64 = u32::MAX as u64;

/// A sends a part of its answer, finds no room for the next one, and then does something else, such as to read more of
/// a file.
fn stalled() -> Script {
    let script = Script::begin().reads(50, A, TASK_A, 40).sends(60, A, TASK_A);
    script.finds_no_room(70, A, TASK_A).seen(90, TASK_A)
}

/// Two threads serve both; the second waits for events from 200 us on, and the first is busy with B until it goes on
/// with A.
fn while_the_second_waits(task_a: u64, task_b: u64) -> Result<u64, TestCaseError> {
    let script = Script::begin()
        .second_reads(45, B, task_b, 40)
        .second_sends(46, B, task_b);
    let script = script.reads(50, A, task_a, 40).second_sends(60, A, task_a);
    let script = script.finds_no_room(70, A, task_a).reads(100, B, task_b, 90);
    let script = script.second_idles(200, FOREVER_MS).sends(5_000, B, task_b);
    let request = script.sends(5_010, A, task_a).request(A)?;
    Ok(charged_us(&request, Cause::SendBlocked))
}

#[test]
fn a_worker_that_waits_for_events_shows_that_there_is_no_room_while_another_one_is_busy() -> Law {
    prop_assert!(while_the_second_waits(TASK_A, TASK_B)? >= 4_800);
    Ok(())
}

/// The first can have been told of room long before it was done with B.
#[test]
fn threads_of_no_runtime_keep_what_they_were_told_to_themselves() -> Law {
    prop_assert_eq!(while_the_second_waits(task::UNKNOWN, task::UNKNOWN)?, 0);
    Ok(())
}

#[test]
fn an_answer_without_room_waits_for_that_also_after_it_did_something_else() -> Law {
    let script = stalled().second_is_woken(95, Some(TASK_A));
    let script = script.idles(100, FOREVER_MS).woken(5_000, conn::NONE);
    let request = script.sends(5_010, A, TASK_A).request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::SendBlocked), 4_900);
    prop_assert_eq!(charged_us(&request, Cause::Unexplained), 0);
    Ok(())
}

#[test]
fn a_worker_that_waits_for_events_had_not_been_told_of_room_and_is_waited_for_after_that() -> Law {
    let script = stalled().idles(100, FOREVER_MS).woken(5_000, B);
    let script = script.reads(5_010, B, TASK_B, 5_000).sends(8_000, B, TASK_B);
    let request = script.sends(8_010, A, TASK_A).request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::SendBlocked), 4_900);
    prop_assert!(charged_us(&request, Cause::WorkerBusy) >= 2_900);
    prop_assert_eq!(request.figures.confidence, Confidence::Inferred);
    Ok(())
}

/// Since when there was room no event tells.
#[test]
fn behind_a_worker_that_looked_for_no_events_it_can_have_waited_for_the_worker() -> Law {
    let script = stalled().reads(100, B, TASK_B, 90).sends(5_000, B, TASK_B);
    let request = script.sends(5_010, A, TASK_A).request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::SendBlocked), 0);
    prop_assert!(charged_us(&request, Cause::Unexplained) >= 4_800);
    Ok(())
}

#[test]
fn once_it_has_found_room_it_waits_for_something_else() -> Law {
    let script = stalled().sends(95, A, TASK_A);
    let script = script.idles(100, FOREVER_MS).woken(5_000, conn::NONE);
    let request = script.sends(5_010, A, TASK_A).request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::SendBlocked), 0);
    prop_assert!(charged_us(&request, Cause::Unexplained) >= 4_900);
    Ok(())
}

/// It is quiet for longer than an answer that is over.
#[test]
fn an_answer_is_not_over_while_it_has_no_room() -> Law {
    const LATER_US: u64 = 3_000_000;
    let script = stalled().idles(100, FOREVER_MS).woken(LATER_US, conn::NONE);
    let request = script.sends(LATER_US + 10, A, TASK_A).request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::SendBlocked), LATER_US - 100);
    Ok(())
}
