//! Walks back through the past of one thread, slice by slice, or by as many of them as can be summed up.

use super::index::{SliceGroup, Sums};
use super::past::Past;
use super::state::Slice;
use super::thinned::Thinned;

/// An interval of a thread's past that is taken in one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Its start, ns.
    pub from_ns: u64,
    /// What the thread did in it; together as long as it is.
    pub sums: Sums,
    /// It is not known all the time in which runtime task the thread was, or that it was in none or between two.
    pub inferred: bool,
    /// Length of the longest wait in it that can be reported, ns.
    pub longest_ns: u64,
    /// Number of the slice that has it, if it is not 0.
    longest: usize,
}

/// What an interval may be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crossed {
    /// Whatever a thread did at work. Where several had the CPU for which it waited, only if none of them makes a wait
    /// that is longer than this, ns, or than another one of the interval.
    Work {
        /// Length of the longest wait so far.
        longest_ns: u64,
    },
    /// Slices in which it ran, each shorter than this, ns.
    ShortRuns {
        /// What is too long.
        below_ns: u64,
    },
}

impl Crossed {
    /// Whether these slices can be a part of it, where the longest wait taken so far took so long, ns.
    fn includes(self, slices: &SliceGroup, taken_ns: u64) -> bool {
        match self {
            Self::Work { longest_ns } => slices.several_ns <= longest_ns.max(taken_ns),
            Self::ShortRuns { below_ns } => slices.ran_shorter_than(below_ns),
        }
    }

    /// The same, but only slices in which the thread ran.
    #[must_use]
    pub const fn only_runs(self) -> Self {
        match self {
            Self::Work { .. } => Self::ShortRuns { below_ns: u64::MAX },
            Self::ShortRuns { .. } => self,
        }
    }
}

/// A walk back through a thread's past, as far as its slices follow each other without gap.
#[derive(Clone, Debug)]
pub struct Back<'a> {
    /// The slice that is not over, if the walk begins in it.
    pub(super) open: Option<Slice>,
    past: &'a Past,
    /// Slices that are still ahead.
    end: usize,
    reached_ns: u64,
}

impl<'a> Back<'a> {
    /// From `at_ns` back, behind `open`.
    pub(super) fn new(past: &'a Past, open: Option<Slice>, at_ns: u64) -> Self {
        let reached_ns = open.map_or(at_ns, |open| open.from_ns);
        Self {
            open,
            past,
            end: past.count_before(reached_ns),
            reached_ns,
        }
    }

    /// Takes as many slices as there are in one step, as long as they are what may be `crossed` and do not begin before
    /// `since_ns`.
    pub fn interval(&mut self, since_ns: u64, crossed: Crossed) -> Option<Interval> {
        let past = self.past;
        if self.open.is_some() || past.start_ns(self.end) != self.reached_ns {
            return None;
        }
        let (mut taken, mut end) = (SliceGroup::default(), self.end);
        while end > 0 {
            let wanted = |slices: &SliceGroup| crossed.includes(slices, taken.longest_ns);
            let wanted_block = |block: &SliceGroup| block.from_ns >= since_ns && wanted(block);
            if let Some((first, block)) = past.index.before(past.forgotten + end, wanted_block) {
                taken.prepend(block);
                end = first - past.forgotten;
                continue;
            }
            let from_ns = past.start_ns(end - 1);
            // What is taken is wanted: with this one it is if this one is.
            let mut with_one = taken;
            if from_ns < since_ns || !past.prepend_to(&mut with_one, end - 1, from_ns) || !wanted(&with_one) {
                break;
            }
            taken = with_one;
            end -= 1;
        }
        if end == self.end {
            return None;
        }
        self.end = end;
        self.reached_ns = taken.from_ns;
        Some(Interval {
            from_ns: self.reached_ns,
            sums: taken.sums,
            inferred: taken.inferred,
            longest_ns: taken.longest_ns,
            longest: taken.longest,
        })
    }

