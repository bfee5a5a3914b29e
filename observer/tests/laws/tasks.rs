//! What is told of a worker and its tasks: short streams, each with the one answer that its events support.

use bytemuck::Zeroable as _;
use observer::model::cause::Cause;
use observer::model::header::Requests;
use observer::model::request::Confidence;
use observer_common::{Header, Kind, Receive, SwitchIn, SwitchOut, Waking, flags, task};
use proptest::prelude::*;
use syscalls::Sysno;

use super::check::Law;
use super::run::{explain, explain_some};
use super::script::{
    A, B, OTHER, PEER, PID, Script, TASK_A, TASK_B, charged_us, culprits, header, of_second,
};

/// `FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG`.
const FUTEX_WAIT: u64 = 137;

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
/// The second worker, which has B in hand, wakes the first, which waits in the middle of A.
#[test]
fn who_is_woken_by_who_has_another_request_in_hand_waited_for_that_as_far_as_is_inferred() -> Law {
    let mut script = Script::begin().reads(50, A, TASK_A, 40);
    script.record(&Receive {
        header: of_second(Kind::Receive, 60),
        tgid: PID,
        fd: B as i32,
        conn: B,
        task: TASK_B,
        flags: flags::INBOUND,
        arrived_ns: header(Kind::Receive, 59).at_ns,
        result: 5,
        ..Receive::zeroed()
    });
    script.record(&SwitchOut {
        header: header(Kind::SwitchOut, 100),
        tgid: PID,
        state: 1,
        syscall: Sysno::futex as i32,
        args: [0x7000, FUTEX_WAIT, 1, 0],
        task: TASK_A,
        ..SwitchOut::zeroed()
    });
    script.record(&Waking {
        header: Header {
            cpu: 1,
            ..header(Kind::Waking, 3_000)
        },
        tgid: PID,
        waker_tid: of_second(Kind::Waking, 0).tid,
        waker_tgid: PID,
        waker_syscall: Sysno::futex as i32,
        waker_task: TASK_B,
        ..Waking::zeroed()
    });
    script.record(&SwitchIn {
        header: header(Kind::SwitchIn, 3_001),
        tgid: PID,
        ..SwitchIn::zeroed()
    });
    let request = script.sends(3_100, A, TASK_A).request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::Lock), 2_900);
    prop_assert_eq!(culprits(&request, Cause::Lock), [Some(TASK_B)]);
    prop_assert_eq!(request.figures.confidence, Confidence::Inferred);
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

/// A request waits for a worker that waits for a CPU, of which the kernel says that nothing but its idle thread had it.
#[test]
fn who_had_a_cpu_is_counted_alike_whether_requests_are_written_or_not() -> Law {
    let mut script = Script::begin().reads(50, A, TASK_A, 50);
    script.record(&SwitchOut {
        header: header(Kind::SwitchOut, 100),
        tgid: PID,
        syscall: -1,
        flags: flags::PREEMPTED,
        task: TASK_A,
        ..SwitchOut::zeroed()
    });
    script.record(&SwitchIn {
        header: header(Kind::SwitchIn, 5_000),
        tgid: PID,
        prev_ran_ns: 4_900_000,
        ..SwitchIn::zeroed()
    });
    let script = script
        .sends(5_010, A, TASK_A)
        .reads(5_020, B, TASK_B, 60)
        .sends(5_030, B, TASK_B);
    let (all, none) = (
        explain(script.stream())?,
        explain_some(script.stream(), Requests::None)?,
    );
    prop_assert_eq!(charged_us(&script.request(B)?, Cause::RunQueue), 4_900);
    prop_assert_eq!(all.ends, none.ends);
    Ok(())
}
