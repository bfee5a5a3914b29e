//! Explains one turn: walks its path through the threads backwards, from its last send to its arrival, and charges
//! every nanosecond to a cause. What TCP held back after that comes behind it, when it is known ([`held_back`]).
//!
//! Where the runtime's task ids are known, they tell whose work a thread did all along the path:
//! [`Confidence::Exact`]. Elsewhere it is judged from the order of events on threads and sockets:
//! [`Confidence::Inferred`], or [`Confidence::Partial`] where something needed was not seen.
//!
//! Figures and the longest wait are made for every request; the timeline, with names for all of it, only for those that
//! are written.

mod accepting;
mod account;
mod answered;
mod begun;
mod charge;
mod client;
mod fed;
mod functions;
mod goroutines;
mod jobs;
mod lock;
mod moves;
mod names;
pub mod notes;
mod path;
mod pending;
mod queued;
mod resumption;
mod returned;
mod room;
mod run_queue;
mod runs;
mod says;
mod service;
mod stolen;
mod taken;
mod waiting;
mod waits_in;
mod whose;

use crate::connections::{Connections, Turn};
use crate::model::cause::Cause;
use crate::model::request::{Confidence, Conn, Faults, Figures, LongestWait, Request, Rss, Span};
use crate::runtime::go;
use crate::threads::{Samples, Threads};

pub use begun::Begun;
pub use names::{FdNames, held_back};
pub use path::Keep;
use path::{Path, Step};
use runs::Runs;

/// What an explanation may look at.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// What threads did.
    pub threads: &'a Threads,
    /// What happened on sockets.
    pub connections: &'a Connections,
    /// What descriptors are.
    pub names: &'a FdNames,
    /// What threads were seen running.
    pub samples: &'a Samples,
    /// What Go's runtime did.
    pub go: &'a go::Processes,
}

/// Explains one turn after the other.
#[derive(Debug)]
pub struct Explainer {
    page_bytes: u64,
    path: Path,
    runs: Runs,
}

impl Explainer {
    /// An explainer for a machine with pages of this size.
    #[must_use]
    pub fn new(page_bytes: u64) -> Self {
        Self {
            page_bytes,
            path: Path::default(),
            runs: Runs::default(),
        }
    }

    /// Charges the time of `turn` up to its last send, of which so much is explained already. `complete` tells whether
    /// no record was lost inside its window.
    pub fn explain(
        &mut self,
        turn: &Turn,
        evidence: Evidence<'_>,
        begun: Option<&Begun>,
        complete: bool,
        keep: Keep,
    ) -> Figures {
        self.walk_rest(turn, evidence, begun, keep);
        let path = &self.path;
        let partial = path.is_partial() || !turn.arrival_seen || !complete;
        let (minor, major) = path.faults();
        let latency_ns = turn.sent_ns.saturating_sub(turn.arrival_ns);
        Figures {
            pid: turn.pid,
            protocol: turn.protocol,
            status: turn.status,
            arrival_ns: turn.arrival_ns,
            latency_ns,
            // Two CPUs' clocks can differ: a read can seem to end after the send that followed it.
            receive_queue_ns: turn.read_ns.saturating_sub(turn.arrival_ns).min(latency_ns),
            bytes_in: turn.bytes_in,
            bytes_out: turn.bytes_out,
            unsent_bytes: 0,
            confidence: if partial {
                Confidence::Partial
            } else if path.is_inferred() || !is_known_by_tasks(turn, evidence) {
                Confidence::Inferred
            } else {
                Confidence::Exact
            },
            complete,
            rss: Rss {
                // A recording can claim pages of any size.
                start: u64::from(turn.rss_start).saturating_mul(self.page_bytes),
                end: u64::from(turn.rss_end).saturating_mul(self.page_bytes),
            },
            faults: Faults { minor, major },
            budget: path.budget(),
        }
    }

