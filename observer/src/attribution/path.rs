//! The path of one request, filled from its end to its start.
//!
//! The only place that makes steps: each begins where the one found before it began, so that they have no gap
//! and no overlap whatever the walk does, and what the walk leaves over is unexplained. A step holds what its
//! evidence *is*; names for people are looked up by [`super::names`], where somebody reads them.

use super::account::Account;
pub(super) use super::charge::{Call, Charge, Reason};
use super::notes;
use super::stolen::Stolen;
use super::taken::Taken;
use crate::model::cause::{Budget, Cause};
use crate::model::id::Tid;
use crate::threads::{Sums, Theft};

/// One interval of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) from_ns: u64,
    pub(super) to_ns: u64,
    pub(super) charge: Charge,
}

impl Step {
    pub(super) fn dur_ns(&self) -> u64 {
        self.to_ns - self.from_ns
    }
}

/// What a path keeps besides its sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// Nothing: the request is only counted. At saturation a request waits behind dozens of others, and keeping
    /// each step costs more than finding it.
    #[default]
    Sums,
    /// Every step, for the timeline.
    Steps,
}

/// The path of a request, from its end as far back as it was walked.
#[derive(Debug, Default)]
pub(super) struct Path {
    keep: Keep,
    since_ns: u64,
    cursor_ns: u64,
    stolen: Stolen,
    taken: Taken,
    account: Account,
}