    /// Takes an interval of which there are no slices any more, as far as it is known and does not begin before
    /// `since_ns`.
    pub fn thinned(&mut self, since_ns: u64) -> Option<Thinned> {
        if self.open.is_some() || self.end > 0 {
            return None;
        }
        let interval = self.past.thinned.ending_at(self.reached_ns, since_ns)?;
        self.reached_ns = interval.from_ns;
        Some(interval)
    }

    /// The slice with the longest wait of an interval that this walk took; the last one, where several are.
    #[must_use]
    pub fn longest(&self, interval: &Interval) -> Slice {
        self.past.slice(interval.longest - self.past.forgotten)
    }
}

impl Iterator for Back<'_> {
    type Item = Slice;

    fn next(&mut self) -> Option<Slice> {
        if let Some(open) = self.open.take() {
            return Some(open);
        }
        let slice = self.past.slice(self.end.checked_sub(1)?);
        if slice.to_ns < self.reached_ns {
            return None;
        }
        self.end -= 1;
        self.reached_ns = slice.from_ns;
        Some(slice)
    }
}

#[cfg(test)]
mod tests {
    use super::super::index::FAN;
    use super::super::state::{Began, Owner, State};
    use super::*;
    use crate::model::id::Task;

    const ANY: Crossed = Crossed::Work { longest_ns: 0 };

    fn running(from_ns: u64, to_ns: u64) -> Slice {
        Slice {
            from_ns,
            to_ns,
            state: State::Running {
                cpu: 0,
                owner: Owner::Nobody,
                began: Began::Plain,
            },
            faults: (0, 0),
            task: Task::NONE,
        }
    }

    fn unknown(from_ns: u64, to_ns: u64) -> Slice {
        Slice {
            state: State::Unknown { owner: Owner::Nobody },
            ..running(from_ns, to_ns)
        }
    }

    /// So many slices of 10 ns from 0 on; the one with number `long` takes 500 ns, in `gaps` nothing is known.
    fn past(count: u64, long: u64, gaps: &[u64]) -> Past {
        let mut past = Past::default();
        let mut at_ns = 0;
        for number in 0..count {
            let to_ns = at_ns + if number == long { 500 } else { 10 };
            let gap = gaps.contains(&number);
            past.push(&if gap {
                unknown(at_ns, to_ns)
            } else {
                running(at_ns, to_ns)
            });
            at_ns = to_ns;
        }
        past
    }

    /// Walks back to `since_ns` in steps as large as may be: how far, time run, length of the longest slice, steps.
    fn walk(past: &Past, since_ns: u64) -> (u64, u64, u64, u64) {
        let mut back = Back::new(past, None, past.ends_ns());
        let (mut reached_ns, mut ran_ns, mut longest_ns, mut steps) = (past.ends_ns(), 0, 0, 0);
        while reached_ns > since_ns {
            steps += 1;
            let (slice, ns) = if let Some(interval) = back.interval(since_ns, ANY) {
                reached_ns = interval.from_ns;
                (back.longest(&interval), interval.sums.ran_ns)
            } else {
                let Some(slice) = back
                    .next()
                    .filter(|slice| matches!(slice.state, State::Running { .. }))
                else {
                    break;
                };
                reached_ns = slice.from_ns;
                (slice, slice.duration_ns())
            };
            ran_ns += ns;
            longest_ns = longest_ns.max(slice.duration_ns());
        }
        (reached_ns, ran_ns, longest_ns, steps)
    }

    #[test]
    fn a_long_interval_is_crossed_in_few_steps_that_add_up() {
        for count in [3, 64, 65, 200, 1000, 5000] {
            for long in [0, count / 2, count - 1] {
                let past = past(count, long, &[]);
                let (reached_ns, ran_ns, longest_ns, steps) = walk(&past, 0);
                assert_eq!((reached_ns, ran_ns, longest_ns), (0, past.ends_ns(), 500));
                assert!(steps <= 6 * FAN as u64 + count / 512, "{steps} of {count}");
            }
        }
    }

    #[test]
    fn no_step_goes_past_what_was_asked_for_or_past_what_is_unknown() {
        let past = past(1000, 500, &[100]);
        assert_eq!(walk(&past, 2000).0, 2000);
        assert_eq!(walk(&past, 0).0, 1010);
    }

