//! What is exact of requests that goroutines serve.

use bytemuck::Zeroable as _;
use observer::event;
use observer::model::cause::Cause;
use observer::model::id::Pid;
use observer::model::request::Confidence;
use observer_common::{Kind, Process, ProcessChange, conn, flags, task};
use proptest::prelude::*;

use super::check::Law;
use super::machine::START_NS;
use super::script::{A, PID, Script, TASK_A, TASK_B, charged_us, header};

/// Numbers of wait reasons that are the same in all versions, or in those since 1.26.
const IO_WAIT: u64 = 2;
const SLEEP: u64 = 14;

/// A goroutine that stopped so often, and waited last for this.
fn stay(id: u64, stops: u64, reason: u64) -> u64 {
    task::HAS_STAY | (reason << 8 | stops) << task::STAY_SHIFT | id
}

/// A program of this version reads a request.
fn reads(version: &str, read: u64) -> Script {
    let mut script = Script::begin();
    script.record(&event::Runtime {
        task_ids: 1,
        ..event::Runtime::new(START_NS + 10_000, Pid(PID), "go", version, "")
    });
    script.reads(50, A, read, 40)
}

/// How sure it is of a request that is read and answered like this, in a program of this version.
fn confidence(version: &str, read: u64, sent: u64) -> Result<Confidence, TestCaseError> {
    let request = reads(version, read).sends(100, A, sent).request(A)?;
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

/// Its goroutine lost its turn to run while it was in a call, which is no stop.
#[test]
fn a_request_that_another_thread_answers_is_not_exact() -> Law {
    let (read, sent) = (stay(TASK_A, 0, IO_WAIT), stay(TASK_A, 1, IO_WAIT));
    let script = reads("go1.25.5", read)
        .second_idles(55, 0)
        .second_is_woken(60, None);
    let request = script.second_sends(100, A, sent).request(A)?;
    prop_assert_eq!(request.figures.confidence, Confidence::Inferred);
    Ok(())
}

#[test]
fn the_end_of_its_process_makes_no_request_exact() -> Law {
    let (read, sent) = (stay(TASK_A, 0, IO_WAIT), stay(TASK_B, 0, IO_WAIT));
    let mut script = reads("go1.26.8", read).sends(100, A, sent);
    script.record(&Process {
        header: header(Kind::Process, 101),
        tgid: PID,
        change: ProcessChange::Exit as u32,
        flags: flags::GROUP_DEAD,
        ..Process::zeroed()
    });
    let request = script.request(A)?;
    prop_assert_eq!(request.figures.confidence, Confidence::Inferred);
    Ok(())
}

/// Its worker waits for a timer meanwhile, which is another's where the goroutine waited for a lock.
#[test]
fn a_timer_is_what_a_request_waited_for_only_if_its_goroutine_slept() -> Law {
    const MUTEX: u64 = 22;
    let read = stay(TASK_A, 0, IO_WAIT);
    for (reason, timer_us) in [(SLEEP, 10_000), (MUTEX, 0)] {
        let script = reads("go1.26.8", read).idles(60, 10).woken(10_060, conn::NONE);
        let request = script.sends(10_100, A, stay(TASK_A, 1, reason)).request(A)?;
        prop_assert_eq!(charged_us(&request, Cause::Timer), timer_us);
    }
    Ok(())
}
