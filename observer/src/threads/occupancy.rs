//! Who had the CPUs for which watched threads waited.

use observer_common::Occupied;
use rustc_hash::FxHashMap;

use super::comms::Comm;
use super::state::Occupant;
use crate::model::id::{Pid, Tid};
use crate::newest::Newest;

/// Intervals that are remembered of one CPU, the newest.
const MAX_INTERVALS: usize = 1024;

/// A thread had a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occupation {
    /// Since when, ns.
    pub from_ns: u64,
    /// Until when, ns.
    pub to_ns: u64,
    /// Who.
    pub by: Occupant,
}

/// What is known of all CPUs.
#[derive(Debug, Default)]
pub(super) struct Occupancy(FxHashMap<u16, OfCpu>);

/// What is known of one.
#[derive(Debug, Default)]
struct OfCpu {
    intervals: Newest<Occupation, MAX_INTERVALS>,
    /// The end of the last that was forgotten, ns.
    forgotten_until_ns: u64,
}

impl Occupancy {
    pub(super) fn add(&mut self, event: &Occupied, comm: Comm) {
        let to_ns = event.header.at_ns;
        let of_cpu = self.0.entry(event.header.cpu).or_default();
        let forgotten = of_cpu.intervals.push(Occupation {
            from_ns: to_ns.saturating_sub(event.ran_ns),
            to_ns,
            by: Occupant {
                tid: Tid(event.header.tid),
                pid: Pid(event.tgid),
                comm,
            },
        });
        if let Some(forgotten) = forgotten {
            of_cpu.forgotten_until_ns = forgotten.to_ns;
        }
    }

    /// Up to here it was forgotten who had a CPU, ns.
    pub(super) fn forgotten_until_ns(&self, cpu: u16) -> u64 {
        self.0.get(&cpu).map_or(0, |of_cpu| of_cpu.forgotten_until_ns)
    }

    /// Who had the CPU between the two times, the last first.
    pub(super) fn between(
        &self,
        cpu: u16,
        from_ns: u64,
        to_ns: u64,
    ) -> impl Iterator<Item = Occupation> + '_ {
        let intervals = self.0.get(&cpu).into_iter().flat_map(move |of_cpu| {
            let end = of_cpu
                .intervals
                .partition_point(|interval| interval.to_ns <= to_ns);
            of_cpu.intervals.range(..end).rev()
        });
        intervals
            .take_while(move |interval| interval.to_ns > from_ns)
            .copied()
    }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable;
    use observer_common::Header;

    use super::super::Threads;
    use super::*;
    use crate::model::full::Table;

    fn left(at_ns: u64, tid: u32, ran_ns: u64) -> Occupied {
        Occupied {
            header: Header {
                at_ns,
                tid,
                ..Header::zeroed()
            },
            ran_ns,
            ..Occupied::zeroed()
        }
    }

    #[test]
    fn those_who_left_between_two_times_are_known_the_last_first() {
        let mut occupancy = Occupancy::default();
        for (at_ns, tid) in [(10, 1), (20, 2), (30, 3), (40, 4)] {
            occupancy.add(&left(at_ns, tid, 10), Comm::default());
        }
        let tids = |from_ns, to_ns| -> Vec<u32> {
            let found = occupancy.between(0, from_ns, to_ns);
            found.map(|occupation| occupation.by.tid.0).collect()
        };
        assert_eq!(tids(10, 35), [3, 2]);
        assert_eq!(tids(0, 99), [4, 3, 2, 1]);
        assert_eq!(occupancy.between(1, 0, 99).count(), 0);
    }

    #[test]
    fn who_asks_for_what_was_forgotten_is_counted() {
        let mut threads = Threads::default();
        for end in 1..=MAX_INTERVALS as u64 + 1 {
            threads.occupied(&left(10 * end, 7, 10));
        }
        threads.occupants(0, 10, u64::MAX).for_each(drop);
        threads.occupants(0, 0, u64::MAX).take(3).for_each(drop);
        assert_eq!(threads.take_full().counts().count(), 0);
        threads.occupants(0, 9, u64::MAX).for_each(drop);
        assert_eq!(
            threads.take_full().counts().collect::<Vec<_>>(),
            [(Table::Occupancy, 1)]
        );
    }
}
