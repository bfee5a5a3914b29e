//! Log-linear buckets of latency: 32 to an octave, so that a bucket is at most 1/32 (3.1 %) wide.
//!
//! Coarser than the histogram that gives the quantiles, because each bucket carries sums with it. It
//! knows nothing of what is summed.

use super::{MAX_LATENCY_NS, MIN_LATENCY_NS};

const BITS: u32 = 5;
const PER_OCTAVE: u64 = 1 << BITS;

/// How many buckets there are for latencies up to [`MAX_LATENCY_NS`].
pub(super) const BUCKETS: usize = index(MAX_LATENCY_NS) + 1;

/// The bucket of a latency; one outside the bounds goes to the bucket at the bound.
pub(super) const fn index(latency_ns: u64) -> usize {
    let ns = if latency_ns < MIN_LATENCY_NS {
        MIN_LATENCY_NS
    } else if latency_ns > MAX_LATENCY_NS {
        MAX_LATENCY_NS
    } else {
        latency_ns
    };
    // Below two octaves' worth of values each value has its own bucket.
    let shift = match ns.checked_ilog2() {
        Some(octave) if octave > BITS => octave - BITS,
        _ => 0,
    };
    (shift as u64 * PER_OCTAVE + (ns >> shift)) as usize
}

/// The smallest and the largest latency of a bucket, ns.
pub(super) const fn bounds(index: usize) -> (u64, u64) {
    let index = index as u64;
    if index < 2 * PER_OCTAVE {
        return (index, index);
    }
    let shift = index / PER_OCTAVE - 1;
    let mantissa = index % PER_OCTAVE + PER_OCTAVE;
    (mantissa << shift, ((mantissa + 1) << shift) - 1)
}

/// Counts by bucket, with quantiles to the width of a bucket.
#[derive(Clone, Debug)]
pub(super) struct BucketCounts {
    counts: Box<[u64]>,
    total: u64,
    max_ns: u64,
}

impl BucketCounts {
    pub(super) fn new() -> Self {
        Self {
            counts: vec![0; BUCKETS].into_boxed_slice(),
            total: 0,
            max_ns: 0,
        }
    }

    pub(super) fn record(&mut self, latency_ns: u64) {
        self.counts[index(latency_ns)] += 1;
        self.total += 1;
        self.max_ns = self.max_ns.max(latency_ns);
    }

    pub(super) const fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (sum, count) in self.counts.iter_mut().zip(&other.counts) {
            *sum += count;
        }
        self.total += other.total;
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    pub(super) fn clear(&mut self) {
        self.counts.fill(0);
        self.total = 0;
        self.max_ns = 0;
    }

    /// The upper end of the bucket that holds the request of rank `total * per_mille / 1000`, rounded up,
    /// and never more than the largest latency seen; 0 without requests.
    pub(super) fn quantile(&self, per_mille: u64) -> u64 {
        let rank = (self.total * per_mille).div_ceil(1000).max(1);
        let mut below = 0;
        for (index, &count) in self.counts.iter().enumerate() {
            below += count;
            if below >= rank {
                return bounds(index).1.min(self.max_ns);
            }
        }
        self.max_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_without_gap_or_overlap() {
        for at in 1..BUCKETS {
            let (low, high) = bounds(at);
            assert!(low <= high);
            assert_eq!(low, bounds(at - 1).1 + 1);
            assert_eq!((index(low.max(1)), index(high.min(MAX_LATENCY_NS))), (at, at));
            assert!(
                (high - low) * PER_OCTAVE <= low,
                "bucket {at} is wider than 1/{PER_OCTAVE}"
            );
        }
    }

    #[test]
    fn latencies_out_of_bounds_go_to_the_ends() {
        assert_eq!(index(0), index(1));
        assert_eq!(index(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_within_a_bucket_of_the_truth() {
        let mut counts = BucketCounts::new();
        for ns in 1..=1000 {
            counts.record(ns * 1_000);
        }
        for (per_mille, truth) in [
            (500, 500_000_u64),
            (990, 990_000),
            (999, 999_000),
            (1000, 1_000_000),
        ] {
            let found = counts.quantile(per_mille);
            assert!(
                found >= truth && found <= truth + truth / 32,
                "{per_mille}: {found}"
            );
        }
        assert_eq!(BucketCounts::new().quantile(990), 0);
    }
}
