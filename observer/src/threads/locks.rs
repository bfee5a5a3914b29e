//! Locks that all threads of a program need and one has at a time, as an interpreter has one: who had them when.
//!
//! Such a lock is told by what threads do at a pair of futex words: condition variables of C use now the one and now
//! the other, and those of Rust have one word, so that two of them can be a pair. Whoever wants it waits there for a
//! short time, and again when that is over. Whoever was given it gives it on before it wants it again, if others wait.
//! Where nobody has it nobody waits. Threads of a pool that wait for work do otherwise: those who give it to them do
//! not wait for it themselves, nor compute all the time while it is waited for, those who were given it come back
//! without having woken the others, and at times all of them wait.
//!
//! Who had it: as long as a thread waits for a lock, each that lets go of it wakes one that waits. So between two such
//! wakeups one thread had it, the one that made the second, whether it had waited for it or not.

mod aside;
mod lock;

use rustc_hash::FxHashMap;

use self::lock::Lock;
use super::Threads;
use super::state::{Began, Block, Slice, State};
use super::thread::Thread;
use crate::model::full::{Full, Table};
use crate::model::id::{Pid, Tid};
use crate::syscall::{self, Wait};

/// Pairs of words of a process that are looked at, at most.
const MAX_PAIRS: usize = 16;

/// A thread that ran for this long had the lock that it wanted, ns.
const WORK_NS: u64 = 1_000_000;

/// Slices of a thread that are looked at to know whether it still waited, at most.
const MAX_SLICES: usize = 64;

/// What is known of the locks of all processes.
#[derive(Debug, Default)]
pub(super) struct Locks {
    pairs: FxHashMap<Pid, Vec<Lock>>,
    /// What was forgotten.
    pub(super) full: Full,
}

impl Locks {
    /// Thread `tid` begins to wait at a word, for a time or not. Whether that is a lock, or a wait until another has
    /// taken one.
    pub(super) fn waits(
        &mut self,
        tid: Tid,
        thread: &Thread,
        word: u32,
        for_a_time: bool,
        at_ns: u64,
    ) -> bool {
        if !for_a_time {
            let mut is_aside = false;
            for lock in self.pairs.get_mut(&thread.pid).into_iter().flatten() {
                lock.waits_without_time(word);
                is_aside |= lock.signs.given > 0 && lock.waits_aside(tid, thread, word, at_ns, &self.full);
            }
            return is_aside;
        }
        let pair = syscall::futex_pair(word);
        let locks = self.pairs.entry(thread.pid).or_default();
        let place = locks
            .iter()
            .position(|lock| lock.pair == pair)
            .unwrap_or_else(|| {
                if locks.len() == MAX_PAIRS {
                    let least = (0..MAX_PAIRS).min_by_key(|&place| locks[place].signs.given);
                    if locks.remove(least.unwrap_or_default()).signs.given > 0 {
                        self.full.count(Table::Locks, 1);
                    }
                }
                locks.push(Lock::new(pair, at_ns));
                locks.len() - 1
            });
        let lock = &mut locks[place];
        if !lock.waits(tid, thread, word, at_ns) {
            self.full.count(Table::Locks, 1);
        }
        lock.signs.is_lock()
    }

    /// Pairs of words of process `pid` that are taken for locks.
    pub(super) fn places(&self, pid: Pid) -> Vec<u32> {
        let locks = self.pairs.get(&pid).into_iter().flatten();
        locks
            .filter(|lock| lock.signs.is_lock())
            .map(|lock| lock.pair)
            .collect()
    }

    /// The wait of thread `tid` is over. Of who ended it this is known.
    pub(super) fn woken(&mut self, pid: Pid, tid: Tid, block: &Block, giver: Option<&Thread>, at_ns: u64) {
        let Some(locks) = self
            .pairs
            .get_mut(&pid)
            .filter(|_| syscall::is_futex(block.syscall))
        else {
            return;
        };
        let by = block.handed_off_by().filter(|by| by.pid == pid).map(|by| by.tid);
        for lock in locks {
            if lock.has(block.arg0) {
                lock.woken(tid, block, by.map(|by| (by, giver)), at_ns);
            } else {
                lock.woken_aside(tid, block.arg0, by);
            }
        }
    }

    /// A thread was woken of which it is not known what it waited for: it may have been given any lock.
    pub(super) fn may_have_been_given(&mut self, pid: Pid, at_ns: u64) {
        let locks = self.pairs.get_mut(&pid);
        locks
            .into_iter()
            .flatten()
            .for_each(|lock| lock.knows_since(at_ns));
    }

    /// A thread ended.
    pub(super) fn ended(&mut self, pid: Pid, tid: Tid) {
        let locks = self.pairs.get_mut(&pid);
        locks.into_iter().flatten().for_each(|lock| lock.ended(tid));
    }

    /// The process became another program, or ended.
    pub(super) fn forget(&mut self, pid: Pid) {
        self.pairs.remove(&pid);
    }

    /// Events up to `to_ns` were lost.
    pub(super) fn lost(&mut self, to_ns: u64) {
        self.pairs
            .values_mut()
            .flatten()
            .for_each(|lock| lock.lost(to_ns));
    }

