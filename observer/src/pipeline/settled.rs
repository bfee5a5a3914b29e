//! Turns that were explained because they have probably ended, until that is certain.

use rustc_hash::FxHashMap;

use crate::attribution::held_back;
use crate::connections::Turn;
use crate::model::id::{ConnId, RequestId};
use crate::model::request::{Figures, LongestWait, Request};
use crate::output::Wanted;

/// Turns that are kept with all that a line says of them; others are explained when they are finished.
const MAX_SETTLED_LINES: usize = 256;

/// Spans of their timelines together: 4 MiB. Where a request waited behind thousands it has a thousand.
const MAX_SETTLED_SPANS: usize = 16_384;

/// A turn with what was found out about it.
pub(super) struct Explained {
    pub(super) id: RequestId,
    /// Its last send, as far as it was known then, ns.
    pub(super) sent_ns: u64,
    /// Whether and why it is written, once that was judged: not before it is known how long it took.
    pub(super) wanted: Option<Wanted>,
    pub(super) figures: Figures,
    /// Boxed, because many waited for nothing.
    pub(super) longest_wait: Option<Box<LongestWait>>,
    /// What is written of it, if it is. Boxed, because few are and thousands can be settled at once.
    pub(super) line: Option<Box<Request>>,
}

/// Turns that were explained and are not finished, by connection.
#[derive(Default)]
pub(super) struct Settled {
    /// Boxed, because a table that grows holds room for twice as many, and a turn takes half a KiB.
    turns: FxHashMap<ConnId, Box<Explained>>,
    /// How many of them will be written.
    lines: usize,
    /// How many spans these have.
    spans: usize,
}

impl Explained {
    /// Whether this is all that is known of a turn by now, with records lost in it or none.
    pub(super) fn is_all_of(&self, turn: &Turn, complete: bool) -> bool {
        self.id == turn.id && self.sent_ns == turn.sent_ns && self.figures.complete == complete
    }

    /// Adds what TCP held back, which comes after the last send and may be known only now.
    pub(super) fn add_what_was_held_back(&mut self, turn: &Turn) {
        let figures = &mut self.figures;
        figures.unsent_bytes = turn.unsent_bytes();
        let span = held_back(turn);
        if let Some(span) = &span {
            figures.latency_ns += span.dur_ns;
            figures.budget.charge(span.cause, span.dur_ns);
            let longest_ns = self.longest_wait.as_ref().map_or(0, |longest| longest.dur_ns);
            if longest_ns < span.dur_ns {
                self.longest_wait = Some(Box::new(LongestWait {
                    cause: span.cause,
                    dur_ns: span.dur_ns,
                    detail: span.detail.clone(),
                    culprit: None,
                    function_seen_ns: 0,
                    behind_pool: false,
                }));
            }
        }
        if let Some(request) = &mut self.line {
            request.figures = self.figures;
            request.timeline.extend(span);
        }
    }

    fn spans(&self) -> usize {
        self.line.as_ref().map_or(0, |request| request.timeline.len())
    }
}

impl Settled {
    /// Whether there is no room for another line. Those that are not judged yet, most of which will not be written,
    /// have half of it.
    pub(super) fn is_full_for(&self, judged: bool) -> bool {
        let share = if judged { 1 } else { 2 };
        self.lines >= MAX_SETTLED_LINES / share || self.spans >= MAX_SETTLED_SPANS / share
    }

    pub(super) fn keep(&mut self, explained: Box<Explained>) {
        let conn = explained.id.conn;
        self.take(conn);
        self.lines += usize::from(explained.line.is_some());
        self.spans += explained.spans();
        self.turns.insert(conn, explained);
    }

    pub(super) fn get(&self, conn: ConnId) -> Option<&Explained> {
        self.turns.get(&conn).map(Box::as_ref)
    }

    pub(super) fn take(&mut self, conn: ConnId) -> Option<Box<Explained>> {
        let explained = self.turns.remove(&conn)?;
        self.lines -= usize::from(explained.line.is_some());
        self.spans -= explained.spans();
        Some(explained)
    }
}
