//! The table for people: where the time of the requests went, on one screen.
//!
//! On a terminal it is drawn anew at the end of each window, and whole at the end of the run; elsewhere, and
//! of a recording, only the last one is written. Every figure is the summary's: here it is put in words and
//! in its place, one part of the table a file. It asks no clock, and asks the terminal for its size only
//! through the function that it was given.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

use super::names::ProcessNames;
use super::{Sink, Why};
use crate::model::header::Header;
use crate::model::hint::Hint;
use crate::model::id::Pid;
use crate::model::process::ProcessLine;
use crate::model::protocol::Protocol;
use crate::model::report::{End, OwnCost, Totals, Window};
use crate::model::request::Request;
use crate::model::runtime::RuntimeLine;

mod budget;
mod causes;
mod cost;
mod cycles;
mod events;
mod heading;
mod hints;
mod latency;
mod line;
mod losses;
mod memory;
mod paths;
mod polls;
mod protocols;
mod roles;
mod runtimes;
mod screen;
mod slowest;
mod strip;
mod targets;
mod wait;
mod workers;

use events::Events;
use heading::Heading;
use runtimes::RuntimeLines;
use screen::{Screen, Section};
use slowest::Slowest;

/// How the table may look.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Its reader is a terminal that can be drawn on again and again.
    pub terminal: bool,
    /// Colours may be used.
    pub colour: bool,
    /// Room for it.
    pub size: Size,
}

/// Room for a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub width: usize,
    /// Rows; only a table that is drawn again keeps to them.
    pub height: usize,
}

/// Writes the table.
#[derive(Debug)]
pub struct TableSink<W: Write> {
    writer: W,
    style: Style,
    size_now: fn() -> Option<Size>,
    header: Option<Header>,
    heading: Heading,
    names: ProcessNames,
    /// By protocol: which of them leads is known later.
    slowest: BTreeMap<Protocol, Slowest>,
    runtimes: RuntimeLines,
    events: Events,
    screen: Screen,
    text: String,
}

/// What one table is about: all of the run by now, and where there is one the last window.
struct TableFigures<'a> {
    elapsed_ns: u64,
    run: &'a Totals,
    window: Option<(&'a Totals, u64)>,
    hints: &'a [Hint],
    cost: Option<OwnCost>,
    cost_over_ns: u64,
    /// Requests without an answer, at the end of the run.
    under_way: u64,
    /// The recording broke off.
    truncated: bool,
    /// Targets that get a line, at most.
    most_targets: usize,
}

/// Part of the rows that lines of targets may take.
const TARGETS_OF_ROWS: usize = 6;

impl<W: Write> TableSink<W> {
    /// Writes to `writer`, which needs no buffer: each table is written at once.
    pub fn new(writer: W, style: Style) -> Self {
        Self {
            writer,
            style,
            size_now: || None,
            header: None,
            heading: Heading::default(),
            names: ProcessNames::default(),
            slowest: BTreeMap::new(),
            runtimes: RuntimeLines::default(),
            events: Events::default(),
            screen: Screen::default(),
            text: String::new(),
        }
    }

    /// Asks `size_now` for the size before each table, because people change the size of their windows.
    /// Where it tells nothing the last known size stays.
    #[must_use]
    pub fn with_size(self, size_now: fn() -> Option<Size>) -> Self {
        Self { size_now, ..self }
    }

    fn sections(&self, figures: &TableFigures<'_>) -> Vec<Section> {
        let name = |pid: Pid| self.names.known(pid);
        let room = self.style.size.width;
        let (all, run) = (&figures.run.figures, figures.run);
        let worst = targets::worst(run);
        let title = worst.map(|target| targets::title(run, target));
        let of = worst.map_or(all, |target| &target.figures);
        let mut budget = Vec::new();
        if let Some(at) = &of.at {
            budget = budget::lines(at);
            budget.extend(memory::rows(at));
        }
        let cost = cost::line(figures.cost, figures.cost_over_ns);
        let started_unix_ns = self.started_unix_ns();
        let leading = all.protocol.and_then(|protocol| self.slowest.get(&protocol));
        let chosen = self.header.as_ref().map(|header| header.options.requests);
        let slowest = leading.map(|slowest| slowest.lines(chosen.unwrap_or_default(), room));
        // In the order of reading; the numbers say who gets room first.
        vec![
            Section::new(0, self.heading.lines(figures.elapsed_ns)),
            Section::titled(
                1,
                latency::lines(
                    (all, figures.elapsed_ns),
                    figures.window.map(|(window, over_ns)| (&window.figures, over_ns)),
                ),
            ),
            Section::new(2, protocols::lines(all)),
            Section::new(2, vec![losses::line(run, figures.under_way, figures.truncated)]),
            Section::new(2, hints::lines(figures.hints)),
            Section::titled(
                3,
                targets::lines(run, figures.elapsed_ns, figures.most_targets, room),
            ),
            Section::new(3, title.into_iter().collect()),
            Section::titled(3, budget),
            Section::titled(6, slowest.unwrap_or_default()),
            Section::titled(7, paths::lines(of)),
            Section::new(5, self.runtimes.lines(&run.goroutines, name)),
            Section::new(4, workers::lines(of, name)),
            Section::new(4, polls::lines(run.polls.as_ref(), figures.elapsed_ns)),
            Section::new(4, cycles::lines(&run.gc, name)),
            Section::new(4, memory::lines(of, name)),
            Section::new(5, cost.into_iter().collect()),
            Section::new(8, self.events.lines(started_unix_ns)),
        ]
    }

