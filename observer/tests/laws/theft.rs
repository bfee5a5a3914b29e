//! Held against the records of thefts: a request is charged no more than they prove, and all of it where they are told
//! in time.

use observer::model::cause::Cause;
use observer::model::header::Requests;
use observer::model::id::Tid;
use observer::model::request::{Request, Span};
use observer_common::{Kind, Stolen};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::check::Law;
use super::machine::START_NS;
use super::run::{explain, explain_some};
use super::script::{A, B, PID, Script, TASK_A, TASK_B, WORKER, charged_us, header};

/// Whether what a request is charged as stolen is no more than the thefts from its threads can be proved to have been,
/// and lies in their time.
pub(crate) fn supports(thefts: &[Stolen], request: &Request) -> Result<(), TestCaseError> {
    let mut proved_ns = 0;
    let overlap = |theft: &Stolen, span: &Span| {
        let from_ns = request.figures.arrival_ns + span.at_ns;
        let within = (from_ns + span.dur_ns).min(theft.to_ns);
        let of = span.tid == Some(Tid(theft.header.tid));
        within.saturating_sub(from_ns.max(theft.from_ns)) * u64::from(of)
    };
    for theft in thefts {
        let ran = request.timeline.iter().filter(|span| match span.cause {
            Cause::OnCpu | Cause::WorkerBusy | Cause::TaskQueue | Cause::Stolen => true,
            Cause::AcceptQueue => span.cpu.is_some(),
            _ => false,
        });
        let with_it_ns: u64 = ran.map(|span| overlap(theft, span)).sum();
        let elsewhere_ns = theft.to_ns - theft.from_ns - with_it_ns;
        proved_ns += theft.stolen_ns.saturating_sub(elsewhere_ns);
    }
    let charged_ns = request.figures.budget.get(Cause::Stolen);
    prop_assert!(
        charged_ns <= proved_ns,
        "{charged_ns} of {proved_ns} ns: {request:?}"
    );
    for span in request.timeline.iter().filter(|span| span.cause == Cause::Stolen) {
        let recorded_ns: u64 = thefts.iter().map(|theft| overlap(theft, span)).sum();
        prop_assert_eq!(recorded_ns, span.dur_ns, "where nothing was stolen: {:?}", span);
    }
    Ok(())
}

impl Script {
    /// Found at `to_us`: since `from_us` so much was taken from the worker.
    fn stolen(mut self, from_us: u64, to_us: u64, stolen_us: u64) -> Self {
        self.record(&Stolen {
            header: header(Kind::Stolen, to_us),
            tgid: PID,
            reserved: 0,
            from_ns: START_NS + from_us * 1_000,
            to_ns: START_NS + to_us * 1_000,
            stolen_ns: stolen_us * 1_000,
        });
        self
    }
}

#[test]
fn what_is_taken_while_a_request_computes_is_stolen_and_not_computing() -> Law {
    let script = Script::begin().reads(50, A, TASK_A, 50).stolen(50, 4_000, 1_500);
    let request = script.sends(5_000, A, TASK_A).request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::Stolen), 1_500);
    prop_assert_eq!(charged_us(&request, Cause::OnCpu), 4_950 - 1_500);
    let stolen = request.timeline.iter().find(|span| span.cause == Cause::Stolen);
    prop_assert_eq!(
        stolen.map(|span| (span.tid, span.cpu)),
        Some((Some(Tid(WORKER)), Some(0)))
    );
    Ok(())
}

#[test]
fn what_is_taken_from_a_worker_is_stolen_from_who_waits_for_it() -> Law {
    let script = Script::begin().reads(50, A, TASK_A, 40).stolen(1_000, 3_000, 700);
    let script = script.sends(4_900, A, TASK_A).reads(5_000, B, TASK_B, 200);
    let request = script.sends(5_100, B, TASK_B).request(B)?;
    prop_assert_eq!(charged_us(&request, Cause::Stolen), 700);
    prop_assert_eq!(charged_us(&request, Cause::WorkerBusy), 4_800 - 700);
    Ok(())
}

#[test]
fn of_a_theft_that_may_have_been_before_a_request_only_the_rest_is_stolen() -> Law {
    // Of the 3000 us in which it lies, the request saw all but the first 800.
    let script = Script::begin()
        .reads(1_800, A, TASK_A, 1_800)
        .stolen(1_000, 4_000, 1_000);
    let request = script.sends(5_000, A, TASK_A).request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::Stolen), 200);
    Ok(())
}

#[test]
fn of_a_theft_that_may_have_been_another_requests_nothing_is_stolen() -> Law {
    let script = Script::begin()
        .reads(1_000, A, TASK_A, 1_000)
        .sends(1_500, A, TASK_A);
    let script = script.stolen(1_000, 4_000, 1_000).reads(4_100, A, TASK_A, 4_090);
    let request = script.request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::Stolen), 0);
    prop_assert_eq!(charged_us(&request, Cause::OnCpu), 500);
    Ok(())
}

/// Thousands of slices, crossed in few steps where only sums are wanted.
#[test]
fn a_long_wait_has_every_theft_in_it_however_it_is_walked() -> Law {
    const TURNS: u64 = 3_000;
    let mut script = Script::begin();
    for turn in 1..=TURNS {
        let at_us = turn * 100;
        script = script
            .reads(at_us, A, TASK_A, at_us - 1)
            .sends(at_us + 50, A, TASK_A);
        if turn % 40 == 0 {
            script = script.stolen(at_us - 3_000, at_us + 50, 700);
        }
    }
    let end_us = TURNS * 100 + 100;
    let script = script.reads(end_us, B, TASK_B, 90).sends(end_us + 10, B, TASK_B);
    let request = script.request(B)?;
    prop_assert_eq!(charged_us(&request, Cause::Stolen), TURNS / 40 * 700);
    let (all, none) = (
        explain(script.stream())?,
        explain_some(script.stream(), Requests::None)?,
    );
    prop_assert_eq!(all.ends, none.ends);
    Ok(())
}

#[test]
fn a_theft_that_is_told_of_another_thread_changes_nothing() -> Law {
    let with = |tid: u32| {
        let mut script = Script::begin().reads(50, A, TASK_A, 40);
        script.record(&Stolen {
            header: observer_common::Header {
                tid,
                ..header(Kind::Stolen, 3_000)
            },
            tgid: PID,
            reserved: 0,
            from_ns: START_NS + 1_000_000,
            to_ns: START_NS + 3_000_000,
            stolen_ns: 1_000_000,
        });
        script.sends(5_000, A, TASK_A).request(A)
    };
    prop_assert_eq!(charged_us(&with(WORKER)?, Cause::Stolen), 1_000);
    prop_assert_eq!(charged_us(&with(WORKER + 1)?, Cause::Stolen), 0);
    Ok(())
}
