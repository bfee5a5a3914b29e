//! What is exact of requests that goroutines serve.

use observer::event;
use observer::model::id::Pid;
use observer::model::request::Confidence;
use observer_common::task;
use proptest::prelude::*;

use super::check::Law;
use super::machine::START_NS;
use super::script::{A, PID, Script, TASK_A, TASK_B};

/// Numbers of wait reasons that are the same in all versions, or in those since 1.26.
const IO_WAIT: u64 = 2;
const SLEEP: u64 = 14;

/// A goroutine that stopped so often, and waited last for this.
fn stay(id: u64, stops: u64, reason: u64) -> u64 {
    task::HAS_STAY | (reason << 8 | stops) << task::STAY_SHIFT | id
}

/// How sure it is of a request that is read and answered like this, in a program of this version.
fn confidence(version: &str, read: u64, sent: u64) -> Result<Confidence, TestCaseError> {
    let mut script = Script::begin();
    script.record(&event::Runtime {
        task_ids: 1,
        ..event::Runtime::new(START_NS + 10_000, Pid(PID), "go", version, "")
    });
    let request = script.reads(50, A, read, 40).sends(100, A, sent).request(A)?;
    Ok(request.figures.confidence)
}

#[test]
fn a_request_is_exact_where_its_goroutine_did_not_leave_its_thread() -> Law {
    let read = stay(TASK_A, 255, IO_WAIT);
    for (sent, expected) in [
        (read, Confidence::Exact),
        (stay(TASK_A, 0, IO_WAIT), Confidence::Inferred),
        (stay(TASK_A, 255, SLEEP), Confidence::Inferred),
        (stay(TASK_B, 255, IO_WAIT), Confidence::Inferred),
    ] {
        prop_assert_eq!(confidence("go1.26.8", read, sent)?, expected);
    }
    Ok(())
}

/// The send is a call.
#[test]
fn before_go_1_26_a_call_is_a_stop_too() -> Law {
    let read = stay(TASK_A, 255, IO_WAIT);
    for (sent, expected) in [
        (stay(TASK_A, 0, IO_WAIT), Confidence::Exact),
        (stay(TASK_A, 1, IO_WAIT), Confidence::Inferred),
    ] {
        prop_assert_eq!(confidence("go1.25.5", read, sent)?, expected);
    }
    Ok(())
}
