//! Runs streams through the pipeline, through the doors that the program itself uses: events in, a sink out.
//!
//! What has to hold of that [`super::check`] knows.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use observer::event::Event;
use observer::model::cause::Cause;
use observer::model::header::{Header, Options, Requests, TargetInfo};
use observer::model::id::Pid;
use observer::model::process::ProcessLine;
use observer::model::report::{End, Totals, Window};
use observer::model::request::Request;
use observer::model::runtime::RuntimeLine;
use observer::output::{JsonLines, Sink, Why};
use observer::pipeline::Pipeline;
use observer::source::recording::{Reader, Writer};
use observer::source::{Batch, Source as _, Status};
use observer::threads::SliceLimit;
use observer_common::LostReason;
use proptest::test_runner::TestCaseError;

use super::machine;
use super::stream::Stream;

/// What came out of the pipeline.
#[derive(Debug, Default)]
pub(crate) struct Explained {
    /// Every request, with how many losses had been told before it was finished.
    pub(crate) requests: Vec<(Request, usize)>,
    /// The losses: first and last time, ns.
    pub(crate) losses: Vec<(u64, u64)>,
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
            apart: false,
            ring_bytes: 4096,
            polls: false,
            goroutines: false,
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
    explain_remembering(stream, requests, SliceLimit::default())
}

/// The same, with no more than so many slices of what threads did.
pub(crate) fn explain_remembering(
    stream: &Stream,
    requests: Requests,
    slices: SliceLimit,
) -> Result<Explained, TestCaseError> {
    let mut explained = Explained::default();
    let mut header = header();
    header.options.requests = requests;
    let mut pipeline = Pipeline::new(&header, &[requests], slices);
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

/// The pipeline of a run with one output, as its header says.
fn one_output(header: &Header) -> Pipeline {
    Pipeline::new(header, &[header.options.requests], SliceLimit::default())
}

/// The JSON Lines of a stream.
pub(crate) fn lines(stream: &Stream) -> Result<Vec<u8>, TestCaseError> {
    let mut bytes = Vec::new();
    let mut sink = JsonLines::new(&mut bytes);
    let header = header();
    let mut pipeline = one_output(&header);
    sink.header(&header)?;
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
    let mut pipeline = one_output(&header);
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
    pub(crate) fn turns(&self) -> BTreeMap<u64, u64> {
        let mut turns = BTreeMap::new();
        for (request, _) in &self.requests {
            *turns.entry(request.conn.id.0).or_default() += 1;
        }
        turns
    }
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
