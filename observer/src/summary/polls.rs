//! Polls of runtime tasks: how long they took, how long their tasks were queued before, and the longest.

use super::latency::Latency;
use crate::model::poll::{LONG_POLL_NS, Poll};
use crate::model::report::{LongPoll, PollTotals};

/// Longest polls that are named. A worker has fewer than a thousand long ones a second.
const NAMED: usize = 256;

#[derive(Clone, Debug)]
pub(super) struct PollSums {
    polls: u64,
    long: u64,
    took: Latency,
    queued: Latency,
    /// The longest first.
    longest: Vec<LongPoll>,
}

impl PollSums {
    pub(super) fn new() -> Self {
        Self {
            polls: 0,
            long: 0,
            took: Latency::new(),
            queued: Latency::new(),
            longest: Vec::new(),
        }
    }

    /// Counts a poll. Tells whether it is among the longest.
    pub(super) fn record(&mut self, poll: &Poll) -> bool {
        self.polls += 1;
        // A job of the blocking pool may take as long as it likes.
        let Some(queued_ns) = poll.queued_for_ns else {
            return false;
        };
        self.took.record(poll.dur_ns);
        self.queued.record(queued_ns);
        if poll.dur_ns <= LONG_POLL_NS {
            return false;
        }
        self.long += 1;
        self.longest.len() < NAMED || self.longest.last().is_some_and(|last| last.dur_ns < poll.dur_ns)
    }

    /// Names a poll that is among the longest.
    pub(super) fn name(&mut self, poll: LongPoll) {
        let at = self
            .longest
            .partition_point(|longer| longer.dur_ns >= poll.dur_ns);
        self.longest.insert(at, poll);
        self.longest.truncate(NAMED);
    }

    pub(super) fn clear(&mut self) {
        (self.polls, self.long) = (0, 0);
        self.took.clear();
        self.queued.clear();
        self.longest.clear();
    }

    pub(super) fn totals(&self) -> PollTotals {
        let (took, queued) = (self.took.quantiles(), self.queued.quantiles());
        PollTotals {
            polls: self.polls,
            unqueued: self.polls - self.took.requests(),
            long: self.long,
            p50_ns: took.map(|took| took.p50),
            p99_ns: took.map(|took| took.p99),
            max_ns: took.map(|took| took.max),
            queue_p50_ns: queued.map(|queued| queued.p50),
            queue_p99_ns: queued.map(|queued| queued.p99),
            queue_max_ns: queued.map(|queued| queued.max),
            longest: self.longest.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::Task;
    use crate::model::id::{Pid, Tid};

    fn poll(dur_ns: u64, queued_for_ns: Option<u64>) -> Poll {
        Poll {
            task: Task::new(7),
            pid: Pid(40),
            tid: Tid(41),
            start_ns: 1,
            dur_ns,
            queued_for_ns,
        }
    }

    #[test]
    fn a_job_that_nothing_queued_is_counted_and_is_no_long_poll() {
        let mut sums = PollSums::new();
        assert!(!sums.record(&poll(10 * LONG_POLL_NS, None)));
        sums.record(&poll(1_000, Some(500)));
        let totals = sums.totals();
        assert_eq!((totals.polls, totals.unqueued, totals.long), (2, 1, 0));
        assert_eq!((totals.max_ns, totals.queue_max_ns), (Some(1_000), Some(500)));
    }

    #[test]
    fn the_longest_are_named_in_order() {
        let mut sums = PollSums::new();
        let polls = NAMED as u64 + 3;
        // In no order, each length once: the number of polls has no factor in common with the step.
        for n in (0..polls).map(|n| 2 + n * 11 % polls) {
            let poll = poll(n * LONG_POLL_NS, Some(1));
            if sums.record(&poll) {
                sums.name(LongPoll {
                    pid: poll.pid,
                    tid: poll.tid,
                    task: poll.task.id(),
                    start_unix_ns: 0,
                    dur_ns: poll.dur_ns,
                    request: None,
                });
            }
        }
        let longest: Vec<u64> = sums
            .totals()
            .longest
            .iter()
            .map(|poll| poll.dur_ns / LONG_POLL_NS)
            .collect();
        let expected: Vec<u64> = (5..polls + 2).rev().collect();
        assert_eq!(longest, expected);
        assert_eq!(sums.totals().long, polls);
    }
}
