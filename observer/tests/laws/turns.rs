//! What is told of requests that wait for a pool one behind the other, and of what its threads do between two answers:
//! short streams, each with the one answer that its events support.

use observer::model::cause::Cause;
use observer::model::request::{Request, Span};
use observer_common::conn;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use syscalls::Sysno;

use super::check::Law;
use super::pools::{FIRST, LOOP, Program, QUEUE, SECOND, full};
use super::script::{A, B, charged_us};

/// The first client of those that come one after the other, and how many.
const CLIENT: u64 = 10;
const CLIENTS: u64 = 40;

/// Each of them sleeps for so long, and so many wait at a time.
const SLEEP_US: u64 = 5_000;
const WAIT: u64 = 3;

/// When the first of them is taken up.
const BEGIN_US: u64 = 10_000;

/// Requests of these clients, the last of B, come in this order so that a few wait at any time, and are answered by one
/// thread in another: each after a sleep, unless it is answered right after the one before.
fn in_line(read: &[u64], answered: &[u64], is_right_after: impl Fn(u64) -> bool) -> Program {
    let mut program = Program::with(&[FIRST])
        .comes(2_010, A)
        .gives(2_012, FIRST)
        .loops(2_015);
    program = program.sleeps(2_020, FIRST);
    let mut coming = read.iter();
    for (nth, &conn) in coming.by_ref().take(WAIT as usize).enumerate() {
        let at_us = 3_000 + 100 * nth as u64;
        program = program.comes(at_us, conn).loops(at_us + 10);
    }
    program = program
        .goes_on(BEGIN_US - 20, FIRST)
        .answers(BEGIN_US - 10, FIRST, A);
    let mut at_us = BEGIN_US;
    for &conn in answered {
        if !is_right_after(conn) {
            program = program.sleeps(at_us, FIRST);
            if let Some(&next) = coming.next() {
                program = program.comes(at_us + 1_000, next).loops(at_us + 1_010);
            }
            at_us += SLEEP_US;
            program = program.goes_on(at_us - 20, FIRST);
        }
        program = program.answers(at_us - 10, FIRST, conn);
        at_us += 2;
    }
    program.waits_for_a_job(at_us + 10, FIRST)
}

fn spans(request: &Request, cause: Cause) -> Vec<&Span> {
    request
        .timeline
        .iter()
        .filter(|span| span.cause == cause)
        .collect()
}

fn clients() -> Vec<u64> {
    (CLIENT..CLIENT + CLIENTS).chain([B]).collect()
}

#[test]
fn where_a_pool_takes_up_what_came_first_each_job_before_a_request_is_another_s() -> Law {
    let request = in_line(&clients(), &clients(), |_| false).request()?;
    let blocked_us = charged_us(&request, Cause::WorkerBlocked);
    prop_assert!((WAIT - 1) * SLEEP_US - 100 <= blocked_us, "{blocked_us}");
    prop_assert!(blocked_us < WAIT * SLEEP_US, "{blocked_us}");
    prop_assert_eq!(charged_us(&request, Cause::Unexplained), 0);
    // The own sleep is no other's.
    let own = SLEEP_US - 20;
    prop_assert_eq!(charged_us(&request, Cause::Syscall), own);
    Ok(())
}

/// The first client waits for news, which come with B.
#[test]
fn one_that_is_answered_in_the_middle_of_a_job_was_not_waited_for() -> Law {
    let mut answered = clients();
    let waits = answered.remove(0);
    answered.insert(answered.len() - 1, waits);
    let request = in_line(&clients(), &answered, |conn| conn == B).request()?;
    // The sleep before both is that of B.
    prop_assert!(charged_us(&request, Cause::WorkerBlocked) <= (WAIT - 1) * SLEEP_US);
    prop_assert!(charged_us(&request, Cause::Unexplained) >= SLEEP_US - 100);
    Ok(())
}

#[test]
fn where_a_pool_takes_up_what_came_last_it_is_not_told_whose_the_later_jobs_are() -> Law {
    let mut answered = clients();
    answered.chunks_exact_mut(2).for_each(<[u64]>::reverse);
    let request = in_line(&clients(), &answered, |_| false).request()?;
    prop_assert!(charged_us(&request, Cause::WorkerBlocked) < 2 * SLEEP_US);
    prop_assert!(charged_us(&request, Cause::Unexplained) >= SLEEP_US - 100);
    Ok(())
}

