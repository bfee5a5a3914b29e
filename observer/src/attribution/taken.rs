//! How much of a path the language's runtime took: what a request waited through while the world was stopped, or for
//! what its goroutine says that only marking has.

use super::path::Reason;
use crate::model::request::RuntimeWork;
use crate::runtime::go::{Phase, PhaseKind};
use crate::syscall;

/// What Go's runtime does that every goroutine waits for.
const STOP: &str = "stop of the world";

/// What the runtime did in the time of one path, which is walked from its end back.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// The last first.
    phases: Vec<Phase>,
    /// So many of them are behind the walk.
    passed: usize,
}

impl Taken {
    /// Starts anew, with these phases.
    pub(super) fn begin(&mut self, phases: impl Iterator<Item = Phase>) {
        self.passed = 0;
        self.phases.clear();
        self.phases.extend(phases);
    }

    /// For this reason nothing was done from `from_ns` to `to_ns`. Gives the last part of that which the runtime took,
    /// and what it did; what is before that is still to be walked.
    pub(super) fn walk(
        &mut self,
        reason: &Reason,
        from_ns: u64,
        to_ns: u64,
    ) -> Option<(u64, u64, RuntimeWork)> {
        let ahead = self.phases[self.passed..].iter();
        self.passed += ahead.take_while(|phase| phase.from_ns >= to_ns).count();
        let ahead = self.phases[self.passed..].iter();
        let mut within = ahead.take_while(|phase| phase.to_ns > from_ns);
        within.find_map(|phase| {
            let what = through(reason, phase, from_ns, to_ns)?;
            let (first_ns, last_ns) = (phase.from_ns.max(from_ns), phase.to_ns.min(to_ns));
            let cycle = Some(phase.cycle);
            // In a recording they can stand in any order.
            (first_ns < last_ns).then_some((first_ns, last_ns, RuntimeWork { what, cycle }))
        })
    }
}

/// What a request waited for in a phase, if this is why nothing was done for it.
fn through(reason: &Reason, phase: &Phase, from_ns: u64, to_ns: u64) -> Option<&'static str> {
    match (*reason, phase.kind) {
        (Reason::Idle(_) | Reason::IdleInMark(..), PhaseKind::Stop) => Some(STOP),
        (Reason::IdleInMark(_, what), PhaseKind::Mark) => Some(what),
        // Who stops the world waits for the others to stop.
        (Reason::Blocked(call), PhaseKind::Stop) => {
            let is_inside = phase.from_ns <= from_ns && to_ns <= phase.to_ns;
            (is_inside && syscall::is_futex(call.syscall)).then_some(STOP)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(kind: PhaseKind, from_ns: u64, to_ns: u64) -> Phase {
        Phase {
            kind,
            from_ns,
            to_ns,
            cycle: 12,
        }
    }

    /// The parts of a time that were taken, the last first.
    fn taken(reason: Reason, phases: &[Phase], from_ns: u64, mut to_ns: u64) -> Vec<(u64, u64)> {
        let mut taken = Taken::default();
        taken.begin(phases.iter().copied());
        let mut parts = Vec::new();
        while let Some((first_ns, last_ns, _)) = taken.walk(&reason, from_ns, to_ns) {
            parts.push((first_ns, last_ns));
            to_ns = first_ns;
        }
        parts
    }

    #[test]
    fn what_was_waited_through_is_taken_as_far_as_it_lies_in_a_phase() {
        let phases = [
            phase(PhaseKind::Stop, 300, 320),
            phase(PhaseKind::Mark, 120, 300),
            phase(PhaseKind::Stop, 100, 120),
        ];
        let idle = Reason::Idle("idle");
        assert_eq!(taken(idle, &phases, 0, 1_000), [(300, 320), (100, 120)]);
        assert_eq!(taken(idle, &phases, 110, 310), [(300, 310), (110, 120)]);
        let assists = Reason::IdleInMark("assists", "mark assist");
        assert_eq!(
            taken(assists, &phases, 110, 305),
            [(300, 305), (120, 300), (110, 120)]
        );
        assert_eq!(taken(Reason::Note("not seen"), &phases, 0, 1_000), []);
    }

    #[test]
    fn phases_in_no_order_take_nothing_twice() {
        let phases = [phase(PhaseKind::Stop, 10, 50), phase(PhaseKind::Stop, 100, 200)];
        assert_eq!(taken(Reason::Idle("idle"), &phases, 0, 150), [(10, 50)]);
    }
}
