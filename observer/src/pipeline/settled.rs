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
pub(super) struct Explained<W = LongestWait> {
    pub(super) id: RequestId,
    /// Its last send, as far as it was known then, ns.
    pub(super) sent_ns: u64,
    /// Whether and why it is written, once that was judged: not before it is known how long it took.
    pub(super) wanted: Option<Wanted>,
    pub(super) figures: Figures,
    pub(super) longest_wait: Option<W>,
    /// What is written of it, if it is. Boxed, because few are and thousands can be settled at once.
    pub(super) line: Option<Box<Request>>,
}

/// The same, as it is kept: with its longest wait in a box, because many waited for nothing.
pub(super) type Kept = Explained<Box<LongestWait>>;

/// Turns that were explained and are not finished, by connection.
#[derive(Default)]
pub(super) struct Settled {
    /// Boxed, because a table that grows holds room for twice as many, and a turn takes half a KiB.
    turns: FxHashMap<ConnId, Box<Kept>>,
    /// How many of them will be written.
    lines: usize,
    /// How many spans these have.
    spans: usize,
}

impl<W> Explained<W> {
    /// Whether this is all that is known of a turn by now, with records lost in it or none.
    pub(super) fn is_all_of(&self, turn: &Turn, complete: bool) -> bool {
        self.id == turn.id && self.sent_ns == turn.sent_ns && self.figures.complete == complete
    }

    fn spans(&self) -> usize {
        self.line.as_ref().map_or(0, |request| request.timeline.len())
    }

    /// The same, with its longest wait in another form.
    fn with_wait<V>(self, with: impl FnOnce(W) -> V) -> Explained<V> {
        Explained {
            id: self.id,
            sent_ns: self.sent_ns,
            wanted: self.wanted,
            figures: self.figures,
            longest_wait: self.longest_wait.map(with),
            line: self.line,
        }
    }
}

impl Kept {
    /// As it was before it was kept.
    pub(super) fn unboxed(self) -> Explained {
        self.with_wait(|wait| *wait)
    }
}

impl Explained {
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
                self.longest_wait = Some(LongestWait {
                    cause: span.cause,
                    dur_ns: span.dur_ns,
                    detail: span.detail.clone(),
                    culprit: None,
                    function_seen_ns: 0,
                    behind_pool: false,
                });
            }
        }
        if let Some(request) = &mut self.line {
            request.figures = self.figures;
            request.timeline.extend(span);
        }
    }
}

impl Settled {
    /// Whether there is no room for another line. Those that are not judged yet, most of which will not be written,
    /// have half of it.
    pub(super) fn is_full_for(&self, judged: bool) -> bool {
        let share = if judged { 1 } else { 2 };
        self.lines >= MAX_SETTLED_LINES / share || self.spans >= MAX_SETTLED_SPANS / share
    }

    pub(super) fn keep(&mut self, explained: Explained) {
        let conn = explained.id.conn;
        self.take(conn);
        self.lines += usize::from(explained.line.is_some());
        self.spans += explained.spans();
        self.turns.insert(conn, Box::new(explained.with_wait(Box::new)));
    }

    pub(super) fn get(&self, conn: ConnId) -> Option<&Kept> {
        self.turns.get(&conn).map(Box::as_ref)
    }

    pub(super) fn take(&mut self, conn: ConnId) -> Option<Box<Kept>> {
        let explained = self.turns.remove(&conn)?;
        self.lines -= usize::from(explained.line.is_some());
        self.spans -= explained.spans();
        Some(explained)
    }
}
