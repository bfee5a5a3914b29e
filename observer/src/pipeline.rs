//! The way from events to output: threads and connections follow the stream, each finished turn is explained,
//! counted, and written if it was chosen.
//!
//! Deterministic: it has no clock and does no I/O but through its sink. The same events give the same output.

use std::io;

use observer_common::{LostReason, ProcessChange, flags, tcp};

use crate::attribution::{Evidence, Explainer, Keep, Names};
use crate::connections::Connections;
use crate::event::{self, Event};
use crate::losses::Losses;
use crate::output::{Header, ProcessEvent, ProcessLine, Selection, Sink};
use crate::source::Batch;
use crate::summary::{OwnCost, Summary};
use crate::threads::{Owner, RequestId, Threads};

const WINDOW_NS: u64 = 1_000_000_000;

/// Follows one stream of events.
pub struct Pipeline {
    unix_offset_ns: u64,
    started_ns: u64,
    targets: Vec<u32>,
    threads: Threads,
    connections: Connections,
    names: Names,
    explainer: Explainer,
    losses: Losses,
    summary: Summary,
    selection: Selection,
    window_start_ns: u64,
    now_ns: u64,
}

impl Pipeline {
    /// A pipeline for the run that `header` describes.
    #[must_use]
    pub fn new(header: &Header) -> Self {
        let started_ns = header.started_unix_ns.saturating_sub(header.unix_offset_ns);
        Self {
            unix_offset_ns: header.unix_offset_ns,
            started_ns,
            targets: header.targets.iter().map(|target| target.pid).collect(),
            threads: Threads::default(),
            connections: Connections::default(),
            names: Names::default(),
            explainer: Explainer::new(header.page_bytes),
            losses: Losses::default(),
            summary: Summary::new(),
            selection: Selection::new(header.options.requests),
            window_start_ns: started_ns,
            now_ns: started_ns,
        }
    }

    /// Takes a batch in. What is malformed ends the batch: sources give only whole events.
    ///
    /// # Errors
    /// When the sink fails.
    pub fn batch(&mut self, batch: &Batch, sink: &mut dyn Sink) -> io::Result<()> {
        for event in batch.events() {
            let Ok(event) = event else { break };
            self.event(&event, sink)?;
        }
        Ok(())
    }

    /// Whether every watched process has ended.
    #[must_use]
    pub fn targets_gone(&self) -> bool {
        self.targets.is_empty()
    }

    /// Explains what has an end, and closes the output.
    ///
    /// # Errors
    /// When the sink fails.
    pub fn finish(mut self, sink: &mut dyn Sink) -> io::Result<()> {
        while let Some(turn) = self.connections.take_quiet(self.now_ns, true) {
            self.explain(turn, sink)?;
        }
        let counts = self.connections.counts;
        for (name, count) in [
            ("late_sends", counts.late_sends),
            ("unanswered", counts.unanswered),
            ("refused_connections", counts.refused_connections),
            ("refused_threads", self.threads.refused),
        ] {
            if count > 0 {
                self.summary.lost(name, count);
            }
        }
        let duration_ns = self.now_ns.saturating_sub(self.started_ns);
        let end = self.summary.end(self.started_ns + self.unix_offset_ns, duration_ns);
        sink.end(&end)?;
        sink.flush()
    }

