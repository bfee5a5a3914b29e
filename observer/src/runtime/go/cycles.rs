//! Cycles of Go's garbage collection, by the times that its runtime keeps of the last one: it stops the world, marks
//! what is in use while the program runs, and stops the world again.

use crate::model::request::GcOverlap;
use crate::newest::Newest;

/// Cycles of a process that are remembered, the newest: 40 KiB. A program that allocates as fast as it can has some
/// hundred a second.
const MAX_CYCLES: usize = 1024;

/// A cycle, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cycle {
    /// Its number: how many there have been in the process, with this one.
    pub number: u32,
    /// When it began, by asking the world to stop, ns.
    pub begin_ns: u64,
    /// When marking began: the world went on, ns.
    pub mark_ns: u64,
    /// When marking was done, and the world was asked to stop once more, ns; 0 while it marks.
    pub marked_ns: u64,
    /// When it was over, ns; 0 while it marks.
    pub end_ns: u64,
}

/// A part of a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Phase {
    pub(crate) kind: PhaseKind,
    pub(crate) from_ns: u64,
    pub(crate) to_ns: u64,
    /// Number of the cycle.
    pub(crate) cycle: u32,
}

/// What a cycle does in a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PhaseKind {
    /// The world was asked to stop, and was stopped: no goroutine of the process was given a thread.
    Stop,
    /// It marks what is in use, and goroutines that allocate help it.
    Mark,
}

/// What is counted of cycles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CycleCounts {
    /// Those that are over.
    pub cycles: u64,
    /// Of these, those of which not all is known: they came too fast.
    pub missed: u64,
    /// How long the others marked, ns.
    pub mark_ns: u64,
    /// How long they had the world stopped, ns.
    pub stopped_ns: u64,
    /// The longest time of these at once, ns.
    pub longest_stop_ns: u64,
    /// How long goroutines were found to help marking while they ran, all of them together, ns.
    pub assist_ns: u64,
}

/// The cycles of one process.
#[derive(Debug, Default)]
pub(super) struct Cycles {
    newest: Newest<Cycle, MAX_CYCLES>,
    /// Of cycles that ended before this, some are forgotten, ns.
    pub(super) forgotten_until_ns: u64,
    counts: CycleCounts,
}

impl Cycle {
    fn is_over(&self) -> bool {
        self.end_ns > 0
    }

    /// Whether its times are in order, as far as they are known.
    fn is_in_order(&self) -> bool {
        let begins = 0 < self.begin_ns && self.begin_ns <= self.mark_ns;
        let ends = self.mark_ns <= self.marked_ns && self.marked_ns <= self.end_ns;
        begins && (ends || self.marked_ns == 0 && self.end_ns == 0)
    }

    /// Nobody saw its end, and another one came after it: of when it marked nothing is known any more.
    fn cut(&mut self) {
        if !self.is_over() {
            (self.marked_ns, self.end_ns) = (self.mark_ns, self.mark_ns);
        }
    }

    /// When it is over; while it is not, that is not before any time.
    fn until_ns(&self) -> u64 {
        if self.is_over() { self.end_ns } else { u64::MAX }
    }

    /// Its parts, the last first.
    fn phases(&self) -> impl Iterator<Item = Phase> + use<> {
        let Self {
            number: cycle,
            begin_ns,
            mark_ns,
            marked_ns,
            end_ns,
        } = *self;
        let marked_ns = if self.is_over() { marked_ns } else { u64::MAX };
        let phases = [
            (PhaseKind::Stop, marked_ns, end_ns),
            (PhaseKind::Mark, mark_ns, marked_ns),
            (PhaseKind::Stop, begin_ns, mark_ns),
        ];
        let phases = phases.into_iter().map(move |(kind, from_ns, to_ns)| Phase {
            kind,
            from_ns,
            to_ns,
            cycle,
        });
        phases.filter(|phase| phase.from_ns < phase.to_ns)
    }
}

