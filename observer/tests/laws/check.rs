//! Holds what comes out of the pipeline against the laws of every request.
//!
//! The laws are those of the design: conservation, completeness, and that every request is counted.

use std::collections::BTreeMap;

use observer::attribution::notes;
use observer::connections::protocol::http1;
use observer::event::Event;
use observer::model::cause::{Budget, Cause};
use observer::model::protocol::Protocol;
use observer::model::report::{ProcessFigures, Totals};
use observer::model::request::{Figures, Request, Span};
use observer_common::{flags, tcp};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::calls::answers_overlap;
use super::machine;
use super::run::Explained;
use super::stream::Stream;

/// A law holds, or the case that breaks it is told.
pub(crate) type Law = Result<(), TestCaseError>;

/// Targets that are told apart; what others did is in the totals only.
const MAX_TARGETS: usize = 64;

impl Explained {
    /// The laws that hold for every stream, whatever is in it.
    pub(crate) fn obeys_the_laws(&self) -> Law {
        for (request, told) in &self.requests {
            conserves(request)?;
            // There are fewer events than a walk makes steps: it went to and fro.
            let given_up = |span: &Span| span.detail.note == Some(notes::TOO_MANY_STEPS);
            prop_assert!(!request.timeline.iter().any(given_up), "{request:?}");
            let end_ns = request
                .figures
                .arrival_ns
                .saturating_add(request.figures.latency_ns);
            let hit = self.losses[..*told].iter().any(|&(from_ns, to_ns)| {
                from_ns <= to_ns && from_ns <= end_ns && to_ns >= request.figures.arrival_ns
            });
            prop_assert!(
                !(hit && request.figures.complete),
                "lost records inside a complete request: {request:?}"
            );
        }
        answers_overlap(&self.requests)?;
        prop_assert_eq!(self.ends.len(), 1);
        let totals = self.totals();
        let figures = &totals.figures;
        let leading = |request: &Figures| Some(request.protocol) == figures.protocol;
        let incomplete = self
            .requests
            .iter()
            .filter(|(request, _)| leading(&request.figures) && !request.figures.complete)
            .count();
        let mut by_protocol = BTreeMap::new();
        for (request, _) in &self.requests {
            *by_protocol.entry(request.figures.protocol).or_default() += 1;
        }
        prop_assert_eq!(
            by_protocol,
            counted(figures),
            "every turn is counted, by its protocol"
        );
        prop_assert_eq!(figures.incomplete, incomplete as u64);
        let all = |totals: &Totals| counted(&totals.figures).values().sum::<u64>();
        let in_windows: u64 = self.windows.iter().map(|window| all(&window.totals)).sum();
        prop_assert!(in_windows <= all(&totals));
        add_up(&totals)?;
        self.windows.iter().try_for_each(|window| {
            add_up(&window.totals)?;
            add_up(&window.run)
        })
    }
}

/// Turns of each protocol that figures count.
fn counted(figures: &ProcessFigures) -> BTreeMap<Protocol, u64> {
    let leading = figures.protocol.map(|protocol| (protocol, figures.requests));
    let others = figures.other_protocols.iter();
    let mut counted: BTreeMap<_, _> = others.map(|other| (other.protocol, other.turns)).collect();
    counted.extend(leading);
    counted.retain(|_, turns| *turns > 0);
    counted
}

/// The totals are the sums over the targets, and each one's figures fit each other.
pub(crate) fn add_up(totals: &Totals) -> Law {
    let Totals {
        figures,
        targets,
        targets_other,
        ..
    } = totals;
    for figures in targets.iter().map(|target| &target.figures).chain([figures]) {
        let confidence = figures.confidence;
        prop_assert_eq!(
            confidence.exact + confidence.inferred + confidence.partial,
            figures.requests
        );
        for band in figures.at.iter().flat_map(|at| [&at.p50, &at.p99, &at.p999]) {
            prop_assert_eq!(band.budget_ns.total(), band.latency_ns);
        }
    }
    let pids = targets.iter().map(|target| target.pid);
    prop_assert!(pids.is_sorted_by(|one, next| one < next), "{targets:?}");
    let mut of_targets = BTreeMap::from_iter(figures.protocol.map(|protocol| (protocol, *targets_other)));
    for (protocol, turns) in targets.iter().flat_map(|target| counted(&target.figures)) {
        *of_targets.entry(protocol).or_default() += turns;
    }
    of_targets.retain(|_, turns| *turns > 0);
    let all = counted(figures);
    for (protocol, turns) in &all {
        let of_targets = of_targets.get(protocol).copied().unwrap_or_default();
        // Of those that are not told apart only the requests of the leading protocol are told.
        let may_miss = targets.len() >= MAX_TARGETS && Some(*protocol) != figures.protocol;
        prop_assert!(
            of_targets == *turns || (may_miss && of_targets < *turns),
            "{totals:?}"
        );
    }
    let beside = |figures: &ProcessFigures| {
        let sums = [
            figures.late_sends,
            figures.begun_before,
            figures.unknown_direction,
        ];
        sums.map(u128::from)
    };
    let all = beside(figures);
    for (place, sum) in all.into_iter().enumerate() {
        let of_targets: u128 = targets.iter().map(|target| beside(&target.figures)[place]).sum();
        prop_assert!(
            of_targets == sum || (targets.len() >= MAX_TARGETS && of_targets < sum),
            "{totals:?}"
        );
    }
    Ok(())
}