    #[test]
    fn what_a_thread_at_work_did_is_summed_up_by_kind() {
        let mut past = Past::default();
        for number in 0..(8 * FAN) as u64 {
            past.push(&Slice {
                state: State::Runnable {
                    cpu: 0,
                    behind: Default::default(),
                    behind_ran_ns: 10,
                    preempted: false,
                    throttled_ns: 3 * number,
                },
                ..running(number * 10, number * 10 + 10)
            });
        }
        let interval = Back::new(&past, None, past.ends_ns()).interval(0, ANY).unwrap();
        let throttled_ns = (0..(8 * FAN) as u64).map(|number| (3 * number).min(10)).sum();
        let expected = Sums {
            throttled_ns,
            runnable_ns: past.ends_ns() - throttled_ns,
            ..Sums::default()
        };
        assert_eq!(interval.sums, expected);
    }

    /// A wait for a CPU of 10 ns, of which the last to have it had it for so long.
    fn runnable(from_ns: u64, behind_ran_ns: u64) -> Slice {
        Slice {
            state: State::Runnable {
                cpu: 0,
                behind: Default::default(),
                behind_ran_ns,
                preempted: true,
                throttled_ns: 0,
            },
            ..running(from_ns, from_ns + 10)
        }
    }

    #[test]
    fn waits_for_a_cpu_that_several_had_are_crossed_only_if_none_is_the_longest() {
        let mut past = Past::default();
        let count = 40 * FAN as u64;
        (0..count).for_each(|number| past.push(&runnable(number * 10, 3)));
        let interval = |longest_ns| {
            let mut back = Back::new(&past, None, past.ends_ns());
            back.interval(0, Crossed::Work { longest_ns })
        };
        assert_eq!(interval(6), None, "others had it for 7 ns");
        let all = interval(7).unwrap();
        assert_eq!(
            (all.from_ns, all.longest_ns),
            (0, 0),
            "it is not known whose is the longest"
        );
        assert_eq!(all.sums.runnable_ns, past.ends_ns());
        past.push(&running(past.ends_ns(), past.ends_ns() + 7));
        let mut back = Back::new(&past, None, past.ends_ns());
        let all = back.interval(0, ANY).unwrap();
        assert_eq!((all.from_ns, all.longest_ns), (0, 7), "another one is as long");
    }

    #[test]
    fn what_is_not_known_is_one_slice_however_often_the_thread_was_seen_meanwhile() {
        let mut past = Past::default();
        let nothing = |from_ns| Slice {
            task: Task::UNKNOWN,
            ..unknown(from_ns, from_ns + 10)
        };
        past.push(&running(0, 10));
        (1..=1000).for_each(|number| past.push(&nothing(number * 10)));
        past.push(&running(10_010, 10_020));
        let slices = Back::new(&past, None, past.ends_ns());
        let slices: Vec<_> = slices.map(|slice| slice.duration_ns()).collect();
        assert_eq!(slices, [10, 10_000, 10]);
        (0..FAN as u64).for_each(|number| past.push(&running(10_020 + number, 10_021 + number)));
        assert_eq!(walk(&past, 0).0, 10_010);
    }

    #[test]
    fn forgetting_keeps_the_index_right() {
        let mut past = past(1000, 950, &[899]);
        for until_ns in [5, 333, 4000, 8990, 9200] {
            past.forget_until(until_ns);
            let first_ns = past.begins_ns;
            let (reached_ns, _, longest_ns, _) = walk(&past, 0);
            assert_eq!((reached_ns, longest_ns), (first_ns.max(9000), 500), "{until_ns}");
        }
        past.forget_until(u64::MAX);
        for number in 0..200 {
            past.push(&running(20_000 + number, 20_001 + number));
        }
        assert_eq!(walk(&past, 0).0, 20_000);
    }

    #[test]
    fn a_walk_ends_where_time_is_missing() {
        let mut past = past(200, 2, &[]);
        let at_ns = past.ends_ns() + 1;
        past.push(&running(at_ns, at_ns + 1));
        assert_eq!(walk(&past, 0).0, at_ns);
    }
}
