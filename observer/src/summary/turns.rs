//! The figures of one kind of turns, such as those of one protocol: of the current window and of the run.
//!
//! It does not know which turns it is given. The tables are large, so there is one only where there are turns.

use super::bands::BucketSums;
use super::counts::Counted;
use super::culprits::Known;
use super::diagnosis;
use super::latency::{Latency, Threshold};
use super::paths::Paths;
use crate::model::report::{ProcessWorkers, Totals};
use crate::model::request::{Figures, LongestWait};

/// Over which time figures are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    Window,
    Run,
}

#[derive(Clone, Debug)]
pub(super) struct Turns {
    window: Part,
    run: Part,
    threshold: Threshold,
    paths: Paths,
    known: Known,
}

/// What is kept alike for a window and for the run.
#[derive(Clone, Debug)]
struct Part {
    latency: Latency,
    bands: BucketSums,
    counted: Counted,
}

impl Default for Turns {
    fn default() -> Self {
        let part = || Part {
            latency: Latency::new(),
            bands: BucketSums::new(),
            counted: Counted::default(),
        };
        Self {
            window: part(),
            run: part(),
            threshold: Threshold::new(),
            paths: Paths::default(),
            known: Known::default(),
        }
    }
}

impl Turns {
    /// Counts a finished turn. In the steady state it allocates nothing.
    ///
    /// It touches the window only, apart from the histogram behind the live p99: a window is added to the run when it
    /// closes.
    pub(super) fn record(
        &mut self,
        figures: &Figures,
        path: Option<&str>,
        longest_wait: Option<&LongestWait>,
    ) {
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

    pub(super) fn unanswered(&mut self, count: u64) {
        self.window.counted.unanswered += count;
    }

    /// Turns of the run by now, those that were not answered last.
    pub(super) fn seen(&self) -> (u64, u64) {
        let unanswered = self.run.counted.unanswered + self.window.counted.unanswered;
        (self.run.latency.requests(), unanswered)
    }

    pub(super) const fn threshold_ns(&self) -> Option<u64> {
        self.threshold.ns()
    }

    /// Adds the window to the run, and starts the next.
    pub(super) fn close_window(&mut self) {
        self.run.bands.add(&self.window.bands);
        self.run.counted.add(&self.window.counted);
        self.window.latency.clear();
        self.window.bands.clear();
        self.window.counted = Counted::default();
        self.paths.close_window();
    }

    /// The figures, in the fields of [`Totals`] that are about turns. The run's are those of the windows that were closed.
    pub(super) fn totals(&self, over: Over, workers: &[ProcessWorkers]) -> Totals {
        let (
            Part {
                latency,
                bands,
                counted,
            },
            paths,
        ) = match over {
            Over::Window => (&self.window, self.paths.window()),
            Over::Run => (&self.run, self.paths.run()),
        };
        let at = bands.at_quantiles(&self.known);
        let diagnosis = at.as_ref().and_then(|at| diagnosis::of(&at.p99, workers));
        Totals {
            requests: latency.requests(),
            incomplete: counted.incomplete,
            unanswered: counted.unanswered,
            unsent: counted.unsent,
            clamped: latency.clamped(),
            confidence: counted.confidence,
            status: counted.status,
            latency_ns: latency.quantiles(),
            at,
            paths: paths.paths,
            paths_other: paths.other,
            paths_overflow: paths.overflow,
            diagnosis,
            ..Totals::default()
        }
    }

    /// The few figures of turns that are not the leading ones: how many, how many were not answered, the p50 and the p99.
    pub(super) fn beside(&self, over: Over) -> (u64, u64, Option<(u64, u64)>) {
        let Part { latency, counted, .. } = match over {
            Over::Window => &self.window,
            Over::Run => &self.run,
        };
        let quantiles = latency.quantiles().map(|all| (all.p50, all.p99));
        (latency.requests(), counted.unanswered, quantiles)
    }
}