/// The budget and the timeline are the latency, each once.
fn conserves(request: &Request) -> Law {
    prop_assert_eq!(
        request.figures.budget.total(),
        request.figures.latency_ns,
        "budget of {:?}",
        request
    );
    prop_assert!(
        request.figures.receive_queue_ns <= request.figures.latency_ns,
        "read after it was over: {request:?}"
    );
    prop_assert!(
        !request.timeline.is_empty() || request.figures.latency_ns == 0,
        "no timeline: {request:?}"
    );
    let mut budget = Budget::default();
    let (mut at_ns, mut only_queued) = (0, true);
    for span in &request.timeline {
        prop_assert_eq!(span.at_ns, at_ns, "gap or overlap in {:?}", request);
        prop_assert!(span.dur_ns > 0, "empty span in {request:?}");
        budget.charge(span.cause, span.dur_ns);
        at_ns += span.dur_ns;
        // Before a connection was accepted nothing of it was read: only its first request, and only what kept the
        // thread that accepts from it before that.
        only_queued &= matches!(
            span.cause,
            Cause::AcceptQueue
                | Cause::RunQueue
                | Cause::Throttled
                | Cause::OnCpu
                | Cause::Stolen
                | Cause::Runtime
        );
        prop_assert!(
            span.cause != Cause::AcceptQueue || (request.conn.nth == 1 && only_queued),
            "{request:?}"
        );
    }
    prop_assert_eq!(
        at_ns,
        request.figures.latency_ns,
        "the timeline ends elsewhere: {:?}",
        request
    );
    prop_assert_eq!(
        budget,
        request.figures.budget,
        "the timeline adds up to something else: {:?}",
        request
    );
    Ok(())
}

/// Every line is JSON, and each request line adds up by itself.
pub(crate) fn lines_add_up(lines: &[u8]) -> Law {
    let mut requests = 0;
    let mut counted = None;
    for line in lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let line: serde_json::Value =
            serde_json::from_slice(line).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let sum = |budget: &serde_json::Value| {
            budget
                .as_object()
                .map(|budget| budget.values().filter_map(serde_json::Value::as_u64).sum())
        };
        match line["type"].as_str() {
            Some("request") => {
                requests += 1;
                prop_assert_eq!(sum(&line["budget_ns"]), line["latency_ns"].as_u64());
            }
            Some("end") => {
                counted = turns_counted(&line);
                roles_have_evidence(&line)?;
            }
            _ => {}
        }
    }
    prop_assert_eq!(counted, Some(requests));
    Ok(())
}

/// So often a thread must have done what makes it something.
const ENOUGH: u64 = 4;

/// No thread is told to be something that was not seen often enough to do what makes it that.
fn roles_have_evidence(end: &serde_json::Value) -> Law {
    let processes = end["workers"].as_array().into_iter().flatten();
    for role in processes.flat_map(|process| process["by_role"]["roles"].as_array().into_iter().flatten()) {
        let threads = role["threads"].as_array().map_or(&[][..], Vec::as_slice);
        prop_assert!(role["count"].as_u64() >= Some(threads.len() as u64), "{role}");
        for thread in threads {
            let did = |deed: &str| thread["evidence"][deed].as_u64().unwrap_or(0);
            let holds = match role["role"].as_str() {
                Some("acceptor") => did("accepts").max(did("accept_waits")) >= ENOUGH,
                Some("event_loop") => did("event_waits") >= ENOUGH,
                Some("pool") => did("given") + did("taken") + did("moves") + did("woke_loops") >= ENOUGH,
                Some("connection") => did("kept") > 0,
                Some("timer") => did("alone") >= ENOUGH,
                _ => did("stops") > 0 || did("given_by_runtime") >= ENOUGH,
            };
            prop_assert!(holds, "{role}");
            prop_assert!(thread["busy"].as_f64() <= thread["at_work"].as_f64(), "{role}");
        }
    }
    Ok(())
}

/// Turns that an `end` line counts, of all protocols.
fn turns_counted(end: &serde_json::Value) -> Option<u64> {
    let others = end["other_protocols"].as_array()?.iter();
    let others: Option<u64> = others.map(|other| other["turns"].as_u64()).sum();
    Some(end["requests"].as_u64()? + others?)
}

/// How many turns each inbound connection of a machine's stream had: bytes in, then bytes out.
pub(crate) fn turns(stream: &Stream) -> BTreeMap<u64, u64> {
    let mut turns = BTreeMap::new();
    let mut read = BTreeMap::new();
    for event in stream.events() {
        match event {
            Event::Receive(event, _) if event.result > 0 && event.flags & flags::PEEK == 0 => {
                read.insert(event.conn, true);
            }
            Event::Send(event, head)
                if event.result > 0
                    && !machine::is_outbound(event.conn)
                    && !http1::is_interim(head, event.result.unsigned_abs().into()) =>
            {
                let begins = read.insert(event.conn, false) == Some(true);
                *turns.entry(event.conn).or_default() += u64::from(begins);
            }
            Event::Connection(event) if event.new_state == tcp::CLOSE => {
                read.remove(&event.conn);
            }
            _ => {}
        }
    }
    turns.retain(|_, count| *count > 0);
    turns
}
