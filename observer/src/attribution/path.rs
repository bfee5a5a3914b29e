//! The path of one request, filled from its end to its start.
//!
//! The only place that makes spans: each begins where the one found before it began, so that they have no gap
//! and no overlap whatever the walk does, and what the walk leaves over is unexplained.

use crate::cause::Cause;
use crate::request::{Culprit, Detail, Span};

/// Spans of a request, the last one first.
pub(super) struct Path {
    arrival_ns: u64,
    cursor_ns: u64,
    spans: Vec<Span>,
    faults: (u64, u64),
    partial: bool,
}

impl Path {
    /// A path from `arrival_ns` to `end_ns`, of which nothing is charged yet.
    pub(super) fn new(arrival_ns: u64, end_ns: u64) -> Self {
        Self { arrival_ns, cursor_ns: end_ns, spans: Vec::with_capacity(8), faults: (0, 0), partial: false }
    }

    /// Everything from here on is charged.
    pub(super) fn cursor_ns(&self) -> u64 {
        self.cursor_ns
    }

    /// Something needed was not seen.
    pub(super) fn mark_partial(&mut self) {
        self.partial = true;
    }

    pub(super) fn is_partial(&self) -> bool {
        self.partial
    }

    /// Adds page faults that happened on the path.
    pub(super) fn add_faults(&mut self, faults: (u32, u32)) {
        self.faults.0 += u64::from(faults.0);
        self.faults.1 += u64::from(faults.1);
    }

    pub(super) fn faults(&self) -> (u64, u64) {
        self.faults
    }

    /// Charges from `from_ns` (not before the arrival) to the cursor, and moves the cursor there.
    pub(super) fn charge_until(
        &mut self,
        from_ns: u64,
        cause: Cause,
        tid: Option<u32>,
        cpu: Option<u16>,
        detail: Detail,
        culprit: Option<Culprit>,
    ) {
        let from_ns = from_ns.max(self.arrival_ns);
        if from_ns >= self.cursor_ns {
            return;
        }
        let dur_ns = self.cursor_ns - from_ns;
        let at_ns = from_ns - self.arrival_ns;
        self.cursor_ns = from_ns;
        if let Some(later) = self.spans.last_mut()
            && later.cause == cause
            && later.tid == tid
            && later.cpu == cpu
            && later.detail == detail
            && later.culprit == culprit
        {
            later.at_ns = at_ns;
            later.dur_ns += dur_ns;
            return;
        }
        self.spans.push(Span { at_ns, dur_ns, cause, tid, cpu, detail, culprit });
    }

    /// Charges from `from_ns` to the cursor as unexplained, with a remark for people.
    pub(super) fn unexplained_until(&mut self, from_ns: u64, tid: Option<u32>, note: &'static str) {
        let detail = Detail { note: Some(note), ..Detail::default() };
        self.charge_until(from_ns, Cause::Unexplained, tid, None, detail, None);
    }

    /// The spans in the order of time.
    pub(super) fn into_spans(mut self) -> Vec<Span> {
        self.unexplained_until(self.arrival_ns, None, "the walk ended before the arrival");
        self.spans.reverse();
        self.spans
    }
}
