//! What is told of timers and of peers' answers: short streams, each with the one answer that its events support.

use bytemuck::Zeroable as _;
use observer::model::cause::Cause;
use observer::model::request::{Confidence, Request};
use observer_common::{Kind, SwitchOut, conn, task};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use syscalls::Sysno;

use super::check::Law;
use super::script::{A, B, PEER, PID, Script, TASK_A, TASK_B, charged_us, header};

/// The worker waits for the timer of A, and a request of B wakes it when that is due within the millisecond.
#[test]
fn a_timer_that_is_due_is_found_by_a_worker_that_something_else_woke() -> Law {
    let script = Script::begin().reads(50, A, TASK_A, 40).idles(100, 20);
    let script = script
        .woken(19_900, B)
        .reads(19_910, B, TASK_B, 19_900)
        .sends(19_950, B, TASK_B);
    let request = script.sends(20_000, A, TASK_A).request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::Timer), 19_800);
    prop_assert_eq!(request.figures.confidence, Confidence::Inferred);
    Ok(())
}

#[test]
fn a_timer_that_is_due_while_its_worker_is_busy_waits_for_the_worker_from_then_on() -> Law {
    let script = Script::begin().reads(50, A, TASK_A, 40).idles(100, 20);
    let script = script.woken(5_000, B).reads(5_010, B, TASK_B, 5_000);
    let script = script.seen(29_000, TASK_B).sends(30_000, B, TASK_B);
    let request = script.sends(30_010, A, TASK_A).request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::Timer), 20_000);
    prop_assert_eq!(charged_us(&request, Cause::WorkerBusy), 9_900);
    Ok(())
}

#[test]
fn a_timer_that_is_not_due_explains_nothing() -> Law {
    let script = Script::begin().reads(50, A, TASK_A, 40).idles(100, 60);
    let script = script
        .woken(19_900, B)
        .reads(19_910, B, TASK_B, 19_900)
        .sends(19_950, B, TASK_B);
    let request = script.sends(20_000, A, TASK_A).request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::Timer), 0);
    prop_assert!(charged_us(&request, Cause::Unexplained) >= 19_800);
    Ok(())
}

/// The first worker sets a timer for A and computes on for it; the second waits for the timer, and goes on with A.
fn a_timer_on_the_second_worker(woken_by: Option<u64>) -> Result<Request, TestCaseError> {
    let script = Script::begin().reads(5, B, TASK_B, 4).sends(8, B, TASK_B);
    let script = script.second_idles(10, u64::from(u32::MAX));
    let script = script.reads(50, A, TASK_A, 40).second_is_woken(100, woken_by);
    let script = script.second_idles(150, 100).seen(4_900, TASK_A);
    let script = script
        .idles(5_000, u64::from(u32::MAX))
        .second_is_woken(100_150, None);
    script.second_sends(100_200, A, TASK_A).request(A)
}

#[test]
fn a_worker_that_the_request_woke_waits_for_the_request_s_timer_while_that_still_runs() -> Law {
    let request = a_timer_on_the_second_worker(Some(TASK_A))?;
    prop_assert_eq!(charged_us(&request, Cause::Timer), 95_150);
    prop_assert_eq!(request.figures.confidence, Confidence::Inferred);
    Ok(())
}

#[test]
fn a_timer_for_which_a_worker_waited_before_the_request_stopped_was_another_s() -> Law {
    for woken_by in [Some(TASK_B), None] {
        let request = a_timer_on_the_second_worker(woken_by)?;
        prop_assert_eq!(charged_us(&request, Cause::Timer), 0);
        prop_assert!(charged_us(&request, Cause::Unexplained) >= 95_000);
    }
    Ok(())
}

/// What an event loop does where no task tells for whom.
const UNKNOWN: u64 = task::UNKNOWN;

#[test]
fn what_a_loop_runs_for_nobody_known_between_two_timers_is_none() -> Law {
    let script = Script::begin().reads(50, A, UNKNOWN, 40).idles(100, 20);
    let script = script.woken(20_100, conn::NONE).idles(40_100, 20);
    let script = script.woken(60_100, conn::NONE).sends(60_200, A, UNKNOWN);
    let request = script.request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::Timer), 40_000);
    prop_assert_eq!(charged_us(&request, Cause::Unexplained), 20_000);
    Ok(())
}

