//! What threads were seen running, at a few instants a second.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::event;
use crate::model::full::{Full, Table};
use crate::model::id::{Pid, Tid};

/// Samples that are kept of all threads together: 2 MiB. With two CPUs and 99 Hz more than two minutes, with a hundred
/// CPUs three seconds.
const MAX_SAMPLES: usize = 32_768;

/// Different functions that are kept apart in one interval, the first; one more makes it no clearer.
const MAX_FUNCTIONS: usize = 64;

/// A function is named that was seen running for at least this part of an interval: less may have been its end only.
const LEAST_PART: u64 = 4;

/// What a thread was seen running in an interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// The function's name.
    pub function: Arc<str>,
    /// How much time its samples stand for, ns. The more of them, the closer it is to what it ran.
    pub stands_for_ns: u64,
}

/// What all threads were seen running.
#[derive(Debug, Default)]
pub struct Samples {
    names: FxHashMap<u32, Arc<str>>,
    /// By thread, in the order of time.
    rows: FxHashMap<Tid, VecDeque<Sample>>,
    together: usize,
    /// Of the time before this, samples were forgotten, ns.
    remembered_from_ns: u64,
    /// What was asked for and is not remembered, or not told apart.
    pub full: Full,
}

#[derive(Clone, Debug)]
struct Sample {
    at_ns: u64,
    pid: Pid,
    stands_for_ns: u64,
    /// `None`: nothing could be found out about it.
    function: Option<Arc<str>>,
}

impl Samples {
    /// From here on a function is called by its number.
    pub fn named(&mut self, event: &event::Function) {
        if self.names.len() >= event::Function::MAX_KNOWN {
            self.names.clear();
        }
        self.names.insert(event.number, event::text(&event.name).into());
    }

    /// A thread was seen running.
    pub fn add(&mut self, event: &event::Sample) {
        if self.together >= MAX_SAMPLES {
            self.forget_older_half();
        }
        let row = self.rows.entry(Tid(event.header.tid)).or_default();
        // One whose name took long comes after later ones.
        let place = row
            .iter()
            .rev()
            .take_while(|sample| sample.at_ns > event.sampled_ns)
            .count();
        row.insert(
            row.len() - place,
            Sample {
                at_ns: event.sampled_ns,
                pid: Pid(event.tgid),
                stands_for_ns: event.stands_for_ns,
                function: self.names.get(&event.function).cloned(),
            },
        );
        self.together += 1;
    }

    fn forget_older_half(&mut self) {
        let mut times: Vec<u64> = self.rows.values().flatten().map(|sample| sample.at_ns).collect();
        let half = times.len() / 2;
        let (_, &mut until_ns, _) = times.select_nth_unstable(half);
        self.remembered_from_ns = until_ns.saturating_add(1);
        for row in self.rows.values_mut() {
            row.drain(..row.partition_point(|sample| sample.at_ns <= until_ns));
            row.shrink_to(2 * row.len());
        }
        self.rows.retain(|_, row| !row.is_empty());
        self.together = self.rows.values().map(VecDeque::len).sum();
    }

    /// What thread `tid` of process `pid` was seen running most between two times; nothing where it was not seen, where
    /// nothing could be found out about it more often than that, or where what was seen stands for little of that time.
    #[must_use]
    pub fn most_seen(&self, pid: Pid, tid: Tid, from_ns: u64, to_ns: u64) -> Option<Ran> {
        if from_ns < self.remembered_from_ns {
            self.full.count(Table::Samples, 1);
        }
        let row = self.rows.get(&tid)?;
        // From the end: it is mostly asked of a request that has just ended, and in which nothing was seen.
        let later = row
            .iter()
            .rev()
            .take_while(|sample| sample.at_ns >= from_ns)
            .count();
        let seen = row
            .range(row.len() - later..)
            .take_while(|sample| sample.at_ns < to_ns);
        let mut sums: Vec<(&Option<Arc<str>>, u64)> = Vec::new();
        let mut has_more = false;
        for sample in seen.filter(|sample| sample.pid == pid) {
            if let Some((_, sum_ns)) = sums
                .iter_mut()
                .find(|(function, _)| *function == &sample.function)
            {
                *sum_ns = sum_ns.saturating_add(sample.stands_for_ns);
            } else if sums.len() < MAX_FUNCTIONS {
                sums.push((&sample.function, sample.stands_for_ns));
            } else {
                has_more = true;
            }
        }
        self.full.count(Table::Samples, has_more.into());
        // Of functions seen equally much the one that was seen first.
        let (function, sum_ns) = sums.into_iter().rev().max_by_key(|(_, sum_ns)| *sum_ns)?;
        let least_ns = to_ns.saturating_sub(from_ns) / LEAST_PART;
        Some(Ran {
            function: function.clone().filter(|_| sum_ns >= least_ns)?,
            stands_for_ns: sum_ns,
        })
    }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable as _;
    use observer_common::Header;

