//! What is asked of a thread's past: what it did, for whom, and when last.

use super::back::{Back, Crossed};
use super::past::Run;
use super::state::{Block, Owner, Slice, State};
use super::thread::Thread;
use crate::model::id::{RequestId, Task};
use crate::syscall::{self, Wait};

/// Who runs for less than this between two waits only had a look, ns.
const LOOK_NS: u64 = 200_000;

/// Slices that are looked at for a wait at a futex, at most.
const MAX_SLICES: usize = 64;

const ANY_WORK: Crossed = Crossed::Work { longest_ns: u64::MAX };

impl Thread {
    /// When each slice of the past ended, ns.
    pub(super) fn ends(&self) -> impl ExactSizeIterator<Item = u64> + '_ {
        self.facts.past.ends()
    }

    /// The slices that are over and in which it ran, from `at_ns` back.
    pub(super) fn runs_from(&self, at_ns: u64) -> impl Iterator<Item = Run> + '_ {
        self.facts.past.runs_from(at_ns)
    }

    /// The slices from `at_ns` back, as far as they follow each other without gap. The first is the one in
    /// which the thread was just before `at_ns`; a slice that is not over reaches to `at_ns`.
    pub fn back_from(&self, at_ns: u64) -> Back<'_> {
        self.facts.back_from(at_ns, self.belief.task)
    }

    /// The slice in which the thread was just before `at_ns`. A slice that is not over reaches to `at_ns`.
    #[must_use]
    pub fn before(&self, at_ns: u64) -> Option<Slice> {
        self.back_from(at_ns).next()
    }

    /// When it left a goroutine that it began to run at `since_ns`, as far as it has.
    #[must_use]
    pub fn left(&self, task: Task, since_ns: u64) -> Option<u64> {
        let its = self
            .facts
            .past
            .from(since_ns)
            .take_while(|slice| slice.task == task);
        its.last().map(|slice| slice.to_ns)
    }

    /// Whether the thread waited like this right before `slice`, in which it was blocked, or waits so right after it:
    /// for the same request and the same thing, at which it had only a look.
    #[must_use]
    pub fn waits_again(&self, slice: &Slice, block: &Block) -> bool {
        is_waited_like(block, self.back_from(slice.from_ns))
            || is_waited_like(block, self.facts.past.from(slice.to_ns))
    }

    /// For whom the thread ran, or last ran, just before `at_ns`, and in which task.
    #[must_use]
    pub fn owner_before(&self, at_ns: u64) -> (Owner, Task) {
        let known = self.back_from(at_ns).find_map(|slice| match slice.state {
            State::Running { owner, .. } | State::Unknown { owner } => Some((owner, slice.task)),
            State::Blocked(block) => Some((block.owner, slice.task)),
            State::Runnable { .. } => None,
        });
        known.unwrap_or_default()
    }

    /// The request for which the thread did most between two times, where known.
    #[must_use]
    pub fn did_most_for(&self, from_ns: u64, to_ns: u64) -> Option<RequestId> {
        let mut done: Vec<(RequestId, u64)> = Vec::new();
        for slice in self.back_from(to_ns).take_while(|slice| slice.to_ns > from_ns) {
            let (State::Running { owner, .. } | State::Blocked(Block { owner, .. })) = slice.state else {
                continue;
            };
            let Some(request) = owner.request() else { continue };
            let took_ns = slice.to_ns.min(to_ns).saturating_sub(slice.from_ns.max(from_ns));
            match done.iter_mut().find(|(of, _)| *of == request) {
                Some((_, ns)) => *ns += took_ns,
                None => done.push((request, took_ns)),
            }
        }
        let (request, _) = done.into_iter().max_by_key(|(_, ns)| *ns)?;
        Some(request)
    }

    /// The last idle time that ended before `at_ns`, as far as it is known what ended it.
    #[must_use]
    pub fn last_idle(&self, at_ns: u64) -> Option<(Slice, Block)> {
        let mut back = self.back_from(at_ns);
        loop {
            // In an interval at work there is nothing idle.
            if back.interval(0, ANY_WORK).is_some() {
                continue;
            }
            let slice = back.next()?;
            match slice.state {
                State::Unknown { .. } => return None,
                State::Blocked(block) if block.wait.is_idle() => {
                    return (slice.to_ns <= at_ns && block.wake.is_some()).then_some((slice, block));
                }
                _ => {}
            }
        }
    }

    /// Since when, between two times, the thread can have had what it let go of at `until_ns`, for which others wait at
    /// this futex, as far as that is known; and its own wait there that ended then, if one did. A wait in which it may
    /// have been without it, at a futex of its own or for something to do, ends what is known.
    #[must_use]
    pub fn had_since(&self, futex: u32, since_ns: u64, until_ns: u64) -> (u64, Option<Block>) {
        let is_there = |block: &Block| {
            syscall::is_futex(block.syscall) && syscall::futex_pair(block.arg0) == syscall::futex_pair(futex)
        };
        let mut reached_ns = until_ns;
        for slice in self.back_from(until_ns).take(MAX_SLICES) {
            match slice.state {
                State::Unknown { .. } => break,
                State::Blocked(block) if is_there(&block) => {
                    return (slice.to_ns.clamp(since_ns, reached_ns), Some(block));
                }
                State::Blocked(block) if may_be_without(&block) => break,
                _ => reached_ns = slice.from_ns.max(since_ns),
            }
            if reached_ns == since_ns {
                break;
            }
        }
        (reached_ns, None)
    }

    /// The last slice that began before `at_ns` and ended after `since_ns` in which the thread ran for `request`. With
    /// `sure`, not those of which it is only known that the thread was woken for the request.
    #[must_use]
    pub fn last_ran_for(&self, request: RequestId, sure: bool, at_ns: u64, since_ns: u64) -> Option<Slice> {
        let past = &self.facts.past;
        let is_its =
            |owner: Owner| owner == Owner::Request(request) || !sure && owner.request() == Some(request);
        let mut runs = past.runs_from(at_ns).take_while(|run| run.to_ns > since_ns);
        let run = runs.find(|run| is_its(run.owner))?;
        Some(past.slice(run.index))
    }
}

/// Whether a thread that waits so may want a lock, or something to do: with a request in hand an event loop's call can
/// be a wait for a peer, which it asks with the lock in hand.
fn may_be_without(block: &Block) -> bool {
    match block.wait {
        Wait::Condition { timeout: false } | Wait::Park { .. } | Wait::Accept => true,
        Wait::EventLoop { .. } => block.owner.request().is_none(),
        _ => false,
    }
}

/// Whether the first thing that the thread waited in was the same, and it had only a look before.
fn is_waited_like(block: &Block, slices: impl Iterator<Item = Slice>) -> bool {
    let mut ran_ns = 0;
    for slice in slices {
        match slice.state {
            State::Blocked(other) => {
                let what = |block: &Block| (block.wait, block.syscall, block.arg0, block.owner);
                return what(&other) == what(block);
            }
            State::Running { .. } => ran_ns += slice.duration_ns(),
            State::Runnable { .. } => {}
            State::Unknown { .. } => return false,
        }
        if ran_ns >= LOOK_NS {
            return false;
        }
    }
    false
}
