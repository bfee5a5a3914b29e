//! The way from events to output: threads and connections follow the stream, each finished turn is explained,
//! counted, and written if it was chosen.
//!
//! Deterministic: it has no clock and does no I/O but through its sinks. The same events give the same output.

mod counts;
mod hints;
mod polls;
mod processes;
mod settled;

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use observer_common::tcp;

use self::settled::{Explained, Settled};
use crate::attribution::{Evidence, Explainer, Keep, Names};
use crate::connections::{Connections, Turn};
use crate::event::{self, Event};
use crate::losses::Losses;
use crate::model::full::Table;
use crate::model::header::{Header, Requests};
use crate::model::hint::Hint;
use crate::model::id::{RequestId, Task};
use crate::model::process::{ProcessEvent, ProcessLine};
use crate::model::report::OwnCost;
use crate::model::runtime::RuntimeLine;
use crate::output::{Selections, Sinks, Wanted, each};
use crate::runtime::tokio::Runtimes;
use crate::runtime::tokio::polls::Polls;
use crate::serving::Serving;
use crate::source::Batch;
use crate::summary::Summary;
use crate::syscall;
use crate::threads::{Samples, Threads};

const WINDOW_NS: u64 = 1_000_000_000;

/// Turns that are explained at one tick because they have probably ended, at most; the others at the next. Ten
/// thousand clients can be answered at once: explaining all of them took so long that the rings ran full meanwhile.
const SETTLED_A_TICK: usize = 512;

/// Follows one stream of events.
pub struct Pipeline {
    unix_offset_ns: u64,
    started_ns: u64,
    /// Processes that are watched now.
    targets: BTreeSet<u32>,
    threads: Threads,
    /// Where they are recorded.
    polls: Option<Polls>,
    connections: Connections,
    names: Names,
    samples: Samples,
    explainer: Explainer,
    losses: Losses,
    runtimes: Runtimes,
    serving: Serving,
    /// Hints that were not taken yet.
    new_hints: Vec<Hint>,
    /// Turns that have probably ended, by connection.
    settled: Settled,
    summary: Summary,
    selections: Selections,
    window_start_ns: u64,
    now_ns: u64,
}

impl Pipeline {
    /// A pipeline for the run that `header` describes, with one output, which gets the requests that this asks for.
    #[must_use]
    pub fn new(header: &Header) -> Self {
        Self::with_outputs(header, &[header.options.requests])
    }

    /// A pipeline with several outputs, each of which gets these requests.
    #[must_use]
    pub fn with_outputs(header: &Header, requests: &[Requests]) -> Self {
        let started_ns = header.started_unix_ns.saturating_sub(header.unix_offset_ns);
        Self {
            unix_offset_ns: header.unix_offset_ns,
            started_ns,
            targets: header.targets.iter().map(|target| target.pid).collect(),
            threads: Threads::default(),
            polls: header.options.polls.then(Polls::default),
            connections: Connections::whole_since(started_ns),
            names: Names::default(),
            samples: Samples::default(),
            explainer: Explainer::new(header.page_bytes),
            losses: Losses::default(),
            runtimes: Runtimes::default(),
            serving: Serving::new(
                header
                    .targets
                    .iter()
                    .map(|target| (target.pid, target.comm.clone())),
                header.options.follow,
            ),
            new_hints: Vec::new(),
            settled: Settled::default(),
            summary: summary(header),
            selections: Selections::new(requests),
            window_start_ns: started_ns,
            now_ns: started_ns,
        }
    }

    /// Opens the output of the run that `header` describes.
    ///
    /// # Errors
    /// When a sink fails.
    pub fn begin(&self, header: &Header, sinks: Sinks<'_, '_>) -> io::Result<()> {
        let starts: Vec<_> = header
            .targets
            .iter()
            .map(|target| ProcessLine {
                unix_ns: header.started_unix_ns,
                event: ProcessEvent::Start,
                pid: target.pid,
                comm: Some(target.comm.clone()),
                parent: None,
                watched: None,
                exe: target.exe.clone(),
                successors: Vec::new(),
            })
            .collect();
        for (sink, requests) in sinks.iter_mut().zip(self.selections.asked_for()) {
            let mut header = header.clone();
            header.options.requests = requests;
            sink.header(&header)?;
            starts.iter().try_for_each(|line| sink.process(line))?;
            sink.flush()?;
        }
        Ok(())
    }