    /// What threads did until `until_ns` is forgotten.
    pub(super) fn forget_until(&mut self, until_ns: u64) {
        self.pairs
            .values_mut()
            .flatten()
            .for_each(|lock| lock.forget_until(until_ns));
    }
}

impl Threads {
    /// Who had the lock for which thread `tid` of process `pid` waited in `slice`, just before `at_ns`, and since when,
    /// ns.
    #[must_use]
    pub fn holder(&self, pid: Pid, tid: Tid, slice: &Slice, at_ns: u64) -> Option<(Tid, u64)> {
        let State::Blocked(block) = slice.state else {
            return None;
        };
        let locks = self.locks.pairs.get(&pid)?;
        let Some(lock) = locks.iter().find(|lock| lock.has(block.arg0)) else {
            // It waited until another had taken it.
            let by = block.handed_off_by().filter(|by| by.pid == pid)?;
            return Some((by.tid, 0));
        };
        let Some((given, since_ns)) = lock.given_after(at_ns) else {
            self.locks
                .full
                .count(Table::Locks, lock.was_forgotten(at_ns).into());
            return None;
        };
        // It can have been let go without a word where nobody waited just then.
        let had_it_still = || {
            let waits = |thread: &Thread| thread.only_waits(at_ns, given.at_ns);
            let ran = |thread: &Thread| thread.ran_on(since_ns, at_ns, given.at_ns);
            self.get(tid).is_some_and(waits) && self.get(given.by).is_some_and(ran)
        };
        let had_it = given.by != tid && (given.at_ns <= slice.to_ns || had_it_still());
        had_it.then_some((given.by, since_ns))
    }
}

impl Thread {
    /// Whether it waited between two times, but for a mutex.
    fn waited(&self, from_ns: u64, to_ns: u64) -> bool {
        let mut slices = self.back_from(to_ns).take_while(|slice| slice.to_ns > from_ns);
        slices.any(|slice| matches!(slice.state, State::Blocked(block) if block.wait != Wait::Mutex))
    }

    /// Whether it ran between two times for long enough to have had a lock that it wanted then, and did nothing else.
    fn had_lock(&self, from_ns: u64, to_ns: u64) -> bool {
        let mut ran_ns = 0;
        let slices = self.back_from(to_ns).take_while(|slice| slice.to_ns > from_ns);
        for slice in slices {
            match slice.state {
                State::Running { began, .. } if !matches!(began, Began::Received { .. }) => {
                    ran_ns += slice.duration_ns();
                }
                State::Runnable { .. } => {}
                State::Blocked(block) if block.wait == Wait::Mutex => {}
                _ => return false,
            }
        }
        ran_ns >= WORK_NS
    }

    /// Whether it did nothing between two times but to run, or to wait for a CPU or a mutex.
    fn only_ran(&self, from_ns: u64, to_ns: u64) -> bool {
        let mut reached_ns = to_ns;
        for slice in self.back_from(to_ns).take(MAX_SLICES) {
            match slice.state {
                State::Running { .. } | State::Runnable { .. } => {}
                State::Blocked(block) if block.wait == Wait::Mutex => {}
                _ => return false,
            }
            reached_ns = slice.from_ns;
            if reached_ns <= from_ns {
                break;
            }
        }
        reached_ns <= from_ns
    }

    /// Whether it is known to have done something between two times but to wait for a lock and look for it.
    fn worked(&self, from_ns: u64, to_ns: u64) -> bool {
        self.works(from_ns, to_ns).any(|works| works == Some(true))
    }

    /// Whether it is known to have done nothing else.
    fn only_waits(&self, from_ns: u64, to_ns: u64) -> bool {
        let mut works = self.works(from_ns, to_ns);
        works.by_ref().take(MAX_SLICES).all(|works| works == Some(false)) && works.next().is_none()
    }

    /// Whether it ran between the first two times, and after that did nothing but to run, or to wait for the mutex that
    /// guards what it had for long, and took no bytes in.
    fn ran_on(&self, since_ns: u64, from_ns: u64, to_ns: u64) -> bool {
        let mut least_ns = 0;
        for slice in self.back_from(to_ns).take(MAX_SLICES) {
            match slice.state {
                State::Running { .. } if slice.from_ns < from_ns => {
                    return slice.to_ns > since_ns && slice.duration_ns() >= least_ns;
                }
                State::Running { began, .. } if !matches!(began, Began::Received { .. }) => {}
                State::Runnable { .. } => {}
                State::Blocked(block) if block.wait == Wait::Mutex => least_ns = WORK_NS,
                _ => return false,
            }
        }
        false
    }

    /// Whether it did something else in each of its slices between two times, the last first.
    fn works(&self, from_ns: u64, to_ns: u64) -> impl Iterator<Item = Option<bool>> + '_ {
        let slices = self
            .back_from(to_ns)
            .take_while(move |slice| slice.to_ns > from_ns);
        slices.map(|slice| match slice.state {
            State::Unknown { .. } => None,
            State::Runnable { .. } => Some(false),
            State::Running { began, .. } => {
                Some(slice.duration_ns() >= WORK_NS || matches!(began, Began::Received { .. }))
            }
            State::Blocked(block) => Some(!matches!(block.wait, Wait::GlobalLock | Wait::Mutex)),
        })
    }
}

#[cfg(test)]
mod tests;