#[test]
fn a_thread_that_waits_for_connections_feeds_a_pool_as_an_event_loop_does() -> Law {
    let accepts = |program: Program, at_us| program.leaves(at_us, LOOP, Sysno::accept4, [3, 0, 0, 0]);
    let comes = |program: Program, at_us, conn| {
        let program = program.wakes(at_us - 2, LOOP, conn::LISTENER);
        program.reads(at_us, LOOP, conn, at_us - 2)
    };
    let program = Program::fed(&[(FIRST, QUEUE)], comes, accepts);
    let program = accepts(comes(program, 2_010, A).gives(2_012, FIRST), 2_015);
    let program = accepts(comes(program.sleeps(2_020, FIRST), 3_000, B), 3_010);
    let program = program.goes_on(52_020, FIRST).answers(52_030, FIRST, A);
    let request = program.answers(52_060, FIRST, B).request()?;
    prop_assert_eq!(charged_us(&request, Cause::WorkerBlocked), 49_010);
    prop_assert_eq!(charged_us(&request, Cause::Unexplained), 0);
    let behind = spans(&request, Cause::WorkerBlocked);
    prop_assert_eq!(
        behind[0].culprit.as_ref().unwrap().syscall,
        Some("clock_nanosleep")
    );
    Ok(())
}

#[test]
fn what_a_thread_computes_long_after_an_answer_is_not_told_to_be_of_that_request() -> Law {
    let program = full(&[FIRST]).goes_on(52_020, FIRST).answers(52_030, FIRST, A);
    let program = program.sleeps(72_030, FIRST).goes_on(82_030, FIRST);
    let request = program.answers(82_040, FIRST, B).request()?;
    prop_assert_eq!(charged_us(&request, Cause::WorkerBusy), 9);
    prop_assert_eq!(charged_us(&request, Cause::WorkerBlocked), 49_010);
    prop_assert_eq!(charged_us(&request, Cause::Unexplained), 20_000);
    prop_assert_eq!(charged_us(&request, Cause::Syscall), 10_000);
    Ok(())
}

/// A thread sleeps for B, and then waits for a moment until another one of the pool, which sleeps for a third client,
/// gives up what both want.
fn wants_what_another_has(timeout: u64) -> Result<Request, TestCaseError> {
    let program = Program::with(&[FIRST, SECOND])
        .comes(2_010, A)
        .gives(2_012, FIRST);
    let program = program.loops(2_015).sleeps(2_020, FIRST).comes(2_510, CLIENT);
    let program = program.gives(2_512, SECOND).loops(2_515).sleeps(2_520, SECOND);
    let program = program.comes(3_000, B).loops(3_010);
    let program = program.goes_on(22_020, FIRST).answers(22_030, FIRST, A);
    let program = program.sleeps(22_040, FIRST).goes_on(32_040, FIRST);
    let program = program.leaves(32_050, FIRST, Sysno::futex, [0x9000, 137, 0, timeout]);
    let program = program
        .goes_on(32_100, SECOND)
        .ends_wait(32_250, SECOND, Sysno::futex, FIRST);
    let program = program.answers(32_260, SECOND, CLIENT);
    program.answers(32_270, FIRST, B).request()
}

#[test]
fn who_ends_a_moment_s_wait_of_a_thread_with_a_request_of_its_own_did_not_give_it_that() -> Law {
    for timeout in [0, 0x7fff] {
        let request = wants_what_another_has(timeout)?;
        prop_assert_eq!(charged_us(&request, Cause::Syscall), 10_000);
        prop_assert_eq!(charged_us(&request, Cause::Unexplained), 200);
        prop_assert_eq!(charged_us(&request, Cause::WorkerBlocked), 19_010);
        let behind = spans(&request, Cause::WorkerBlocked);
        prop_assert!(
            behind
                .iter()
                .all(|span| span.tid.is_some_and(|tid| tid.0 == FIRST))
        );
    }
    Ok(())
}
