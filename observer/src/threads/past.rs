//! The past of one thread: its slices in the order of time, with an index that crosses long intervals of work in few
//! steps. On a saturated worker a request waits behind the slices of all others, thousands of them.

use std::cell::Cell;
use std::collections::VecDeque;

use super::claim::Claim;
use super::index::{FAN, Index, SliceGroup};
use super::packed::{Packed, What};
use super::state::{Owner, Slice};
use super::thinned::{Intervals, LEAST, MOST};
use crate::model::id::Task;

/// The slices of one thread, the oldest first. Each begins where the one before it ended.
#[derive(Debug, Default)]
pub(super) struct Past {
    slices: VecDeque<Packed>,
    /// Start of the first slice, ns.
    pub(super) begins_ns: u64,
    /// Slices that were forgotten: the number of the first one that is left.
    pub(super) forgotten: usize,
    pub(super) index: Index,
    /// Number of the slice that was looked for last: the next one is mostly near it.
    looked_at: Cell<usize>,
    /// What is left of slices that were forgotten: it ends where these begin.
    pub(super) thinned: Intervals,
}

/// A slice in which a thread ran.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// Its place.
    pub(super) index: usize,
    /// Its end, ns.
    pub(super) to_ns: u64,
    pub(super) owner: Owner,
}

impl Past {
    /// Appends a slice. If it does not begin where the last one ended, that is what is known from now on.
    pub(super) fn push(&mut self, slice: &Slice) {
        if self.ends_ns() != slice.from_ns {
            self.forget(self.slices.len());
            self.thinned.clear();
            self.begins_ns = slice.from_ns;
        }
        let packed = Packed::new(slice);
        if let Some(last) = self.slices.back_mut()
            && last.is_nothing()
            && packed.is_nothing()
        {
            // While events are lost a saturated thread has thousands of these: those who wait behind it would each look
            // at all of them.
            last.to_ns = packed.to_ns;
            return;
        }
        if self.slices.len() == self.slices.capacity() {
            // Not twice as many: what is forgotten in one thread is room for another.
            self.slices.reserve_exact((self.slices.len() / 4).max(4));
        }
        self.slices.push_back(packed);
        let end = self.forgotten + self.slices.len();
        if end.is_multiple_of(FAN) {
            self.index.push(self.newest_block(), end);
        }
    }

    /// Sums up the last slices, which complete a block.
    fn newest_block(&self) -> SliceGroup {
        let mut block = SliceGroup::default();
        for index in (self.slices.len().saturating_sub(FAN)..self.slices.len()).rev() {
            block.mixed |= !self.prepend_to(&mut block, index, self.start_ns(index));
        }
        block
    }

    /// Adds a slice, which began at `from_ns`, to a block that begins with the next one, if it may be summed up.
    #[inline]
    pub(super) fn prepend_to(&self, block: &mut SliceGroup, index: usize, from_ns: u64) -> bool {
        block.prepend_slice(self.forgotten + index, &self.slices[index], from_ns)
    }

    /// Forgets the oldest slices.
    fn forget(&mut self, count: usize) {
        if let Some(last) = self.slices.drain(..count).next_back() {
            self.begins_ns = last.to_ns;
        }
        self.forgotten += count;
        self.index.forget_until(self.forgotten);
    }

    /// Sums up the oldest slices, which are about to be forgotten, as far as the thread was at work in them.
    fn thin_out(&mut self, count: usize) {
        if count == 0 {
            return;
        }
        if count < LEAST {
            self.thinned.clear();
        }
        for first in (0..count).step_by(MOST).filter(|_| count >= LEAST) {
            let end = count.min(first + MOST);
            let (block, from) = self.work_before(end, first);
            if from > first {
                self.thinned.clear();
            }
            if from < end {
                let longest = (block.longest_ns > 0).then(|| self.slice(block.longest - self.forgotten));
                let (from_ns, to_ns) = (self.start_ns(from), self.slices[end - 1].to_ns);
                self.thinned.push(&block, from_ns, to_ns, longest);
            }
        }
    }

    /// What the thread did before slice `end` since it was idle, but not before slice `first`, and its first slice.
    fn work_before(&self, mut end: usize, first: usize) -> (SliceGroup, usize) {
        let mut work = SliceGroup::default();
        let first_ns = self.start_ns(first);
        let wanted = |block: &SliceGroup| block.from_ns >= first_ns;
        while end > first {
            if let Some((number, block)) = self.index.before(self.forgotten + end, wanted) {
                work.prepend(block);
                end = number - self.forgotten;
            } else if self.prepend_to(&mut work, end - 1, self.start_ns(end - 1)) {
                end -= 1;
            } else {
                break;
            }
        }
        (work, end)
    }

    /// Forgets the slices that had ended by `until_ns`, and gives their memory back.
    pub(super) fn forget_until(&mut self, until_ns: u64) {
        let count = self.slices.partition_point(|slice| slice.to_ns <= until_ns);
        self.thin_out(count);
        self.forget(count);
        self.slices.shrink_to(2 * self.slices.len());
    }

