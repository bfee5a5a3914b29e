//! The laws where little is remembered of what threads did, so that requests are explained part by part while they run.

use bytemuck::Zeroable as _;
use observer::attribution::notes;
use observer::model::cause::Cause;
use observer::model::header::Requests;
use observer::threads::SliceLimit;
use observer_common::{Kind, SwitchOut, conn};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use syscalls::Sysno;

use super::check::Law;
use super::evidence::Truth;
use super::run::{explain, explain_remembering};
use super::script::{A, B, OTHER, PID, Script, TASK_A, TASK_B, charged_us, header};
use super::{STEPS, any_stream, cases, machine};

/// Slices that are remembered: a machine makes hundreds.
fn few() -> impl Strategy<Value = usize> {
    8..200_usize
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn every_request_of_a_machine_that_is_soon_forgotten_obeys_the_laws(
        known in machine::known(STEPS),
        slices in few(),
    ) {
        let stream = &known.stream;
        let explained = explain_remembering(stream, Requests::All, SliceLimit(slices))?;
        explained.obeys_the_laws()?;
        let truth = Truth::of(stream);
        for (request, _) in &explained.requests {
            truth.supports(request)?;
            known.works.support(request)?;
        }
        let whole = explain(stream)?;
        prop_assert_eq!(explained.turns(), whole.turns());
        for ((request, _), (whole, _)) in explained.requests.iter().zip(&whole.requests) {
            prop_assert_eq!(request.figures.latency_ns, whole.figures.latency_ns);
            prop_assert_eq!(request.figures.receive_queue_ns, whole.figures.receive_queue_ns);
        }
    }

    #[test]
    fn every_request_of_noise_that_is_soon_forgotten_obeys_the_laws(stream in any_stream(), slices in few()) {
        explain_remembering(&stream, Requests::All, SliceLimit(slices))?.obeys_the_laws()?;
    }

    #[test]
    fn what_is_counted_of_what_is_soon_forgotten_does_not_depend_on_what_is_written(
        stream in any_stream(),
        slices in few(),
    ) {
        let all = explain_remembering(&stream, Requests::All, SliceLimit(slices))?;
        let none = explain_remembering(&stream, Requests::None, SliceLimit(slices))?;
        prop_assert_eq!(all.ends, none.ends);
        prop_assert_eq!(all.windows, none.windows);
    }
}

impl Script {
    /// It sleeps in the middle of B, so many times for 5 of 10 µs.
    fn sleeps(mut self, from_us: u64, times: u64) -> Self {
        for nth in 0..times {
            self.record(&SwitchOut {
                header: header(Kind::SwitchOut, from_us + 10 * nth),
                tgid: PID,
                state: 1,
                syscall: Sysno::clock_nanosleep as i32,
                task: TASK_B,
                ..SwitchOut::zeroed()
            });
            self = self.woken(from_us + 10 * nth + 5, conn::NONE);
        }
        self
    }
}

/// What the worker did before that is recorded, and not looked at.
#[test]
fn a_walk_through_too_many_intervals_says_that_and_not_that_none_was_recorded() -> Law {
    const TIMES: u64 = 20_000;
    let script = Script::begin().reads(50, B, TASK_B, 40).sleeps(100, TIMES);
    let end_us = 100 + 10 * TIMES;
    let script = script.sends(end_us, B, TASK_B).reads(end_us + 10, A, TASK_A, 60);
    let request = script.sends(end_us + 20, A, TASK_A).request_given_up(A)?;
    prop_assert_eq!(request.timeline[0].detail.note, Some(notes::TOO_MANY_STEPS));
    Ok(())
}

/// Of a request that takes longer than what is remembered nearly as much is explained as of others.
#[test]
fn what_is_soon_forgotten_is_explained_before() {
    let mut runner = TestRunner::deterministic();
    let (mut all_ns, mut whole_ns, mut thinned_ns) = (0, 0, 0);
    for _ in 0..100 {
        let stream = machine::stream(STEPS).new_tree(&mut runner).unwrap().current();
        let unexplained_ns = |explained: &super::run::Explained| {
            let requests = explained.requests.iter();
            let budgets = requests.map(|(request, _)| request.figures.budget.get(Cause::Unexplained));
            budgets.sum::<u64>()
        };
        let whole = explain(&stream).unwrap();
        let requests = whole.requests.iter();
        all_ns += requests
            .map(|(request, _)| request.figures.latency_ns)
            .sum::<u64>();
        whole_ns += unexplained_ns(&whole);
        thinned_ns += unexplained_ns(&explain_remembering(&stream, Requests::All, SliceLimit(64)).unwrap());
    }
    println!("{whole_ns} of {all_ns} ns unexplained, {thinned_ns} ns where little is remembered");
    assert!(thinned_ns < whole_ns + all_ns / 10);
}

/// The worker serves B all the time, also between two looks at A.
fn serves_b(mut script: Script, from_us: u64, times: u64) -> Script {
    for time in 0..times {
        let at_us = from_us + 10 * time;
        script = script
            .reads(at_us, B, TASK_B, at_us - 1)
            .sends(at_us + 8, B, TASK_B);
    }
    script
}

#[test]
fn a_request_waits_behind_more_than_is_remembered() -> Law {
    let script = serves_b(Script::begin(), 1_000, 5_000);
    let script = script.reads(51_000, A, TASK_A, 2_005).sends(51_010, A, TASK_A);
    let whole = script.request(A)?;
    prop_assert_eq!(charged_us(&whole, Cause::WorkerBusy), 48_995);
    let thinned = script.request_remembering(A, SliceLimit(1_000))?;
    let longest = thinned.timeline.iter().map(|span| span.dur_ns).max();
    prop_assert!(longest.unwrap_or_default() > 10_000_000, "{thinned:?}");
    prop_assert_eq!(thinned.figures.budget, whole.figures.budget);
    Ok(())
}

#[test]
fn a_request_takes_longer_than_is_remembered() -> Law {
    let mut script = Script::begin().reads(50, A, TASK_A, 40);
    for time in 0..200 {
        let at_us = 1_000 + 1_000 * time;
        script = script.seen(at_us, TASK_A).seen(at_us + 400, TASK_A);
        script = serves_b(script.seen(at_us + 420, OTHER), at_us + 500, 20);
        script = script.seen(at_us + 800, OTHER);
    }
    let script = script.seen(201_000, TASK_A).sends(201_010, A, TASK_A);
    let whole = script.request(A)?;
    let on_cpu_us = charged_us(&whole, Cause::OnCpu);
    prop_assert!(on_cpu_us > 80_000, "{on_cpu_us} us: {:?}", whole.figures);
    let thinned = script.request_remembering(A, SliceLimit(1_000))?;
    prop_assert_eq!(thinned.figures.budget, whole.figures.budget);
    prop_assert_eq!(thinned.figures.confidence, whole.figures.confidence);
    // Here it does not run for longer than is remembered: what it waits for meanwhile is not known, and told as that.
    let thinned = script.request_remembering(A, SliceLimit(100))?;
    for cause in Cause::ALL
        .into_iter()
        .filter(|&cause| cause != Cause::Unexplained)
    {
        let charged = [&thinned, &whole].map(|request| charged_us(request, cause));
        prop_assert!(charged[0] <= charged[1], "{}: {charged:?}", cause.name());
    }
    prop_assert_eq!(charged_us(&thinned, Cause::OnCpu), on_cpu_us);
    Ok(())
}
