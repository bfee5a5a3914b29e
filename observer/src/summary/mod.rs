//! Totals of the run and of the current window, over **every** request, written or not.
//!
//! It is fed values and asked for figures. It knows no clock, no file and no format: the same calls give
//! the same figures. All its state is bounded, and what a bound turns away is counted.
//!
//! A request touches the window only, apart from the histogram behind the live p99; a window is added to
//! the run when it closes. In the steady state [`Summary::request`] allocates nothing.

mod bands;
mod buckets;
mod counts;
mod culprits;
mod diagnosis;
mod latency;
mod memory;
mod paths;
mod polls;
mod report;
mod workers;

use bands::BucketSums;
use counts::Counted;
use culprits::Known;
use latency::{Latency, Threshold};
use memory::Memory;
pub(crate) use paths::without_query;
use paths::{Listed, Paths};
use polls::PollSums;
pub use report::{
    AtQuantiles, BandMeans, ByConfidence, ByStatus, Diagnosis, End, FaultMeans, LongPoll, LongestTurn,
    OwnCost, PathTotals, PollTotals, PoolTotals, ProbeCost, ProcessMemory, ProcessWorkers, Quantiles,
    RssMeans, Totals, Trouble, WaitedFor, Window, WorkerTotals,
};

pub use workers::WorkerUsage;
use workers::Workers;

use crate::polls::Poll;
use crate::request::{Figures, LongestWait};

/// Shortest latency that is told apart, ns.
pub const MIN_LATENCY_NS: u64 = 1;

/// Longest latency that is told apart, ns: an hour. Longer ones are counted as this long, and as clamped.
pub const MAX_LATENCY_NS: u64 = 3_600_000_000_000;

/// The totals of the run and of the current window.
#[derive(Clone, Debug)]
pub struct Summary {
    window: Part,
    run: Part,
    threshold: Threshold,
    paths: Paths,
    memory: Memory,
    known: Known,
    workers: Workers,
}

/// What is kept alike for a window and for the run.
#[derive(Clone, Debug)]
struct Part {
    latency: Latency,
    bands: BucketSums,
    counted: Counted,
    /// Where they are recorded.
    polls: Option<PollSums>,
}

impl Default for Summary {
    fn default() -> Self {
        Self::new()
    }
}

impl Summary {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            window: Part::new(),
            run: Part::new(),
            threshold: Threshold::new(),
            paths: Paths::default(),
            memory: Memory::default(),
            known: Known::default(),
            workers: Workers::default(),
        }
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

    /// Counts a finished request, with its path where it was HTTP. Every request comes here, whether it is
    /// written or not.
    pub fn request(&mut self, figures: &Figures, path: Option<&str>, longest_wait: Option<&LongestWait>) {
        self.window.latency.record(figures.latency_ns);
        self.run.latency.record(figures.latency_ns);
        self.threshold.follow(&self.run.latency);
        let wait = longest_wait.and_then(|wait| Some((self.known.number(wait)?, wait.dur_ns)));
        self.window.bands.record(figures, wait);
        self.window.counted.request(figures);
        if let Some(path) = path {
            self.paths.record(path, figures.latency_ns);
        }
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
        self.window.counted.lost(reason, count);
    }

    /// Counts requests whose connection was closed before anything was sent.
    pub fn unanswered(&mut self, count: u64) {
        self.window.counted.unanswered += count;
    }

    /// Counts sends that belong to no request: it was taken for finished, or there was none.
    pub fn late_sends(&mut self, count: u64) {
        self.window.counted.late_sends += count;
    }

    /// Counts requests that had begun before their connection was first seen: only their answer was.
    pub fn begun_before(&mut self, count: u64) {
        self.window.counted.begun_before += count;
    }

    /// Counts connections that were used while nobody could tell which side had opened them.
    pub fn unknown_direction(&mut self, count: u64) {
        self.window.counted.unknown_direction += count;
    }

    /// Adds what the observer itself cost since the last call.
    pub fn cost(&mut self, cost: OwnCost) {
        self.window.counted.cost(cost);
    }

    /// The p99 of the run so far, ns; `None` before the hundredth request. It follows the run in steps of a
    /// sixteenth of its requests.
    #[must_use]
    pub const fn tail_threshold_ns(&self) -> Option<u64> {
        self.threshold.ns()
    }

    /// Ends the current window and starts the next.
    pub fn close_window(&mut self, start_unix_ns: u64, duration_ns: u64) -> Window {
        let totals = self.window.totals(
            &self.known,
            self.paths.window(),
            self.memory.window(),
            self.workers.window(),
        );
        self.run.bands.add(&self.window.bands);
        self.run.counted.add(&self.window.counted);
        self.window.clear();
        self.paths.close_window();
        let run = self.run.totals(
            &self.known,
            self.paths.run(),
            self.memory.run(),
            self.workers.run(),
        );
        self.memory.close_window();
        self.workers.close_window();
        Window {
            start_unix_ns,
            duration_ns,
            totals,
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
        }
    }
}

impl Part {
    fn new() -> Self {
        Self {
            latency: Latency::new(),
            bands: BucketSums::new(),
            counted: Counted::default(),
            polls: None,
        }
    }

    fn clear(&mut self) {
        self.latency.clear();
        self.bands.clear();
        self.counted.clear();
        if let Some(polls) = &mut self.polls {
            polls.clear();
        }
    }

    fn totals(
        &self,
        known: &Known,
        paths: Listed,
        memory: Vec<ProcessMemory>,
        workers: Vec<ProcessWorkers>,
    ) -> Totals {
        let at = self.bands.at_quantiles(known);
        let diagnosis = at.as_ref().and_then(|at| diagnosis::of(&at.p99, &workers));
        Totals {
            requests: self.latency.requests(),
            incomplete: self.counted.incomplete,
            unanswered: self.counted.unanswered,
            late_sends: self.counted.late_sends,
            unsent: self.counted.unsent,
            begun_before: self.counted.begun_before,
            unknown_direction: self.counted.unknown_direction,
            clamped: self.latency.clamped(),
            confidence: self.counted.confidence,
            status: self.counted.status,
            latency_ns: self.latency.quantiles(),
            at,
            paths: paths.paths,
            paths_other: paths.other,
            paths_overflow: paths.overflow,
            memory,
            workers,
            diagnosis,
            polls: self.polls.as_ref().map(PollSums::totals),
            lost: self.counted.lost.clone(),
            cost: self.counted.cost,
        }
    }
}
