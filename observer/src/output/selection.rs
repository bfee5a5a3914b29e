//! Which requests become lines.
//!
//! The tail is written, because that is what people look for: whole, up to about [`MAX_TAIL_LINES`] or
//! [`MAX_TAIL_SPANS`] in a window, because while a server goes under every request is slower than those before. So are
//! the first of a target, before its p99 is known: whoever sends a server one request wants to see it.
//!
//! Of the rest one in [`SAMPLE_ONE_IN`] is drawn, by a hash of the connection and the request's place on it: the choice
//! does not depend on anything that the request did, and is the same when a recording is replayed. A written request
//! therefore stands for `sample_one_in` requests when its reason is [`Why::Sample`], and else for 1; sums weighted so
//! are unbiased.

use super::Why;
use crate::model::header::Requests;
use crate::model::id::RequestId;
use crate::summary::Tail;

/// One request in this many is drawn below the tail.
pub const SAMPLE_ONE_IN: u64 = 100;

/// Requests of the tail, or of the first, that a window may write before no more are chosen. The few hundred that were
/// chosen by then, and have not ended for certain, still come. A line has some 10 KiB where its request waited behind
/// many.
pub(super) const MAX_TAIL_LINES: u32 = 1000;

/// Spans that the timelines of these may have together before the next is not written any more: some 16 MiB. One that
/// waited behind ten thousand, on a CPU that its worker had to share, has a thousand.
pub(super) const MAX_TAIL_SPANS: usize = 131_072;

/// Chooses the requests that become lines of one output.
#[derive(Clone, Copy, Debug)]
struct Selection {
    requests: Requests,
    /// Requests of the tail, or of the first, that this window may still write.
    tail_left: u32,
    /// Spans that the timelines of these may still have.
    spans_left: usize,
}

impl Selection {
    const fn new(requests: Requests) -> Self {
        Self {
            requests,
            tail_left: MAX_TAIL_LINES,
            spans_left: MAX_TAIL_SPANS,
        }
    }

    const fn next_window(&mut self) {
        self.tail_left = MAX_TAIL_LINES;
        self.spans_left = MAX_TAIL_SPANS;
    }

    fn wants(&self, id: RequestId, latency_ns: u64, tail: Tail) -> Option<Why> {
        let whole = match tail {
            Tail::NotSought => None,
            Tail::NotYetKnown => Some(Why::First),
            Tail::From(p99) => (latency_ns >= p99).then_some(Why::Tail),
        };
        match self.requests {
            Requests::None => None,
            Requests::All => Some(Why::All),
            Requests::Tail if whole.is_some() && self.tail_left > 0 && self.spans_left > 0 => whole,
            Requests::Tail => drawn(id).then_some(Why::Sample),
        }
    }

    fn wrote(&mut self, why: Why, spans: usize) {
        if matches!(why, Why::First | Why::Tail) {
            self.tail_left = self.tail_left.saturating_sub(1);
            self.spans_left = self.spans_left.saturating_sub(spans);
        }
    }
}

/// Outputs of a run, at most.
pub const MAX_OUTPUTS: usize = 8;

/// Whether and why each output of a run writes a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted([Option<Why>; MAX_OUTPUTS]);

impl Wanted {
    /// Any output writes it.
    #[must_use]
    pub fn by_any(self) -> bool {
        self != Self::default()
    }

    /// Why the output at this place writes it, if it does.
    #[must_use]
    pub fn by(self, output: usize) -> Option<Why> {
        self.0.get(output).copied().flatten()
    }
}

/// Chooses for each output of a run.
#[derive(Clone, Debug)]
pub struct Selections(Vec<Selection>);

impl Selections {
    /// Chooses for outputs of which each asks for these requests. Those beyond [`MAX_OUTPUTS`] get none.
    #[must_use]
    pub fn new(asked_for: &[Requests]) -> Self {
        Self(asked_for.iter().copied().map(Selection::new).collect())
    }

    /// What each output asks for.
    pub fn asked_for(&self) -> impl Iterator<Item = Requests> {
        self.0.iter().map(|selection| selection.requests)
    }

    /// Whether any output asks for requests.
    #[must_use]
    pub fn ask_for_any(&self) -> bool {
        self.asked_for().any(|requests| requests != Requests::None)
    }

    /// Begins the next window.
    pub fn next_window(&mut self) {
        self.0.iter_mut().for_each(Selection::next_window);
    }

