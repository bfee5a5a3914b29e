//! Totals of the run and of the current window, over **every** request, written or not.
//!
//! It is fed values and asked for figures. It knows no clock, no file and no format: the same calls give
//! the same figures. All its state is bounded, and what a bound turns away is counted.
//!
//! What is known of turns is kept for each protocol apart. One of them leads: its figures are the totals, those of the
//! others stand beside them.

mod bands;
mod buckets;
mod counts;
mod culprits;
mod diagnosis;
mod latency;
mod memory;
mod paths;
mod polls;
mod turns;
mod workers;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use counts::Beside;
pub use counts::NoTurns;
use memory::Memory;
pub(crate) use paths::without_query;
use polls::PollSums;
use turns::{Over, Turns};
pub use workers::WorkerUsage;
use workers::Workers;

use crate::model::poll::Poll;
use crate::model::protocol::Protocol;
use crate::model::report::{End, LongPoll, OwnCost, ProtocolTotals, Totals, Window};
use crate::model::request::{Figures, LongestWait};

/// Shortest latency that is told apart, ns.
pub const MIN_LATENCY_NS: u64 = 1;

/// Longest latency that is told apart, ns: an hour. Longer ones are counted as this long, and as clamped.
pub const MAX_LATENCY_NS: u64 = 3_600_000_000_000;

/// The totals of the run and of the current window.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Of the protocols that were seen.
    turns: BTreeMap<Protocol, Turns>,
    window: Part,
    run: Part,
    memory: Memory,
    workers: Workers,
}

/// What is kept alike for a window and for the run, beside the turns.
#[derive(Clone, Debug, Default)]
struct Part {
    beside: Beside,
    /// Where they are recorded.
    polls: Option<PollSums>,
}

impl Summary {
    /// Counts polls too.
    #[must_use]
    pub fn with_polls(mut self) -> Self {
        self.window.polls = Some(PollSums::new());
        self.run.polls = Some(PollSums::new());
        self
    }

    /// Counts a poll that is over; if it is among the longest, it is named.
    pub fn poll(&mut self, poll: &Poll, name: impl FnOnce() -> LongPoll) {
        let parts = [&mut self.window.polls, &mut self.run.polls].map(Option::as_mut);
        let [Some(window), Some(run)] = parts else {
            return;
        };
        let (of_window, of_run) = (window.record(poll), run.record(poll));
        // What is among the longest of the run is among those of its window.
        if of_window {
            let named = name();
            if of_run {
                run.name(named.clone());
            }
            window.name(named);
        }
    }

    /// Counts a finished turn, with its path where it was HTTP/1. Every turn comes here, whether it is written or not.
    pub fn request(&mut self, figures: &Figures, path: Option<&str>, longest_wait: Option<&LongestWait>) {
        let turns = self.turns.entry(figures.protocol).or_default();
        turns.record(figures, path, longest_wait);
    }

    /// Takes a look at a process's memory. The fault counters are totals since the process started.
    pub fn memory(&mut self, pid: u32, rss_bytes: u64, minor_faults: u64, major_faults: u64) {
        self.memory.record(pid, rss_bytes, minor_faults, major_faults);
    }

    /// Adds what a worker of process `pid` did since the last call, and what its process's requests went through.
    pub fn worker(&mut self, worker: &WorkerUsage<'_>) {
        self.workers.add(worker);
    }

    /// Adds the time in which requests of process `pid` waited to be read while none of its workers was free, ns.
    pub fn none_free(&mut self, pid: u32, ns: u64) {
        self.workers.none_free(pid, ns);
    }

    /// Counts `count` more losses for a reason.
    pub fn lost(&mut self, reason: &'static str, count: u64) {
        self.window.beside.lost(reason, count);
    }

    /// Counts turns whose connection was closed before anything was sent.
    pub fn unanswered(&mut self, protocol: Protocol, count: u64) {
        if count > 0 {
            self.turns.entry(protocol).or_default().unanswered(count);
        }
    }

    /// Counts what belongs to no turn.
    pub fn no_turns(&mut self, counted: NoTurns) {
        self.window.beside.no_turns += counted;
    }

    /// Adds what the observer itself cost since the last call.
    pub fn cost(&mut self, cost: OwnCost) {
        self.window.beside.cost(cost);
    }

