//! Whether a worker of a process was free while requests waited to be read.

use super::Threads;
use crate::model::id::Pid;
use crate::newest::Newest;

/// Intervals, and gaps between waits, that are remembered, each: the newest.
const MAX_REMEMBERED: usize = 4096;

/// Intervals in which no worker of one process was free, and how much of them requests waited through.
#[derive(Debug, Default)]
pub(super) struct Availability {
    workers: u32,
    free: u32,
    /// Since when none is free, ns.
    none_since_ns: Option<u64>,
    /// How long none was free before that, ns.
    none_ns: u64,
    /// Such intervals, the oldest first: start, end, and how long none had been free before it, ns.
    intervals: Newest<(u64, u64, u64), MAX_REMEMBERED>,
    /// Up to here it is known when requests waited, ns, but for the gaps.
    waited_until_ns: u64,
    /// Where no request is known to have waited, the oldest first: start and end, ns.
    gaps: Newest<(u64, u64), MAX_REMEMBERED>,
    waited_ns: u64,
    /// Before this intervals or gaps were forgotten, ns.
    forgotten_until_ns: u64,
}

impl Availability {
    /// A worker that was free or not, or none before (`None`), is so from `at_ns` on.
    pub(super) fn change(&mut self, at_ns: u64, before: Option<bool>, now: Option<bool>) {
        let count = |state: Option<bool>| (u32::from(state.is_some()), u32::from(state == Some(true)));
        let ((workers_before, free_before), (workers, free)) = (count(before), count(now));
        self.workers = (self.workers + workers).saturating_sub(workers_before);
        self.free = (self.free + free).saturating_sub(free_before);
        let none = self.workers > 0 && self.free == 0;
        match self.none_since_ns {
            None if none => self.none_since_ns = Some(at_ns),
            Some(since_ns) if !none => {
                if let Some((_, to_ns, _)) = self.intervals.push((since_ns, at_ns, self.none_ns)) {
                    self.forgotten_until_ns = self.forgotten_until_ns.max(to_ns);
                }
                self.none_ns = self.none_ns.saturating_add(at_ns.saturating_sub(since_ns));
                self.none_since_ns = None;
            }
            _ => {}
        }
    }

    /// How long no worker had been free by `at_ns`, ns.
    fn none_by(&self, at_ns: u64) -> u64 {
        if let Some(since_ns) = self.none_since_ns
            && since_ns <= at_ns
        {
            return self.none_ns.saturating_add(at_ns - since_ns);
        }
        let begun = self.intervals.partition_point(|&(from_ns, ..)| from_ns <= at_ns);
        let oldest_ns = self
            .intervals
            .front()
            .map_or(self.none_ns, |&(_, _, before_ns)| before_ns);
        begun.checked_sub(1).map_or(oldest_ns, |last| {
            let (from_ns, to_ns, before_ns) = self.intervals[last];
            before_ns.saturating_add(at_ns.min(to_ns).saturating_sub(from_ns))
        })
    }

    fn add(&mut self, from_ns: u64, to_ns: u64) {
        let more_ns = self.none_by(to_ns).saturating_sub(self.none_by(from_ns));
        self.waited_ns = self.waited_ns.saturating_add(more_ns);
    }

    /// A request waited from `from_ns` until it was read, which was now. Tells whether all of that time is remembered.
    pub(super) fn waited(&mut self, from_ns: u64, now_ns: u64) -> bool {
        if from_ns > self.waited_until_ns
            && let Some((_, to_ns)) = self.gaps.push((self.waited_until_ns, from_ns))
        {
            self.forgotten_until_ns = self.forgotten_until_ns.max(to_ns);
        }
        while let Some((gap_from_ns, gap_to_ns)) = self.gaps.pop_back() {
            if gap_to_ns <= from_ns {
                self.gaps.push((gap_from_ns, gap_to_ns));
                break;
            }
            self.add(gap_from_ns.max(from_ns), gap_to_ns);
            if gap_from_ns < from_ns {
                self.gaps.push((gap_from_ns, from_ns));
                break;
            }
        }
        self.add(from_ns.max(self.waited_until_ns), now_ns);
        self.waited_until_ns = self.waited_until_ns.max(now_ns);
        from_ns >= self.forgotten_until_ns
    }

    /// How long requests waited while no worker was free, since this was asked last, ns.
    pub(super) fn take_waited_ns(&mut self) -> u64 {
        std::mem::take(&mut self.waited_ns)
    }

    /// Whether the process has workers.
    pub(super) fn is_empty(&self) -> bool {
        self.workers == 0
    }
}

impl Threads {
    /// How long requests of process `pid` waited to be read while none of its workers was free, since this was asked
    /// last, ns.
    pub fn take_waited_ns(&mut self, pid: Pid) -> u64 {
        let availability = self.availability.get_mut(&pid);
        availability.map_or(0, Availability::take_waited_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One worker that is not free from 100 to 200 ns and from 300 to 400 ns.
    fn busy_twice() -> Availability {
        let mut availability = Availability::default();
        availability.change(10, None, Some(true));
        for from_ns in [100, 300] {
            availability.change(from_ns, Some(true), Some(false));
            availability.change(from_ns + 100, Some(false), Some(true));
        }
        availability
    }

    #[test]
    fn only_the_time_in_which_nobody_was_free_counts() {
        for (from_ns, to_ns, waited_ns) in [(0, 50, 0), (50, 150, 50), (120, 320, 100), (0, 500, 200)] {
            let mut availability = busy_twice();
            availability.waited(from_ns, to_ns);
            assert_eq!(availability.take_waited_ns(), waited_ns, "{from_ns} to {to_ns}");
        }
    }

    #[test]
    fn requests_that_wait_together_count_once_in_whatever_order_they_end() {
        let mut availability = busy_twice();
        for (from_ns, to_ns) in [(150, 160), (110, 170), (350, 360), (100, 380)] {
            availability.waited(from_ns, to_ns);
        }
        assert_eq!(availability.take_waited_ns(), 180);
        assert_eq!(availability.take_waited_ns(), 0);
    }

    #[test]
    fn a_request_that_waited_since_before_what_is_remembered_is_told_apart() {
        let mut availability = Availability::default();
        availability.change(0, None, Some(true));
        for busy in 1..=MAX_REMEMBERED as u64 + 1 {
            availability.change(100 * busy, Some(true), Some(false));
            availability.change(100 * busy + 50, Some(false), Some(true));
        }
        let now_ns = 100 * (MAX_REMEMBERED as u64 + 2);
        assert!(availability.waited(150, now_ns));
        assert!(!availability.waited(149, now_ns));
    }

    #[test]
    fn with_a_second_worker_that_is_free_nobody_waits_for_one() {
        let mut availability = Availability::default();
        availability.change(0, None, Some(true));
        availability.change(0, None, Some(true));
        availability.change(100, Some(true), Some(false));
        availability.waited(100, 200);
        assert_eq!(availability.take_waited_ns(), 0);
        availability.change(200, Some(true), None);
        availability.waited(200, 300);
        assert_eq!(availability.take_waited_ns(), 100);
    }
}
