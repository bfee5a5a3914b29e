//! What is kept of a thread's past when its slices are forgotten: intervals in which it was at work, with what it did
//! in sums. Who waited behind it all that time needs no more.
//!
//! The older an interval is, the longer it may be: when there are too many, the older half of them is merged by two.

use std::collections::VecDeque;

use super::index::{SliceGroup, Sums};
use super::state::Slice;

/// Slices of one interval, at most, and at least; of fewer nothing is kept.
pub(super) const MOST: usize = 512;
pub(super) const LEAST: usize = 8;

/// An interval in which a thread was at work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thinned {
    /// Its start, ns.
    pub from_ns: u64,
    /// Its end, ns.
    pub to_ns: u64,
    /// What the thread did in it; together as long as it is.
    pub sums: Sums,
    /// It is not known all the time in which runtime task the thread was, or that it was in none or between two.
    pub inferred: bool,
    /// The longest slice in it that can be reported as a wait.
    pub longest: Option<Slice>,
}

/// The intervals of a thread, the oldest first. Each begins where the one before it ended.
#[derive(Debug, Default)]
pub(super) struct Intervals(VecDeque<Thinned>);

impl Thinned {
    /// What is known of it since `since_ns`: all of it if it began later, and else only where the thread did one thing.
    fn since(self, since_ns: u64) -> Option<Self> {
        if self.from_ns >= since_ns {
            return Some(self);
        }
        let left_ns = self.to_ns - since_ns;
        let only = |ns: u64| {
            if ns == self.to_ns - self.from_ns {
                left_ns
            } else {
                0
            }
        };
        let Sums {
            ran_ns,
            runnable_ns,
            throttled_ns,
            blocked_ns,
        } = self.sums;
        let sums = Sums {
            ran_ns: only(ran_ns),
            runnable_ns: only(runnable_ns),
            throttled_ns: only(throttled_ns),
            blocked_ns: only(blocked_ns),
        };
        let longest = self.longest.filter(|longest| longest.from_ns >= since_ns);
        (sums.total_ns() == left_ns).then_some(Self {
            from_ns: since_ns,
            sums,
            longest,
            ..self
        })
    }

    /// Both, of which the other comes next.
    fn with(self, next: Self) -> Self {
        let longest_ns = |interval: &Self| interval.longest.map_or(0, |longest| longest.duration_ns());
        let longest = if longest_ns(&self) > longest_ns(&next) {
            self.longest
        } else {
            next.longest
        };
        Self {
            from_ns: self.from_ns,
            to_ns: next.to_ns,
            sums: self.sums.plus(next.sums),
            inferred: self.inferred || next.inferred,
            longest,
        }
    }
}

impl Intervals {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn clear(&mut self) {
        self.0 = VecDeque::new();
    }

    /// Appends what a block says that was summed up from there to there, ns.
    pub(super) fn push(&mut self, block: &SliceGroup, from_ns: u64, to_ns: u64, longest: Option<Slice>) {
        if self.0.back().is_some_and(|last| last.to_ns != from_ns) {
            self.0.clear();
        }
        self.0.push_back(Thinned {
            from_ns,
            to_ns,
            sums: block.sums,
            inferred: block.inferred,
            longest,
        });
    }

    /// The interval that ends at `to_ns`, as far as it is known since `since_ns`.
    pub(super) fn ending_at(&self, to_ns: u64, since_ns: u64) -> Option<Thinned> {
        let index = self.0.partition_point(|interval| interval.to_ns < to_ns);
        let found = self.0.get(index).filter(|interval| interval.to_ns == to_ns)?;
        found.since(since_ns)
    }

    /// Merges older ones until there are no more than so many, but for two.
    pub(super) fn merge_down_to(&mut self, count: usize) {
        while self.0.len() > count.max(2) {
            let merged = (self.0.len() / 2).max(2) / 2;
            for index in 0..merged {
                self.0[index] = self.0[2 * index].with(self.0[2 * index + 1]);
            }
            self.0.drain(merged..2 * merged);
        }
        self.0.shrink_to(2 * self.0.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(ran_ns: u64, blocked_ns: u64) -> SliceGroup {
        SliceGroup {
            sums: Sums {
                ran_ns,
                blocked_ns,
                ..Sums::default()
            },
            ..SliceGroup::default()
        }
    }

    #[test]
    fn merging_keeps_sums_and_makes_older_ones_longer() {
        let mut intervals = Intervals::default();
        for number in 0..1000 {
            intervals.push(&block(7, 3), number * 10, number * 10 + 10, None);
            intervals.merge_down_to(64);
        }
        assert!((32..=64).contains(&intervals.len()));
        let (mut at_ns, mut ran_ns, mut lengths) = (10_000, 0, Vec::new());
        while let Some(interval) = intervals.ending_at(at_ns, 0) {
            assert_eq!(interval.sums.total_ns(), interval.to_ns - interval.from_ns);
            lengths.push(interval.to_ns - interval.from_ns);
            ran_ns += interval.sums.ran_ns;
            at_ns = interval.from_ns;
        }
        assert_eq!((at_ns, ran_ns), (0, 7000));
        assert!(lengths.is_sorted(), "{lengths:?}");
    }

    #[test]
    fn a_part_of_an_interval_is_known_only_where_the_thread_did_one_thing() {
        let mut intervals = Intervals::default();
        intervals.push(&block(10, 0), 100, 110, None);
        intervals.push(&block(5, 5), 110, 120, None);
        assert_eq!(intervals.ending_at(120, 115), None);
        assert_eq!(intervals.ending_at(120, 110).unwrap().sums.blocked_ns, 5);
        let part = intervals.ending_at(110, 104).unwrap();
        assert_eq!((part.from_ns, part.sums.ran_ns), (104, 6));
        assert_eq!(intervals.ending_at(111, 0), None);
    }

    #[test]
    fn what_does_not_follow_is_not_kept_together() {
        let mut intervals = Intervals::default();
        intervals.push(&block(10, 0), 100, 110, None);
        intervals.push(&block(10, 0), 111, 121, None);
        assert_eq!(intervals.len(), 1);
    }
}
