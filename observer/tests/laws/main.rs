//! The laws of the design, held against streams that nobody wrote down: of a machine that could exist
//! ([`machine`]) and of one that could not ([`noise`]), whole, cut, thinned and disordered.
//!
//! Everything goes through the doors that the program itself uses: events in, a sink out.

mod accepts;
mod account;
mod calls;
mod check;
mod clients;
mod descriptors;
mod evidence;
mod found;
mod goroutine_waits;
mod goroutines;
mod jobs;
mod keeping;
mod locks;
mod machine;
mod noise;
mod outside;
mod ownership;
mod pools;
mod readied;
mod returns;
mod room;
mod run;
mod script;
mod seeds;
mod served;
mod stream;
mod tasks;
mod theft;
mod thinned;
mod timers;
mod turns;

use observer::event::Event;
use observer::model::cause::{Budget, Cause};
use observer::model::header::Requests;
use observer::source::{Batch, Merge, Status};
use observer::threads::MAX_THREADS;
use observer_common::{ProcessChange, flags};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{FileFailurePersistence, TestRunner};

use check::{Law, lines_add_up};
use evidence::Truth;
use noise::Values;
use run::{Replayed, explain, explain_some, lines, recording, replay};
use stream::{SLACK_NS, Stream, at_ns};

/// Steps of a machine.
const STEPS: usize = 250;

/// Events of noise.
const EVENTS: usize = 120;

/// `cases` cases for a test, or as many as `PROPTEST_CASES` asks for; what fails is kept and tried first from
/// then on.
fn cases(cases: u32) -> ProptestConfig {
    let asked_for = std::env::var_os("PROPTEST_CASES").is_some();
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: if asked_for { default.cases } else { cases },
        max_shrink_iters: 4_000,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("tests/laws/regressions"))),
        ..default
    }
}

