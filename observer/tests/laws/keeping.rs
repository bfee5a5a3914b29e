//! What is told of requests that wait for the threads of a pool that read and answer them, which an event loop tells of
//! those that came: short streams, each with the one answer that its events support.

use observer::model::cause::Cause;
use observer::model::id::Tid;
use observer::model::request::Request;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use syscalls::Sysno;

use super::check::Law;
use super::pools::{FIRST, LOOP, Program, SECOND};
use super::script::{A, B, charged_us};

/// A third client.
const OTHER: u64 = 3;

/// So many answers by who had read the request tell that threads keep what they read.
const ENOUGH: u64 = 16;

impl Program {
    /// The loop is told of a request and tells a thread that waits, which reads and answers it, this many times.
    fn keeps(mut self, from_us: u64, tid: u32, times: u64) -> Self {
        for nth in 0..times {
            let at_us = from_us + 20 * nth;
            self = self.hears_of(at_us, OTHER).gives(at_us + 2, tid).loops(at_us + 4);
            self = self
                .reads(at_us + 5, tid, OTHER, at_us)
                .answers(at_us + 6, tid, OTHER);
            self = self.waits_for_a_job(at_us + 8, tid);
        }
        self
    }

    /// The loop is told of a request.
    fn hears_of(self, at_us: u64, conn: u64) -> Self {
        self.wakes(at_us, LOOP, conn)
    }

    /// A thread waits at a futex until a time.
    fn parks_for_a_time(self, at_us: u64, tid: u32) -> Self {
        self.leaves(at_us, tid, Sysno::futex, [0x9000, 137, 0, 0x7fff])
    }
}

/// The thread has read the request of A, or answered it, and parks for 10 ms; B comes meanwhile, and the thread answers
/// others until so many were answered in all.
fn parks_with(is_answered: bool, answers: u64) -> Result<Request, TestCaseError> {
    let before = answers - 2;
    let program = Program::with(&[])
        .waits_for_a_job(8, FIRST)
        .keeps(20, FIRST, before);
    let mut program = program.hears_of(1_000, A).gives(1_002, FIRST).loops(1_004);
    program = program.reads(1_005, FIRST, A, 1_000);
    if is_answered {
        program = program.answers(1_006, FIRST, A);
    }
    program = program
        .parks_for_a_time(1_010, FIRST)
        .hears_of(2_000, B)
        .loops(2_010);
    program = program.goes_on(11_010, FIRST);
    if !is_answered {
        program = program.answers(11_020, FIRST, A);
    }
    program
        .reads(11_030, FIRST, B, 2_000)
        .answers(11_040, FIRST, B)
        .request()
}

#[test]
fn a_thread_that_parked_with_a_request_in_hand_was_at_that_though_it_is_known_only_later() -> Law {
    let request = parks_with(false, ENOUGH)?;
    prop_assert_eq!(charged_us(&request, Cause::WorkerBlocked), 9_010);
    prop_assert_eq!(charged_us(&request, Cause::Unexplained), 0);
    let mut spans = request.timeline.iter();
    let blocked = spans.find(|span| span.cause == Cause::WorkerBlocked).unwrap();
    prop_assert_eq!(blocked.culprit.as_ref().unwrap().syscall, Some("futex"));
    Ok(())
}

#[test]
fn one_that_had_answered_it_had_nothing_in_hand() -> Law {
    let request = parks_with(true, ENOUGH)?;
    prop_assert_eq!(charged_us(&request, Cause::WorkerBlocked), 0);
    prop_assert!(charged_us(&request, Cause::Unexplained) >= 9_000);
    Ok(())
}

#[test]
fn where_few_were_answered_it_is_not_known_that_threads_keep_what_they_read() -> Law {
    let request = parks_with(false, ENOUGH - 1)?;
    prop_assert_eq!(charged_us(&request, Cause::WorkerBlocked), 0);
    prop_assert!(charged_us(&request, Cause::Unexplained) >= 9_000);
    Ok(())
}

/// Both threads sleep for others for 50 ms when B comes, and when they are done the second gets the loop to go on, and
/// that the first, which had no more to do for a moment. The loop waited since it was told of B, or slept itself.
fn told_by_the_loop(sleeps: bool) -> Result<Request, TestCaseError> {
    let program = Program::with(&[])
        .waits_for_a_job(8, FIRST)
        .waits_for_a_job(9, SECOND);
    let program = program.hears_of(1_000, A).gives(1_002, FIRST).loops(1_004);
    let program = program.reads(1_005, FIRST, A, 1_000).sleeps(1_010, FIRST);
    let program = program.hears_of(1_500, OTHER).gives(1_502, SECOND).loops(1_504);
    let program = program.reads(1_505, SECOND, OTHER, 1_500).sleeps(1_510, SECOND);
    let mut program = program.hears_of(2_000, B);
    program = if sleeps {
        program.sleeps(2_010, LOOP)
    } else {
        program.loops(2_010)
    };
    program = program.goes_on(52_000, FIRST).answers(52_010, FIRST, A);
    program = program.waits_for_a_job(52_020, FIRST);
    program = program.goes_on(52_050, SECOND).answers(52_060, SECOND, OTHER);
    program = if sleeps {
        program.goes_on(52_070, LOOP)
    } else {
        program.ends_wait(52_070, SECOND, Sysno::write, LOOP)
    };
    program = program.gives(52_080, FIRST).loops(52_090);
    program
        .reads(52_095, FIRST, B, 2_000)
        .answers(52_100, FIRST, B)
        .request()
}

