//! What is exact of requests that goroutines serve.

use bytemuck::Zeroable as _;
use observer::event;
use observer::model::cause::Cause;
use observer::model::id::Pid;
use observer::model::request::Confidence;
use observer::runtime::RuntimeName;
use observer_common::{Kind, Process, ProcessChange, SwitchOut, conn, flags, task};
use proptest::prelude::*;
use syscalls::Sysno;

use super::check::Law;
use super::machine::START_NS;
use super::script::{A, B, PID, Script, TASK_A, TASK_B, charged_us, header};

/// Numbers of wait reasons that are the same in all versions, or in those since 1.26.
pub(crate) const IO_WAIT: u64 = 2;
pub(crate) const SLEEP: u64 = 14;
pub(crate) const MUTEX: u64 = 22;
const ASSISTS: u64 = 1;

/// A goroutine that stopped so often, and waited last for this.
pub(crate) fn stay(id: u64, stops: u64, reason: u64) -> u64 {
    task::HAS_STAY | (reason << task::REASON_SHIFT | stops) << task::STAY_SHIFT | id
}

/// The stack of a goroutine that waits for a mutex, from the innermost function out.
pub(crate) const AT_MUTEX: [&str; 3] = ["runtime.gopark", "internal/sync.(*Mutex).lockSlow", "main.f"];

/// A goroutine is seen so after so many microseconds.
pub(crate) fn seen(at_us: u64, parked: u64, functions: [&str; 3]) -> event::GoStack {
    event::GoStack::new(START_NS + at_us * 1_000, Pid(PID), parked, functions.into_iter())
}

