//! Who had the CPUs for which watched threads waited.

use std::collections::VecDeque;

use observer_common::Occupied;
use rustc_hash::FxHashMap;

use super::comms::Comm;
use super::state::Occupant;

/// Intervals that are remembered of one CPU.
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
pub(super) struct Occupancy(FxHashMap<u16, VecDeque<Occupation>>);

impl Occupancy {
    pub(super) fn add(&mut self, event: &Occupied, comm: Comm) {
        let to_ns = event.header.at_ns;
        let intervals = self.0.entry(event.header.cpu).or_default();
        if intervals.len() == MAX_INTERVALS {
            intervals.pop_front();
        }
        intervals.push_back(Occupation {
            from_ns: to_ns.saturating_sub(event.ran_ns),
            to_ns,
            by: Occupant {
                tid: event.header.tid,
                pid: event.tgid,
                comm,
            },
        });
    }

    /// Who had the CPU between the two times, the last first.
    pub(super) fn between(
        &self,
        cpu: u16,
        from_ns: u64,
        to_ns: u64,
    ) -> impl Iterator<Item = Occupation> + '_ {
        let intervals = self.0.get(&cpu).into_iter().flat_map(move |intervals| {
            let end = intervals.partition_point(|interval| interval.to_ns <= to_ns);
            intervals.range(..end).rev()
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

    use super::*;

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
            found.map(|occupation| occupation.by.tid).collect()
        };
        assert_eq!(tids(10, 35), [3, 2]);
        assert_eq!(tids(0, 99), [4, 3, 2, 1]);
        assert_eq!(occupancy.between(1, 0, 99).count(), 0);
    }
}
