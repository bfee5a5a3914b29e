//! A recording, and the pipeline and the outputs behind its reader: what `observer replay` does with any file.
//!
//! Nothing may panic, every request keeps the laws, every request is counted, and what is written can be shown
//! on a terminal.

#![no_main]

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use observer::model::cause::Budget;
use observer::model::header::{Header, Requests};
use observer::model::process::ProcessLine;
use observer::model::protocol::Protocol;
use observer::model::report::{End, ProcessFigures, Totals, Window};
use observer::model::request::Request;
use observer::model::runtime::RuntimeLine;
use observer::output::escape::is_unsafe;
use observer::output::table::{Size, Style};
use observer::output::{JsonLines, Sink, TableSink, Why};
use observer::pipeline::Pipeline;
use observer::source::recording::Reader;
use observer::source::{Batch, Source as _, Status};
use observer::threads::SliceLimit;

const STYLE: Style = Style {
    terminal: false,
    colour: false,
    size: Size {
        width: 120,
        height: 24,
    },
};

fuzz_target!(|recording: &[u8]| {
    let Ok((mut reader, mut header)) = Reader::open(recording) else {
        return;
    };
    header.options.requests = Requests::All;
    let (mut json, mut text) = (Vec::new(), Vec::new());
    let mut sink = Checked {
        turns: BTreeMap::new(),
        json: JsonLines::new(&mut json),
        table: TableSink::new(&mut text, STYLE),
    };
    replay(&mut reader, &header, &mut sink).expect("memory takes everything");
    drop(sink);
    shows_safely(&text);
    shows_safely(&json);
    for line in json.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        serde_json::from_slice::<serde_json::Value>(line).expect("a line is JSON");
    }
});

fn replay(reader: &mut Reader<&[u8]>, header: &Header, sink: &mut Checked<'_>) -> io::Result<()> {
    let mut pipeline = Pipeline::new(header, &[header.options.requests], SliceLimit::default());
    pipeline.begin(header, &mut [sink])?;
    let mut batch = Batch::default();
    loop {
        let status = reader.next(&mut batch).expect("memory can be read");
        pipeline.batch(&batch, &mut [sink])?;
        if status != Status::More {
            return pipeline.finish(&mut [sink]).map(drop);
        }
    }
}

fn shows_safely(written: &[u8]) {
    let text = std::str::from_utf8(written).expect("the output is UTF-8");
    let steers = |c: char| c != '\n' && is_unsafe(c);
    assert!(!text.contains(steers), "{text:?}");
}

/// Both outputs, with the laws checked on everything that goes there.
struct Checked<'a> {
    /// By protocol, and how many of them are incomplete.
    turns: BTreeMap<Protocol, (u64, u64)>,
    json: JsonLines<&'a mut Vec<u8>>,
    table: TableSink<&'a mut Vec<u8>>,
}

fn conserves(request: &Request) {
    let figures = &request.figures;
    assert_eq!(figures.budget.total(), figures.latency_ns, "{request:?}");
    assert!(figures.receive_queue_ns <= figures.latency_ns, "{request:?}");
    let mut budget = Budget::default();
    let mut at_ns = 0;
    for span in &request.timeline {
        assert_eq!(span.at_ns, at_ns, "{request:?}");
        assert!(span.dur_ns > 0, "{request:?}");
        budget.charge(span.cause, span.dur_ns);
        at_ns += span.dur_ns;
    }
    assert_eq!(
        (at_ns, budget),
        (figures.latency_ns, figures.budget),
        "{request:?}"
    );
}

fn add_up(totals: &Totals) {
    figures_add_up(&totals.figures);
    for target in &totals.targets {
        figures_add_up(&target.figures);
    }
    let protocol = totals.figures.protocol;
    let of_targets = totals
        .targets
        .iter()
        .map(|target| turns(&target.figures, protocol));
    assert_eq!(
        of_targets.sum::<u64>() + totals.targets_other,
        totals.figures.requests
    );
}

/// Turns of this protocol.
fn turns(figures: &ProcessFigures, protocol: Option<Protocol>) -> u64 {
    if figures.protocol == protocol {
        return figures.requests;
    }
    let others = figures.other_protocols.iter();
    others
        .filter(|other| Some(other.protocol) == protocol)
        .map(|other| other.turns)
        .sum()
}

fn figures_add_up(figures: &ProcessFigures) {
    let (by, status) = (&figures.confidence, &figures.status);
    assert_eq!(by.exact + by.inferred + by.partial, figures.requests);
    let known =
        status.informational + status.success + status.redirect + status.client_error + status.server_error;
    assert_eq!(known + status.unknown, figures.requests);
    for band in figures.at.iter().flat_map(|at| [&at.p50, &at.p99, &at.p999]) {
        assert_eq!(band.budget_ns.total(), band.latency_ns);
    }
}

impl Sink for Checked<'_> {
    fn header(&mut self, header: &Header) -> io::Result<()> {
        self.json.header(header)?;
        self.table.header(header)
    }

    fn request(&mut self, request: &Arc<Request>, why: Why) -> io::Result<()> {
        conserves(request);
        let (turns, incomplete) = self.turns.entry(request.figures.protocol).or_default();
        *turns += 1;
        *incomplete += u64::from(!request.figures.complete);
        self.json.request(request, why)?;
        self.table.request(request, why)
    }

    fn window(&mut self, window: &Window) -> io::Result<()> {
        add_up(&window.totals);
        add_up(&window.run);
        self.json.window(window)?;
        self.table.window(window)
    }

    fn process(&mut self, line: &ProcessLine) -> io::Result<()> {
        self.json.process(line)?;
        self.table.process(line)
    }

    fn runtime(&mut self, line: &RuntimeLine) -> io::Result<()> {
        self.json.runtime(line)?;
        self.table.runtime(line)
    }

    fn end(&mut self, end: &End) -> io::Result<()> {
        add_up(&end.totals);
        let ProcessFigures {
            protocol,
            requests,
            incomplete,
            other_protocols,
            ..
        } = &end.totals.figures;
        let leading = protocol.and_then(|protocol| self.turns.get(&protocol));
        assert_eq!((*requests, *incomplete), leading.copied().unwrap_or_default());
        let others: u64 = other_protocols.iter().map(|other| other.turns).sum();
        let all: u64 = self.turns.values().map(|(turns, _)| turns).sum();
        assert_eq!(requests + others, all, "every turn is counted");
        self.json.end(end)?;
        self.table.end(end)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.json.flush()?;
        self.table.flush()
    }
}