    use super::*;

    const PID: Pid = Pid(7);
    const TID: Tid = Tid(8);

    fn sample(tid: Tid, at_ns: u64, function: u32) -> event::Sample {
        event::Sample {
            header: Header {
                at_ns,
                tid: tid.0,
                ..Header::zeroed()
            },
            tgid: PID.0,
            function,
            sampled_ns: at_ns,
            stands_for_ns: 10,
            ..event::Sample::zeroed()
        }
    }

    fn seen(at: &[(u64, u32)]) -> Samples {
        let mut samples = Samples::default();
        for (number, name) in [(1, "app::sort"), (2, "app::hash")] {
            samples.named(&event::Function::new(0, number, name));
        }
        for &(at_ns, function) in at {
            samples.add(&sample(TID, at_ns, function));
        }
        samples
    }

    fn function(seen: Option<Ran>) -> Option<Arc<str>> {
        seen.map(|seen| seen.function)
    }

    #[test]
    fn of_an_interval_the_function_counts_that_was_seen_most_in_it() {
        let samples = seen(&[(10, 1), (20, 2), (30, 2), (40, 1), (50, 1)]);
        let most = |from_ns, to_ns| function(samples.most_seen(PID, TID, from_ns, to_ns));
        assert_eq!(most(0, 100).as_deref(), Some("app::sort"));
        assert_eq!(most(15, 45).as_deref(), Some("app::hash"));
        assert_eq!(
            most(10, 21).as_deref(),
            Some("app::sort"),
            "the first of equal ones"
        );
        assert_eq!(most(21, 30), None, "the end is not part of it");
        assert_eq!(samples.most_seen(Pid(6), TID, 0, 100), None);
        assert_eq!(samples.most_seen(PID, Tid(9), 0, 100), None);
    }

    #[test]
    fn one_that_comes_late_counts_when_it_was_taken() {
        let samples = seen(&[(10, 1), (30, 1), (20, 2)]);
        assert_eq!(
            function(samples.most_seen(PID, TID, 15, 25)).as_deref(),
            Some("app::hash")
        );
    }

    #[test]
    fn what_has_no_name_counts_against_what_has() {
        let samples = seen(&[(10, 0), (20, 1), (30, 0)]);
        assert_eq!(samples.most_seen(PID, TID, 0, 100), None);
        assert_eq!(
            function(samples.most_seen(PID, TID, 20, 60)).as_deref(),
            Some("app::sort")
        );
    }

    #[test]
    fn a_sample_counts_for_those_without_a_stack_that_it_stands_for() {
        let mut samples = seen(&[(10, 1), (20, 1)]);
        samples.add(&event::Sample {
            stands_for_ns: 1_000,
            ..sample(TID, 30, 2)
        });
        let most = samples.most_seen(PID, TID, 0, 100).unwrap();
        assert_eq!((&*most.function, most.stands_for_ns), ("app::hash", 1_000));
    }

    #[test]
    fn what_was_seen_for_a_small_part_is_not_named() {
        let samples = seen(&[(30, 1)]);
        assert_eq!(samples.most_seen(PID, TID, 0, 44), None);
        assert_eq!(
            function(samples.most_seen(PID, TID, 0, 40)).as_deref(),
            Some("app::sort")
        );
    }

    #[test]
    fn that_an_interval_has_more_functions_than_are_told_apart_is_counted() {
        let mut samples = seen(&[]);
        for number in 1..=MAX_FUNCTIONS as u32 + 1 {
            samples.named(&event::Function::new(0, number, &format!("app::f{number}")));
            samples.add(&sample(TID, number.into(), number));
        }
        let _ = samples.most_seen(PID, TID, 0, MAX_FUNCTIONS as u64 + 1);
        assert_eq!(samples.full, Full::default());
        let _ = samples.most_seen(PID, TID, 0, MAX_FUNCTIONS as u64 + 2);
        assert_eq!(samples.full.counts().collect::<Vec<_>>(), [(Table::Samples, 1)]);
    }

    #[test]
    fn the_newest_are_kept_and_not_more_than_that() {
        let mut samples = seen(&[]);
        for at_ns in 0..3 * MAX_SAMPLES as u64 {
            samples.add(&sample(Tid(at_ns as u32 % 100), at_ns, 1));
        }
        assert!(samples.together <= MAX_SAMPLES);
        let newest_ns = 3 * MAX_SAMPLES as u64 - 1;
        assert!(
            samples
                .most_seen(PID, Tid(newest_ns as u32 % 100), newest_ns, newest_ns + 1)
                .is_some()
        );
        assert_eq!(samples.full, Full::default());
        let _ = samples.most_seen(PID, Tid(1), 0, newest_ns);
        assert_eq!(samples.full.counts().collect::<Vec<_>>(), [(Table::Samples, 1)]);
    }
}
