//! Runs streams through the pipeline and holds what comes out against the laws of every request.
//!
//! The laws are those of the design: conservation, completeness, and that every request is counted.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use observer::connections::protocol::http1;
use observer::event::Event;
use observer::model::cause::{Budget, Cause};
use observer::model::header::{Header, Options, Requests, TargetInfo};
use observer::model::id::{ConnId, Pid};
use observer::model::process::ProcessLine;
use observer::model::protocol::Protocol;
use observer::model::report::{End, ProcessFigures, Totals, Window};
use observer::model::request::{Figures, Request};
use observer::model::runtime::RuntimeLine;
use observer::output::{JsonLines, Sink, Why};
use observer::pipeline::Pipeline;
use observer::source::recording::{Reader, Writer};
use observer::source::{Batch, Source as _, Status};
use observer_common::{LostReason, flags, tcp};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::machine;
use super::stream::Stream;

/// A law holds, or the case that breaks it is told.
pub(crate) type Law = Result<(), TestCaseError>;

/// Targets that are told apart; what others did is in the totals only.
const MAX_TARGETS: usize = 64;

/// What came out of the pipeline.
#[derive(Debug, Default)]
pub(crate) struct Explained {
    /// Every request, with how many losses had been told before it was finished.
    pub(crate) requests: Vec<(Request, usize)>,
    /// The losses: first and last time, ns.
    losses: Vec<(u64, u64)>,
    pub(crate) windows: Vec<Window>,
    pub(crate) ends: Vec<End>,
}

/// What every run is about.
pub(crate) fn header() -> Header {
    let unix_offset_ns = 1_790_000_000_000_000_000;
    let target = |&pid: &u32| TargetInfo {
        pid: Pid(pid),
        comm: "server".to_owned(),
        exe: None,
        threads: 3,
        runtime: None,
    };
    Header {
        observer_version: "0".to_owned(),
        kernel: "6.0".to_owned(),
        machine: "m".to_owned(),
        started_unix_ns: machine::START_NS + unix_offset_ns,
        unix_offset_ns,
        page_bytes: 4096,
        targets: machine::PIDS.iter().map(target).collect(),
        signals: Vec::new(),
        options: Options {
            requests: Requests::All,
            sample_one_in: 100,
            with_query: true,
            ring_bytes: 4096,
            polls: false,
            sample_hz: 99,
            follow: true,
            ports: Vec::new(),
        },
        replay: false,
    }
}

/// Explains a stream event by event.
pub(crate) fn explain(stream: &Stream) -> Result<Explained, TestCaseError> {
    explain_some(stream, Requests::All)
}

/// The same, and only some of the requests are handed on.
pub(crate) fn explain_some(stream: &Stream, requests: Requests) -> Result<Explained, TestCaseError> {
    let mut explained = Explained::default();
    let mut header = header();
    header.options.requests = requests;
    let mut pipeline = Pipeline::new(&header);
    explained.header(&header)?;
    for entry in &stream.0 {
        pipeline.batch(entry, &mut [&mut explained])?;
        // Of a process that is not watched nobody asks for records.
        if let Some(Ok(Event::Lost(lost))) = entry.events().next()
            && lost.reason != LostReason::TooManyTargets as u32
        {
            explained.losses.push((lost.from_ns, lost.to_ns));
        }
    }
    pipeline.finish(&mut [&mut explained])?;
    Ok(explained)
}

/// The JSON Lines of a stream.
pub(crate) fn lines(stream: &Stream) -> Result<Vec<u8>, TestCaseError> {
    let mut bytes = Vec::new();
    let mut sink = JsonLines::new(&mut bytes);
    let mut pipeline = Pipeline::new(&header());
    sink.header(&header())?;
    for entry in &stream.0 {
        pipeline.batch(entry, &mut [&mut sink])?;
    }
    pipeline.finish(&mut [&mut sink])?;
    drop(sink);
    Ok(bytes)
}

/// A recording of a stream.
pub(crate) fn recording(stream: &Stream) -> Result<Vec<u8>, TestCaseError> {
    let failed = |error: anyhow::Error| TestCaseError::fail(format!("{error:#}"));
    let mut writer = Writer::new(Vec::new(), &header()).map_err(failed)?;
    for entry in &stream.0 {
        writer.write(entry)?;
    }
    Ok(writer.finish()?)
}