    /// The longest wait of the turn that was explained last, among those that say what for.
    #[must_use]
    pub fn longest_wait(&self, turn: &Turn, evidence: Evidence<'_>) -> Option<LongestWait> {
        let waits_in =
            |step: &Step| waits_in::of(&evidence, turn, step.charge.cause, step.from_ns, step.to_ns);
        let seen = self.path.longest_idle().filter(|idle| waits_in(idle).is_some());
        let step = seen.or_else(|| self.path.longest_wait())?;
        let from_ns = step.from_ns;
        let mut span = names::span(&evidence, from_ns, step);
        let function_seen_ns = functions::name(&evidence, from_ns, &mut span);
        span.detail.waits_in = waits_in(step).cloned();
        let Span {
            cause,
            dur_ns,
            detail,
            culprit,
            ..
        } = span;
        let tid = culprit.as_ref().map(|culprit| culprit.tid);
        let thread = tid.and_then(|tid| evidence.threads.get(tid));
        let waits_for_worker = matches!(cause, Cause::WorkerBusy | Cause::WorkerBlocked);
        Some(LongestWait {
            // The pool of a peer is its own matter.
            behind_pool: thread
                .filter(|_| cause != Cause::Downstream)
                .is_some_and(|thread| {
                    let is_fed = |tid| evidence.threads.is_fed(thread.pid, tid);
                    let none_is_free = |tid| {
                        let threads = evidence.threads;
                        threads.none_is_free(thread.pid, tid, from_ns, from_ns + dur_ns)
                    };
                    let fed_is_full = |tid| is_fed(tid) && none_is_free(tid);
                    thread.is_of_pool() || waits_for_worker && tid.is_some_and(fed_is_full)
                }),
            cause,
            dur_ns,
            detail,
            culprit,
            function_seen_ns,
        })
    }

    /// The whole request that was explained last, with names. It needs [`Keep::Steps`].
    #[must_use]
    pub fn request(&self, turn: &Turn, figures: Figures, evidence: Evidence<'_>) -> Request {
        let connection = evidence.connections.get(turn.id.conn);
        let mut timeline: Vec<Span> = Vec::new();
        for step in self.path.steps() {
            let mut span = names::span(&evidence, turn.arrival_ns, step);
            if span.cause == Cause::AcceptQueue && turn.accepted.is_some_and(|accepted| !accepted.seen) {
                span.detail.note.get_or_insert(accepting::NOT_SEEN);
            }
            match timeline.last_mut() {
                // A worker that served a hundred requests of one path is one span, not a hundred.
                Some(before) if before.says_the_same(&span) => before.extend(&span),
                _ => timeline.push(span),
            }
        }
        timeline.shrink_to_fit();
        for span in &mut timeline {
            functions::name(&evidence, turn.arrival_ns, span);
            waits_in::tell(&evidence, turn, span);
        }
        Request {
            figures,
            conn: Conn {
                id: turn.id.conn,
                local: connection.and_then(|connection| connection.local),
                peer: connection.and_then(|connection| connection.peer),
                nth: turn.id.nth,
            },
            task: turn.read_task.id(),
            http: turn.request_line().map(Into::into),
            timeline,
            gc: evidence.go.overlap(turn.pid, turn.arrival_ns, turn.sent_ns),
        }
    }
}

/// Whether the ids of tasks tell whose work was done between the first read and the last send. A goroutine that parks
/// leaves its thread to another without anything that is seen: it must have been running on all the time.
fn is_known_by_tasks(turn: &Turn, evidence: Evidence<'_>) -> bool {
    let is_known = turn.read_task.id().is_some() && turn.sent_task.id().is_some();
    let stayed = match (turn.read_stay, turn.sent_stay) {
        // Its tasks are no goroutines.
        (None, None) => true,
        (Some(read), Some(sent)) => {
            let version = evidence.threads.runtime(turn.pid).go_version();
            turn.read_task == turn.sent_task
                && turn.sent_tid == Some(turn.read_tid)
                && version.is_some_and(|version| sent.goes_on(read, version, turn.operations))
        }
        _ => false,
    };
    is_known && stayed
}
