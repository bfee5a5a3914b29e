//! Programs whose threads all need one lock, as those of an interpreter do: their streams, with a truth of who had it
//! when.

mod program;

use observer::model::cause::Cause;
use observer::model::header::Requests;
use observer::threads::SliceLimit;
use proptest::prelude::*;

use self::program::{Asked, Program};
use super::cases;
use super::check::Law;
use super::evidence::Truth;
use super::run::{explain, explain_remembering, explain_some};
use super::stream;

fn asked() -> impl Strategy<Value = Vec<Asked>> {
    let runs_ns = prop_oneof![3 => 10_000..300_000_u64, 1 => 5_000_000..40_000_000_u64];
    let late_ns = prop_oneof![4 => 2_000..20_000_u64, 1 => 100_000..8_000_000_u64];
    let asked = (1_000..8_000_000_u64, runs_ns, late_ns).prop_map(|(after_ns, runs_ns, late_ns)| Asked {
        after_ns,
        runs_ns,
        late_ns,
    });
    prop::collection::vec(asked, 40..160)
}

fn program() -> impl Strategy<Value = (usize, Vec<Asked>)> {
    (2..6_usize, asked())
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn whoever_is_named_for_a_wait_had_the_lock((threads, asked) in program()) {
        let program = Program::run(threads, asked);
        let explained = explain(&program.stream)?;
        explained.obeys_the_laws()?;
        let truth = Truth::of(&program.stream);
        for (request, _) in &explained.requests {
            truth.supports(request)?;
            let (.., wrong_ns) = program.judge(request);
            prop_assert_eq!(wrong_ns, 0, "{:?}\n{:?}", request, program.had);
        }
    }

    #[test]
    fn what_is_counted_of_waits_for_a_lock_does_not_depend_on_what_is_written((threads, asked) in program()) {
        let stream = Program::run(threads, asked).stream;
        let (all, none) = (explain(&stream)?, explain_some(&stream, Requests::None)?);
        prop_assert_eq!(all.ends, none.ends);
        prop_assert_eq!(all.windows, none.windows);
    }

    #[test]
    fn waits_for_a_lock_that_are_soon_forgotten_obey_the_laws(
        (threads, asked) in program(),
        slices in 8..400_usize,
    ) {
        let program = Program::run(threads, asked);
        let explained = explain_remembering(&program.stream, Requests::All, SliceLimit(slices))?;
        explained.obeys_the_laws()?;
        let truth = Truth::of(&program.stream);
        for (request, _) in &explained.requests {
            truth.supports(request)?;
            prop_assert_eq!(program.judge(request).2, 0, "{:?}", request);
        }
    }

    #[test]
    fn losses_that_are_told_of_name_nobody_who_had_not_the_lock(
        (threads, asked) in program(),
        holes in stream::holes(),
    ) {
        let program = Program::run(threads, asked);
        let explained = explain(&program.stream.clone().with_holes(&holes, true))?;
        explained.obeys_the_laws()?;
        for (request, _) in explained.requests.iter().filter(|(request, _)| request.figures.complete) {
            prop_assert_eq!(program.judge(request).2, 0, "{:?}", request);
        }
    }
}

/// Two compute for 30 ms, and two others want the lock for a moment.
#[test]
fn nearly_all_of_a_wait_for_a_lock_is_told_with_who_had_it() -> Law {
    let asked = (0..400_u64).map(|number| Asked {
        after_ns: 1_000_000 + number * 7_919 % 4_000_000,
        runs_ns: if number % 4 < 2 { 30_000_000 } else { 50_000 },
        late_ns: 5_000,
    });
    let program = Program::run(4, asked.collect());
    let explained = explain(&program.stream)?;
    let (mut latency_ns, mut waited_ns, mut named_ns) = (0, 0, 0);
    for (request, _) in &explained.requests[100..] {
        let (all_ns, told_ns, wrong_ns) = program.judge(request);
        prop_assert_eq!(wrong_ns, 0);
        latency_ns += request.figures.latency_ns - request.figures.budget.get(Cause::OnCpu);
        (waited_ns, named_ns) = (waited_ns + all_ns, named_ns + told_ns);
    }
    prop_assert!(waited_ns * 100 >= latency_ns * 98, "{waited_ns} of {latency_ns}");
    prop_assert!(named_ns * 100 >= waited_ns * 95, "{named_ns} of {waited_ns}");
    Ok(())
}