    /// Takes a batch in. What is malformed ends the batch: sources give only whole events.
    ///
    /// # Errors
    /// When a sink fails.
    pub fn batch(&mut self, batch: &Batch, sinks: Sinks<'_, '_>) -> io::Result<()> {
        for event in batch.events() {
            let Ok(event) = event else { break };
            self.event(&event, sinks)?;
        }
        Ok(())
    }

    /// Explains what has an end, and closes the output. Gives the hints that were not taken before.
    ///
    /// # Errors
    /// When a sink fails.
    pub fn finish(mut self, sinks: Sinks<'_, '_>) -> io::Result<Vec<Hint>> {
        while let Some(turn) = self.connections.take_quiet(self.now_ns, true) {
            self.finish_turn(turn, sinks)?;
        }
        self.connections.count_unanswered(u64::MAX);
        self.count_not_followed();
        self.count_workers(self.now_ns);
        self.tell_runtimes(sinks)?;
        let duration_ns = self.now_ns.saturating_sub(self.started_ns);
        for line in self.serving.left() {
            each(sinks, |sink| sink.process(&line))?;
        }
        let start_unix_ns = self.unix_ns(self.started_ns);
        let hints = self.hints();
        let (_, under_way) = self.connections.open_turns();
        let mut end = self.summary.end(start_unix_ns, duration_ns);
        end.under_way = under_way;
        end.hints = hints;
        end.hints.extend(self.serving.full_tables(&end.totals.full));
        self.new_hints.extend(self.serving.tell(&end.hints));
        each(sinks, |sink| {
            sink.end(&end)?;
            sink.flush()
        })?;
        Ok(self.new_hints)
    }

    fn event(&mut self, event: &Event<'_>, sinks: Sinks<'_, '_>) -> io::Result<()> {
        match event {
            Event::SwitchOut(event) => self.threads.switch_out(event),
            Event::SwitchIn(event) => self.threads.switch_in(event),
            Event::Occupied(event) => self.threads.occupied(event),
            Event::Seen(event) => self.threads.seen(event),
            Event::Waking(event) => {
                if let Some(id) = self.threads.woken(event) {
                    self.connections.touched(id, event.header.tid);
                }
                // Who wakes a futex does so also where the network has just interrupted it.
                if !syscall::is_futex(event.waker_syscall) {
                    self.connections.woke(event.conn, event.header.tid);
                }
            }
            Event::Stolen(event) => self.threads.stolen(event),
            Event::PollStart(event) => self.poll_started(event),
            Event::PollEnd(event) => self.poll_ended(event),
            Event::Receive(event, head) => {
                self.seen_in(&event.header, event.tgid, event.task);
                let (operation, ended) = self.connections.received(event, head);
                if let Some(turn) = ended {
                    self.finish_turn(turn, sinks)?;
                }
                if let Some(operation) = operation {
                    self.threads
                        .operated(event.header.tid, event.tgid, event.header.cpu, &operation);
                }
            }
            Event::Send(event, head) => {
                self.seen_in(&event.header, event.tgid, event.task);
                let served = || self.threads.served_by(event.tgid, Task::new(event.task));
                let owner = || self.threads.owner(event.header.tid);
                if let Some(operation) = self.connections.sent(event, head, served, owner) {
                    self.threads
                        .operated(event.header.tid, event.tgid, event.header.cpu, &operation);
                }
                if let Some(turn) = self.connections.answered_too_late(event.conn) {
                    self.finish_turn(turn, sinks)?;
                }
            }
            Event::Held(event) => self.connections.held(event),
            Event::Left(event) => self.connections.left(event),
            Event::Connection(event) => {
                let owner = self.threads.owner(event.header.tid);
                if let Some(turn) = self.connections.changed(event, owner) {
                    self.finish_turn(turn, sinks)?;
                }
                if event.new_state == tcp::CLOSE {
                    self.connections.closed(event.conn);
                    self.settled.take(event.conn);
                }
            }
            Event::Process(event) => self.process(event, sinks)?,
            Event::TargetAdded(event) => self.target_added(event, sinks)?,
            Event::TargetGone(event) => self.target_gone(event, sinks)?,
            Event::Lost(event) => self.lost(event),
            Event::ThreadName(event) => {
                self.threads
                    .named(event.header.tid, event.tgid, &event::text(&event.comm));
            }
            Event::FdName(event) => self
                .names
                .fd(event.header.tid, event.fd, &event::text(&event.name)),
            Event::Memory(event) => self.summary.memory(
                event.header.tid,
                event.rss_bytes,
                event.minor_faults,
                event.major_faults,
            ),
            Event::Port(event) => {
                if let Ok(port) = u16::try_from(event.port) {
                    self.connections.listens(event.header.tid, port);
                }
            }
            Event::Runtime(event) => {
                let line = self.runtime(event);
                self.runtimes.found(&line);
                each(sinks, |sink| sink.runtime(&line))?;
            }
            Event::Cost(event) => self.summary.cost(OwnCost {
                ebpf_ns: (event.ebpf_ns != event::Cost::UNKNOWN).then_some(event.ebpf_ns),
                cpu_ns: event.cpu_ns,
                rss_bytes: event.rss_bytes,
                records: event.records,
                probes: self.polls.as_mut().map(Polls::take_cost),
                ..OwnCost::default()
            }),
            Event::Function(event) => self.samples.named(event),
            Event::Sample(event) => self.samples.add(event),
            Event::Samples(event) => self.summary.cost(OwnCost {
                samples: Some(event.taken),
                samples_lost: Some(event.lost),
                ticks_on_others: Some(event.ticks_on_others),
                ..OwnCost::default()
            }),
            Event::Listener(event) => self.serving.listener(event),
            Event::Looked(event) => self.serving.looked(event),
            Event::Successor(event) => self.serving.successor(event),
            Event::Ended(event) => {
                if let Some(line) = self.serving.ended(event) {
                    each(sinks, |sink| sink.process(&line))?;
                }
            }
            Event::Full(event) => self.full(event),
            Event::Tick(event) => self.tick(event.header.at_ns, sinks)?,
            Event::End(event) => self.now_ns = self.now_ns.max(event.header.at_ns),
        }
        Ok(())
    }

