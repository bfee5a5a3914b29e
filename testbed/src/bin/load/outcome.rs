//! What came of the requests, and how it is printed.

use std::fmt::Display;
use std::io::{Write as _, stdout};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;
use serde::Serialize;

/// Longer latencies count as this.
const LONGEST_NS: u64 = 24 * 3_600_000_000_000;
const DIGITS: u8 = 3;

/// Everything that connections report.
pub(crate) struct Outcome(Mutex<Counts>);

struct Counts {
    errors: u64,
    latency_ns: Histogram<u64>,
}

#[derive(Serialize)]
struct Report {
    requests: u64,
    errors: u64,
    latency_ns: Latency,
}

/// Null where no request was answered.
#[derive(Serialize)]
struct Latency {
    p50: Option<u64>,
    p90: Option<u64>,
    p99: Option<u64>,
    p999: Option<u64>,
    max: Option<u64>,
}

impl Outcome {
    pub(crate) fn new() -> Result<Self> {
        let latency_ns =
            Histogram::new_with_bounds(1, LONGEST_NS, DIGITS).context("cannot make a histogram")?;
        Ok(Self(Mutex::new(Counts {
            errors: 0,
            latency_ns,
        })))
    }

    pub(crate) fn answered(&self, latency: Duration) {
        let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.with(|counts| counts.latency_ns.saturating_record(nanoseconds));
    }

    /// Counts every failure and names the first: the others are likely to be the same.
    pub(crate) fn failed(&self, why: &dyn Display) {
        self.with(|counts| {
            if counts.errors == 0 {
                eprintln!("first error: {why}");
            }
            counts.errors += 1;
        });
    }

    pub(crate) fn print(&self) -> Result<()> {
        let report = self.with(|counts| Report {
            requests: counts.latency_ns.len() + counts.errors,
            errors: counts.errors,
            latency_ns: latency(&counts.latency_ns),
        });
        let report = serde_json::to_string(&report).context("cannot write JSON")?;
        writeln!(stdout(), "{report}").context("cannot write to standard output")
    }

    fn with<T>(&self, f: impl FnOnce(&mut Counts) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn latency(histogram: &Histogram<u64>) -> Latency {
    let at = |quantile| (!histogram.is_empty()).then(|| histogram.value_at_quantile(quantile));
    Latency {
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        max: at(1.0),
    }
}