impl Phase {
    /// How much of a time it took, ns.
    fn of(&self, from_ns: u64, to_ns: u64) -> u64 {
        self.to_ns.min(to_ns).saturating_sub(self.from_ns.max(from_ns))
    }
}

impl Cycles {
    /// A cycle has come to be known, or more of the last one.
    pub(super) fn add(&mut self, cycle: Cycle) {
        if !cycle.is_in_order() {
            return;
        }
        if let Some(last) = self.newest.back_mut() {
            let ahead = cycle.number.wrapping_sub(last.number);
            if ahead > u32::MAX / 2 || last.is_over() && ahead == 0 {
                return;
            }
            if ahead == 0 {
                *last = cycle;
            } else {
                let unknown = u64::from(ahead - 1) + u64::from(!last.is_over());
                self.counts.cycles += unknown;
                self.counts.missed += unknown;
                last.cut();
            }
            if ahead > 0 {
                self.push(cycle);
            }
        } else {
            self.push(cycle);
        }
        if cycle.is_over() {
            self.count(&cycle);
        }
    }

    fn push(&mut self, cycle: Cycle) {
        if let Some(forgotten) = self.newest.push(cycle) {
            self.forgotten_until_ns = forgotten.end_ns;
        }
    }

    fn count(&mut self, cycle: &Cycle) {
        let counts = &mut self.counts;
        counts.cycles += 1;
        for phase in cycle.phases() {
            let ns = phase.to_ns - phase.from_ns;
            match phase.kind {
                PhaseKind::Mark => counts.mark_ns = counts.mark_ns.saturating_add(ns),
                PhaseKind::Stop => {
                    counts.stopped_ns = counts.stopped_ns.saturating_add(ns);
                    counts.longest_stop_ns = counts.longest_stop_ns.max(ns);
                }
            }
        }
    }

    /// What was counted since this was asked last.
    pub(super) fn take_counts(&mut self) -> CycleCounts {
        std::mem::take(&mut self.counts)
    }

    /// Those that a time overlaps, the last first.
    fn between(&self, from_ns: u64, to_ns: u64) -> impl Iterator<Item = &Cycle> {
        self.newest
            .iter()
            .rev()
            .skip_while(move |cycle| cycle.begin_ns >= to_ns)
            .take_while(move |cycle| cycle.until_ns() > from_ns)
    }

    /// The number of the one that was under way then.
    pub(super) fn at(&self, at_ns: u64) -> Option<u32> {
        let begun = self.newest.partition_point(|cycle| cycle.begin_ns <= at_ns);
        let last = self.newest.get(begun.checked_sub(1)?)?;
        (at_ns < last.until_ns()).then_some(last.number)
    }

    /// The parts of them that a time overlaps, the last first.
    pub(super) fn phases(&self, from_ns: u64, to_ns: u64) -> impl Iterator<Item = Phase> {
        self.between(from_ns, to_ns)
            .flat_map(Cycle::phases)
            .filter(move |phase| phase.from_ns < to_ns && phase.to_ns > from_ns)
    }

