//! How much of a path a hypervisor had the CPU, as far as that is proved.
//!
//! Of a theft it is known between which two times it lies, and not where. A path that leads through the thread all that
//! time has all of it; one that leaves a part out may have missed as much of the theft as fits into that part. So of a
//! path's time on the thread nothing is stolen until the rest of that time, if it was all stolen, could no longer hold
//! the whole theft. What is charged is the least that can have been, whatever the steps in which the path was walked.

use crate::model::id::Tid;
use crate::threads::Theft;

/// Thefts in the time of one path, which is walked from its end back.
#[derive(Debug, Default)]
pub(super) struct Stolen {
    /// The last to end comes first.
    thefts: Vec<CrossedTheft>,
    /// So many of them are behind the walk.
    passed: usize,
}

/// A theft, and how much of the time in which it lies the path has led through its thread so far, ns.
#[derive(Debug)]
struct CrossedTheft {
    theft: Theft,
    walked_ns: u64,
}

impl CrossedTheft {
    /// How much of it the path has had at least, ns.
    fn proved_ns(&self) -> u64 {
        let Theft {
            from_ns,
            to_ns,
            stolen_ns,
            ..
        } = self.theft;
        let left_out_ns = (to_ns - from_ns).saturating_sub(self.walked_ns);
        stolen_ns.saturating_sub(left_out_ns)
    }
}

impl Stolen {
    /// Starts anew, with these thefts.
    pub(super) fn begin<'a>(&mut self, thefts: impl Iterator<Item = &'a Theft>) {
        self.passed = 0;
        self.thefts.clear();
        self.thefts
            .extend(thefts.map(|&theft| CrossedTheft { theft, walked_ns: 0 }));
        self.thefts
            .sort_by_key(|crossed| std::cmp::Reverse(crossed.theft.to_ns));
    }

    /// Whether there may be thefts that the walk has not passed yet.
    pub(super) fn is_ahead(&self) -> bool {
        self.passed < self.thefts.len()
    }

    /// The last theft of a thread that can have begun before `at_ns`, from where the walk only goes back.
    pub(super) fn last_before(&mut self, tid: Tid, at_ns: u64) -> Option<Theft> {
        self.pass(at_ns);
        let ahead = self.thefts[self.passed..].iter().map(|crossed| crossed.theft);
        ahead
            .into_iter()
            .find(|theft| theft.tid == tid && theft.from_ns < at_ns)
    }

    /// The path leads through a thread that runs, from `to_ns` back to `from_ns`. Gives the last part of that which was
    /// stolen; what is before that is still to be walked.
    pub(super) fn walk(&mut self, tid: Tid, from_ns: u64, to_ns: u64) -> Option<(u64, u64)> {
        self.pass(to_ns);
        for crossed in &mut self.thefts[self.passed..] {
            let theft = crossed.theft;
            let (first_ns, last_ns) = (theft.from_ns.max(from_ns), theft.to_ns.min(to_ns));
            if theft.to_ns <= from_ns {
                break;
            }
            if theft.tid != tid || first_ns >= last_ns {
                continue;
            }
            let before_ns = crossed.proved_ns();
            crossed.walked_ns += last_ns - first_ns;
            let stolen_ns = crossed.proved_ns() - before_ns;
            if stolen_ns > 0 {
                return Some((first_ns, first_ns + stolen_ns));
            }
        }
        None
    }

    /// What can only have begun at `at_ns` or later is not met again.
    fn pass(&mut self, at_ns: u64) {
        let ahead = &self.thefts[self.passed..];
        self.passed += ahead
            .iter()
            .take_while(|crossed| crossed.theft.from_ns >= at_ns)
            .count();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TID: Tid = Tid(7);
    const OTHER: Tid = Tid(8);

    fn theft(from_ns: u64, to_ns: u64, stolen_ns: u64) -> Theft {
        Theft {
            tid: TID,
            from_ns,
            to_ns,
            stolen_ns,
        }
    }

    /// How much of a path through these steps was stolen.
    fn walk(thefts: &[Theft], steps: &[(Tid, u64, u64)]) -> u64 {
        let mut stolen = Stolen::default();
        stolen.begin(thefts.iter());
        let mut total_ns = 0;
        for &(tid, from_ns, mut to_ns) in steps {
            while let Some((first_ns, last_ns)) = stolen.walk(tid, from_ns, to_ns) {
                assert!(from_ns <= first_ns && first_ns < last_ns && last_ns <= to_ns);
                total_ns += last_ns - first_ns;
                to_ns = first_ns;
            }
        }
        total_ns
    }

    #[test]
    fn a_path_that_covers_a_theft_has_all_of_it_in_however_many_steps() {
        let thefts = [theft(100, 200, 30), theft(300, 310, 10)];
        assert_eq!(walk(&thefts, &[(TID, 0, 400)]), 40);
        let steps: Vec<_> = (0..400).rev().map(|at_ns| (TID, at_ns, at_ns + 1)).collect();
        assert_eq!(walk(&thefts, &steps), 40);
    }

    #[test]
    fn a_path_that_leaves_out_a_part_has_what_does_not_fit_there() {
        let thefts = [theft(100, 200, 30)];
        assert_eq!(walk(&thefts, &[(TID, 120, 200)]), 10);
        assert_eq!(walk(&thefts, &[(TID, 100, 180)]), 10);
        assert_eq!(walk(&thefts, &[(TID, 110, 190)]), 10);
        assert_eq!(walk(&thefts, &[(TID, 160, 200), (TID, 100, 140)]), 10);
        assert_eq!(walk(&thefts, &[(TID, 140, 200)]), 0);
    }

    #[test]
    fn what_was_taken_from_one_thread_was_not_taken_from_another() {
        assert_eq!(walk(&[theft(100, 200, 30)], &[(OTHER, 0, 400)]), 0);
    }

    #[test]
    fn the_last_theft_before_a_time_is_the_one_that_can_still_be_met() {
        let mut stolen = Stolen::default();
        let thefts = [theft(100, 200, 30), theft(300, 310, 10)];
        stolen.begin(thefts.iter());
        assert_eq!(stolen.last_before(TID, 305), Some(thefts[1]));
        assert_eq!(stolen.last_before(OTHER, 305), None);
        assert_eq!(stolen.last_before(TID, 300), Some(thefts[0]));
        assert_eq!(stolen.last_before(TID, 100), None);
    }
}
