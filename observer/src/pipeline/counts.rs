//! What is counted beside requests: what could not be made part of one, what workers did, what was lost.

use observer_common::LostReason;

use super::{Pipeline, WINDOW_NS};
use crate::connections::{self, NotFollowed};
use crate::event;
use crate::losses;
use crate::model::full::{Full, Table};
use crate::model::protocol::Protocol;
use crate::summary::{self, NoTurns, WorkerUsage};

impl Pipeline {
    /// Counts what came up since the last time that could not be made part of a request.
    pub(super) fn count_not_followed(&mut self) {
        let connections::Counts {
            refused_connections,
            by_process,
            full: counted_together,
        } = std::mem::take(&mut self.connections.counts);
        let refused_threads = std::mem::take(&mut self.threads.refused);
        for (pid, counts) in by_process {
            let NotFollowed {
                late_sends,
                unanswered,
                begun_before,
                unknown_direction,
            } = counts;
            for (protocol, count) in Protocol::ALL.into_iter().zip(unanswered) {
                self.summary.unanswered(pid, protocol, count);
            }
            let no_turns = NoTurns {
                late_sends,
                begun_before,
                unknown_direction,
            };
            self.summary.no_turns(pid, no_turns);
        }
        self.summary
            .lost(losses::reason::REFUSED_CONNECTIONS, refused_connections);
        self.summary
            .lost(losses::reason::REFUSED_THREADS, refused_threads);
        for full in [
            counted_together,
            self.threads.take_full(),
            self.connections.full.take(),
            self.names.full.take(),
            self.samples.full.take(),
            self.serving.full.take(),
            self.go.full.take(),
        ] {
            self.summary.full(&full);
        }
        if let Some(polls) = &self.polls {
            self.summary.full(&polls.full.take());
        }
    }

    /// Counts cycles of garbage collection.
    pub(super) fn count_cycles(&mut self) {
        for (pid, counts, heap) in self.go.take_counts() {
            self.summary.cycles(pid, &counts, heap);
        }
    }

    /// A table of the source was full.
    pub(super) fn full(&mut self, event: &event::Full) {
        if let Some(table) = Table::from_u32(event.table) {
            let full = Full::default();
            full.count(table, event.count);
            self.summary.full(&full);
        }
    }

    /// Tells the summary what the workers did since the last time.
    pub(super) fn count_workers(&mut self, now_ns: u64) {
        for (tid, usage) in self.threads.take_usage(now_ns) {
            let Some(thread) = self.threads.get(tid) else {
                continue;
            };
            let request = usage.longest.and_then(|longest| {
                let id = longest.owner.request()?;
                self.connections.get(id.conn)?.name(id.nth)
            });
            self.summary.worker(&WorkerUsage {
                pid: thread.pid,
                tid,
                comm: thread.comm.as_ref(),
                usage: &usage,
                request: request.as_deref().map(summary::without_query),
            });
        }
        for &pid in &self.targets {
            self.summary.none_free(pid, self.threads.take_waited_ns(pid));
        }
        let window_ns = now_ns.saturating_sub(self.window_start_ns);
        for (pid, window, run) in self.threads.take_roles(now_ns, window_ns) {
            self.summary.roles(pid, window, run);
        }
    }

    /// A batch could not be read to its end, of which no time is known. Batches are far shorter than a window.
    pub(super) fn lost_rest_of_batch(&mut self) {
        let since_ns = self.now_ns;
        let until_ns = since_ns.saturating_add(WINDOW_NS);
        let lost = event::Lost::new(since_ns, 1, since_ns, until_ns, event::Lost::MALFORMED);
        self.lost(&lost);
    }

    /// So many events are not in the recording that is written meanwhile. Of what is told here nothing is missing.
    pub fn not_recorded(&mut self, events: u64) {
        self.summary.lost(losses::reason::NOT_RECORDED, events);
    }

    pub(super) fn lost(&mut self, event: &event::Lost) {
        self.summary
            .lost(losses::name_of_reason(event.reason), event.count);
        if event.reason == LostReason::TooManyTargets as u32 {
            // Of those that are watched nothing is missing.
            return;
        }
        self.losses.add(event.from_ns, event.to_ns);
        self.threads.lost(event.to_ns);
        self.connections.lost(event.to_ns);
        if let Some(polls) = &mut self.polls {
            polls.lost();
        }
    }
}
