//! What of a wait is charged by sums and not slice by slice: what is short, and what was long ago.

use super::super::path::{Charge, Keep, Path, Reason, Step};
use super::{BEHIND_MANY, MAX_REPORTED, WaitWalk};
use crate::model::cause::Cause;
use crate::model::id::Pid;
use crate::threads::{Back, Crossed, Interval, Slice, State, Thinned};

impl WaitWalk<'_, '_> {
    /// What may be charged in one step, if anything, and not before when, ns.
    fn crossed(&self, path: &mut Path) -> Option<(u64, Crossed)> {
        let crossed = match path.keep() {
            Keep::Sums => Crossed::Work {
                longest_ns: path.longest_wait_ns(),
            },
            Keep::Steps if self.steps < MAX_REPORTED => return None,
            Keep::Steps => Crossed::ShortRuns {
                below_ns: self.reported_from_ns,
            },
        };
        let cursor_ns = path.cursor_ns();
        // Up to a theft, and then through it only while the thread runs: that is what is stolen from.
        let (since_ns, crossed) = match path.last_theft(self.tid) {
            Some(theft) if theft.to_ns < path.cursor_ns() => (theft.to_ns, crossed),
            Some(theft) => (theft.from_ns, crossed.only_runs()),
            None => (0, crossed),
        };
        let free_since_ns = path.taken().free_since_ns(cursor_ns)?;
        Some((since_ns.max(self.ready_ns).max(free_since_ns), crossed))
    }

    /// As many slices as are not to be reported by themselves, if any.
    pub(super) fn interval(&self, back: &mut Back<'_>, path: &mut Path) -> Option<Interval> {
        if !(self.unread && self.none_of_ours_left) {
            return None;
        }
        let (since_ns, crossed) = self.crossed(path)?;
        back.interval(since_ns, crossed)
    }

    /// What is left of slices that were forgotten, if none of them can be the request's own.
    pub(super) fn thinned(&mut self, back: &mut Back<'_>) -> Option<Thinned> {
        self.steps += 1;
        (self.unread && self.none_of_ours_left).then(|| back.thinned(self.ready_ns))?
    }

    /// Charges that by sums.
    pub(super) fn pass_thinned(&self, pid: Pid, thinned: &Thinned, path: &mut Path) {
        if thinned.inferred {
            path.mark_inferred();
        }
        let [busy, blocked] = [Cause::WorkerBusy, Cause::WorkerBlocked].map(|cause| self.instead_of(cause));
        path.charge_thinned(self.tid, thinned.from_ns, thinned.sums, busy, blocked);
        if let Some(longest) = &thinned.longest {
            let longest = self.wait_in(pid, longest);
            path.consider(longest.from_ns, longest.to_ns, &longest.charge);
        }
    }

    /// Charges these in one step. The longest of them is still considered as the longest wait.
    pub(super) fn pass_interval(&self, pid: Pid, interval: &Interval, back: &Back<'_>, path: &mut Path) {
        if interval.inferred {
            path.mark_inferred();
        }
        let keeps_steps = path.keep() == Keep::Steps;
        if !keeps_steps {
            let [busy, blocked] =
                [Cause::WorkerBusy, Cause::WorkerBlocked].map(|cause| self.instead_of(cause));
            path.charge_sums(self.tid, interval.from_ns, interval.sums, busy, blocked);
            if interval.longest_ns <= path.longest_wait_ns() {
                return;
            }
        }
        let longest = self.wait_in(pid, &back.longest(interval));
        if keeps_steps {
            // A thread that runs on stays on its CPU.
            let charge = Charge {
                reason: BEHIND_MANY,
                ..longest.charge
            };
            path.charge(interval.from_ns, charge);
        }
        path.consider(longest.from_ns, longest.to_ns, &longest.charge);
    }

    /// What of a slice is a wait, and for what.
    fn wait_in(&self, pid: Pid, slice: &Slice) -> Step {
        let mut from_ns = slice.from_ns;
        let charge = match slice.state {
            State::Running { cpu, owner, .. } => {
                let reason = Reason::RanFor(owner, slice.task);
                Charge::on(self.tid, Some(cpu), self.instead_of(Cause::WorkerBusy), reason)
            }
            State::Blocked(block) => self.blocked(pid, &block, slice.task),
            State::Runnable {
                behind, throttled_ns, ..
            } => {
                from_ns = from_ns.saturating_add(throttled_ns);
                Charge::on(self.tid, None, Cause::RunQueue, Reason::Occupied(behind))
            }
            State::Unknown { .. } => Charge::on(self.tid, None, Cause::Unexplained, Reason::Plain),
        };
        Step {
            from_ns,
            to_ns: slice.to_ns,
            charge,
        }
    }
}
