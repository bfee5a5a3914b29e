//! The way from events to output: threads and connections follow the stream, each finished turn is explained,
//! counted, and written if it was chosen.
//!
//! Deterministic: it has no clock and does no I/O but through its sinks. The same events give the same output.

mod begun;
mod counts;
mod facts;
mod hints;
mod polls;
mod processes;
mod requests;
mod runtimes;
mod settled;
mod traffic;

use std::collections::BTreeSet;
use std::io;

use self::begun::BegunTurns;
use self::settled::Settled;
use crate::attribution::{Explainer, FdNames};
use crate::connections::Connections;
use crate::event::Event;
use crate::losses::{Losses, reason};
use crate::model::header::{Header, Requests};
use crate::model::hint::Hint;
use crate::model::id::Pid;
use crate::model::process::{ProcessEvent, ProcessLine};
use crate::output::{Selections, Sinks, each};
use crate::runtime::go;
use crate::runtime::tokio::Reported;
use crate::runtime::tokio::polls::Polls;
use crate::serving::Serving;
use crate::source::Batch;
use crate::summary::Summary;
use crate::threads::{Samples, SliceLimit, Threads};

const WINDOW_NS: u64 = 1_000_000_000;

/// Follows one stream of events.
pub struct Pipeline {
    unix_offset_ns: u64,
    started_ns: u64,
    /// Processes that are watched now.
    targets: BTreeSet<Pid>,
    /// The program of the one that is watched next.
    executable: Option<(Pid, String)>,
    threads: Threads,
    /// Where they are recorded.
    polls: Option<Polls>,
    probes_of_go: go::Probes,
    connections: Connections,
    names: FdNames,
    samples: Samples,
    explainer: Explainer,
    losses: Losses,
    tokio: Reported,
    go: go::Processes,
    serving: Serving,
    /// Hints that were not taken yet.
    new_hints: Vec<Hint>,
    /// Turns that have probably ended, by connection.
    settled: Settled,
    /// Turns that are not over, as far as they are explained.
    begun: BegunTurns,
    summary: Summary,
    selections: Selections,
    window_start_ns: u64,
    now_ns: u64,
    truncated: bool,
}

