//! Totals of the run and of the current window, over **every** request, written or not.
//!
//! It is fed values and asked for figures. It knows no clock, no file and no format: the same calls give
//! the same figures. All its state is bounded, and what a bound turns away is counted.
//!
//! What is known of turns is kept for each target apart, and there for each protocol. The totals are the sums over all
//! targets; where there is only one they are its figures.

mod bands;
mod buckets;
mod by_process;
mod counts;
mod culprits;
mod cycles;
mod diagnosis;
mod goroutines;
mod latency;
mod memory;
mod paths;
mod polls;
mod target;
mod targets;
mod turns;
mod workers;

use counts::Beside;
pub use counts::NoTurns;
use cycles::CycleSums;
use goroutines::GoroutineLooks;
use memory::MemoryLooks;
pub(crate) use paths::without_query;
use polls::PollSums;
use target::TargetSums;
use targets::AllTargets;
use turns::Over;
pub use workers::WorkerUsage;
use workers::Workers;

use crate::model::full::Full;
use crate::model::id::Pid;
use crate::model::poll::Poll;
use crate::model::protocol::Protocol;
use crate::model::report::{End, LongPoll, OwnCost, ProcessFigures, ProcessRoles, Totals, Window};
use crate::model::request::{Figures, LongestWait};
use crate::runtime::go::{CycleCounts, Heap};

/// Shortest latency that is told apart, ns.
pub const MIN_LATENCY_NS: u64 = 1;

/// Longest latency that is told apart, ns: an hour. Longer ones are counted as this long, and as clamped.
pub const MAX_LATENCY_NS: u64 = 3_600_000_000_000;

/// Which turns of a protocol are the tail of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// Another protocol leads in the target, and its tail is looked for.
    NotSought,
    /// There were less than a hundred.
    NotYetKnown,
    /// Those that take at least this long, the p99 of the run so far, ns.
    From(u64),
}

/// The totals of the run and of the current window.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    targets: AllTargets,
    window: BesideSums,
    run: BesideSums,
    memory: MemoryLooks,
    workers: Workers,
}

/// What is kept alike for a window and for the run, beside the turns.
#[derive(Clone, Debug, Default)]
struct BesideSums {
    beside: Beside,
    /// Where they are recorded.
    polls: Option<PollSums>,
    cycles: CycleSums,
    goroutines: GoroutineLooks,
}

impl Summary {
    /// Process `pid` is watched, as a target of its own.
    pub fn target(&mut self, pid: Pid, comm: Option<&str>) {
        self.is_new(pid);
        self.targets.begin(pid, comm);
    }

    /// A watched process forked another. What that does is counted with what its parent does, if not [`Self::apart`].
    pub fn forked(&mut self, parent: Pid, child: Pid) {
        self.is_new(child);
        self.targets.forked(parent, child);
    }

    /// A watched process has ended. What it did may still be told.
    pub fn ended(&mut self, pid: Pid) {
        self.targets.ended(pid);
        for sums in [&mut self.window, &mut self.run] {
            sums.cycles.of_processes.ended(pid);
            sums.goroutines.of_processes.ended(pid);
        }
    }

    /// Process `pid` is another than the one that had its number before: the figures of that are not its own.
    fn is_new(&mut self, pid: Pid) {
        self.memory.forget(pid);
        self.workers.forget(pid);
        for sums in [&mut self.window, &mut self.run] {
            sums.cycles.of_processes.forget(pid, &self.memory.full);
            sums.goroutines.of_processes.forget(pid, &self.memory.full);
        }
    }