    /// The protocol whose figures are the totals: HTTP/1, as soon as there was a request of it, else the one with most
    /// turns.
    #[must_use]
    pub fn leading(&self) -> Option<Protocol> {
        let rank = |(protocol, turns): (&Protocol, &Turns)| {
            let seen = turns.seen();
            (
                *protocol == Protocol::Http1 && seen.0 > 0,
                seen,
                Reverse(*protocol),
            )
        };
        let Reverse(protocol) = self.turns.iter().map(rank).max()?.2;
        Some(protocol)
    }

    /// The p99 of the run so far of a protocol's turns, ns, where it leads: of the others none is looked for. `None` before
    /// the hundredth turn. It follows the run in steps of a sixteenth of its turns.
    #[must_use]
    pub fn tail_threshold_ns(&self, protocol: Protocol) -> Option<u64> {
        let leads = self.leading() == Some(protocol);
        self.turns.get(&protocol).filter(|_| leads)?.threshold_ns()
    }

    /// Turns of the run so far, of all protocols: those that were answered, and those that were not.
    #[must_use]
    pub fn turns_seen(&self) -> (u64, u64) {
        let all = self.turns.values().map(Turns::seen);
        all.fold((0, 0), |sum, turns| (sum.0 + turns.0, sum.1 + turns.1))
    }

    /// What was counted in the run so far that belongs to no turn.
    #[must_use]
    pub fn seen(&self) -> NoTurns {
        self.run.beside.no_turns + self.window.beside.no_turns
    }

    /// Ends the current window and starts the next.
    pub fn close_window(&mut self, start_unix_ns: u64, duration_ns: u64) -> Window {
        let totals = self.totals(Over::Window);
        self.turns.values_mut().for_each(Turns::close_window);
        self.run.beside.add(&self.window.beside);
        self.window.clear();
        let run = self.totals(Over::Run);
        self.memory.close_window();
        self.workers.close_window();
        Window {
            start_unix_ns,
            duration_ns,
            totals,
            hints: Vec::new(),
            run,
        }
    }

    /// The totals of the run, with what came after the last window was closed.
    #[must_use]
    pub fn end(&self, start_unix_ns: u64, duration_ns: u64) -> End {
        let totals = self.clone().close_window(start_unix_ns, duration_ns).run;
        End {
            start_unix_ns,
            duration_ns,
            totals,
            hints: Vec::new(),
        }
    }

    fn totals(&self, over: Over) -> Totals {
        let (part, memory, workers) = match over {
            Over::Window => (&self.window, self.memory.window(), self.workers.window()),
            Over::Run => (&self.run, self.memory.run(), self.workers.run()),
        };
        let leading = self.leading();
        let turns = leading.and_then(|protocol| self.turns.get(&protocol));
        let others = self
            .turns
            .iter()
            .filter(|(protocol, _)| Some(**protocol) != leading);
        let of_turns = turns
            .map(|turns| turns.totals(over, &workers))
            .unwrap_or_default();
        Totals {
            protocol: leading,
            other_protocols: others
                .filter_map(|(protocol, turns)| beside(*protocol, turns, over))
                .collect(),
            late_sends: part.beside.no_turns.late_sends,
            begun_before: part.beside.no_turns.begun_before,
            unknown_direction: part.beside.no_turns.unknown_direction,
            memory,
            workers,
            polls: part.polls.as_ref().map(PollSums::totals),
            lost: part.beside.lost.clone(),
            cost: part.beside.cost,
            ..of_turns
        }
    }
}

/// A line of [`Totals::other_protocols`], unless there was no turn.
fn beside(protocol: Protocol, turns: &Turns, over: Over) -> Option<ProtocolTotals> {
    let (turns, unanswered, quantiles) = turns.beside(over);
    (turns + unanswered > 0).then(|| ProtocolTotals {
        protocol,
        turns,
        unanswered,
        p50_ns: quantiles.map(|(p50, _)| p50),
        p99_ns: quantiles.map(|(_, p99)| p99),
    })
}

impl Part {
    fn clear(&mut self) {
        self.beside.clear();
        if let Some(polls) = &mut self.polls {
            polls.clear();
        }
    }
}

#[cfg(test)]
mod tests;