    /// Which of them a time overlaps.
    pub(super) fn overlap(&self, from_ns: u64, to_ns: u64) -> Option<GcOverlap> {
        let last = self.between(from_ns, to_ns).next()?.number;
        let mut overlap = GcOverlap {
            first: last,
            last,
            mark_ns: 0,
            stopped_ns: 0,
        };
        for phase in self.phases(from_ns, to_ns) {
            let sum = match phase.kind {
                PhaseKind::Mark => &mut overlap.mark_ns,
                PhaseKind::Stop => &mut overlap.stopped_ns,
            };
            // A recording can claim cycles at the same time.
            *sum = sum.saturating_add(phase.of(from_ns, to_ns));
            overlap.first = phase.cycle;
        }
        Some(overlap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Begins at this time; stops for 10, marks for 100, stops for 20.
    fn cycle(number: u32, begin_ns: u64) -> Cycle {
        Cycle {
            number,
            begin_ns,
            mark_ns: begin_ns + 10,
            marked_ns: begin_ns + 110,
            end_ns: begin_ns + 130,
        }
    }

    fn marking(number: u32, begin_ns: u64) -> Cycle {
        Cycle {
            marked_ns: 0,
            end_ns: 0,
            ..cycle(number, begin_ns)
        }
    }

    fn cycles(known: &[Cycle]) -> Cycles {
        let mut cycles = Cycles::default();
        known.iter().for_each(|&cycle| cycles.add(cycle));
        cycles
    }

    #[test]
    fn a_time_has_the_parts_that_it_overlaps_and_the_numbers_of_their_cycles() {
        let cycles = cycles(&[cycle(7, 1_000), cycle(8, 2_000), marking(9, 3_000)]);
        let phases = |from_ns, to_ns| -> Vec<_> {
            let phases = cycles.phases(from_ns, to_ns);
            phases
                .map(|phase| (phase.cycle, phase.kind, phase.from_ns))
                .collect()
        };
        let (stop, mark) = (PhaseKind::Stop, PhaseKind::Mark);
        assert_eq!(phases(0, 1_000), []);
        assert_eq!(
            phases(1_005, 2_001),
            [
                (8, stop, 2_000),
                (7, stop, 1_110),
                (7, mark, 1_010),
                (7, stop, 1_000)
            ]
        );
        assert_eq!(phases(2_130, 9_000), [(9, mark, 3_010), (9, stop, 3_000)]);
        let at = [999, 1_000, 1_130, 2_005, 9_000].map(|at_ns| cycles.at(at_ns));
        assert_eq!(at, [None, Some(7), None, Some(8), Some(9)]);
        let overlap = |first, last, mark_ns, stopped_ns| {
            Some(GcOverlap {
                first,
                last,
                mark_ns,
                stopped_ns,
            })
        };
        assert_eq!(cycles.overlap(0, 1_000), None);
        assert_eq!(cycles.overlap(1_020, 1_030), overlap(7, 7, 10, 0));
        assert_eq!(cycles.overlap(1_100, 2_005), overlap(7, 8, 10, 25));
        assert_eq!(
            cycles.overlap(3_020, 3_050),
            overlap(9, 9, 30, 0),
            "it marks still"
        );
    }

    #[test]
    fn each_is_counted_once_and_those_that_were_not_seen_as_missed() {
        let mut seen = cycles(&[
            marking(7, 1_000),
            cycle(7, 1_000),
            cycle(7, 1_000),
            cycle(10, 2_000),
        ]);
        let expected = CycleCounts {
            cycles: 4,
            missed: 2,
            mark_ns: 200,
            stopped_ns: 60,
            longest_stop_ns: 20,
            assist_ns: 0,
        };
        assert_eq!(seen.take_counts(), expected);
        assert_eq!(seen.take_counts(), CycleCounts::default());
        let mut cut = cycles(&[marking(7, 1_000), cycle(8, 2_000)]);
        let counts = cut.take_counts();
        assert_eq!(
            (counts.cycles, counts.missed),
            (2, 1),
            "nobody saw the end of the first"
        );
        let mut older = cycles(&[cycle(u32::MAX, 1_000), cycle(0, 2_000), cycle(u32::MAX, 1_000)]);
        assert_eq!(older.take_counts().cycles, 2);
    }

    #[test]
    fn times_that_are_in_no_order_are_no_cycle() {
        let mut wrong = [cycle(7, 1_000), cycle(7, 1_000), cycle(7, 0), marking(7, 1_000)];
        wrong[0].mark_ns = 1_200;
        wrong[1].end_ns = 0;
        wrong[3].mark_ns = 999;
        assert_eq!(cycles(&wrong).take_counts(), CycleCounts::default());
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let many: Vec<_> = (1..=MAX_CYCLES as u32 + 1)
            .map(|number| cycle(number, u64::from(number) * 1_000))
            .collect();
        let cycles = cycles(&many);
        assert_eq!(
            (cycles.newest.len(), cycles.forgotten_until_ns),
            (MAX_CYCLES, 1_130)
        );
    }
}
