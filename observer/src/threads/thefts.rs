//! What a hypervisor took while watched threads were on their CPUs.
//!
//! Of a theft it is known between which two readings of the kernel it lies, mostly some milliseconds apart, and how
//! long it was. Where in between is not known.

use observer_common::Stolen;

use super::Threads;
use crate::model::full::Table;
use crate::model::id::Tid;
use crate::newest::Newest;

/// Thefts that are remembered of all threads together, the newest: 512 KiB. A hypervisor takes a CPU some hundred times
/// a second at most, because what it runs instead runs for milliseconds.
const MAX_THEFTS: usize = 16_384;

/// Thefts of all CPUs that can be found at the same time, about.
const FOUND_AT_ONCE: usize = 16;

/// A hypervisor had the CPU while a thread was on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Theft {
    /// The thread, which was on its CPU from `from_ns` to `to_ns`.
    pub tid: Tid,
    /// Not before this, ns.
    pub from_ns: u64,
    /// Not after this, ns.
    pub to_ns: u64,
    /// For how long in between, ns: no longer than that.
    pub stolen_ns: u64,
}

/// The thefts that are remembered, in the order in which they were found.
#[derive(Debug, Default)]
pub(super) struct Thefts {
    newest: Newest<Theft, MAX_THEFTS>,
    /// The longest time so far from the end of a theft to a later one that was found before it, ns.
    disorder_ns: u64,
    last_to_ns: u64,
    /// The latest end of one that was forgotten, ns.
    forgotten_until_ns: u64,
}

impl Thefts {
    pub(super) fn add(&mut self, event: &Stolen) {
        let tid = Tid(event.header.tid);
        let (from_ns, to_ns) = (event.from_ns, event.to_ns);
        // A clock's tick can look in the middle of another look: what it found was then told already.
        let told = |theft: &Theft| theft.tid == tid && theft.to_ns > from_ns && theft.from_ns < to_ns;
        if from_ns >= to_ns || self.newest.iter().rev().take(FOUND_AT_ONCE).any(told) {
            return;
        }
        let forgotten = self.newest.push(Theft {
            tid,
            from_ns,
            to_ns,
            stolen_ns: event.stolen_ns.min(to_ns - from_ns),
        });
        if let Some(forgotten) = forgotten {
            self.forgotten_until_ns = self.forgotten_until_ns.max(forgotten.to_ns);
        }
        self.disorder_ns = self.disorder_ns.max(self.last_to_ns.saturating_sub(to_ns));
        self.last_to_ns = self.last_to_ns.max(to_ns);
    }

    /// Those that can lie between two times, the newest first.
    pub(super) fn between(&self, from_ns: u64, to_ns: u64) -> impl Iterator<Item = &Theft> {
        let earliest_ns = from_ns.saturating_sub(self.disorder_ns);
        self.newest
            .iter()
            .rev()
            .take_while(move |theft| theft.to_ns > earliest_ns)
            .filter(move |theft| theft.to_ns > from_ns && theft.from_ns < to_ns)
    }
}

impl Threads {
    /// A hypervisor had the CPU while a thread was on it.
    pub fn stolen(&mut self, event: &Stolen) {
        self.thefts.add(event);
    }

    /// What a hypervisor took of threads between two times, the last first, as far as it is remembered.
    pub fn thefts(&self, from_ns: u64, to_ns: u64) -> impl Iterator<Item = &Theft> {
        let was_forgotten = self.thefts.forgotten_until_ns > from_ns;
        let end = self.full.end_of(Table::Thefts, was_forgotten);
        self.thefts.between(from_ns, to_ns).chain(end)
    }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable as _;

    use super::*;

    fn stolen(from_ns: u64, to_ns: u64, stolen_ns: u64) -> Stolen {
        Stolen {
            from_ns,
            to_ns,
            stolen_ns,
            ..Stolen::zeroed()
        }
    }

    fn starts(thefts: &Thefts, from_ns: u64, to_ns: u64) -> Vec<u64> {
        let between = thefts.between(from_ns, to_ns);
        between.map(|theft| theft.from_ns).collect()
    }

    #[test]
    fn thefts_are_found_by_time_whatever_the_order_in_which_they_were_reported() {
        let mut thefts = Thefts::default();
        for (tid, (from_ns, to_ns)) in (1..).zip([(10, 20), (30, 50), (35, 40), (60, 70)]) {
            let mut theft = stolen(from_ns, to_ns, 5);
            theft.header.tid = tid;
            thefts.add(&theft);
        }
        assert_eq!(starts(&thefts, 0, 100), [60, 35, 30, 10]);
        assert_eq!(starts(&thefts, 45, 60), [30]);
        assert_eq!(starts(&thefts, 20, 31), [30]);
    }

    #[test]
    fn no_theft_is_longer_than_the_time_in_which_it_lies() {
        let mut thefts = Thefts::default();
        thefts.add(&stolen(10, 20, 1_000));
        thefts.add(&stolen(20, 20, 1));
        let taken: Vec<_> = thefts.between(0, 100).map(|theft| theft.stolen_ns).collect();
        assert_eq!(taken, [10]);
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut thefts = Thefts::default();
        let count = 2 * MAX_THEFTS as u64;
        (1..=count).for_each(|at| thefts.add(&stolen(at * 10, at * 10 + 5, 5)));
        assert_eq!(thefts.between(0, u64::MAX).count(), MAX_THEFTS);
        assert_eq!(thefts.between(0, u64::MAX).next().unwrap().from_ns, count * 10);
        let threads = Threads {
            thefts,
            ..Threads::default()
        };
        threads.thefts(count * 10, u64::MAX).for_each(drop);
        assert_eq!(threads.take_full().counts().count(), 0);
        threads.thefts(0, u64::MAX).for_each(drop);
        assert_eq!(
            threads.take_full().counts().collect::<Vec<_>>(),
            [(Table::Thefts, 1)]
        );
    }

    #[test]
    fn what_two_looks_found_at_once_is_one_theft() {
        let mut thefts = Thefts::default();
        for found in [stolen(0, 10, 5), stolen(2, 10, 5), stolen(10, 20, 1)] {
            thefts.add(&found);
        }
        assert_eq!(starts(&thefts, 0, 30), [10, 0]);
    }
}