    fn tick(&mut self, at_ns: u64, sinks: Sinks<'_, '_>) -> io::Result<()> {
        self.now_ns = self.now_ns.max(at_ns);
        for _ in 0..SETTLED_A_TICK {
            let Some(id) = self.connections.take_settled(self.now_ns) else {
                break;
            };
            let Some(turn) = self.connections.turn(id) else {
                continue;
            };
            // How long TCP keeps what it has of it is not known yet: it can be one of the tail.
            let judged = !turn.is_held();
            let latency_ns = if judged { turn.latency_ns() } else { u64::MAX };
            let wanted = self.wanted(turn, latency_ns);
            // One that would be written is explained when it is finished then; there is room for those that are only
            // counted.
            if self.settled.is_full_for(judged) && wanted.by_any() {
                continue;
            }
            if let Some(mut explained) = self.explain(id, wanted.by_any()) {
                explained.wanted = Some(wanted).filter(|_| judged);
                self.settled.keep(explained);
            }
        }
        while let Some(turn) = self.connections.take_quiet(self.now_ns, false) {
            self.finish_turn(turn, sinks)?;
        }
        self.connections.count_unanswered(self.now_ns);
        self.threads.forget_ended(self.now_ns);
        self.find_hints();
        let elapsed_ns = self.now_ns.saturating_sub(self.window_start_ns);
        if elapsed_ns >= WINDOW_NS {
            self.count_not_followed();
            self.count_workers(self.now_ns);
            let mut window = self
                .summary
                .close_window(self.unix_ns(self.window_start_ns), elapsed_ns);
            window.hints = self.hints_of_window();
            self.window_start_ns = self.now_ns;
            self.selections.next_window();
            self.tell_runtimes(sinks)?;
            each(sinks, |sink| sink.window(&window))?;
        }
        each(sinks, |sink| sink.flush())
    }