/// Either kind of stream.
fn any_stream() -> impl Strategy<Value = Stream> {
    prop_oneof![2 => machine::stream(STEPS), 1 => noise::stream(Values::Possible, EVENTS)]
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn every_request_of_a_machine_obeys_the_laws(known in machine::known(STEPS)) {
        let stream = &known.stream;
        let explained = explain(stream)?;
        explained.obeys_the_laws()?;
        prop_assert_eq!(explained.turns(), check::turns(stream));
        let truth = Truth::of(stream);
        for (request, _) in &explained.requests {
            truth.supports(request)?;
            truth.supports_accept_queue(request)?;
            known.works.support(request)?;
        }
    }

    #[test]
    fn every_request_of_noise_obeys_the_laws(stream in noise::stream(Values::Possible, EVENTS)) {
        explain(&stream)?.obeys_the_laws()?;
    }

    #[test]
    fn values_at_the_ends_of_their_ranges_do_no_harm(stream in noise::stream(Values::Extreme, EVENTS)) {
        explain(&stream)?.obeys_the_laws()?;
        lines_add_up(&lines(&stream)?)?;
    }

    #[test]
    fn a_stream_may_end_anywhere(stream in any_stream(), at: Index) {
        explain(&stream.cut(at))?.obeys_the_laws()?;
    }

    #[test]
    fn losses_that_nobody_tells_of_do_no_harm(stream in any_stream(), holes in stream::holes()) {
        explain(&stream.with_holes(&holes, false))?.obeys_the_laws()?;
    }

    #[test]
    fn disorder_does_no_harm(stream in any_stream(), delays in stream::delays()) {
        explain(&stream.disordered(&delays))?.obeys_the_laws()?;
    }

    #[test]
    fn the_same_events_give_the_same_bytes_live_and_replayed(stream in any_stream()) {
        let stream = stream.up_to_first_end();
        let live = lines(&stream)?;
        lines_add_up(&live)?;
        prop_assert!(live == lines(&stream)?, "two runs differ");
        let Some(replayed) = replay(&recording(&stream)?)? else {
            return Err(TestCaseError::fail("its own recording is refused"));
        };
        prop_assert!(replayed.events == stream.bytes(), "the recording has other events");
        prop_assert!(live == replayed.lines, "the replay differs");
    }

    #[test]
    fn what_is_counted_does_not_depend_on_what_is_written(stream in any_stream()) {
        let (all, none) = (explain(&stream)?, explain_some(&stream, Requests::None)?);
        prop_assert_eq!(none.requests.len(), 0);
        prop_assert_eq!(all.ends, none.ends);
        prop_assert_eq!(all.windows, none.windows);
    }

    #[test]
    fn a_recording_cut_at_any_byte_gives_what_is_whole(stream in any_stream(), at: Index) {
        let stream = stream.up_to_first_end();
        let mut recording = recording(&stream)?;
        let before_events = recording.len() - stream.bytes().len();
        recording.truncate(at.index(recording.len() + 1));
        if let Some(Replayed { events, status, .. }) = replay(&recording)? {
            let whole = stream.whole_events(recording.len() - before_events);
            prop_assert!(events == whole.bytes(), "not the events that are whole");
            let ended = whole.events().last().is_some_and(|event| matches!(event, Event::End(_)));
            prop_assert_eq!(status, if ended { Status::End } else { Status::Truncated });
        }
    }

    #[test]
    fn a_damaged_recording_does_no_harm(
        stream in any_stream(),
        damage in prop::collection::vec(any::<(Index, u8)>(), 1..20),
    ) {
        let mut recording = recording(&stream)?;
        for (at, value) in damage {
            let at = at.index(recording.len());
            recording[at] = value;
        }
        if let Some(replayed) = replay(&recording)? {
            lines_add_up(&replayed.lines)?;
        }
    }

    #[test]
    fn what_comes_late_is_put_in_order(
        stream in machine::stream(STEPS),
        late_ns in prop::collection::vec(0..SLACK_NS, 2 * STEPS),
        drains in prop::collection::vec(1..50_usize, 1..20),
    ) {
        let late = stream.0.iter().zip(late_ns.iter().cycle());
        let mut written: Vec<_> = late.map(|(entry, late_ns)| (at_ns(entry) + late_ns, entry)).collect();
        written.sort_by_key(|&(written_ns, _)| written_ns);
        let (mut merge, mut batch, mut merged) = (Merge::default(), Batch::default(), Vec::new());
        let mut rest = &written[..];
        for drain in drains.iter().cycle() {
            let (now, later) = rest.split_at(rest.len().min(*drain));
            let Some((drained_ns, _)) = now.last() else { break };
            for (_, entry) in now {
                merge.push(entry.bytes());
            }
            batch.clear();
            merge.release(drained_ns - SLACK_NS, &mut batch);
            merged.extend_from_slice(batch.bytes());
            rest = later;
        }
        batch.clear();
        merge.release(u64::MAX, &mut batch);
        merged.extend_from_slice(batch.bytes());
        prop_assert!(merged == stream.bytes());
    }
}

// Only some holes hide something that matters later.
proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn losses_that_are_told_of_never_make_a_complete_request_untrue(
        stream in machine::stream(STEPS),
        holes in stream::holes(),
    ) {
        let truth = Truth::of(&stream);
        let explained = explain(&stream.with_holes(&holes, true))?;
        explained.obeys_the_laws()?;
        for (request, _) in explained.requests.iter().filter(|(request, _)| request.figures.complete) {
            truth.supports(request)?;
        }
    }
}

#[test]
fn threads_that_ended_make_room_for_others() {
    let stream = machine::short_lived_threads(MAX_THREADS + 10);
    let totals = explain(&stream).unwrap().totals();
    assert_eq!(totals.lost, [], "ended threads are still kept");
}

