//! What is told of the runtimes of processes.

use std::io;

use super::Pipeline;
use crate::event;
use crate::model::id::Task;
use crate::model::report::{LookCost, OwnCost};
use crate::model::runtime::RuntimeLine;
use crate::output::{Sinks, each};
use crate::runtime::{Runtime, go};

impl Pipeline {
    /// It was found out which runtime a process has.
    pub(super) fn runtime(&mut self, event: &event::Runtime, sinks: Sinks<'_, '_>) -> io::Result<()> {
        let line = RuntimeLine {
            unix_ns: self.unix_ns(event.header.at_ns),
            pid: event.pid(),
            name: event::text(&event.name),
            version: Some(event::text(&event.version)).filter(|version| !version.is_empty()),
            task_ids: event.task_ids != 0,
            evidence: event::text(&event.evidence),
            runtimes: Vec::new(),
            pool_threads: (event.schedulers != 0).then_some(0),
            go: None,
        };
        let runtime = Runtime::found(&line.name, line.version.as_deref(), line.task_ids);
        self.threads.runs_on(line.pid, runtime);
        match runtime {
            Runtime::Unknown => {}
            Runtime::Tokio => self.tokio.found(&line),
            Runtime::Go { version } => self.go.found(&line, version),
        }
        each(sinks, |sink| sink.runtime(&line))
    }

    /// It was found out whether the memory of a process tells of its cycles of garbage collection.
    pub(super) fn go_memory(&mut self, event: &event::GoMemory) {
        self.go
            .cycles_known(event.pid(), event.cycles != 0, event::text(&event.evidence));
    }

    pub(super) fn go_cycle(&mut self, event: &event::GoCycle) {
        let event::GoCycle {
            number,
            begin_ns,
            mark_ns,
            marked_ns,
            end_ns,
            ..
        } = *event;
        let cycle = go::Cycle {
            number,
            begin_ns,
            mark_ns,
            marked_ns,
            end_ns,
        };
        self.go.cycle(event.pid(), cycle);
    }

    pub(super) fn go_heap(&mut self, event: &event::GoHeap) {
        let heap = go::Heap {
            bytes: event.heap_bytes,
            goal_bytes: Some(event.goal_bytes).filter(|&goal| goal != event::GoHeap::UNBOUNDED),
        };
        self.go.looked(event.pid(), event.max_procs, heap);
    }

    /// It was found out whether the memory of a process tells how many goroutines it has.
    pub(super) fn go_scheduler(&mut self, event: &event::GoScheduler) {
        let evidence = event::text(&event.evidence);
        self.go
            .counting_known(event.pid(), event.goroutines != 0, evidence);
    }

    pub(super) fn go_goroutines(&mut self, event: &event::GoGoroutines) {
        self.summary.goroutines(event.pid(), event.count, event.runnable);
    }

    /// A goroutine that serves a request waited when it was looked at.
    pub(super) fn go_stack(&mut self, event: &event::GoStack) {
        let Some(task) = Task::new(event.task).id() else {
            return;
        };
        let functions = event.functions();
        let functions: Vec<_> = functions.collect();
        let stay = go::Stay::of(event.task);
        self.go
            .waited(event.pid(), task, stay, event.header.at_ns, &functions);
    }

    /// So many looks at goroutines there were.
    pub(super) fn go_looks(&mut self, event: &event::GoLooks) {
        let looks = LookCost {
            count: event.looks,
            parked: event.parked,
            changed: event.changed,
            skipped: event.skipped,
            spent_ns: event.spent_ns,
        };
        self.summary.cost(OwnCost {
            looks: Some(looks),
            ..OwnCost::default()
        });
    }

    /// Tells what has become known of runtimes.
    pub(super) fn tell_runtimes(&mut self, sinks: Sinks<'_, '_>) -> io::Result<()> {
        let unix_ns = self.unix_ns(self.now_ns);
        let mut news = Vec::new();
        if !self.tokio.is_empty() {
            news = self.tokio.news(unix_ns, &self.threads.roles());
        }
        news.extend(self.go.news(unix_ns, self.threads.in_goroutines()));
        news.iter()
            .try_for_each(|line| each(sinks, |sink| sink.runtime(line)))
    }
}
