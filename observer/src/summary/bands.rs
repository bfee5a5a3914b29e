//! Where the time went at a quantile: the mean budget of the requests ranked around it.
//!
//! Requests are not kept. Each is added to the sums of its latency bucket ([`super::buckets`]), and the
//! mean over a band of ranks is made from those sums:
//!
//! - requests are ranked by latency; bucket by bucket, each bucket takes as many ranks as it has requests;
//! - a bucket inside the band counts whole; one that the band cuts counts with the part of its ranks that
//!   is inside, at the bucket's mean (this is the interpolation: within a bucket, which is 3 % wide,
//!   requests are taken for alike);
//! - a band narrower than one request is widened to one, around its quantile.
//!
//! Each cause's mean is rounded down to a whole nanosecond and the band's latency is *defined* as their
//! sum. So the printed figures add up exactly, nothing is moved from one cause to another, and the latency
//! is at most one nanosecond a cause below the true mean of the band.

use super::buckets::{BUCKETS, index};
use super::culprits::{BandWaits, Culprits, Waits};
use crate::model::cause::{Budget, Cause};
use crate::model::full::Full;
use crate::model::report::{AtQuantiles, BandMeans, FaultMeans, RssMeans};
use crate::model::request::Figures;

/// Parts of a rank: bands begin and end at multiples of 0.05 % of the requests.
const PARTS: u128 = 10_000;

const P50: Band = Band {
    from: 4_500,
    to: 5_500,
};
const P99: Band = Band {
    from: 9_850,
    to: 9_950,
};
const P999: Band = Band {
    from: 9_985,
    to: 9_995,
};

/// A band of ranks, in parts of [`PARTS`] of all requests.
#[derive(Clone, Copy)]
struct Band {
    from: u128,
    to: u128,
}

#[derive(Clone, Debug, Default)]
struct SumsOfBucket {
    requests: u64,
    budget: Budget,
    receive_queue_ns: u64,
    with_rss: u64,
    rss_start: u64,
    rss_end: u64,
    minor_faults: u64,
    major_faults: u64,
    waits: Waits,
}

impl SumsOfBucket {
    fn add(&mut self, other: &Self, number: impl Fn(u16) -> Option<u16>, full: &Full) {
        self.add_all_but_waits(other);
        self.waits.add(&other.waits, number, full);
    }

    /// Waits have numbers, which others may number otherwise.
    fn add_all_but_waits(&mut self, other: &Self) {
        self.requests += other.requests;
        self.budget.add(&other.budget);
        self.receive_queue_ns = self.receive_queue_ns.saturating_add(other.receive_queue_ns);
        self.with_rss += other.with_rss;
        self.rss_start = self.rss_start.saturating_add(other.rss_start);
        self.rss_end = self.rss_end.saturating_add(other.rss_end);
        self.minor_faults = self.minor_faults.saturating_add(other.minor_faults);
        self.major_faults = self.major_faults.saturating_add(other.major_faults);
    }

    /// Keeps the memory.
    fn clear(&mut self) {
        let mut waits = std::mem::take(&mut self.waits);
        waits.clear();
        *self = Self {
            waits,
            ..Self::default()
        };
    }
}

/// Sums by latency bucket: few of the buckets have any.
#[derive(Clone, Debug)]
pub(super) struct BucketSums(Box<[Option<Box<SumsOfBucket>>]>);

impl BucketSums {
    pub(super) fn new() -> Self {
        Self(vec![None; BUCKETS].into_boxed_slice())
    }

    /// Adds a request, with the number and the length of its longest wait.
    pub(super) fn record(&mut self, figures: &Figures, longest_wait: Option<(u16, u64)>, full: &Full) {
        let sums = self.0[index(figures.latency_ns)].get_or_insert_default();
        sums.requests += 1;
        sums.budget.add(&figures.budget);
        sums.receive_queue_ns = sums.receive_queue_ns.saturating_add(figures.receive_queue_ns);
        // No process has no resident memory: 0 is a figure that could not be read.
        if figures.rss.start > 0 && figures.rss.end > 0 {
            sums.with_rss += 1;
            sums.rss_start = sums.rss_start.saturating_add(figures.rss.start);
            sums.rss_end = sums.rss_end.saturating_add(figures.rss.end);
        }
        sums.minor_faults = sums.minor_faults.saturating_add(figures.faults.minor);
        sums.major_faults = sums.major_faults.saturating_add(figures.faults.major);
        if let Some((number, ns)) = longest_wait {
            sums.waits.record(number, ns, full);
        }
    }

