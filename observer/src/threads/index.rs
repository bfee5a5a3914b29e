//! What a thread did in runs of its slices, so that a long interval is crossed in few steps.
//!
//! A tree, of which only complete blocks are there: eight slices make a block, eight blocks one of the next level.
//! Slices belong to blocks by their number.

use std::collections::VecDeque;

use super::packed::{Packed, What};

/// Slices in a block of the lowest level, and blocks in one of the next: two to this power.
const FAN_BITS: u32 = 3;

pub(super) const FAN: usize = 1 << FAN_BITS;

/// Slices in a block of each level. At saturation a request waits behind twice as many slices as there are clients.
const SIZES: [usize; 3] = [FAN, FAN * FAN, FAN * FAN * FAN];

/// What a thread that was at work did for how long, ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// It ran.
    pub ran_ns: u64,
    /// It could have run.
    pub runnable_ns: u64,
    /// A CPU quota kept it from running.
    pub throttled_ns: u64,
    /// It was blocked in a call.
    pub blocked_ns: u64,
}

impl Sums {
    /// All of it, ns.
    #[must_use]
    pub const fn total_ns(self) -> u64 {
        self.ran_ns + self.runnable_ns + self.throttled_ns + self.blocked_ns
    }

    /// Both together.
    pub(super) const fn plus(self, other: Self) -> Self {
        Self {
            ran_ns: self.ran_ns + other.ran_ns,
            runnable_ns: self.runnable_ns + other.runnable_ns,
            throttled_ns: self.throttled_ns + other.throttled_ns,
            blocked_ns: self.blocked_ns + other.blocked_ns,
        }
    }
}

/// What is known of a run of slices.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SliceGroup {
    /// Start of the first one, ns.
    pub(super) from_ns: u64,
    pub(super) sums: Sums,
    /// Number of the slice that can be reported as the longest wait, the last one of those, and how long, ns.
    pub(super) longest: usize,
    pub(super) longest_ns: u64,
    /// Where several had a CPU for which the thread waited, they are reported one by one: none of them for longer than
    /// this, ns.
    pub(super) several_ns: u64,
    /// It holds what may not be summed up: the thread was idle or waited for a global lock, or what it did is unknown
    /// or forgotten.
    pub(super) mixed: bool,
    /// It is not known all the time in which runtime task the thread was, or that it was in none or between two.
    pub(super) inferred: bool,
}

impl SliceGroup {
    /// Adds the slice of this number and start before what is there, if it may be summed up.
    #[inline]
    pub(super) fn prepend_slice(&mut self, number: usize, slice: &Packed, from_ns: u64) -> bool {
        let ns = slice.to_ns - from_ns;
        let mut reported_ns = ns;
        match slice.what {
            What::Running { .. } => self.sums.ran_ns += ns,
            What::Blocked { wait, .. } if wait.is_summed_up() => self.sums.blocked_ns += ns,
            What::Runnable {
                behind_ran_ns,
                throttled_ns,
                ..
            } => {
                let throttled_ns = throttled_ns.min(ns);
                reported_ns = ns - throttled_ns;
                self.sums.throttled_ns += throttled_ns;
                self.sums.runnable_ns += reported_ns;
                if behind_ran_ns < reported_ns {
                    let before_ns = reported_ns - behind_ran_ns;
                    self.several_ns = self.several_ns.max(behind_ran_ns).max(before_ns);
                    reported_ns = 0;
                }
            }
            _ => return false,
        }
        self.from_ns = from_ns;
        self.inferred |= slice.is_inferred();
        self.consider(number, reported_ns);
        true
    }

    /// Adds a block before what is there.
    pub(super) fn prepend(&mut self, block: &Self) {
        self.from_ns = block.from_ns;
        self.sums = self.sums.plus(block.sums);
        self.mixed |= block.mixed;
        self.inferred |= block.inferred;
        self.several_ns = self.several_ns.max(block.several_ns);
        self.consider(block.longest, block.longest_ns);
    }

    fn consider(&mut self, number: usize, ns: u64) {
        if ns > self.longest_ns {
            self.longest = number;
            self.longest_ns = ns;
        }
    }

    /// Whether the thread ran throughout, in slices that are each shorter than this, ns.
    pub(super) fn ran_shorter_than(&self, ns: u64) -> bool {
        let Sums {
            ran_ns: _,
            runnable_ns,
            throttled_ns,
            blocked_ns,
        } = self.sums;
        self.longest_ns < ns && (runnable_ns, throttled_ns, blocked_ns) == (0, 0, 0)
    }
}

/// The blocks of a thread's slices.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The complete blocks of each level, from the one in which the first slice is that was not forgotten.
    levels: [VecDeque<SliceGroup>; SIZES.len()],
    /// Number of that slice.
    first: usize,
}

impl Index {
    /// Adds a block of the lowest level, which ends before the slice with number `end`.
    pub(super) fn push(&mut self, mut block: SliceGroup, end: usize) {
        for (level, size) in SIZES.into_iter().enumerate() {
            if !end.is_multiple_of(size) {
                return;
            }
            if level > 0 {
                block = SliceGroup::default();
                let parts = self.levels[level - 1].iter().rev().take(FAN);
                parts.for_each(|part| block.prepend(part));
            }
            // Of one that was forgotten in part before it was complete, not all is known.
            block.mixed |= end < self.first + size;
            self.levels[level].push_back(block);
        }
    }

    /// Forgets what is before the slice with this number.
    pub(super) fn forget_until(&mut self, first: usize) {
        if first / FAN > self.first / FAN {
            for (blocks, size) in self.levels.iter_mut().zip(SIZES) {
                let forgotten = (first / size - self.first / size).min(blocks.len());
                blocks.drain(..forgotten);
            }
        }
        self.first = first;
    }

    /// The longest block before the slice with number `end` that may be summed up and is `wanted`, with the number of
    /// its first slice. The blocks that it is made of must be wanted too.
    pub(super) fn before(
        &self,
        end: usize,
        wanted: impl Fn(&SliceGroup) -> bool,
    ) -> Option<(usize, &SliceGroup)> {
        let mut found = None;
        for (bits, blocks) in (FAN_BITS..).step_by(FAN_BITS as usize).zip(&self.levels) {
            let size = 1 << bits;
            if !end.is_multiple_of(size) || end < self.first + size {
                break;
            }
            match blocks.get((end >> bits) - 1 - (self.first >> bits)) {
                Some(block) if !block.mixed && wanted(block) => found = Some((end - size, block)),
                _ => break,
            }
        }
        found
    }
}
