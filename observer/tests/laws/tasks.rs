//! What is told of a worker and its tasks: short streams, each with the one answer that its events support.

use observer::model::cause::Cause;
use observer::model::request::Confidence;
use observer_common::task;
use proptest::prelude::*;

use super::check::Law;
use super::script::{A, B, OTHER, PEER, Script, TASK_A, TASK_B, charged_us, culprits};

#[test]
fn what_computes_after_an_answer_is_named_when_it_was_seen() -> Law {
    let script = Script::begin().reads(50, A, TASK_A, 40).sends(100, A, TASK_A);
    let script = script.seen(900, OTHER).seen(4_900, OTHER);
    let request = script
        .reads(5_000, B, TASK_B, 200)
        .sends(5_100, B, TASK_B)
        .request(B)?;
    prop_assert_eq!(charged_us(&request, Cause::WorkerBusy), 4_800);
    prop_assert_eq!(culprits(&request, Cause::WorkerBusy), [Some(OTHER)]);
    prop_assert_eq!(request.figures.confidence, Confidence::Exact);
    Ok(())
}

#[test]
fn what_follows_an_answer_is_nobodys_where_nothing_was_seen_of_it() -> Law {
    let script = Script::begin().reads(50, A, TASK_A, 40).sends(100, A, TASK_A);
    let request = script
        .reads(5_000, B, TASK_B, 200)
        .sends(5_100, B, TASK_B)
        .request(B)?;
    prop_assert_eq!(charged_us(&request, Cause::WorkerBusy), 4_800);
    prop_assert_eq!(culprits(&request, Cause::WorkerBusy), [None]);
    Ok(())
}

#[test]
fn a_request_that_goes_on_right_after_a_task_waited_for_that() -> Law {
    let script = Script::begin().reads(50, A, TASK_A, 40).seen(60, TASK_A);
    let script = script.seen(900, OTHER).seen(4_900, OTHER);
    let request = script.sends(5_000, A, TASK_A).request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::WorkerBusy), 4_940);
    prop_assert_eq!(culprits(&request, Cause::WorkerBusy), [Some(OTHER)]);
    prop_assert_eq!(request.figures.confidence, Confidence::Inferred);
    Ok(())
}

#[test]
fn a_request_that_goes_on_right_after_another_waited_for_nobody_knows_what() -> Law {
    let script = Script::begin().reads(50, A, TASK_A, 40).seen(60, TASK_A);
    let script = script.reads(900, B, TASK_B, 890).seen(4_900, TASK_B);
    let request = script.sends(5_000, A, TASK_A).request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::Unexplained), 4_100);
    Ok(())
}
/// The peer's answer wakes the worker, which is in no task for a while before it receives it.
#[test]
fn a_task_that_is_ready_while_its_worker_is_in_none_is_in_the_queue() -> Law {
    let script = Script::begin().reads(50, A, TASK_A, 40).asks(60, TASK_A);
    let script = script.idles(100, u64::from(u32::MAX)).woken(5_000, PEER);
    let script = script.seen(7_000, task::NONE).reads(7_500, PEER, TASK_A, 4_999);
    let request = script.sends(7_600, A, TASK_A).request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::Downstream), 4_938);
    prop_assert_eq!(charged_us(&request, Cause::TaskQueue), 1_999);
    Ok(())
}

/// The worker turns to the task of B and back before it answers A; all that tells of it is a read that finds nothing.
/// What is surely A's own is the read.
#[test]
fn a_read_that_finds_nothing_tells_in_which_task_its_worker_was() -> Law {
    let script = Script::begin().reads(50, A, TASK_A, 40);
    let script = script.finds_nothing(1_000, B, TASK_B);
    let request = script.sends(2_000, A, TASK_A).request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::OnCpu), 10);
    Ok(())
}