/// What a recording gives.
pub(crate) struct Replayed {
    /// Its JSON Lines.
    pub(crate) lines: Vec<u8>,
    /// Its events.
    pub(crate) events: Vec<u8>,
    /// How it ended.
    pub(crate) status: Status,
}

/// Replays a recording; `None` where it is refused.
pub(crate) fn replay(recording: &[u8]) -> Result<Option<Replayed>, TestCaseError> {
    let Ok((mut reader, header)) = Reader::open(recording) else {
        return Ok(None);
    };
    let (mut lines, mut events) = (Vec::new(), Vec::new());
    let mut sink = JsonLines::new(&mut lines);
    let mut pipeline = Pipeline::new(&header);
    sink.header(&header)?;
    let mut batch = Batch::default();
    let status = loop {
        let status = reader
            .next(&mut batch)
            .map_err(|error| TestCaseError::fail(format!("{error:#}")))?;
        events.extend_from_slice(batch.bytes());
        pipeline.batch(&batch, &mut [&mut sink])?;
        if status != Status::More {
            break status;
        }
    };
    pipeline.finish(&mut [&mut sink])?;
    drop(sink);
    Ok(Some(Replayed {
        lines,
        events,
        status,
    }))
}

impl Explained {
    /// The totals of the run.
    pub(crate) fn totals(&self) -> Totals {
        self.ends
            .first()
            .map(|end| end.totals.clone())
            .unwrap_or_default()
    }

    /// The laws that hold for every stream, whatever is in it.
    pub(crate) fn obeys_the_laws(&self) -> Law {
        for (request, told) in &self.requests {
            conserves(request)?;
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

    /// The causes that any request was charged.
    pub(crate) fn causes(&self) -> Vec<Cause> {
        let charged = |cause: &Cause| {
            self.requests
                .iter()
                .any(|(request, _)| request.figures.budget.get(*cause) > 0)
        };
        Cause::ALL.into_iter().filter(charged).collect()
    }

    /// How many requests each connection had.
    pub(crate) fn turns(&self) -> BTreeMap<ConnId, u64> {
        let mut turns = BTreeMap::new();
        for (request, _) in &self.requests {
            *turns.entry(request.conn.id).or_default() += 1;
        }
        turns
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
        // Before a connection was accepted nothing of it was read: only its first request, and only what kept the thread
        // that accepts from it before that.
        only_queued &= matches!(
            span.cause,
            Cause::AcceptQueue | Cause::RunQueue | Cause::Throttled | Cause::OnCpu | Cause::Stolen
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
            Some("end") => counted = turns_counted(&line),
            _ => {}
        }
    }
    prop_assert_eq!(counted, Some(requests));
    Ok(())
}

/// Turns that an `end` line counts, of all protocols.
fn turns_counted(end: &serde_json::Value) -> Option<u64> {
    let others = end["other_protocols"].as_array()?.iter();
    let others: Option<u64> = others.map(|other| other["turns"].as_u64()).sum();
    Some(end["requests"].as_u64()? + others?)
}

/// How many turns each inbound connection of a machine's stream had: bytes in, then bytes out.
pub(crate) fn turns(stream: &Stream) -> BTreeMap<ConnId, u64> {
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
                *turns.entry(ConnId(event.conn)).or_default() += u64::from(begins);
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

impl Sink for Explained {
    fn header(&mut self, _: &Header) -> io::Result<()> {
        Ok(())
    }

    fn request(&mut self, request: &Arc<Request>, _: Why) -> io::Result<()> {
        self.requests.push((Request::clone(request), self.losses.len()));
        Ok(())
    }

    fn window(&mut self, window: &Window) -> io::Result<()> {
        self.windows.push(window.clone());
        Ok(())
    }

    fn process(&mut self, _: &ProcessLine) -> io::Result<()> {
        Ok(())
    }

    fn runtime(&mut self, _: &RuntimeLine) -> io::Result<()> {
        Ok(())
    }

    fn end(&mut self, end: &End) -> io::Result<()> {
        self.ends.push(end.clone());
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