    /// Finishes a turn that has ended.
    fn finish_turn(&mut self, id: RequestId, sinks: Sinks<'_, '_>) -> io::Result<()> {
        let Some(turn) = self.connections.turn(id) else {
            return Ok(());
        };
        let complete = self.is_complete(turn);
        let settled = self.settled.take(id.conn).filter(|explained| {
            explained.id == id && explained.sent_ns == turn.sent_ns && explained.figures.complete == complete
        });
        let judged = settled.as_ref().and_then(|explained| explained.wanted);
        let wanted = judged.unwrap_or_else(|| self.wanted(turn, turn.latency_ns()));
        // What TCP held back can make one of the tail of it.
        let settled = settled.filter(|explained| explained.line.is_some() || !wanted.by_any());
        let Some(explained) = settled.or_else(|| self.explain(id, wanted.by_any())) else {
            return Ok(());
        };
        let Some(turn) = self.connections.turn(id) else {
            return Ok(());
        };
        if turn.has_more_tids() {
            self.connections.full.count(Table::RequestThreads, 1);
        }
        let explained = explained.until_the_end(turn);
        let name = self
            .connections
            .get(id.conn)
            .and_then(|connection| connection.name(id.nth));
        // A name is a method and a path.
        let path = name.as_deref().and_then(|name| Some(name.split_once(' ')?.1));
        self.summary
            .request(&explained.figures, path, explained.longest_wait.as_ref());
        let Some(request) = explained.line else {
            return Ok(());
        };
        self.selections.wrote(wanted, request.timeline.len());
        let request = Arc::from(request);
        for (output, sink) in sinks.iter_mut().enumerate() {
            if let Some(why) = wanted.by(output) {
                sink.request(&request, why)?;
            }
        }
        Ok(())
    }

    /// Explains a turn, with a line of it or only to be counted.
    fn explain(&mut self, id: RequestId, with_line: bool) -> Option<Explained> {
        let turn = self.connections.turn(id)?;
        let evidence = Evidence {
            threads: &self.threads,
            connections: &self.connections,
            names: &self.names,
            samples: &self.samples,
        };
        let complete = self.is_complete(turn);
        let keep = if with_line { Keep::Steps } else { Keep::Sums };
        let figures = self.explainer.explain(turn, evidence, complete, keep);
        Some(Explained {
            id,
            sent_ns: turn.sent_ns,
            wanted: None,
            figures,
            longest_wait: self.explainer.longest_wait(evidence),
            line: with_line.then(|| Box::new(self.explainer.request(turn, figures, evidence))),
        })
    }

    /// Whether and why each output would write a turn that took so long.
    fn wanted(&self, turn: &Turn, latency_ns: u64) -> Wanted {
        let threshold_ns = self.summary.tail_threshold_ns(turn.pid, turn.protocol);
        self.selections.wants(turn.id, latency_ns, threshold_ns)
    }

    /// Whether no record was lost inside the turn's window.
    fn is_complete(&self, turn: &Turn) -> bool {
        !self
            .losses
            .overlap(turn.arrival_ns, turn.end_ns().max(turn.arrival_ns))
    }

    fn runtime(&self, event: &event::Runtime) -> RuntimeLine {
        RuntimeLine {
            unix_ns: self.unix_ns(event.header.at_ns),
            pid: event.header.tid,
            name: event::text(&event.name),
            version: Some(event::text(&event.version)).filter(|version| !version.is_empty()),
            task_ids: event.task_ids != 0,
            evidence: event::text(&event.evidence),
            runtimes: Vec::new(),
            pool_threads: (event.schedulers != 0).then_some(0),
        }
    }

    /// Tells what has become known of runtimes.
    fn tell_runtimes(&mut self, sinks: Sinks<'_, '_>) -> io::Result<()> {
        if self.runtimes.is_empty() {
            return Ok(());
        }
        let news = self
            .runtimes
            .news(self.unix_ns(self.now_ns), &self.threads.roles());
        news.iter()
            .try_for_each(|line| each(sinks, |sink| sink.runtime(line)))
    }

    fn unix_ns(&self, at_ns: u64) -> u64 {
        at_ns.saturating_add(self.unix_offset_ns)
    }
}

/// What is counted in a run of these targets.
fn summary(header: &Header) -> Summary {
    let mut summary = Summary::default();
    for target in &header.targets {
        summary.target(target.pid, Some(&target.comm));
    }
    if header.options.polls {
        summary.with_polls()
    } else {
        summary
    }
}

#[cfg(test)]
mod tests;