    /// Adds those of another, in which what was waited for may have other numbers: `number` gives its own, if there is
    /// one.
    pub(super) fn add(&mut self, other: &Self, number: impl Fn(u16) -> Option<u16>, full: &Full) {
        for (sums, more) in self.0.iter_mut().zip(&other.0) {
            if let Some(more) = more.as_ref().filter(|more| more.requests > 0) {
                sums.get_or_insert_default().add(more, &number, full);
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.0
            .iter_mut()
            .flatten()
            .filter(|sums| sums.requests > 0)
            .for_each(|sums| sums.clear());
    }

    fn get(&self, bucket: usize) -> Option<&SumsOfBucket> {
        self.0[bucket].as_deref().filter(|sums| sums.requests > 0)
    }
}

/// The means around the three quantiles of all these together; `None` without requests.
pub(super) fn at_quantiles(all: &[(&BucketSums, &Culprits)]) -> Option<AtQuantiles> {
    let of_bucket = |bucket| all.iter().filter_map(move |(sums, _)| sums.get(bucket));
    let requests: Vec<u64> = (0..BUCKETS)
        .map(|bucket| of_bucket(bucket).map(|sums| sums.requests).sum())
        .collect();
    (requests.iter().any(|requests| *requests > 0)).then(|| AtQuantiles {
        p50: means(P50, &requests, all),
        p99: means(P99, &requests, all),
        p999: means(P999, &requests, all),
    })
}

/// The means over a band of all these together, which have so many requests in each bucket.
fn means(band: Band, requests: &[u64], all: &[(&BucketSums, &Culprits)]) -> BandMeans {
    let (from, to) = widened(band, requests.iter().sum::<u64>().into());
    let mut weighted = Weighted::default();
    let mut below = 0;
    for (bucket, &requests) in requests.iter().enumerate().filter(|(_, requests)| **requests > 0) {
        let above = below + u128::from(requests) * PARTS;
        let inside = above.min(to).saturating_sub(below.max(from));
        if inside > 0 {
            let mut together = SumsOfBucket::default();
            for (source, (sums, _)) in all.iter().enumerate() {
                if let Some(sums) = sums.get(bucket) {
                    together.add_all_but_waits(sums);
                    weighted.waits.add(source, &sums.waits, inside, requests.into());
                }
            }
            weighted.add(&together, inside);
        }
        below = above;
    }
    let culprits: Vec<_> = all.iter().map(|(_, culprits)| *culprits).collect();
    weighted.means(to - from, &culprits)
}

/// The ranks of a band, in parts of a rank: at least one rank wide, and not outside all ranks.
fn widened(band: Band, requests: u128) -> (u128, u128) {
    let (from, to) = (band.from * requests, band.to * requests);
    if to - from >= PARTS {
        return (from, to);
    }
    let middle = u128::midpoint(from, to);
    let from = middle.saturating_sub(PARTS / 2).min((requests - 1) * PARTS);
    (from, from + PARTS)
}

/// Sums over a band, each in parts of a request.
#[derive(Default)]
struct Weighted {
    budget: [u128; Cause::ALL.len()],
    receive_queue_ns: u128,
    with_rss: u128,
    rss_start: u128,
    rss_end: u128,
    minor_faults: u128,
    major_faults: u128,
    waits: BandWaits,
}

impl Weighted {
    /// Adds a bucket, of which `inside` parts are in the band, but for its waits.
    fn add(&mut self, sums: &SumsOfBucket, inside: u128) {
        // Rounds down once for a bucket that the band cuts, by less than 1/10,000 of a unit.
        let part = |sum: u64| u128::from(sum) * inside / u128::from(sums.requests);
        for (weighted, cause) in self.budget.iter_mut().zip(Cause::ALL) {
            *weighted += part(sums.budget.get(cause));
        }
        self.receive_queue_ns += part(sums.receive_queue_ns);
        self.with_rss += part(sums.with_rss);
        self.rss_start += part(sums.rss_start);
        self.rss_end += part(sums.rss_end);
        self.minor_faults += part(sums.minor_faults);
        self.major_faults += part(sums.major_faults);
    }

    fn means(self, width: u128, culprits: &[&Culprits]) -> BandMeans {
        let mut budget_ns = Budget::default();
        for (weighted, cause) in self.budget.iter().zip(Cause::ALL) {
            budget_ns.charge(cause, (weighted / width) as u64);
        }
        let (waited_for, waited_for_others_ns) = self.waits.listed(culprits, PARTS);
        BandMeans {
            requests: ((width + PARTS / 2) / PARTS) as u64,
            latency_ns: budget_ns.total(),
            receive_queue_ns: (self.receive_queue_ns / width) as u64,
            budget_ns,
            rss: (self.with_rss > 0).then(|| RssMeans {
                start: (self.rss_start / self.with_rss) as u64,
                end: (self.rss_end / self.with_rss) as u64,
            }),
            faults: FaultMeans {
                minor: thousandths(self.minor_faults, width),
                major: thousandths(self.major_faults, width),
            },
            waited_for,
            waited_for_others_ns,
        }
    }
}

fn thousandths(sum: u128, width: u128) -> f64 {
    (sum * 1_000 / width) as f64 / 1_000.0
}