    fn started_unix_ns(&self) -> u64 {
        self.header.as_ref().map_or(0, |header| header.started_unix_ns)
    }

    fn live(&self) -> bool {
        self.style.terminal && self.header.as_ref().is_none_or(|header| !header.replay)
    }

    fn write(&mut self) -> io::Result<()> {
        self.writer.write_all(self.text.as_bytes())?;
        self.text.clear();
        self.writer.flush()
    }

    fn ask_size(&mut self) {
        self.style.size = (self.size_now)().unwrap_or(self.style.size);
    }
}

impl<W: Write> Sink for TableSink<W> {
    fn header(&mut self, header: &Header) -> io::Result<()> {
        self.heading = Heading::new(header);
        self.names.begin(header);
        self.header = Some(header.clone());
        Ok(())
    }

    fn request(&mut self, request: &Arc<Request>, _: Why) -> io::Result<()> {
        let with_query = self
            .header
            .as_ref()
            .is_some_and(|header| header.options.with_query);
        // With several targets a path alone would not say whose it is.
        let targets = self.header.as_ref().map_or(0, |header| header.targets.len());
        let pid = Some(request.figures.pid).filter(|_| targets > 1);
        let slowest = self.slowest.entry(request.figures.protocol).or_default();
        slowest.add(request, with_query, pid);
        Ok(())
    }

    fn window(&mut self, window: &Window) -> io::Result<()> {
        if !self.live() {
            return Ok(());
        }
        self.ask_size();
        let end_unix_ns = window.start_unix_ns.saturating_add(window.duration_ns);
        let sections = self.sections(&TableFigures {
            elapsed_ns: end_unix_ns.saturating_sub(self.started_unix_ns()),
            run: &window.run,
            window: Some((&window.totals, window.duration_ns)),
            hints: &window.hints,
            cost: window.totals.cost,
            cost_over_ns: window.duration_ns,
            under_way: 0,
            truncated: false,
            most_targets: self.style.size.height / TARGETS_OF_ROWS,
        });
        self.screen
            .redraw(sections, self.style.size, self.style.colour, &mut self.text);
        self.write()
    }

    fn process(&mut self, line: &ProcessLine) -> io::Result<()> {
        self.heading.somebody_came();
        self.names.learn(line);
        self.events.add(line);
        Ok(())
    }

    fn runtime(&mut self, line: &RuntimeLine) -> io::Result<()> {
        self.runtimes.add(line);
        Ok(())
    }

    fn end(&mut self, end: &End) -> io::Result<()> {
        self.ask_size();
        let sections = self.sections(&TableFigures {
            elapsed_ns: end.duration_ns,
            run: &end.totals,
            window: None,
            hints: &end.hints,
            cost: end.totals.cost,
            cost_over_ns: end.duration_ns,
            under_way: end.under_way,
            truncated: end.truncated,
            most_targets: usize::MAX,
        });
        self.screen
            .last(sections, self.style.size, self.style.colour, &mut self.text);
        self.write()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Lines as people see them, for the tests of the parts.
#[cfg(test)]
fn plain(lines: &[line::Line]) -> String {
    let mut out = String::new();
    for line in lines {
        line.write(usize::MAX, false, &mut out);
        out.push('\n');
    }
    out
}

/// Whether the page on Go prints this, for the tests of the parts that print it.
#[cfg(test)]
fn is_in_page_on_go(text: &str) -> bool {
    include_str!("../../../docs/go.md").contains(text)
}

#[cfg(test)]
mod tests;