/// A program of this version reads a request.
pub(crate) fn reads(version: &str, read: u64) -> Script {
    let mut script = Script::begin();
    script.record(&event::Runtime {
        task_ids: 1,
        ..event::Runtime::new(START_NS + 10_000, Pid(PID), RuntimeName::Go.name(), version, "")
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

#[test]
fn what_its_process_was_is_known_of_a_request_that_was_answered_just_before_the_end() -> Law {
    let stayed = stay(TASK_A, 0, IO_WAIT);
    for (change, flags) in [(ProcessChange::Exit, flags::GROUP_DEAD), (ProcessChange::Exec, 0)] {
        let mut script = reads("go1.26.8", stayed).sends(100, A, stayed);
        script.record(&Process {
            header: header(Kind::Process, 101),
            tgid: PID,
            change: change as u32,
            flags,
            ..Process::zeroed()
        });
        let request = script.request(A)?;
        prop_assert_eq!(request.figures.confidence, Confidence::Exact);
    }
    Ok(())
}

/// net/http has another goroutine look whether the client goes away. Then the request's thread takes up another one,
/// which sleeps in a call, before it goes on with the request. What that waited for is not told: any thread takes up a
/// goroutine that is ready, also where it is not known which each runs.
#[test]
fn a_request_did_not_wait_for_the_thread_of_another_goroutine() -> Law {
    let (own, other) = (stay(TASK_A, 0, IO_WAIT), stay(TASK_B, 0, IO_WAIT));
    for (version, own, other, own_then) in [
        ("go1.26.8", own, other, stay(TASK_A, 2, MUTEX)),
        ("go1.18", task::UNKNOWN, task::UNKNOWN, task::UNKNOWN),
    ] {
        let mut script = reads(version, own)
            .second_idles(51, 1_000)
            .second_is_woken(55, Some(own))
            .second_idles(60, 1_000)
            .reads(70, B, other, 65);
        script.record(&SwitchOut {
            header: header(Kind::SwitchOut, 80),
            tgid: PID,
            state: 1,
            syscall: Sysno::nanosleep as i32,
            task: other,
            ..SwitchOut::zeroed()
        });
        let script = script.woken(10_080, conn::NONE).sends(10_090, B, other);
        let request = script.sends(10_200, A, own_then).request(A)?;
        prop_assert!(
            charged_us(&request, Cause::Unexplained) > 9_900,
            "{version} {:?}",
            request.figures.budget
        );
    }
    Ok(())
}

/// The runtime watches itself by a thread that runs no goroutine, which wakes another one where a timer is due for
/// which a third waits.
#[test]
fn who_is_woken_by_the_monitor_waited_for_a_timer_only_where_one_was_due() -> Law {
    for (due_ms, reason, is_timer) in [(10, SLEEP, true), (30, SLEEP, false), (10, MUTEX, false)] {
        let script = reads("go1.26.8", stay(TASK_A, 0, IO_WAIT))
            .second_idles(55, 1_000)
            .idles(100, due_ms)
            .second_is_woken_by_monitor(10_050);
        let request = script
            .second_sends(10_100, A, stay(TASK_A, 1, reason))
            .request(A)?;
        let timer_us = charged_us(&request, Cause::Timer);
        prop_assert_eq!(timer_us, if is_timer { 9_950 } else { 0 });
    }
    Ok(())
}

/// A cycle of garbage collection that marks from 200 us to 9 ms, and stops the world for 100 us before and after.
fn cycle() -> event::GoCycle {
    let times_us = [100, 200, 9_000, 9_100];
    let times_ns = times_us.map(|us| START_NS + us * 1_000);
    event::GoCycle::new(times_ns[2], Pid(PID), 12, times_ns)
}

/// Its worker has nothing to do from 60 us to 10,060 us.
#[test]
fn a_request_waited_through_stops_of_the_world_and_through_marking_only_if_it_was_to_help() -> Law {
    const ASSIST: u64 = 7;
    let read = stay(TASK_A, 0, IO_WAIT);
    for (reason, runtime_us) in [(MUTEX, 200), (ASSIST, 9_000), (SLEEP, 0)] {
        let mut script = reads("go1.26.8", read).idles(60, 10);
        script.record(&cycle());
        let script = script.woken(10_060, conn::NONE);
        let request = script.sends(10_100, A, stay(TASK_A, 1, reason)).request(A)?;
        prop_assert_eq!(charged_us(&request, Cause::Runtime), runtime_us);
        let gc = request
            .gc
            .map(|gc| (gc.first, gc.last, gc.mark_ns, gc.stopped_ns));
        prop_assert_eq!(gc, Some((12, 12, 8_800_000, 200_000)));
    }
    Ok(())
}

/// It computes from 50 us to 10,100 us, and is looked at each millisecond for some of that.
#[test]
fn a_request_helped_to_mark_between_looks_that_find_it_in_the_same_assist() -> Law {
    let read = stay(TASK_A, 0, IO_WAIT);
    let assists = |stops| stay(TASK_A, stops, ASSISTS) | task::FOR_RUNTIME;
    let computes = |stops| stay(TASK_A, stops, ASSISTS);
    for (looks, runtime_us) in [
        ([assists(1), assists(1), assists(1)], 2_000),
        ([assists(1), assists(1), assists(2)], 1_000),
        ([assists(1), computes(1), assists(2)], 0),
        ([computes(1), computes(1), computes(1)], 0),
    ] {
        let mut script = reads("go1.26.8", read);
        script.record(&cycle());
        let script = (1..)
            .zip(looks)
            .fold(script, |script, (ms, look)| script.seen(ms * 1_000, look));
        let request = script.sends(10_100, A, computes(3)).request(A)?;
        prop_assert_eq!(charged_us(&request, Cause::Runtime), runtime_us);
        prop_assert_eq!(charged_us(&request, Cause::OnCpu), 10_060 - runtime_us);
        let taken = request.timeline.iter().filter_map(|span| span.detail.runtime);
        let of_cycle = taken.map(|work| (work.what, work.cycle));
        prop_assert!(of_cycle.into_iter().all(|work| work == ("mark assist", Some(12))));
    }
    Ok(())
}

/// It ran all the time.
#[test]
fn what_a_request_computes_while_the_world_is_to_stop_is_its_own() -> Law {
    let read = stay(TASK_A, 0, IO_WAIT);
    let mut script = reads("go1.26.8", read);
    script.record(&cycle());
    let request = script.sends(10_100, A, read).request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::Runtime), 0);
    prop_assert_eq!(request.figures.confidence, Confidence::Exact);
    Ok(())
}

/// The worker runs a goroutine of the runtime that marks, and then reads.
#[test]
fn who_waits_for_a_goroutine_that_marks_waits_behind_a_gc_worker() -> Law {
    const MARKS: u64 = 29;
    let mut script = Script::begin();
    script.record(&event::Runtime {
        task_ids: 1,
        ..event::Runtime::new(
            START_NS + 10_000,
            Pid(PID),
            RuntimeName::Go.name(),
            "go1.26.8",
            "",
        )
    });
    let marks = stay(TASK_B, 1, MARKS);
    let script = script.seen(20, marks).seen(1_000, marks);
    let read = stay(TASK_A, 0, IO_WAIT);
    let request = script
        .reads(2_000, A, read, 40)
        .sends(2_100, A, read)
        .request(A)?;
    let busy = request
        .timeline
        .iter()
        .filter(|span| span.cause == Cause::WorkerBusy);
    let roles: Vec<_> = busy.map(|span| span.culprit.as_ref().unwrap().role).collect();
    prop_assert_eq!(roles, [Some("GC worker")]);
    Ok(())
}
