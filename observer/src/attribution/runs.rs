//! Where a request had run last, asked again and again of one walk: each time further back, mostly.
//!
//! A request that hands work to a pool has been on hundreds of threads, each of which has hundreds of slices. What was
//! found on a thread is the answer until the walk has come to where it began, so that each slice is looked at once, and
//! of the threads only those that the walk has come by.

use std::cell::RefCell;

use super::Evidence;
use super::service::Walk;
use crate::connections::Turn;
use crate::threads::{LastRun, Slice};

/// What was found on the threads of one request: for certain, and what they were woken for, too.
#[derive(Debug, Default)]
pub(super) struct Runs([RefCell<LastRuns>; 2]);

/// The last run of each thread before some time.
#[derive(Debug, Default)]
struct LastRuns {
    /// When it was asked last, ns; 0 before that.
    asked_ns: u64,
    /// The last to end comes last.
    runs: Vec<Run>,
}

/// A slice in which a thread ran for the request.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Run {
    from_ns: u64,
    to_ns: u64,
    /// Which of the request's threads it was.
    place: usize,
}

impl Runs {
    /// Starts anew.
    pub(super) fn begin(&self) {
        for runs in &self.0 {
            let mut runs = runs.borrow_mut();
            runs.asked_ns = 0;
            runs.runs.clear();
        }
    }

    /// Where the request of `turn` had run last between two times, ns. With `sure`, leaving out threads of which it is
    /// only known that they were woken for it.
    pub(super) fn last(
        &self,
        evidence: &Evidence<'_>,
        turn: &Turn,
        sure: bool,
        at_ns: u64,
        since_ns: u64,
    ) -> Option<LastRun> {
        let scan = |place: usize, since_ns: u64| {
            let thread = evidence.threads.get(turn.tid(place)?)?;
            let Slice { from_ns, to_ns, .. } = thread.last_ran_for(turn.id, sure, at_ns, since_ns)?;
            Some(Run {
                from_ns,
                to_ns,
                place,
            })
        };
        let mut runs = self.0[usize::from(sure)].borrow_mut();
        let run = runs.last(at_ns, since_ns, turn.tids().count(), scan)?;
        Some(LastRun {
            end_ns: run.to_ns.min(at_ns),
            tid: turn.tid(run.place)?,
        })
    }
}

impl LastRuns {
    /// The last run before `at_ns` on so many threads; where several ran then, of the last of them. `scan` finds that
    /// of one of them, after some time.
    fn last(
        &mut self,
        at_ns: u64,
        since_ns: u64,
        threads: usize,
        scan: impl Fn(usize, u64) -> Option<Run>,
    ) -> Option<Run> {
        if at_ns > self.asked_ns {
            let seen_ns = self.asked_ns.max(since_ns);
            for run in (0..threads).filter_map(|place| scan(place, seen_ns)) {
                self.runs.retain(|before| before.place != run.place);
                self.insert(run);
            }
        }
        self.asked_ns = at_ns;
        let mut last: Option<Run> = None;
        let mut end = self.runs.len();
        while end > 0 && self.runs[end - 1].to_ns >= at_ns {
            end -= 1;
            let run = self.runs[end];
            if run.from_ns < at_ns {
                last = last.filter(|last| last.place > run.place).or(Some(run));
                continue;
            }
            self.runs.remove(end);
            if let Some(before) = scan(run.place, since_ns) {
                // It ended before this one began, so it comes among those that are still to be looked at.
                self.insert(before);
                end += 1;
            }
        }
        last.or_else(|| self.runs.last().copied())
    }

    fn insert(&mut self, run: Run) {
        let key = |run: &Run| (run.to_ns, run.place);
        let place = self.runs.partition_point(|other| key(other) < key(&run));
        self.runs.insert(place, run);
    }
}

impl Walk<'_, '_> {
    /// Where the request last ran; where the walk ends at the latest.
    pub(super) fn last_run(&self) -> LastRun {
        self.last_run_that_is(false)
    }

    /// The same. With `sure`, leaving out threads of which it is only known that they were woken for it.
    pub(super) fn last_run_that_is(&self, sure: bool) -> LastRun {
        let last = self
            .runs
            .last(self.evidence, self.turn, sure, self.now_ns, self.since.end_ns);
        last.unwrap_or(self.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SINCE_NS: u64 = 35;

    /// Threads in slices of 10 ns, of which every fourth is the request's, each thread a bit later than the one before.
    fn last_ran(place: usize, at_ns: u64, since_ns: u64) -> Option<Run> {
        let shift_ns = 7 * place as u64;
        let slices = at_ns.saturating_sub(shift_ns).div_ceil(10);
        let ours = (0..slices).rev().find(|number| number % 4 == 1)?;
        let run = Run {
            from_ns: shift_ns + ours * 10,
            to_ns: shift_ns + ours * 10 + 10,
            place,
        };
        (run.to_ns > since_ns).then_some(run)
    }

    #[test]
    fn in_whatever_order_it_is_asked_the_answer_is_the_same() {
        for step in [3, 7, 31, 211, 399] {
            let mut runs = LastRuns::default();
            for asked in 0..1000 {
                let at_ns = 40 + (asked * step * 13) % 400;
                let scan = |place, since_ns| last_ran(place, at_ns, since_ns);
                let last = runs.last(at_ns, SINCE_NS, 9, scan);
                let all = (0..9).filter_map(|place| last_ran(place, at_ns, SINCE_NS));
                let expected = all.max_by_key(|run| run.to_ns.min(at_ns));
                assert_eq!(last, expected, "{at_ns}");
            }
        }
    }
}
