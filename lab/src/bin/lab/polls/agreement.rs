//! Joins the polls that a server kept of itself with those that observer saw: the same thread, one inside the other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use testbed::truth::Polled;

/// A longer poll is a long one, ns: as observer counts.
pub(super) const LONG_NS: u64 = 1_000_000;

/// A poll as observer saw it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Seen {
    pub(super) task: Option<u64>,
    pub(super) tid: u32,
    pub(super) start_ns: u64,
    pub(super) dur_ns: u64,
    pub(super) queued_for_ns: Option<u64>,
}

/// How far the two agree.
#[derive(Debug, Default, Serialize)]
pub(super) struct Agreement {
    /// Polls that the server kept.
    pub(super) inside: u64,
    /// Polls that observer saw of tasks that were queued.
    pub(super) seen: u64,
    /// Polls that both have.
    pub(super) both: u64,
    /// Of these, polls of which observer names the right task, another, and none.
    pub(super) tasks_right: u64,
    pub(super) tasks_wrong: u64,
    pub(super) tasks_absent: u64,
    /// Polls of more than a millisecond: by the server, by observer, and by both.
    pub(super) long_inside: u64,
    pub(super) long_seen: u64,
    pub(super) long_both: u64,
    /// How long polls took.
    pub(super) length: Compared,
    /// The same of those that were long by the server.
    pub(super) long_length: Compared,
    /// How long tasks were queued before.
    pub(super) queued: Compared,
}

/// One figure of many polls, ns.
#[derive(Debug, Default, Serialize)]
pub(super) struct Compared {
    pub(super) inside: Quantiles,
    pub(super) seen: Quantiles,
    /// How far the two are apart, poll by poll.
    pub(super) error: Quantiles,
}

/// Quantiles, ns. Zeros of nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Quantiles {
    pub(super) of: usize,
    pub(super) p50_ns: u64,
    pub(super) p99_ns: u64,
    pub(super) max_ns: u64,
}

/// Whether the server found a poll long.
pub(super) fn is_long(poll: &Polled) -> bool {
    poll.dur_ns() > LONG_NS
}

impl Agreement {
    /// Compares all polls of a run.
    pub(super) fn of(inside: &[Polled], seen: &[Seen]) -> Self {
        // A job of the blocking pool is polled without having been queued, and the server does not keep it.
        let is_task = |seen: &Seen| seen.queued_for_ns.is_some();
        let mut agreement = Self {
            inside: inside.len() as u64,
            seen: seen.iter().filter(|seen| is_task(seen)).count() as u64,
            long_inside: inside.iter().filter(|poll| is_long(poll)).count() as u64,
            long_seen: seen
                .iter()
                .filter(|seen| is_task(seen) && seen.dur_ns > LONG_NS)
                .count() as u64,
            ..Self::default()
        };
        let pairs = pairs(inside, seen);
        for (inside, seen) in &pairs {
            agreement.count(inside, seen);
        }
        let lengths = |(inside, seen): &(&Polled, &Seen)| Some((inside.dur_ns(), seen.dur_ns));
        agreement.length = compared(pairs.iter().filter_map(lengths));
        let long = pairs.iter().filter(|(inside, _)| is_long(inside));
        agreement.long_length = compared(long.filter_map(lengths));
        let queued = pairs
            .iter()
            .filter_map(|(inside, seen)| Some((inside.queued_for_ns()?, seen.queued_for_ns?)));
        agreement.queued = compared(queued);
        agreement
    }

    fn count(&mut self, inside: &Polled, seen: &Seen) {
        self.both += 1;
        match seen.task {
            None => self.tasks_absent += 1,
            task if task == inside.task => self.tasks_right += 1,
            Some(_) => self.tasks_wrong += 1,
        }
        if is_long(inside) && seen.dur_ns > LONG_NS {
            self.long_both += 1;
        }
    }
}

/// Each poll of the server's with that of observer's around it.
fn pairs<'a>(inside: &'a [Polled], seen: &'a [Seen]) -> Vec<(&'a Polled, &'a Seen)> {
    // What the server does for its truth lies inside of what observer sees, and nothing else does.
    let mut unpaired: BTreeMap<(u32, u64), &Seen> = seen
        .iter()
        .map(|seen| ((seen.tid, seen.start_ns), seen))
        .collect();
    let mut pairs = Vec::with_capacity(inside.len());
    for poll in inside {
        let around = unpaired
            .range((poll.tid, 0)..=(poll.tid, poll.start_ns))
            .next_back()
            .filter(|(_, seen)| seen.start_ns + seen.dur_ns >= poll.end_ns)
            .map(|(key, _)| *key);
        pairs.extend(around.and_then(|key| Some((poll, unpaired.remove(&key)?))));
    }
    pairs
}

