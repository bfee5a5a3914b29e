//! Explains one finished turn: walks its path through the threads backwards, from its last send to its
//! arrival, and charges every nanosecond to a cause.
//!
//! Everything here is judged from the order of events on threads and sockets; no runtime is known. So the
//! confidence is [`Confidence::Inferred`], or [`Confidence::Partial`] where something needed was not seen.

mod names;
mod path;
mod service;
mod waiting;

use crate::cause::{Budget, Cause};
use crate::connections::{Connections, Turn};
use crate::request::{Confidence, Conn, Detail, Faults, Request, Rss};
use crate::threads::Threads;

pub use names::Names;
use path::Path;

/// What the walk may look at.
pub(crate) struct Evidence<'a> {
    pub(crate) threads: &'a Threads,
    pub(crate) connections: &'a Connections,
    pub(crate) names: &'a Names,
}

/// Explains `turn`. `complete` tells whether no record was lost inside its window.
#[must_use]
pub fn explain(
    turn: &Turn,
    threads: &Threads,
    connections: &Connections,
    names: &Names,
    complete: bool,
    page_bytes: u64,
) -> Request {
    let evidence = Evidence { threads, connections, names };
    let mut path = Path::new(turn.arrival_ns, turn.sent_ns.max(turn.arrival_ns));
    service::walk(&evidence, turn, &mut path);
    wait_for_first_read(&evidence, turn, &mut path);
    let partial = path.is_partial() || !turn.arrival_seen || !complete;
    let faults = path.faults();
    let timeline = path.into_spans();
    let mut budget = Budget::default();
    for span in &timeline {
        budget.charge(span.cause, span.dur_ns);
    }
    let connection = connections.get(turn.id.conn);
    Request {
        pid: turn.pid,
        conn: Conn {
            id: turn.id.conn,
            local: connection.and_then(|connection| connection.local),
            peer: connection.and_then(|connection| connection.peer),
            nth: turn.id.nth,
        },
        http: turn.http(),
        arrival_ns: turn.arrival_ns,
        latency_ns: turn.sent_ns.saturating_sub(turn.arrival_ns),
        receive_queue_ns: turn.read_ns.saturating_sub(turn.arrival_ns),
        bytes_in: turn.bytes_in,
        bytes_out: turn.bytes_out,
        confidence: if partial { Confidence::Partial } else { Confidence::Inferred },
        complete,
        rss: Rss {
            start: u64::from(turn.rss_start) * page_bytes,
            end: u64::from(turn.rss_end) * page_bytes,
        },
        faults: Faults { minor: faults.0, major: faults.1 },
        budget,
        timeline,
    }
}

/// From the arrival to the first read: why nobody read.
fn wait_for_first_read(evidence: &Evidence<'_>, turn: &Turn, path: &mut Path) {
    let accepted_ns = turn.accepted.map_or(turn.arrival_ns, |(at_ns, _)| at_ns.min(path.cursor_ns()));
    waiting::walk(evidence, turn.id, turn.read_tid, accepted_ns, path);
    let note = match turn.accepted {
        Some((_, true)) => Some("until the first read: when it was accepted was not seen"),
        _ => None,
    };
    let detail = Detail { note, ..Detail::default() };
    path.charge_until(turn.arrival_ns, Cause::AcceptQueue, None, None, detail, None);
}