    fn event(&mut self, event: &Event<'_>, sink: &mut dyn Sink) -> io::Result<()> {
        match event {
            Event::SwitchOut(event) => self.threads.switch_out(event),
            Event::SwitchIn(event) => self.threads.switch_in(event),
            Event::Waking(event) => self.threads.woken(event),
            Event::Receive(event, head) => {
                let (operation, ended) = self.connections.received(event, head);
                if let Some(turn) = ended {
                    self.explain(turn, sink)?;
                }
                if let Some(operation) = operation {
                    self.threads.operated(event.header.tid, event.tgid, event.header.cpu, &operation);
                }
            }
            Event::Send(event, head) => {
                let owner = match self.threads.get(event.header.tid).map(crate::threads::Thread::owner) {
                    Some(Owner::Request(id)) => Some(id),
                    _ => None,
                };
                if let Some(operation) = self.connections.sent(event, head, owner) {
                    self.threads.operated(event.header.tid, event.tgid, event.header.cpu, &operation);
                }
            }
            Event::Connection(event) => {
                if let Some(turn) = self.connections.changed(event) {
                    self.explain(turn, sink)?;
                }
                if event.new_state == tcp::CLOSE {
                    self.connections.forget(event.conn);
                }
            }
            Event::Process(event) => self.process(event, sink)?,
            Event::Lost(event) => self.lost(event),
            Event::ThreadName(event) => {
                self.threads.named(event.header.tid, event.tgid, &event::text(&event.comm));
            }
            Event::FdName(event) => self.names.fd(event.header.tid, event.fd, &event::text(&event.name)),
            Event::Memory(event) => self.summary.memory(
                event.header.tid,
                event.rss_bytes,
                event.minor_faults,
                event.major_faults,
            ),
            Event::Port(event) => {
                if let Ok(port) = u16::try_from(event.port) {
                    self.connections.listens(port);
                }
            }
            Event::Cost(event) => self.summary.cost(OwnCost {
                ebpf_ns: (event.ebpf_ns != event::Cost::UNKNOWN).then_some(event.ebpf_ns),
                cpu_ns: event.cpu_ns,
                rss_bytes: event.rss_bytes,
                records: event.records,
            }),
            Event::Tick(event) => self.tick(event.header.at_ns, sink)?,
            Event::End(event) => self.now_ns = self.now_ns.max(event.header.at_ns),
        }
        Ok(())
    }

    fn tick(&mut self, at_ns: u64, sink: &mut dyn Sink) -> io::Result<()> {
        self.now_ns = self.now_ns.max(at_ns);
        while let Some(turn) = self.connections.take_quiet(self.now_ns, false) {
            self.explain(turn, sink)?;
        }
        let elapsed_ns = self.now_ns.saturating_sub(self.window_start_ns);
        if elapsed_ns >= WINDOW_NS {
            let window = self.summary.close_window(self.window_start_ns + self.unix_offset_ns, elapsed_ns);
            self.window_start_ns = self.now_ns;
            sink.window(&window)?;
        }
        sink.flush()
    }

    fn explain(&mut self, id: RequestId, sink: &mut dyn Sink) -> io::Result<()> {
        let Some(turn) = self.connections.turn(id) else { return Ok(()) };
        let evidence =
            Evidence { threads: &self.threads, connections: &self.connections, names: &self.names };
        let complete = !self.losses.overlap(turn.arrival_ns, turn.sent_ns);
        let latency_ns = turn.sent_ns.saturating_sub(turn.arrival_ns);
        let chosen = self.selection.choose(id, latency_ns, self.summary.tail_threshold_ns());
        let keep = if chosen.is_some() { Keep::Steps } else { Keep::Sums };
        let figures = self.explainer.explain(turn, evidence, complete, keep);
        let path = turn.request_line().map(|line| line.path());
        self.summary.request(&figures, path, self.explainer.longest_wait(evidence).as_ref());
        match chosen {
            Some(why) => sink.request(&self.explainer.request(turn, figures, evidence), why),
            None => Ok(()),
        }
    }

    fn lost(&mut self, event: &event::Lost) {
        let reason = match LostReason::from_u32(event.reason) {
            Some(LostReason::RingFull) => "ring_full",
            Some(LostReason::SocketState) => "socket_state",
            None => "unknown",
        };
        self.summary.lost(reason, event.count);
        self.losses.add(event.from_ns, event.to_ns);
        self.threads.lost();
    }

    fn process(&mut self, event: &observer_common::Process, sink: &mut dyn Sink) -> io::Result<()> {
        let line = |change, pid, parent| ProcessLine {
            unix_ns: event.header.at_ns + self.unix_offset_ns,
            event: change,
            pid,
            comm: Some(event::text(&event.comm)),
            parent,
            exe: None,
        };
        match ProcessChange::from_u32(event.change) {
            Some(ProcessChange::Fork) if event.child_tgid == event.tgid => {
                self.threads.named(event.child_tid, event.tgid, &event::text(&event.comm));
                Ok(())
            }
            Some(ProcessChange::Fork) => {
                sink.process(&line(ProcessEvent::Fork, event.child_tgid, Some(event.tgid)))
            }
            Some(ProcessChange::Exec) => sink.process(&line(ProcessEvent::Exec, event.tgid, None)),
            Some(ProcessChange::Exit) => {
                self.threads.ended(event.header.tid);
                if event.flags & flags::GROUP_DEAD == 0 {
                    return Ok(());
                }
                self.targets.retain(|pid| *pid != event.tgid);
                sink.process(&line(ProcessEvent::Exit, event.tgid, None))
            }
            None => Ok(()),
        }
    }
}