#[test]
fn a_loop_that_would_have_waited_for_longer_had_not_set_the_timer_yet() -> Law {
    for (waits_ms, timer_us) in [(u64::from(u32::MAX), 20_150), (1_000, 20_150), (15, 30_050)] {
        let script = Script::begin().reads(50, A, UNKNOWN, 40).idles(100, waits_ms);
        let script = script.woken(10_000, B).reads(10_010, B, UNKNOWN, 10_000);
        let script = script.sends(10_100, B, UNKNOWN).idles(10_150, 20);
        let script = script.woken(30_150, conn::NONE).sends(30_250, A, UNKNOWN);
        let request = script.request(A)?;
        prop_assert_eq!(charged_us(&request, Cause::Timer), timer_us, "{}", waits_ms);
    }
    Ok(())
}

/// The loop serves B so often before it waits for the timer that it is not followed all the way.
#[test]
fn a_timer_explains_no_more_than_was_looked_at() -> Law {
    for (times, is_all) in [(10, true), (1_000, false)] {
        let mut script = Script::begin().reads(50, A, UNKNOWN, 40);
        for at_us in (0..times).map(|turn| 100 + turn * 20) {
            script = script.idles(at_us, 1).woken(at_us + 5, B);
            script = script
                .reads(at_us + 8, B, UNKNOWN, at_us + 5)
                .sends(at_us + 10, B, UNKNOWN);
        }
        let waits_us = 100 + times * 20;
        let script = script.idles(waits_us, 20).woken(waits_us + 20_000, conn::NONE);
        let request = script.sends(waits_us + 20_100, A, UNKNOWN).request(A)?;
        let timer_us = charged_us(&request, Cause::Timer);
        prop_assert!((20_000..=waits_us + 20_000).contains(&timer_us), "{}", timer_us);
        prop_assert_eq!(
            charged_us(&request, Cause::Unexplained) == 0,
            is_all,
            "{:?}",
            request
        );
    }
    Ok(())
}

#[test]
fn of_a_connection_that_several_use_in_turn_a_request_waits_for_the_peer_since_it_asked_itself() -> Law {
    let script = Script::begin().reads(50, A, UNKNOWN, 40).asks(60, UNKNOWN);
    let script = script.reads(80, B, UNKNOWN, 70).idles(100, u64::from(u32::MAX));
    let script = script.woken(5_000, PEER).reads(5_010, PEER, UNKNOWN, 4_999);
    let script = script.sends(5_050, A, UNKNOWN).sends(5_060, PEER, UNKNOWN);
    let script = script.idles(5_100, u64::from(u32::MAX)).woken(10_000, PEER);
    let script = script
        .reads(10_010, PEER, UNKNOWN, 9_999)
        .sends(10_050, B, UNKNOWN);
    let request = script.request(B)?;
    prop_assert_eq!(charged_us(&request, Cause::Downstream), 4_939);
    prop_assert!(charged_us(&request, Cause::Unexplained) >= 4_900);
    Ok(())
}

/// A thread with a request in hand waits for a futex, and for so long at most, so often. If its time is over and it
/// waits for the same again, it waits for something else than the time: Python's threads wait like that for their lock.
#[test]
fn who_waits_again_for_the_same_when_its_time_is_over_waits_for_something_else() -> Law {
    for (times, timer_us) in [(1, 5_000), (3, 0)] {
        let mut script = Script::begin();
        // It keeps the requests that it reads.
        for turn in 0..30 {
            let at_us = 50 + turn * 20;
            script = script
                .reads(at_us, A, task::UNKNOWN, at_us - 5)
                .sends(at_us + 10, A, task::UNKNOWN);
        }
        script = script.reads(1_000, B, task::UNKNOWN, 990);
        for time in 0..times {
            let at_us = 1_010 + time * 5_010;
            script.record(&SwitchOut {
                header: header(Kind::SwitchOut, at_us),
                tgid: PID,
                state: 1,
                syscall: Sysno::futex as i32,
                args: [0x7000, libc::FUTEX_WAIT_BITSET as u64, 0, 0x1000],
                task: task::UNKNOWN,
                ..SwitchOut::zeroed()
            });
            script = script.woken(at_us + 5_000, conn::NONE);
        }
        let at_us = 1_010 + times * 5_010;
        let request = script.sends(at_us, B, task::UNKNOWN).request(B)?;
        prop_assert_eq!(charged_us(&request, Cause::Timer), timer_us);
    }
    Ok(())
}
