//! What was found out about an interval of a request, put together from parts, and summed up where it has become long.

use super::notes;
use super::path::{Charge, Reason, Step};
use crate::model::cause::{Budget, Cause};

/// What was found out about an interval of a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    pub(super) budget: Budget,
    pub(super) longest_wait: Option<Step>,
    /// The longest time on no thread, for nothing that an event says.
    pub(super) longest_idle: Option<Step>,
    /// The last one first.
    pub(super) steps: Vec<Step>,
    pub(super) faults: (u64, u64),
    pub(super) partial: bool,
    pub(super) inferred: bool,
}

impl Account {
    /// Nothing is found out yet.
    pub(super) fn clear(&mut self) {
        let mut steps = std::mem::take(&mut self.steps);
        steps.clear();
        *self = Self {
            steps,
            ..Self::default()
        };
    }

    /// Adds what was found out about the interval before.
    pub(super) fn prepend(&mut self, before: &Self) {
        self.budget.add(&before.budget);
        for (longest, of_before) in [
            (&mut self.longest_wait, before.longest_wait),
            (&mut self.longest_idle, before.longest_idle),
        ] {
            let longest_ns = |step: &Option<Step>| step.map_or(0, |step| step.dur_ns());
            if longest_ns(&of_before) > longest_ns(longest) {
                *longest = of_before;
            }
        }
        self.steps.extend_from_slice(&before.steps);
        self.faults.0 += before.faults.0;
        self.faults.1 += before.faults.1;
        self.partial |= before.partial;
        self.inferred |= before.inferred;
    }

    /// Makes one step of all that are charged to the same cause, the causes in their order.
    pub(super) fn sum_up(&mut self) {
        let Some(first) = self.steps.last() else { return };
        let mut from_ns = first.from_ns;
        let mut sums: Vec<Step> = Vec::new();
        for cause in Cause::ALL {
            let of_cause = || self.steps.iter().filter(|step| step.charge.cause == cause);
            let to_ns = from_ns + of_cause().map(Step::dur_ns).sum::<u64>();
            if to_ns > from_ns {
                let charge = Charge::of(cause, Reason::Note(notes::SUMMED_UP));
                sums.push(Step {
                    from_ns,
                    to_ns,
                    charge,
                });
                from_ns = to_ns;
            }
        }
        sums.reverse();
        self.steps = sums;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(from_ns: u64, to_ns: u64, cause: Cause) -> Step {
        let charge = Charge::of(cause, Reason::Plain);
        Step {
            from_ns,
            to_ns,
            charge,
        }
    }

    #[test]
    fn what_is_summed_up_has_the_same_sums_without_gap_and_is_a_step_of_each_cause() {
        let mut account = Account::default();
        for number in (0..100).rev() {
            let at_ns = 1_000 + 10 * number;
            account.steps.push(step(at_ns + 7, at_ns + 10, Cause::OnCpu));
            account.steps.push(step(at_ns, at_ns + 7, Cause::RunQueue));
        }
        account.sum_up();
        let note = Reason::Note(notes::SUMMED_UP);
        let expected = [(1_700, 2_000, Cause::OnCpu), (1_000, 1_700, Cause::RunQueue)];
        let steps = account.steps.iter();
        let steps: Vec<_> = steps
            .map(|step| (step.from_ns, step.to_ns, step.charge.cause))
            .collect();
        assert_eq!(steps, expected);
        assert!(account.steps.iter().all(|step| step.charge.reason == note));
        let later = Account {
            steps: vec![step(2_000, 2_010, Cause::OnCpu)],
            ..Account::default()
        };
        let mut both = later;
        both.prepend(&account);
        both.sum_up();
        assert_eq!(both.steps.len(), 2);
        assert_eq!(both.steps[1].from_ns, 1_000);
        assert_eq!(both.steps[0].to_ns, 2_010);
    }
}
