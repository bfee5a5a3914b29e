//! What is told of a client that does not go on: short streams, each with the one answer that its events support.

use observer::model::cause::Cause;
use observer::model::request::Confidence;
use observer_common::conn;
use proptest::prelude::*;

use super::check::Law;
use super::script::{A, Script, TASK_A, charged_us};

/// The rest of a request comes, and an interrupt hides that it is what wakes the worker.
#[test]
fn a_wakeup_just_after_the_bytes_of_the_client_was_for_them() -> Law {
    let script = Script::begin()
        .reads(50, A, TASK_A, 40)
        .idles(100, u64::from(u32::MAX));
    let script = script.woken(60_000, conn::NONE).reads(60_020, A, TASK_A, 59_900);
    let request = script.sends(60_100, A, TASK_A).request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::Client), 59_800);
    prop_assert_eq!(request.figures.confidence, Confidence::Inferred);
    Ok(())
}

#[test]
fn a_worker_that_sleeps_on_when_bytes_come_does_not_wait_for_them() -> Law {
    let script = Script::begin()
        .reads(50, A, TASK_A, 40)
        .idles(100, u64::from(u32::MAX));
    let script = script.woken(60_000, conn::NONE).reads(60_020, A, TASK_A, 50_000);
    let request = script.sends(60_100, A, TASK_A).request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::Client), 0);
    Ok(())
}
