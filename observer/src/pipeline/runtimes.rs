//! What is told of the runtimes of processes.

use std::io;

use super::Pipeline;
use crate::event;
use crate::model::runtime::RuntimeLine;
use crate::output::{Sinks, each};
use crate::runtime::go;

/// The runtime whose tasks are goroutines.
const GO: &str = "go";

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
        };
        self.threads.switches_threads(line.pid);
        if line.name == GO
            && line.task_ids
            && let Some(version) = go::Version::of(line.version.as_deref().unwrap_or_default())
        {
            self.threads.run_goroutines(line.pid, version);
        }
        self.runtimes.found(&line);
        each(sinks, |sink| sink.runtime(&line))
    }

    /// Tells what has become known of runtimes.
    pub(super) fn tell_runtimes(&mut self, sinks: Sinks<'_, '_>) -> io::Result<()> {
        if self.runtimes.is_empty() {
            return Ok(());
        }
        let news = self
            .runtimes
            .news(self.unix_ns(self.now_ns), &self.threads.roles());
        news.iter()
            .try_for_each(|line| each(sinks, |sink| sink.runtime(line)))
    }
}