impl Pipeline {
    /// A pipeline for the run that `header` describes, with outputs each of which gets these requests. Of what threads
    /// did, no more than so many slices are remembered.
    #[must_use]
    pub fn new(header: &Header, requests: &[Requests], slice_limit: SliceLimit) -> Self {
        let started_ns = header.started_unix_ns.saturating_sub(header.unix_offset_ns);
        Self {
            unix_offset_ns: header.unix_offset_ns,
            started_ns,
            targets: header.targets.iter().map(|target| target.pid).collect(),
            executable: None,
            threads: Threads::remembering(slice_limit),
            polls: header.options.polls.then(Polls::default),
            probes_of_go: go::Probes::new(header.options.goroutines),
            connections: Connections::whole_since(started_ns),
            names: FdNames::default(),
            samples: Samples::default(),
            explainer: Explainer::new(header.page_bytes),
            losses: Losses::default(),
            tokio: Reported::default(),
            go: go::Processes::default(),
            serving: Serving::new(
                header
                    .targets
                    .iter()
                    .map(|target| (target.pid, target.comm.clone())),
                header.options.follow,
            )
            .awaiting(&header.options.ports),
            new_hints: Vec::new(),
            settled: Settled::default(),
            begun: BegunTurns::default(),
            summary: summary(header),
            selections: Selections::new(requests),
            window_start_ns: started_ns,
            now_ns: started_ns,
            truncated: false,
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

    /// Takes a batch in. What is malformed ends the batch, and counts as lost: sources give only whole events.
    ///
    /// # Errors
    /// When a sink fails.
    pub fn batch(&mut self, batch: &Batch, sinks: Sinks<'_, '_>) -> io::Result<()> {
        for event in batch.events() {
            match event {
                Ok(event) => self.event(&event, sinks)?,
                Err(_) => self.lost_rest_of_batch(),
            }
        }
        Ok(())
    }

    /// The recording breaks off here: what follows was lost, and the end says so.
    pub const fn breaks_off(&mut self) {
        self.truncated = true;
    }

    /// Explains what has an end, and closes the output. Gives the hints that were not taken before.
    ///
    /// # Errors
    /// When a sink fails.
    pub fn finish(mut self, sinks: Sinks<'_, '_>) -> io::Result<Vec<Hint>> {
        while let Some(turn) = self.connections.take_quiet(u64::MAX, |_, _| false) {
            self.finish_turn(turn, sinks)?;
        }
        self.connections.count_unanswered(u64::MAX);
        self.count_not_followed();
        self.count_workers(self.now_ns);
        self.count_cycles();
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
        end.truncated = self.truncated;
        end.hints = hints;
        end.hints.extend(self.serving.unheard());
        let no_room = end
            .totals
            .lost
            .iter()
            .find(|(name, _)| *name == reason::RING_FULL);
        let no_room = no_room.map_or(0, |&(_, records)| records);
        let incomplete = end.totals.figures.incomplete;
        end.hints.extend(self.serving.records_lost(no_room, incomplete));
        end.hints.extend(self.serving.full_tables(&end.totals.full));
        self.new_hints.extend(self.serving.tell(&end.hints));
        each(sinks, |sink| {
            sink.end(&end)?;
            sink.flush()
        })?;
        Ok(self.new_hints)
    }

    fn event(&mut self, event: &Event<'_>, sinks: Sinks<'_, '_>) -> io::Result<()> {
        if self.threads.is_full() {
            self.make_room();
        }
        match event {
            Event::SwitchOut(event) => {
                self.collects(&event.header, event.tgid, event.task);
                self.threads.switch_out(event);
            }
            Event::SwitchIn(event) => self.threads.switch_in(event),
            Event::OnCpuSince(event) => self.threads.on_cpu_since(event),
            Event::Occupied(event) => self.threads.occupied(event),
            Event::Seen(event) => {
                self.collects(&event.header, event.tgid, event.task);
                self.seen(&event.header, event.tgid, event.task);
            }
            Event::Waking(event) => self.woken(event),
            Event::Stolen(event) => self.threads.stolen(event),
            Event::PollStart(event) => self.poll_started(event),
            Event::PollEnd(event) => self.poll_ended(event),
            Event::Readied(event) => self.readied(event),
            Event::Receive(event, head) => self.received(event, head, sinks)?,
            Event::Send(event, head) => self.sent(event, head, sinks)?,
            Event::Held(event) => self.connections.held(event),
            Event::Left(event) => self.connections.left(event),
            Event::Connection(event) => self.connection_changed(event, sinks)?,
            Event::Process(event) => self.process(event, sinks)?,
            Event::TargetAdded(event) => self.target_added(event, sinks)?,
            Event::TargetGone(event) => self.target_gone(event, sinks)?,
            Event::Executable(event) => self.program_told(event),
            Event::Lost(event) => self.lost(event),
            Event::ThreadName(event) => self.thread_named(event),
            Event::FdName(event) => self.descriptor_named(event),
            Event::Memory(event) => self.memory(event),
            Event::Port(event) => self.port(event),
            Event::Runtime(event) => self.runtime(event, sinks)?,
            Event::Cost(event) => self.cost(event),
            Event::Function(event) => self.samples.named(event),
            Event::Sample(event) => self.samples.add(event),
            Event::Samples(event) => self.sampled(event),
            Event::Listener(event) => self.serving.listener(event),
            Event::Looked(event) => self.serving.looked(event),
            Event::Successor(event) => self.serving.successor(event),
            Event::Refused(event) => self.serving.refused(event),
            Event::Ended(event) => self.looked_for_successors(event, sinks)?,
            Event::Full(event) => self.full(event),
            Event::GoMemory(event) => self.go_memory(event),
            Event::GoCycle(event) => self.go_cycle(event),
            Event::GoHeap(event) => self.go_heap(event),
            Event::GoScheduler(event) => self.go_scheduler(event),
            Event::GoGoroutines(event) => self.go_goroutines(event),
            Event::GoStack(event) => self.go_stack(event),
            Event::GoLooks(event) => self.go_looks(event),
            Event::Tick(event) => self.tick(event.header.at_ns, sinks)?,
            Event::End(event) => self.now_ns = self.now_ns.max(event.header.at_ns),
        }
        Ok(())
    }

    fn tick(&mut self, at_ns: u64, sinks: Sinks<'_, '_>) -> io::Result<()> {
        self.now_ns = self.now_ns.max(at_ns);
        self.settle();
        while let Some(turn) = self.connections.take_quiet(self.now_ns, |turn, fd| {
            turn.is_stalled() || turn.tids().any(|tid| self.threads.is_sending(tid, fd))
        }) {
            self.finish_turn(turn, sinks)?;
        }
        self.connections.count_unanswered(self.now_ns);
        self.threads.forget_ended(self.now_ns);
        self.find_hints();
        let elapsed_ns = self.now_ns.saturating_sub(self.window_start_ns);
        if elapsed_ns >= WINDOW_NS {
            self.count_not_followed();
            self.count_workers(self.now_ns);
            self.count_cycles();
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

    fn unix_ns(&self, at_ns: u64) -> u64 {
        at_ns.saturating_add(self.unix_offset_ns)
    }
}

/// What is counted in a run of these targets.
fn summary(header: &Header) -> Summary {
    let mut summary = Summary::default();
    if header.options.apart {
        summary = summary.apart();
    }
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
