//! What userspace found out beside the records, handed on to whom it concerns.

use std::io;

use super::Pipeline;
use crate::event::{self, text};
use crate::model::id::{Pid, Tid};
use crate::model::report::{OwnCost, ProbeCost};
use crate::output::{Sinks, each};
use crate::runtime::tokio::polls::Polls;

impl Pipeline {
    pub(super) fn thread_named(&mut self, event: &event::ThreadName) {
        self.threads
            .named(Tid(event.header.tid), Pid(event.tgid), &text(&event.comm));
    }

    pub(super) fn descriptor_named(&mut self, event: &event::FdName) {
        self.names.fd(event.pid(), event.fd, &text(&event.name));
    }

    pub(super) fn memory(&mut self, event: &event::Memory) {
        self.summary.memory(
            event.pid(),
            event.rss_bytes,
            event.minor_faults,
            event.major_faults,
        );
    }

    pub(super) fn port(&mut self, event: &event::Port) {
        if let Ok(port) = u16::try_from(event.port) {
            self.connections.listens(event.pid(), port);
        }
    }

    pub(super) fn cost(&mut self, event: &event::Cost) {
        let of_polls = self.polls.as_mut().map(Polls::take_cost);
        let of_go = self.probes_of_go.take_cost();
        self.summary.cost(OwnCost {
            ebpf_ns: (event.ebpf_ns != event::Cost::UNKNOWN).then_some(event.ebpf_ns),
            cpu_ns: event.cpu_ns,
            rss_bytes: event.rss_bytes,
            records: event.records,
            probes: of_polls.into_iter().chain(of_go).reduce(ProbeCost::with),
            ..OwnCost::default()
        });
    }

    pub(super) fn sampled(&mut self, event: &event::SampleCounts) {
        self.summary.cost(OwnCost {
            samples: Some(event.taken),
            samples_lost: Some(event.lost),
            ticks_on_others: Some(event.ticks_on_others),
            ..OwnCost::default()
        });
    }

    /// It was looked for who took over from a process that ended.
    pub(super) fn looked_for_successors(
        &mut self,
        event: &event::Ended,
        sinks: Sinks<'_, '_>,
    ) -> io::Result<()> {
        match self.serving.ended(event) {
            Some(line) => each(sinks, |sink| sink.process(&line)),
            None => Ok(()),
        }
    }
}