    /// When each slice ended, ns.
    pub(super) fn ends(&self) -> impl ExactSizeIterator<Item = u64> + '_ {
        self.slices.iter().map(|slice| slice.to_ns)
    }

    /// When the last slice ended, ns.
    pub(super) fn ends_ns(&self) -> u64 {
        self.slices.back().map_or(self.begins_ns, |slice| slice.to_ns)
    }

    /// When a slice began, ns.
    pub(super) fn start_ns(&self, index: usize) -> u64 {
        index
            .checked_sub(1)
            .map_or(self.begins_ns, |before| self.slices[before].to_ns)
    }

    #[inline]
    pub(super) fn slice(&self, index: usize) -> Slice {
        self.slices[index].slice(self.start_ns(index))
    }

    /// Gives what the thread did since it was last idle to `owner`, as far as it is nobody's and of no other task than
    /// `task`.
    pub(super) fn claim_unowned(&mut self, owner: Owner, task: Task) {
        let its = owner.into();
        for slice in self.slices.iter_mut().rev() {
            let claim = slice.claim(task);
            if claim == Claim::Ends {
                return;
            }
            match &mut slice.what {
                What::Running { owner, .. } if claim.takes() => {
                    *owner = its;
                    if slice.task == Task::NONE {
                        slice.task = task;
                    }
                }
                What::Blocked { owner, .. } if claim.takes() => *owner = its,
                _ => {}
            }
            if claim == Claim::TakesLast {
                return;
            }
        }
    }

    /// What the thread did between two times was `owner`'s, whatever it waited for.
    pub(super) fn give_between(&mut self, from_ns: u64, to_ns: u64, owner: Owner) {
        let its = owner.into();
        let mut end = self.count_before(to_ns);
        while end > 0 && self.start_ns(end - 1) >= from_ns {
            end -= 1;
            match &mut self.slices[end].what {
                What::Running { owner, .. } | What::Unknown { owner } => *owner = its,
                What::Blocked { wait, owner, .. } => {
                    *owner = its;
                    *wait = wait.at_work();
                }
                What::Runnable { .. } => {}
            }
        }
    }

    /// Of the calls that the thread made for `owner` since it began to work for it, the owner is one of several.
    pub(super) fn mix_calls(&mut self, owner: Owner) {
        let believed = owner.into();
        for slice in self.slices.iter_mut().rev() {
            match &mut slice.what {
                What::Blocked { wait, owner, .. } if !wait.is_idle() && *owner == believed => {
                    *owner = Owner::Mixed.into();
                }
                What::Running { owner, .. } if *owner == believed => {}
                What::Runnable { .. } => {}
                _ => return,
            }
        }
    }

    /// Slices that begin before `at_ns` and in which the thread ran, the newest first: without a look at all that each
    /// says.
    pub(super) fn runs_from(&self, at_ns: u64) -> impl Iterator<Item = Run> {
        (0..self.count_before(at_ns)).rev().filter_map(|index| {
            let slice = &self.slices[index];
            let What::Running { owner, .. } = slice.what else {
                return None;
            };
            Some(Run {
                index,
                to_ns: slice.to_ns,
                owner: owner.into(),
            })
        })
    }

    /// The slices that end after `from_ns`, the oldest first.
    pub(super) fn from(&self, from_ns: u64) -> impl Iterator<Item = Slice> {
        let first = self.count_before(from_ns.saturating_add(1)).saturating_sub(1);
        (first..self.slices.len()).map(|index| self.slice(index))
    }

    /// How many slices begin before `at_ns`.
    pub(super) fn count_before(&self, at_ns: u64) -> usize {
        if at_ns <= self.begins_ns {
            return 0;
        }
        let is_over = |index: usize| self.slices[index].to_ns < at_ns;
        let near = self.looked_at.get().saturating_sub(self.forgotten);
        let over = count_over(self.slices.len(), near, is_over);
        self.looked_at.set(self.forgotten + over);
        // The next one is not over then, and has begun.
        (over + 1).min(self.slices.len())
    }
}

/// How many of so many slices are over, which are the first ones. What is asked for is mostly near what was asked for
/// before, and what is far apart in memory is slow to look at: it is looked for from there, in steps that double.
fn count_over(count: usize, near: usize, is_over: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high, mut step) = (0, count, 1);
    let near = near.min(count);
    let goes_back = near > 0 && !is_over(near - 1);
    if goes_back {
        high = near - 1;
    } else {
        low = near;
    }
    while low < high {
        let at = if goes_back {
            high.saturating_sub(step)
        } else {
            high.min(low + step) - 1
        };
        let over = is_over(at);
        if over {
            low = at + 1;
        } else {
            high = at;
        }
        if over == goes_back {
            break;
        }
        step *= 2;
    }
    while low < high {
        let middle = usize::midpoint(low, high);
        if is_over(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wherever_was_looked_before_as_many_are_over() {
        for count in [0, 1, 2, 7, 100] {
            for over in 0..=count {
                for near in 0..=count + 1 {
                    let found = count_over(count, near, |index| index < over);
                    assert_eq!(found, over, "of {count}, looked for from {near}");
                }
            }
        }
    }
}