    /// Counts what each process does by itself, also what is forked.
    #[must_use]
    pub fn apart(mut self) -> Self {
        self.targets.apart = true;
        self
    }

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
        let max_paths = self.targets.max_paths();
        let target = self.targets.of(figures.pid);
        target.record(figures, path, longest_wait, max_paths);
    }

    /// Takes a look at a process's memory. The fault counters are totals since the process started.
    pub fn memory(&mut self, pid: Pid, rss_bytes: u64, minor_faults: u64, major_faults: u64) {
        self.targets.of(pid);
        self.memory.record(pid, rss_bytes, minor_faults, major_faults);
    }

    /// Adds what a worker of process `pid` did since the last call, and what its process's requests went through.
    pub fn worker(&mut self, worker: &WorkerUsage<'_>) {
        self.targets.of(worker.pid);
        self.workers.add(worker);
    }

    /// Adds what was counted of cycles of garbage collection of process `pid` since the last call, with its heap.
    pub fn cycles(&mut self, pid: Pid, counts: &CycleCounts, heap: Heap) {
        for sums in [&mut self.window.cycles, &mut self.run.cycles] {
            sums.add(pid, counts, heap, &self.memory.full);
        }
    }

    /// Takes a look at how many goroutines process `pid` has, and how many of them could run and have no thread.
    pub fn goroutines(&mut self, pid: Pid, count: u64, runnable: u64) {
        for looks in [&mut self.window.goroutines, &mut self.run.goroutines] {
            looks.add(pid, count, runnable, &self.memory.full);
        }
    }

    /// Adds the time in which requests of process `pid` waited to be read while none of its workers was free, ns.
    pub fn none_free(&mut self, pid: Pid, ns: u64) {
        self.workers.none_free(pid, ns);
    }

    /// Tells what the threads of process `pid` are to it, in this window and in the run.
    pub fn roles(&mut self, pid: Pid, window: ProcessRoles, run: ProcessRoles) {
        self.workers.roles(pid, window, run);
    }

    /// Counts `count` more losses for a reason.
    pub fn lost(&mut self, reason: &'static str, count: u64) {
        self.window.beside.lost(reason, count);
    }

    /// Counts what was forgotten or found no place in tables that were full.
    pub fn full(&mut self, full: &Full) {
        self.window.beside.full.add(full);
    }

    /// Counts turns of process `pid` whose connection was closed before anything was sent.
    pub fn unanswered(&mut self, pid: Pid, protocol: Protocol, count: u64) {
        if count > 0 {
            self.targets.of(pid).unanswered(protocol, count);
        }
    }

    /// Counts what process `pid` did that belongs to no turn.
    pub fn no_turns(&mut self, pid: Pid, counted: NoTurns) {
        self.targets.of(pid).no_turns(counted);
    }

    /// Adds what the observer itself cost since the last call.
    pub fn cost(&mut self, cost: OwnCost) {
        self.window.beside.cost(cost);
    }

    /// Which turns of a protocol are the tail of the target of process `pid`, by the run so far. The p99 follows the
    /// run in steps of a sixteenth of its turns.
    #[must_use]
    pub fn tail(&self, pid: Pid, protocol: Protocol) -> Tail {
        let target = self.targets.get(pid);
        target.map_or(Tail::NotYetKnown, |target| target.tail(protocol))
    }

    /// Turns of the run so far, of all protocols: those that were answered, and those that were not.
    #[must_use]
    pub fn turns_seen(&self) -> (u64, u64) {
        let all = self.targets.all().into_iter().map(TargetSums::seen);
        all.fold((0, 0), |sum, turns| (sum.0 + turns.0, sum.1 + turns.1))
    }

    /// What was counted in the run so far that belongs to no turn.
    #[must_use]
    pub fn seen(&self) -> NoTurns {
        let all = self.targets.all().into_iter().map(TargetSums::seen_beside);
        all.fold(NoTurns::default(), |sum, more| sum + more)
    }

    /// Ends the current window and starts the next.
    pub fn close_window(&mut self, start_unix_ns: u64, duration_ns: u64) -> Window {
        let mut totals = self.totals(Over::Window);
        self.targets.close_window();
        // With what the run had no room for.
        for full in [
            self.targets.take_full(),
            self.memory.full.take(),
            self.workers.full.take(),
        ] {
            self.full(&full);
        }
        totals.full = self.window.beside.full_tables();
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
    pub fn end(mut self, start_unix_ns: u64, duration_ns: u64) -> End {
        let totals = self.close_window(start_unix_ns, duration_ns).run;
        End {
            start_unix_ns,
            duration_ns,
            under_way: 0,
            truncated: false,
            totals,
            hints: Vec::new(),
        }
    }

    fn totals(&self, over: Over) -> Totals {
        let (part, memory, workers) = match over {
            Over::Window => (&self.window, self.memory.window(), self.workers.window()),
            Over::Run => (&self.run, self.memory.run(), self.workers.run()),
        };
        let targets = self.targets.totals(over, &memory, &workers);
        let figures = match &targets[..] {
            [only] if self.targets.others().is_empty() => ProcessFigures {
                memory,
                workers,
                ..only.figures.clone()
            },
            _ => target::figures(&self.targets.all(), over, memory, workers),
        };
        let other = |protocol| self.targets.others().turns_of(protocol, over);
        Totals {
            targets_other: figures.protocol.map_or(0, other),
            figures,
            polls: part.polls.as_ref().map(PollSums::totals),
            gc: part.cycles.totals(),
            goroutines: part.goroutines.totals(),
            lost: part.beside.lost.clone(),
            full: part.beside.full_tables(),
            cost: part.beside.cost,
            targets,
        }
    }
}

impl BesideSums {
    fn clear(&mut self) {
        self.beside.clear();
        if let Some(polls) = &mut self.polls {
            polls.clear();
        }
        self.cycles.clear();
        self.goroutines.clear();
    }
}

#[cfg(test)]
mod tests;