#[test]
fn what_a_loop_was_told_of_before_it_waited_again_waits_for_the_thread_that_took_it() -> Law {
    let request = told_by_the_loop(false)?;
    prop_assert_eq!(charged_us(&request, Cause::WorkerBlocked), 50_000);
    let mut spans = request.timeline.iter();
    let blocked = spans.find(|span| span.cause == Cause::WorkerBlocked).unwrap();
    prop_assert_eq!(blocked.tid, Some(Tid(FIRST)));
    prop_assert!(charged_us(&request, Cause::Unexplained) <= 60);
    Ok(())
}

#[test]
fn a_loop_that_did_not_wait_since_it_was_told_is_what_is_waited_for() -> Law {
    let request = told_by_the_loop(true)?;
    let mut spans = request.timeline.iter();
    let blocked = spans.find(|span| span.cause == Cause::WorkerBlocked).unwrap();
    prop_assert_eq!(blocked.tid, Some(Tid(LOOP)));
    prop_assert_eq!(charged_us(&request, Cause::WorkerBlocked), 50_060);
    Ok(())
}

/// The loop is told of B, but sleeps for 10 ms before it has a thread read it.
#[test]
fn a_request_that_another_thread_is_to_read_waits_for_the_loop_that_was_told_of_it() -> Law {
    let program = Program::with(&[]).waits_for_a_job(10, FIRST);
    let program = program
        .wakes(3_000, LOOP, B)
        .leaves(3_010, LOOP, Sysno::clock_nanosleep, [0; 4]);
    let program = program.goes_on(13_010, LOOP).gives(13_020, FIRST).loops(13_025);
    let program = program.reads(13_030, FIRST, B, 3_000).answers(13_040, FIRST, B);
    let request = program.request()?;
    prop_assert_eq!(charged_us(&request, Cause::WorkerBlocked), 10_000);
    prop_assert_eq!(charged_us(&request, Cause::Unexplained), 0);
    let mut spans = request.timeline.iter();
    let blocked = spans.find(|span| span.cause == Cause::WorkerBlocked).unwrap();
    prop_assert_eq!(blocked.tid, Some(Tid(LOOP)));
    Ok(())
}

/// One has a lock when the next comes, which waits for it at this futex, and another one comes before it lets go of it.
/// Behind whom that waits for it, and for how long, us.
fn waited_for_a_lock(second_waits_at: u64) -> Result<Vec<(Option<Tid>, u64)>, TestCaseError> {
    const THIRD: u32 = SECOND + 1;
    const LOCK: [u64; 4] = [0xa000, 137, 0, 0];
    let program = Program::with(&[]).waits_for_a_job(8, FIRST);
    let program = program.keeps(20, FIRST, ENOUGH).hears_of(1_000, A);
    let program = program
        .gives(1_002, FIRST)
        .loops(1_004)
        .reads(1_005, FIRST, A, 1_000);
    let program = program.sleeps(1_010, FIRST).reads(1_505, SECOND, OTHER, 1_500);
    let program = program.leaves(1_510, SECOND, Sysno::futex, [second_waits_at, 137, 0, 0]);
    let program = program.reads(2_005, THIRD, B, 2_000);
    let program = program.leaves(2_010, THIRD, Sysno::futex, LOCK);
    let program = program
        .goes_on(30_000, FIRST)
        .ends_wait(30_010, FIRST, Sysno::futex, SECOND);
    let program = program
        .answers(30_020, FIRST, A)
        .ends_wait(30_100, SECOND, Sysno::futex, THIRD);
    let program = program.answers(30_110, SECOND, OTHER).answers(30_120, THIRD, B);
    let request = program.request()?;
    let locks = request.timeline.iter().filter(|span| span.cause == Cause::Lock);
    let behind = locks.map(|span| (span.culprit.as_ref().map(|by| by.tid), span.dur_ns / 1_000));
    Ok(behind.collect())
}

#[test]
fn who_waits_for_what_others_have_one_after_the_other_waits_behind_each_of_them() -> Law {
    // The second one is the other of the pair that a condition variable has.
    for futex in [0xa000, 0xa004] {
        let behind = waited_for_a_lock(futex)?;
        prop_assert_eq!(behind, [(Some(Tid(FIRST)), 28_000), (Some(Tid(SECOND)), 90)]);
    }
    Ok(())
}

#[test]
fn who_waited_at_another_place_is_not_said_to_have_had_meanwhile_what_it_let_go_of() -> Law {
    let behind = waited_for_a_lock(0xb000)?;
    prop_assert_eq!(behind, [(None, 28_000), (Some(Tid(SECOND)), 90)]);
    Ok(())
}
