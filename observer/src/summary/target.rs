//! The figures of one target, or of several together: its turns, by what they are spoken in, and what belongs to no
//! turn.
//!
//! One protocol leads: its figures are the target's, those of the others stand beside them. It does not know which
//! processes a target is made of.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::Tail;
use super::counts::NoTurns;
use super::turns::{self, Over, Turns};
use crate::model::full::Full;
use crate::model::protocol::Protocol;
use crate::model::report::{ProcessFigures, ProcessMemory, ProcessWorkers, ProtocolTotals};
use crate::model::request::{Figures, LongestWait};

#[derive(Clone, Debug, Default)]
pub(super) struct TargetSums {
    /// Of the protocols that were seen.
    turns: BTreeMap<Protocol, Turns>,
    window: NoTurns,
    run: NoTurns,
}

impl TargetSums {
    /// Counts a finished turn. So many paths may be told apart.
    pub(super) fn record(
        &mut self,
        figures: &Figures,
        path: Option<&str>,
        longest_wait: Option<&LongestWait>,
        max_paths: usize,
    ) {
        let turns = self.turns.entry(figures.protocol).or_default();
        turns.record(figures, path, longest_wait, max_paths);
    }

    pub(super) fn unanswered(&mut self, protocol: Protocol, count: u64) {
        self.turns.entry(protocol).or_default().unanswered(count);
    }

    pub(super) fn no_turns(&mut self, counted: NoTurns) {
        self.window += counted;
    }

    /// Which of a protocol's turns are the tail.
    pub(super) fn tail(&self, protocol: Protocol) -> Tail {
        let Some(turns) = self.turns.get(&protocol) else {
            // HTTP/1 leads as soon as there is one.
            return if self.turns.is_empty() || protocol == Protocol::Http1 {
                Tail::NotYetKnown
            } else {
                Tail::NotSought
            };
        };
        let leads = self.turns.len() == 1 || leading(&[self]) == Some(protocol);
        match turns.threshold_ns() {
            _ if !leads => Tail::NotSought,
            Some(ns) => Tail::From(ns),
            None => Tail::NotYetKnown,
        }
    }

    /// Turns of the run by now, those that were not answered last.
    pub(super) fn seen(&self) -> (u64, u64) {
        let all = self.turns.values().map(Turns::seen);
        all.fold((0, 0), |sum, turns| (sum.0 + turns.0, sum.1 + turns.1))
    }

    /// What belongs to no turn, in the run by now.
    pub(super) fn seen_beside(&self) -> NoTurns {
        self.run + self.window
    }

    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty() && self.seen_beside() == NoTurns::default()
    }

    /// Turns of one protocol.
    pub(super) fn turns_of(&self, protocol: Protocol, over: Over) -> u64 {
        let turns = self.turns.get(&protocol);
        turns.map_or(0, |turns| turns::beside(&[turns], over).0)
    }

    /// What found no place since the last time.
    pub(super) fn take_full(&self) -> Full {
        let full = Full::default();
        self.turns.values().for_each(|turns| full.add(&turns.full.take()));
        full
    }

    /// Adds what another target did, of which nothing more comes. So many paths may be told apart.
    pub(super) fn absorb(&mut self, ended: Self, max_paths: usize) {
        for (protocol, turns) in ended.turns {
            match self.turns.entry(protocol) {
                Entry::Vacant(place) => drop(place.insert(turns)),
                Entry::Occupied(mut sums) => sums.get_mut().absorb(turns, max_paths),
            }
        }
        self.window += ended.window;
        self.run += ended.run;
    }

    /// Adds the window to the run, and starts the next.
    pub(super) fn close_window(&mut self, max_paths: usize) {
        self.run += std::mem::take(&mut self.window);
        for turns in self.turns.values_mut() {
            turns.close_window(max_paths);
        }
    }
}

/// The protocol whose figures are those of these targets together: HTTP/1, as soon as there was a request of it, else
/// the one with most turns.
pub(super) fn leading(targets: &[&TargetSums]) -> Option<Protocol> {
    let mut seen = [None; Protocol::ALL.len()];
    for (&protocol, turns) in targets.iter().flat_map(|target| &target.turns) {
        let (turns, unanswered) = turns.seen();
        let sum = seen[protocol as usize].get_or_insert((0, 0));
        *sum = (sum.0 + turns, sum.1 + unanswered);
    }
    let ranks = Protocol::ALL
        .into_iter()
        .zip(seen)
        .filter_map(|(protocol, seen)| {
            let seen = seen?;
            Some((protocol == Protocol::Http1 && seen.0 > 0, seen, Reverse(protocol)))
        });
    let (_, _, Reverse(protocol)) = ranks.max()?;
    Some(protocol)
}

/// The figures of these targets together, whose processes have this memory and these workers.
pub(super) fn figures(
    targets: &[&TargetSums],
    over: Over,
    memory: Vec<ProcessMemory>,
    workers: Vec<ProcessWorkers>,
) -> ProcessFigures {
    let leading = leading(targets);
    let of = |protocol| -> Vec<&Turns> {
        let turns = targets.iter().filter_map(|target| target.turns.get(&protocol));
        turns.collect()
    };
    let others = Protocol::ALL
        .into_iter()
        .filter(|protocol| Some(*protocol) != leading);
    let mut no_turns = NoTurns::default();
    for target in targets {
        no_turns += match over {
            Over::Window => target.window,
            Over::Run => target.run,
        };
    }
    ProcessFigures {
        protocol: leading,
        other_protocols: others
            .filter_map(|protocol| beside(protocol, &of(protocol), over))
            .collect(),
        late_sends: no_turns.late_sends,
        begun_before: no_turns.begun_before,
        unknown_direction: no_turns.unknown_direction,
        memory,
        ..turns::figures(&leading.map(of).unwrap_or_default(), over, workers)
    }
}

/// A line of [`ProcessFigures::other_protocols`], unless there was no turn.
fn beside(protocol: Protocol, turns: &[&Turns], over: Over) -> Option<ProtocolTotals> {
    let (turns, unanswered, quantiles) = turns::beside(turns, over);
    (turns + unanswered > 0).then(|| ProtocolTotals {
        protocol,
        turns,
        unanswered,
        p50_ns: quantiles.map(|(p50, _)| p50),
        p99_ns: quantiles.map(|(_, p99)| p99),
    })
}