    /// Tells which outputs would write a request of a target and protocol with this tail, and why.
    #[must_use]
    pub fn wants(&self, id: RequestId, latency_ns: u64, tail: Tail) -> Wanted {
        let mut wanted = Wanted::default();
        for (wanted, selection) in wanted.0.iter_mut().zip(&self.0) {
            *wanted = selection.wants(id, latency_ns, tail);
        }
        wanted
    }

    /// A request was written, with so many spans.
    pub fn wrote(&mut self, wanted: Wanted, spans: usize) {
        for (why, selection) in wanted.0.into_iter().zip(&mut self.0) {
            if let Some(why) = why {
                selection.wrote(why, spans);
            }
        }
    }
}

fn drawn(id: RequestId) -> bool {
    mix(mix(id.conn.0).wrapping_add(id.nth)).is_multiple_of(SAMPLE_ONE_IN)
}

/// The output function of splitmix64 (Steele, Lea, Flood 2014). Socket cookies and places are counted up
/// from small numbers; after it each bit of either changes half of the bits.
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::ConnId;

    /// Asks for one request, and writes it with so many spans if it is wanted.
    fn write(selection: &mut Selection, nth: u64, spans: usize) -> Option<Why> {
        let why = selection.wants(RequestId { conn: ConnId(1), nth }, 9, Tail::From(5))?;
        selection.wrote(why, spans);
        Some(why)
    }

    #[test]
    fn of_a_tail_without_end_a_window_writes_some_whole_and_draws_of_the_rest() {
        let mut selection = Selection::new(Requests::Tail);
        let mut whys = (0..101_000).map(|nth| write(&mut selection, nth, 1));
        let tail = whys.by_ref().take_while(|why| *why == Some(Why::Tail)).count();
        let drawn = whys.flatten().filter(|why| *why == Why::Sample).count();
        assert_eq!(tail, MAX_TAIL_LINES as usize);
        assert!((800..1200).contains(&drawn), "{drawn} of 100,000");
        selection.next_window();
        assert_eq!(write(&mut selection, 0, 1), Some(Why::Tail));
    }

    #[test]
    fn the_first_of_a_target_are_written_as_far_as_there_is_room() {
        let mut selection = Selection::new(Requests::Tail);
        let id = |nth| RequestId { conn: ConnId(1), nth };
        for nth in 0..100 {
            assert_eq!(selection.wants(id(nth), 1, Tail::NotYetKnown), Some(Why::First));
            selection.wrote(Why::First, 1);
        }
        // Of what is not the leading protocol, and below the tail, some are drawn.
        for tail in [Tail::NotSought, Tail::From(2)] {
            assert!((0..100).any(|nth| selection.wants(id(nth), 1, tail).is_none()));
        }
        selection.wrote(Why::First, MAX_TAIL_SPANS);
        assert!((0..100).any(|nth| selection.wants(id(nth), 1, Tail::NotYetKnown).is_none()));
        assert_eq!(
            Selection::new(Requests::None).wants(id(1), 1, Tail::NotYetKnown),
            None
        );
    }

    #[test]
    fn a_tail_of_long_timelines_ends_earlier() {
        let mut selection = Selection::new(Requests::Tail);
        let mut tail = 0;
        for nth in 0..1000 {
            // Samples stay unbiased: what they take changes nothing.
            let why = write(&mut selection, nth, MAX_TAIL_SPANS / 10);
            tail += usize::from(why == Some(Why::Tail));
        }
        assert_eq!(tail, 11);
        selection.next_window();
        assert_eq!(write(&mut selection, 0, 1), Some(Why::Tail));
    }

    #[test]
    fn each_output_gets_what_it_asks_for() {
        let asked_for = [Requests::None, Requests::All, Requests::Tail];
        let mut selections = Selections::new(&asked_for);
        assert!(selections.asked_for().eq(asked_for));
        let wanted = selections.wants(
            RequestId {
                conn: ConnId(1),
                nth: 1,
            },
            9,
            Tail::From(5),
        );
        let whys = [0, 1, 2, 3, MAX_OUTPUTS].map(|output| wanted.by(output));
        assert_eq!(whys, [None, Some(Why::All), Some(Why::Tail), None, None]);
        // The tail of one window is used up by the only output that counts it.
        selections.wrote(wanted, MAX_TAIL_SPANS);
        let wanted = selections.wants(
            RequestId {
                conn: ConnId(1),
                nth: 1,
            },
            9,
            Tail::From(5),
        );
        assert!(wanted.by_any());
        assert_eq!([1, 2].map(|output| wanted.by(output)), [Some(Why::All), None]);
    }
}
