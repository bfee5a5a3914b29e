//! The search for the word in which a process's threads keep the id of their task: samples of the runtime's variables
//! are taken in one window after the other, until one of them has it.

use std::ops::Range;

use bytemuck::Zeroable as _;
use observer_common::seek::{Sample, Seek, WINDOW_BYTES};
use observer_common::{TaskPath, conn};

use super::super::hunt::{INTERVAL_NS, Seeks, Stage};
use super::proof::{Doing, Proof, Variables, WordSearch, WordVerdict};
use crate::model::id::{ConnId, Tid};
use crate::syscall;

/// Time between two samples of a kind on a CPU once those of [`INTERVAL_NS`] were no use, ns.
const SLOW_INTERVAL_NS: u32 = 10_000_000;

/// Samples after which it was no use.
const FAST_SAMPLES: u32 = 4_000;

/// How often everything is gone through: what contradicted a word once can have been one odd connection.
const ATTEMPTS: u32 = 3;

/// Where to seek.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct SearchPlace {
    /// Bytes from a thread's `fsbase`.
    pub(super) variables: Range<i64>,
    /// They are the runtime's context and nothing else.
    pub(super) is_context: bool,
    /// Address of the count of task ids that were given out.
    pub(super) issued_at: Option<u64>,
}

/// A search that is going on in a process.
pub(in super::super) struct Hunt {
    place: SearchPlace,
    /// Parts of the place that are looked at one after the other.
    windows: Vec<Range<i64>>,
    /// Which of them is looked at now, counted through all attempts.
    turn: usize,
    search: WordSearch,
    /// Samples from before are of another window or program.
    since_ns: u64,
    samples: u32,
}

impl Hunt {
    pub(in super::super) fn new(place: SearchPlace, now_ns: u64) -> Self {
        let windows = windows(&place.variables);
        Self {
            search: search_in(&windows[0], &place),
            place,
            windows,
            turn: 0,
            since_ns: now_ns,
            samples: 0,
        }
    }

    /// Goes on to the next window; false when all have been gone through as often as is worth it.
    fn next(&mut self, now_ns: u64) -> bool {
        self.turn += 1;
        if self.turn >= self.windows.len() * ATTEMPTS as usize {
            return false;
        }
        self.search = search_in(self.window(), &self.place);
        self.since_ns = now_ns;
        true
    }

    fn window(&self) -> &Range<i64> {
        &self.windows[self.turn % self.windows.len()]
    }

    /// The id is a word of the context itself, and 0 outside of tasks.
    fn path(&self, proof: &Proof) -> TaskPath {
        TaskPath {
            start: self.offset(proof.word),
            scheduler: proof.scheduler.map_or(0, |word| self.offset(word)),
            kind: proof.kind.map_or(0, |word| self.offset(word)),
            ..TaskPath::zeroed()
        }
    }

    /// Of a word of the window, in bytes from a thread's `fsbase`.
    fn offset(&self, word: usize) -> i64 {
        self.window().start + 8 * i64::try_from(word).unwrap_or(0)
    }

    fn evidence(&self, proof: &Proof) -> String {
        let Proof {
            word,
            connections,
            receives,
            waits,
            counted,
            scheduler,
            kind,
        } = *proof;
        let whose = match connections {
            1 => "the only connection had one id".to_owned(),
            _ => format!("each of {connections} connections had an id of its own"),
        };
        let scheduler =
            scheduler.map_or_else(String::new, |word| format!("; word {word} is its scheduler's"));
        let kind = kind.map_or_else(String::new, |word| format!(", {word} its kind"));
        format!(
            "word {word} of the {} at fsbase{:+}: in {receives} receives, {whose}{}, and in {waits} waits for events no \
             thread had such an id{scheduler}{kind}",
            if self.place.is_context {
                "context"
            } else {
                "variables"
            },
            self.window().start,
            if counted { " that was given out" } else { "" },
        )
    }
}

impl Seeks for Hunt {
    fn seek(&self) -> Seek {
        let window = self.window();
        Seek {
            from: window.start,
            issued_at: self.place.issued_at.unwrap_or(0),
            bytes: u32::try_from(window.end - window.start).unwrap_or(0),
            interval_ns: if self.samples < FAST_SAMPLES {
                INTERVAL_NS
            } else {
                SLOW_INTERVAL_NS
            },
            ..Seek::zeroed()
        }
    }

    fn see(&mut self, sample: &Sample) {
        let Sample { head, words } = sample;
        let words = words.get(..head.bytes as usize / 8);
        let Some(words) = words.filter(|_| head.at_ns >= self.since_ns) else {
            return;
        };
        self.samples = self.samples.saturating_add(1);
        let doing = match head.conn {
            conn::NONE if syscall::waits_for_events(head.syscall) => Doing::WaitForEvents,
            conn::NONE => return,
            conn => Doing::Receive(ConnId(conn)),
        };
        self.search.see(&Variables {
            tid: Tid(head.tid),
            doing,
            issued: head.issued,
            stack: head.stack,
            words,
        });
    }

    fn step(&mut self, now_ns: u64) -> Stage {
        match self.search.verdict() {
            WordVerdict::Open => Stage::Seeks(self.seek()),
            WordVerdict::Refuted(_) if self.next(now_ns) => Stage::Seeks(self.seek()),
            WordVerdict::Refuted(reason) => Stage::GivenUp(reason.to_owned()),
            WordVerdict::Proved(proof) => Stage::Proved(self.path(&proof), self.evidence(&proof)),
        }
    }
}

fn search_in(window: &Range<i64>, place: &SearchPlace) -> WordSearch {
    let words = usize::try_from((window.end - window.start) / 8).unwrap_or(0);
    WordSearch::new(words, place.is_context)
}

/// Whole words, in pieces that fit a sample. The first is the one nearest to `fsbase`.
fn windows(variables: &Range<i64>) -> Vec<Range<i64>> {
    let bytes = WINDOW_BYTES.cast_signed() as i64;
    let start = (variables.start + 7).div_euclid(8) * 8;
    let end = variables.end.div_euclid(8) * 8;
    let mut windows = Vec::new();
    let mut end = end.max(start);
    while end > start || windows.is_empty() {
        let from = (end - bytes).max(start);
        windows.push(from..end);
        end = from;
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_whole_words_are_in_a_window() {
        let of = |start, end| -> Vec<(i64, i64)> {
            let windows = windows(&(start..end));
            windows.iter().map(|window| (window.start, window.end)).collect()
        };
        assert_eq!(of(-0xd8, -0x60), [(-0xd8, -0x60)]);
        assert_eq!(of(-21, -1), [(-16, -8)]);
        assert_eq!(of(-1032, 0), [(-1024, 0), (-1032, -1024)]);
        assert_eq!(of(-8, -8), [(-8, -8)]);
    }
}