impl Path {
    /// Starts anew: from `since_ns` to `end_ns`, of which nothing is charged yet, with the `thefts` of that time. What
    /// the language's runtime took of it is [`taken_mut`](Self::taken_mut)'s to begin with.
    pub(super) fn begin<'a>(
        &mut self,
        since_ns: u64,
        end_ns: u64,
        keep: Keep,
        thefts: impl Iterator<Item = &'a Theft>,
    ) {
        self.keep = keep;
        self.since_ns = since_ns;
        self.cursor_ns = end_ns;
        self.stolen.begin(thefts);
        self.taken.clear();
        self.account.clear();
    }

    /// What the language's runtime took in the time of the path.
    pub(super) fn taken(&self) -> &Taken {
        &self.taken
    }

    /// The same, to begin with it.
    pub(super) fn taken_mut(&mut self) -> &mut Taken {
        &mut self.taken
    }

    /// What was found out.
    pub(super) fn account(&mut self) -> &mut Account {
        &mut self.account
    }

    /// Nothing before this is charged, ns.
    pub(super) fn since_ns(&self) -> u64 {
        self.since_ns
    }

    /// What is kept.
    pub(super) fn keep(&self) -> Keep {
        self.keep
    }

    /// Everything from here on is charged.
    pub(super) fn cursor_ns(&self) -> u64 {
        self.cursor_ns
    }

    /// Something needed was not seen.
    pub(super) fn mark_partial(&mut self) {
        self.account.partial = true;
    }

    pub(super) fn is_partial(&self) -> bool {
        self.account.partial
    }

    /// For whom a thread worked is inferred from the order of events.
    pub(super) fn mark_inferred(&mut self) {
        self.account.inferred = true;
    }

    pub(super) fn is_inferred(&self) -> bool {
        self.account.inferred
    }

    /// Adds page faults that happened on the path.
    pub(super) fn add_faults(&mut self, faults: (u32, u32)) {
        self.account.faults.0 += u64::from(faults.0);
        self.account.faults.1 += u64::from(faults.1);
    }

    pub(super) fn faults(&self) -> (u64, u64) {
        self.account.faults
    }

    /// Charges from `from_ns` (not before the path's start) to the cursor, and moves the cursor there.
    pub(super) fn charge(&mut self, from_ns: u64, charge: Charge) {
        self.charge_both(from_ns, &charge, &charge);
    }

    /// The same, where the timeline says something else: which requests are written must not change what is counted.
    pub(super) fn charge_reporting(&mut self, from_ns: u64, charge: Charge, reported: Reason) {
        let reported = Charge {
            reason: reported,
            ..charge
        };
        self.charge_both(from_ns, &charge, &reported);
    }

    /// The same for both: what is counted, and what the timeline says.
    #[inline]
    fn charge_both(&mut self, from_ns: u64, charge: &Charge, reported: &Charge) {
        let from_ns = from_ns.max(self.since_ns);
        if from_ns < self.cursor_ns {
            self.charge_with_what_was_taken(from_ns, charge, reported);
        }
    }

    fn charge_with_what_was_taken(&mut self, from_ns: u64, charge: &Charge, reported: &Charge) {
        while self.taken.is_ahead()
            && let Some((first_ns, last_ns, instead)) = self.taken.walk(charge, from_ns, self.cursor_ns)
        {
            self.charge_with_thefts(last_ns, charge, reported);
            self.charge_with_thefts(first_ns, &instead, &instead);
        }
        self.charge_with_thefts(from_ns, charge, reported);
    }

    /// The same of time that the language's runtime did not take, or that it did: what is left to take is the
    /// hypervisor's.
    fn charge_with_thefts(&mut self, from_ns: u64, charge: &Charge, reported: &Charge) {
        if from_ns >= self.cursor_ns {
            return;
        }
        // All of it was waited for, also what a hypervisor took of it.
        self.consider(from_ns, self.cursor_ns, charge);
        if let Some(tid) = charge.tid.filter(|_| self.stolen.is_ahead() && charge.runs()) {
            while let Some((first_ns, last_ns)) = self.stolen.walk(tid, from_ns, self.cursor_ns) {
                self.charge_piece(last_ns, reported);
                let stolen = Charge {
                    cause: Cause::Stolen,
                    reason: Reason::Plain,
                    ..*charge
                };
                self.charge_piece(first_ns, &stolen);
            }
        }
        self.charge_piece(from_ns, reported);
    }

    fn charge_piece(&mut self, from_ns: u64, charge: &Charge) {
        if from_ns >= self.cursor_ns {
            return;
        }
        let to_ns = self.cursor_ns;
        self.cursor_ns = from_ns;
        self.account.budget.charge(charge.cause, to_ns - from_ns);
        if self.keep == Keep::Steps {
            self.keep_step(Step {
                from_ns,
                to_ns,
                charge: *charge,
            });
        }
    }

    /// The last theft from a thread that can have begun before the cursor.
    pub(super) fn last_theft(&mut self, tid: Tid) -> Option<Theft> {
        self.stolen.last_before(tid, self.cursor_ns)
    }

    /// Charges from `from_ns` to the cursor in one step what a worker did, of which only sums are known: what it ran to
    /// `busy`, what it was blocked to `blocked`. Where there is a theft it did nothing but run.
    pub(super) fn charge_sums(&mut self, tid: Tid, from_ns: u64, sums: Sums, busy: Cause, blocked: Cause) {
        let Sums {
            ran_ns,
            runnable_ns,
            throttled_ns,
            blocked_ns,
        } = sums;
        let mut left_ns = self.cursor_ns.saturating_sub(from_ns);
        let (mut to_ns, mut stolen_ns) = (self.cursor_ns, 0);
        while let Some((first_ns, last_ns)) = self.stolen.walk(tid, from_ns, to_ns) {
            stolen_ns += last_ns - first_ns;
            to_ns = first_ns;
        }
        self.cursor_ns = self.cursor_ns.min(from_ns);
        for (cause, ns) in [
            (Cause::Stolen, stolen_ns),
            (busy, ran_ns.saturating_sub(stolen_ns)),
            (Cause::RunQueue, runnable_ns),
            (Cause::Throttled, throttled_ns),
            (blocked, blocked_ns),
        ] {
            let ns = ns.min(left_ns);
            self.account.budget.charge(cause, ns);
            left_ns -= ns;
        }
        self.account.budget.charge(Cause::Unexplained, left_ns);
    }

    /// Charges from `from_ns` to the cursor what worker `tid` did, of which only sums are known, and not when: what it
    /// ran to `busy`, what it was blocked to `blocked`. What was stolen meanwhile is not proved.
    pub(super) fn charge_thinned(&mut self, tid: Tid, from_ns: u64, sums: Sums, busy: Cause, blocked: Cause) {
        let Sums {
            ran_ns,
            runnable_ns,
            throttled_ns,
            blocked_ns,
        } = sums;
        for (cause, ns) in [
            (blocked, blocked_ns),
            (Cause::Throttled, throttled_ns),
            (Cause::RunQueue, runnable_ns),
            (busy, ran_ns),
        ] {
            let since_ns = self.cursor_ns.saturating_sub(ns).max(from_ns).max(self.since_ns);
            self.charge_piece(
                since_ns,
                &Charge::on(tid, None, cause, Reason::Note(notes::SUMMED_UP)),
            );
        }
    }

    /// Takes what was waited for from `from_ns` to `to_ns` for the longest wait, if it is and says what for.
    pub(super) fn consider(&mut self, from_ns: u64, to_ns: u64, charge: &Charge) {
        let longest = match charge.reason {
            Reason::Plain | Reason::Note(_) => return,
            reason if reason.is_idle() && charge.cause == Cause::Unexplained => {
                &mut self.account.longest_idle
            }
            _ => &mut self.account.longest_wait,
        };
        if to_ns - from_ns > longest.map_or(0, |longest| longest.dur_ns()) {
            *longest = Some(Step {
                from_ns,
                to_ns,
                charge: *charge,
            });
        }
    }

    /// Length of the longest step so far that says what was waited for, ns.
    pub(super) fn longest_wait_ns(&self) -> u64 {
        self.account.longest_wait.map_or(0, |longest| longest.dur_ns())
    }

    fn keep_step(&mut self, step: Step) {
        match self.account.steps.last_mut() {
            Some(later) if later.charge == step.charge && later.from_ns == step.to_ns => {
                later.from_ns = step.from_ns;
            }
            _ => self.account.steps.push(step),
        }
    }

    /// Charges what is left. After it the budget sums to the latency.
    pub(super) fn end(&mut self) {
        let charge = Charge::unexplained(None, "the walk ended before the arrival");
        self.charge(self.since_ns, charge);
    }

    /// The sum of the steps by cause.
    pub(super) fn budget(&self) -> Budget {
        self.account.budget
    }

    /// The longest step that says what was waited for.
    pub(super) fn longest_wait(&self) -> Option<&Step> {
        self.account.longest_wait.as_ref()
    }

    /// The longest time on no thread of which no event says what for, if nothing was waited for longer.
    pub(super) fn longest_idle(&self) -> Option<&Step> {
        let longest = self.account.longest_idle.as_ref();
        longest.filter(|idle| idle.dur_ns() > self.longest_wait_ns())
    }

    /// The steps in the order of time, if they were kept.
    pub(super) fn steps(&self) -> impl Iterator<Item = &Step> {
        self.account.steps.iter().rev()
    }
}