fn compared(pairs: impl Iterator<Item = (u64, u64)>) -> Compared {
    let (inside, seen): (Vec<u64>, Vec<u64>) = pairs.unzip();
    let errors = inside
        .iter()
        .zip(&seen)
        .map(|(inside, seen)| inside.abs_diff(*seen));
    let error = Quantiles::of(errors.collect());
    Compared {
        error,
        inside: Quantiles::of(inside),
        seen: Quantiles::of(seen),
    }
}

impl Quantiles {
    pub(super) fn of(mut values: Vec<u64>) -> Self {
        values.sort_unstable();
        let at = |percent: usize| {
            let rank = (values.len() * percent).div_ceil(100);
            values.get(rank.saturating_sub(1)).copied().unwrap_or(0)
        };
        Self {
            of: values.len(),
            p50_ns: at(50),
            p99_ns: at(99),
            max_ns: at(100),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inside(tid: u32, queued_ns: u64, start_ns: u64, end_ns: u64) -> Polled {
        Polled {
            task: Some(7),
            tid,
            queued_ns,
            start_ns,
            end_ns,
        }
    }

    fn seen(tid: u32, start_ns: u64, end_ns: u64, queued_for_ns: Option<u64>) -> Seen {
        Seen {
            task: Some(7),
            tid,
            start_ns,
            dur_ns: end_ns - start_ns,
            queued_for_ns,
        }
    }

    #[test]
    fn a_poll_is_the_one_that_lies_around_it_on_its_thread() {
        let inside = [inside(1, 90, 100, 200), inside(2, 90, 100, 300)];
        let seen = [seen(1, 98, 203, Some(9)), seen(2, 97, 299, Some(9))];
        let agreement = Agreement::of(&inside, &seen);
        assert_eq!((agreement.inside, agreement.seen, agreement.both), (2, 2, 1));
        assert_eq!(agreement.length.error.max_ns, 5);
        assert_eq!(agreement.queued.error.max_ns, 1);
    }

    #[test]
    fn one_poll_of_observers_is_not_two_of_the_servers() {
        let inside = [inside(1, 90, 100, 110), inside(1, 110, 120, 130)];
        let agreement = Agreement::of(&inside, &[seen(1, 95, 140, Some(5))]);
        assert_eq!((agreement.inside, agreement.both), (2, 1));
    }

    #[test]
    fn a_job_of_the_pool_is_no_poll_of_a_task() {
        let agreement = Agreement::of(&[], &[seen(1, 95, 140, None)]);
        assert_eq!(agreement.seen, 0);
    }

    #[test]
    fn a_task_is_right_wrong_or_absent() {
        let polls = [100, 200, 300].map(|at| inside(1, at - 20, at, at + 10));
        let mut seen = [100, 200, 300].map(|at| seen(1, at - 5, at + 15, Some(5)));
        (seen[1].task, seen[2].task) = (Some(8), None);
        let agreement = Agreement::of(&polls, &seen);
        assert_eq!(
            (
                agreement.tasks_right,
                agreement.tasks_wrong,
                agreement.tasks_absent
            ),
            (1, 1, 1)
        );
    }

    #[test]
    fn a_poll_that_only_observer_finds_long_is_not_long_to_both() {
        let inside = [inside(1, 90, 100, LONG_NS + 100)];
        let seen = [seen(1, 99, LONG_NS + 101, Some(9))];
        let agreement = Agreement::of(&inside, &seen);
        assert_eq!(
            (agreement.long_inside, agreement.long_seen, agreement.long_both),
            (0, 1, 0)
        );
    }

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let quantiles = Quantiles::of((1..=200).collect());
        assert_eq!(
            (quantiles.p50_ns, quantiles.p99_ns, quantiles.max_ns),
            (100, 198, 200)
        );
        assert_eq!(Quantiles::of(Vec::new()).max_ns, 0);
    }
}
