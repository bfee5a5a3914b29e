//! Latency quantiles: an HDR histogram to three significant digits, with exact ends and mean beside it.
//!
//! The live p99 is worked out anew only when the run has grown by a sixteenth, because walking the
//! histogram costs some 20 us and the threshold is asked for with every request.

use hdrhistogram::Histogram;

use super::{MAX_LATENCY_NS, MIN_LATENCY_NS};
use crate::model::report::Quantiles;

const SIGNIFICANT_DIGITS: u8 = 3;

/// A p99 of fewer requests would be their maximum.
const THRESHOLD_MIN_REQUESTS: u64 = 100;

#[derive(Clone, Debug)]
pub(super) struct Latency {
    histogram: Histogram<u64>,
    sum_ns: u128,
    min_ns: u64,
    max_ns: u64,
    clamped: u64,
}

impl Latency {
    pub(super) fn new() -> Self {
        #[expect(
            clippy::expect_used,
            reason = "the three constants are within what the histogram allows"
        )]
        let histogram = Histogram::new_with_bounds(MIN_LATENCY_NS, MAX_LATENCY_NS, SIGNIFICANT_DIGITS)
            .expect("valid bounds");
        Self {
            histogram,
            sum_ns: 0,
            min_ns: u64::MAX,
            max_ns: 0,
            clamped: 0,
        }
    }

    pub(super) fn record(&mut self, latency_ns: u64) {
        let ns = latency_ns.clamp(MIN_LATENCY_NS, MAX_LATENCY_NS);
        self.clamped += u64::from(ns != latency_ns);
        self.histogram.saturating_record(ns);
        self.sum_ns += u128::from(ns);
        self.min_ns = self.min_ns.min(ns);
        self.max_ns = self.max_ns.max(ns);
    }

    pub(super) fn add(&mut self, more: &Self) {
        // It fails only where another histogram has values that are beyond the bounds of this one.
        let _ = self.histogram.add(&more.histogram);
        self.sum_ns += more.sum_ns;
        self.min_ns = self.min_ns.min(more.min_ns);
        self.max_ns = self.max_ns.max(more.max_ns);
        self.clamped += more.clamped;
    }

    pub(super) fn clear(&mut self) {
        self.histogram.clear();
        (self.sum_ns, self.min_ns, self.max_ns, self.clamped) = (0, u64::MAX, 0, 0);
    }

    pub(super) fn requests(&self) -> u64 {
        self.histogram.len()
    }

    pub(super) const fn clamped(&self) -> u64 {
        self.clamped
    }

    pub(super) fn quantile(&self, quantile: f64) -> u64 {
        // The histogram answers with the upper end of a bucket, which may be past what was ever seen.
        self.histogram
            .value_at_quantile(quantile)
            .clamp(self.min_ns.min(self.max_ns), self.max_ns)
    }

    pub(super) fn quantiles(&self) -> Option<Quantiles> {
        let mean = self.sum_ns.checked_div(u128::from(self.requests()))?;
        Some(Quantiles {
            min: self.min_ns,
            // A mean of values that fit in 64 bits fits.
            mean: mean as u64,
            p50: self.quantile(0.50),
            p90: self.quantile(0.90),
            p99: self.quantile(0.99),
            p999: self.quantile(0.999),
            max: self.max_ns,
        })
    }
}

/// The live p99 of a growing run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Threshold {
    ns: Option<u64>,
    next_at: u64,
}

impl Threshold {
    pub(super) const fn new() -> Self {
        Self {
            ns: None,
            next_at: THRESHOLD_MIN_REQUESTS,
        }
    }

    pub(super) fn follow(&mut self, run: &Latency) {
        let requests = run.requests();
        if requests >= self.next_at {
            self.ns = Some(run.quantile(0.99));
            self.next_at = requests + requests / 16 + 1;
        }
    }

    pub(super) const fn ns(&self) -> Option<u64> {
        self.ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_to_three_digits_and_ends_exact() {
        let mut latency = Latency::new();
        for ns in 1..=10_000_u64 {
            latency.record(ns * 1_003);
        }
        let quantiles = latency.quantiles().unwrap();
        assert_eq!((quantiles.min, quantiles.max), (1_003, 10_030_000));
        assert_eq!(quantiles.mean, 10_001 * 1_003 / 2);
        for (found, rank) in [
            (quantiles.p50, 5_000),
            (quantiles.p90, 9_000),
            (quantiles.p99, 9_900),
            (quantiles.p999, 9_990),
        ] {
            let truth = rank * 1_003;
            assert!(found.abs_diff(truth) * 1_000 <= truth, "{found} for {truth}");
        }
    }

    #[test]
    fn no_requests_have_no_quantiles() {
        assert_eq!(Latency::new().quantiles(), None);
    }

    #[test]
    fn latencies_out_of_bounds_are_clamped_and_counted() {
        let mut latency = Latency::new();
        latency.record(0);
        latency.record(u64::MAX);
        latency.record(5);
        assert_eq!(latency.clamped(), 2);
        let quantiles = latency.quantiles().unwrap();
        assert_eq!((quantiles.min, quantiles.max), (MIN_LATENCY_NS, MAX_LATENCY_NS));
    }

    #[test]
    fn the_threshold_waits_for_a_hundred_requests_and_then_follows() {
        let mut latency = Latency::new();
        let mut threshold = Threshold::new();
        for request in 1..=1_000_u64 {
            latency.record(1_000);
            threshold.follow(&latency);
            assert_eq!(threshold.ns().is_some(), request >= 100);
        }
        for _ in 0..100 {
            latency.record(9_000_000);
            threshold.follow(&latency);
        }
        assert!(threshold.ns().unwrap() >= 9_000_000);
    }
}