/// Otherwise the laws would hold of nothing.
#[test]
fn the_machine_makes_requests_of_every_cause_that_records_can_show() {
    let mut runner = TestRunner::deterministic();
    let (mut requests, mut charged, mut proved_ns) = (0, Budget::default(), 0);
    let (mut own_ns, mut named) = (0, 0);
    for _ in 0..200 {
        let known = machine::known(STEPS).new_tree(&mut runner).unwrap().current();
        let explained = explain(&known.stream).unwrap();
        requests += explained.requests.len();
        proved_ns += Truth::of(&known.stream).ownership.proved_ns();
        for (request, _) in &explained.requests {
            charged.add(&request.figures.budget);
            let compared = known.works.support(request).unwrap();
            own_ns += compared.own_ns;
            named += compared.named;
        }
    }
    assert!(requests > 500, "only {requests} requests");
    let share = |ns: u64| 100 * ns / charged.get(Cause::OnCpu);
    let (proved, own) = (share(proved_ns), share(own_ns));
    assert!(
        proved >= 7,
        "of what requests ran, {proved} % is proved to be somebody's"
    );
    assert!(
        own >= 38,
        "of what requests ran, the machine says of {own} % whose it was"
    );
    assert!(
        named >= 280,
        "the machine says of {named} requests that workers were at whose they were"
    );
    for cause in Cause::ALL {
        assert!(charged.get(cause) > 0, "{} never came up", cause.name());
    }
}

/// Only these were charged.
fn only_charged(stream: &Stream, allowed: impl Fn(Cause) -> bool) -> Law {
    let causes = explain(stream)?.causes();
    prop_assert!(
        causes.iter().all(|&cause| allowed(cause)),
        "without evidence: {causes:?}"
    );
    Ok(())
}

fn not_outbound(event: &Event<'_>) -> bool {
    match event {
        Event::Receive(event, _) => !machine::is_outbound(event.conn),
        Event::Send(event, _) => !machine::is_outbound(event.conn),
        Event::Connection(event) => !machine::is_outbound(event.conn),
        _ => true,
    }
}

/// Nothing says of a thread that it waits, nor of a goroutine that its wait is over.
fn no_block(event: &Event<'_>) -> bool {
    match event {
        Event::SwitchOut(event) => event.flags & flags::PREEMPTED != 0,
        Event::Readied(_) => false,
        _ => true,
    }
}

/// Nor that it waits for a CPU: one that was just begun does so too.
fn no_switch(event: &Event<'_>) -> bool {
    match event {
        Event::SwitchOut(_) | Event::SwitchIn(_) | Event::Readied(_) => false,
        Event::Process(event) => event.change != ProcessChange::Fork as u32,
        _ => true,
    }
}

proptest! {
    #![proptest_config(cases(25))]

    #[test]
    fn without_outbound_connections_nothing_is_downstream(stream in machine::stream(STEPS)) {
        only_charged(&stream.only(not_outbound), |cause| cause != Cause::Downstream)?;
    }

    #[test]
    fn without_unsent_bytes_nothing_is_held_back(stream in machine::stream(STEPS)) {
        let stream = stream.only(|event| !matches!(event, Event::Held(_)));
        only_charged(&stream, |cause| cause != Cause::HeldBack)?;
    }

    #[test]
    fn without_blocked_threads_nothing_was_blocked(stream in machine::stream(STEPS)) {
        only_charged(&stream.only(no_block), |cause| {
            !matches!(
                cause,
                Cause::WorkerBlocked
                    | Cause::Lock
                    | Cause::Syscall
                    | Cause::Timer
                    | Cause::PageFault
                    | Cause::SendBlocked
            )
        })?;
    }

    #[test]
    fn without_switches_only_running_the_queue_before_accept_and_the_client_are_known(stream in machine::stream(STEPS)) {
        let stream = stream.only(|event| no_switch(event) && not_outbound(event));
        only_charged(&stream, |cause| {
            // Stamps of tasks tell of one that was ready after its client went on.
            let ran = matches!(
                cause,
                Cause::OnCpu | Cause::WorkerBusy | Cause::TaskQueue | Cause::Stolen
            );
            let around = matches!(cause, Cause::AcceptQueue | Cause::Client | Cause::HeldBack);
            ran || around || cause == Cause::Unexplained
        })?;
    }
}
