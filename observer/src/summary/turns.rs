//! The figures of one kind of turns, such as those of one protocol: of the current window and of the run.
//!
//! It does not know which turns it is given. The tables are large, so there is one only where there are turns.

use std::borrow::Cow;

use super::bands::{self, BucketSums};
use super::counts::Counted;
use super::culprits::Culprits;
use super::diagnosis;
use super::latency::{Latency, Threshold};
use super::paths::{self, Paths};
use crate::model::full::Full;
use crate::model::report::{ProcessFigures, ProcessWorkers};
use crate::model::request::{Figures, LongestWait};

/// Over which time figures are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    Window,
    Run,
}

#[derive(Clone, Debug)]
pub(super) struct Turns {
    window: TurnSums,
    run: TurnSums,
    threshold: Threshold,
    paths: Paths,
    culprits: Culprits,
    /// Waits of which it is not listed what they waited for.
    pub(super) full: Full,
}

/// What is kept alike for a window and for the run.
#[derive(Clone, Debug)]
struct TurnSums {
    latency: Latency,
    bands: BucketSums,
    counted: Counted,
}

impl Default for Turns {
    fn default() -> Self {
        let part = || TurnSums {
            latency: Latency::new(),
            bands: BucketSums::new(),
            counted: Counted::default(),
        };
        Self {
            window: part(),
            run: part(),
            threshold: Threshold::new(),
            paths: Paths::default(),
            culprits: Culprits::default(),
            full: Full::default(),
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
        max_paths: usize,
    ) {
        self.window.latency.record(figures.latency_ns);
        self.run.latency.record(figures.latency_ns);
        self.threshold.follow(&self.run.latency);
        let wait = longest_wait.and_then(|wait| Some((self.culprits.number(wait, &self.full)?, wait.dur_ns)));
        self.window.bands.record(figures, wait, &self.full);
        self.window.counted.request(figures);
        if let Some(path) = path {
            self.paths.record(path, figures.latency_ns, max_paths);
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
    pub(super) fn close_window(&mut self, max_paths: usize) {
        self.run.bands.add(&self.window.bands, Some, &self.full);
        self.run.counted.add(&self.window.counted);
        self.window.latency.clear();
        self.window.bands.clear();
        self.window.counted = Counted::default();
        self.paths.close_window(max_paths);
    }

    /// Adds those of another, of which nothing more comes.
    pub(super) fn absorb(&mut self, other: Self, max_paths: usize) {
        let numbers = self.culprits.absorb(&other.culprits, &self.full);
        let number = |theirs: u16| *numbers.get(usize::from(theirs))?;
        for (sums, more) in [(&mut self.window, &other.window), (&mut self.run, &other.run)] {
            sums.latency.add(&more.latency);
            sums.bands.add(&more.bands, number, &self.full);
            sums.counted.add(&more.counted);
        }
        self.threshold.follow(&self.run.latency);
        self.paths.absorb(other.paths, max_paths);
        self.full.add(&other.full);
    }

    const fn part(&self, over: Over) -> &TurnSums {
        match over {
            Over::Window => &self.window,
            Over::Run => &self.run,
        }
    }
}

/// The figures of all these together, in the fields of [`ProcessFigures`] that are about turns. The run's are those of
/// the windows that were closed.
pub(super) fn figures(all: &[&Turns], over: Over, workers: Vec<ProcessWorkers>) -> ProcessFigures {
    let mut counted = Counted::default();
    for turns in all {
        counted.add(&turns.part(over).counted);
    }
    let latency = latency(all, over);
    let bands: Vec<_> = all
        .iter()
        .map(|turns| (&turns.part(over).bands, &turns.culprits))
        .collect();
    let at = bands::at_quantiles(&bands);
    let listed = paths::listed(all.iter().map(|turns| &turns.paths), over);
    ProcessFigures {
        requests: latency.as_ref().map_or(0, |latency| latency.requests()),
        incomplete: counted.incomplete,
        unanswered: counted.unanswered,
        unsent: counted.unsent,
        clamped: latency.as_ref().map_or(0, |latency| latency.clamped()),
        confidence: counted.confidence,
        status: counted.status,
        latency_ns: latency.and_then(|latency| latency.quantiles()),
        diagnosis: at.as_ref().and_then(|at| diagnosis::of(at, &workers)),
        at,
        paths: listed.paths,
        paths_other: listed.other,
        paths_overflow: listed.overflow,
        workers,
        ..ProcessFigures::default()
    }
}

/// The few figures of turns that are not the leading ones: how many, how many were not answered, the p50 and the p99.
pub(super) fn beside(all: &[&Turns], over: Over) -> (u64, u64, Option<(u64, u64)>) {
    let unanswered = all.iter().map(|turns| turns.part(over).counted.unanswered).sum();
    let Some(latency) = latency(all, over) else {
        return (0, unanswered, None);
    };
    let quantiles = latency.quantiles().map(|all| (all.p50, all.p99));
    (latency.requests(), unanswered, quantiles)
}

/// The latencies of all these.
fn latency<'a>(all: &[&'a Turns], over: Over) -> Option<Cow<'a, Latency>> {
    let latencies = all.iter().map(|turns| Cow::Borrowed(&turns.part(over).latency));
    latencies.reduce(|mut sum, more| {
        sum.to_mut().add(&more);
        sum
    })
}
