//! Turns that were explained because they have probably ended, until that is certain.

use rustc_hash::FxHashMap;

use crate::output::Why;
use crate::request::{Figures, LongestWait, Request};
use crate::threads::RequestId;

/// Turns that are kept with all that a line says of them; others are explained when they are finished.
const MAX_SETTLED_LINES: usize = 256;

/// Spans of their timelines together: 4 MiB. Where a request waited behind thousands it has a thousand.
const MAX_SETTLED_SPANS: usize = 16_384;

/// A turn with what was found out about it.
pub(super) struct Explained {
    pub(super) id: RequestId,
    /// End of the turn, as far as it was known then; it was explained too early if that was not the end.
    pub(super) end_ns: u64,
    pub(super) figures: Figures,
    pub(super) longest_wait: Option<LongestWait>,
    /// Boxed, because few are written and thousands can be settled at once.
    pub(super) written: Option<(Why, Box<Request>)>,
}

/// Turns that were explained and are not finished, by connection.
#[derive(Default)]
pub(super) struct Settled {
    /// Boxed, because a table that grows holds room for twice as many, and a turn takes half a KiB.
    turns: FxHashMap<u64, Box<Explained>>,
    /// How many of them will be written.
    lines: usize,
    /// How many spans these have.
    spans: usize,
}

impl Explained {
    /// Whether it was chosen as one of the tail.
    pub(super) fn is_of_tail(&self) -> bool {
        self.written.as_ref().is_some_and(|(why, _)| *why == Why::Tail)
    }

    pub(super) fn spans(&self) -> usize {
        self.written
            .as_ref()
            .map_or(0, |(_, request)| request.timeline.len())
    }
}

impl Settled {
    pub(super) fn is_full(&self) -> bool {
        self.lines >= MAX_SETTLED_LINES || self.spans >= MAX_SETTLED_SPANS
    }

    pub(super) fn keep(&mut self, explained: Explained) {
        let conn = explained.id.conn;
        self.take(conn);
        self.lines += usize::from(explained.written.is_some());
        self.spans += explained.spans();
        self.turns.insert(conn, Box::new(explained));
    }

    pub(super) fn take(&mut self, conn: u64) -> Option<Explained> {
        let explained = self.turns.remove(&conn)?;
        self.lines -= usize::from(explained.written.is_some());
        self.spans -= explained.spans();
        Some(*explained)
    }
}
