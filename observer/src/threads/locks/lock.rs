//! One pair of words, or one word of it, that may be a lock: who waits there, what tells whether it is one, and when it
//! was given on.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::super::state::Block;
use super::super::thread::Thread;
use super::WORK_NS;
use super::aside::Aside;
use crate::model::full::{Full, Table};
use crate::model::id::Tid;
use crate::syscall::futex_pair;

/// Threads that are remembered to use a lock, at most.
pub(super) const MAX_USERS: usize = 1_024;

/// Places at which threads may wait that have given a lock on.
pub(super) const MAX_ASIDE: usize = 8;

/// A pair is believed to be a lock when it was given on so many times by threads that had waited for it,
pub(super) const ENOUGH_GIVEN: u32 = 16;
/// when so many times a thread waited again that had waited until its time was over,
const ENOUGH_AGAIN: u32 = 4;
/// and when of so many signs at most one says otherwise: a timer can interrupt a thread in a call for a futex, which
/// looks as if that had woken another.
pub(super) const SIGNS_TO_ONE: u32 = 8;

/// Above this, signs are halved, and of those against it no more are counted: what a program does now counts more than
/// what it did.
const MOST_SIGNS: u32 = 4_096;

/// Times at which it was given on that are remembered, at most: some seconds of threads that take turns without rest.
pub(super) const MAX_GIVEN: usize = 16_384;

/// Whoever waits for longer than this at a time does not ask again and again, ns.
const MAX_POLL_NS: u64 = 100_000_000;

/// A pair of words that may be a lock.
#[derive(Debug, Default)]
pub(super) struct Lock {
    pub(super) pair: u32,
    /// At which of the two threads waited for a time: they are the lock's.
    for_a_time: u8,
    /// At which they waited without one.
    without_time: u8,
    users: FxHashMap<Tid, User>,
    /// Users that wait for it.
    waiting: usize,
    pub(super) signs: Signs,
    /// Where those may wait who have given it on, until another has taken it.
    aside: Vec<Aside>,
    /// When it was given on, as far as it was believed to be a lock; the oldest first.
    given: VecDeque<Given>,
    /// What was before this is not known, ns.
    known_since_ns: u64,
    /// Until then it was forgotten for want of room who had it, ns.
    forgotten_until_ns: u64,
}

/// What a thread did at a lock.
#[derive(Clone, Copy, Debug, Default)]
struct User {
    /// It waits for it, and since when, ns.
    waits_since_ns: Option<u64>,
    /// Since when it wants it: it waited again whenever its time was over, ns.
    wants_since_ns: u64,
    has_waited: bool,
    /// It waited, and has not given it on since: until when it waited, ns.
    turn_ns: Option<u64>,
    /// It was given it, and has not given it on since: when, ns.
    given_ns: Option<u64>,
    /// When it last gave it on, ns.
    gave_ns: Option<u64>,
    /// It waited last until its time was over: when that was, ns.
    timed_out_ns: Option<u64>,
}

/// What was seen that tells whether a pair is a lock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Signs {
    /// It was given on by a thread that had waited for it.
    pub(super) given: u32,
    /// Threads waited again when their time was over.
    again: u32,
    /// It was woken by who does not wait for it, kept by who came back, or all waited and nobody had it.
    against: u32,
    /// Threads wait there without a time.
    pub(super) refuted: bool,
}

/// Which of a pair's words it is.
fn bit_of(word: u32) -> u8 {
    if word & 4 == 0 { 1 } else { 2 }
}

/// A lock was given on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given {
    pub(super) at_ns: u64,
    /// Who gave it on had waited for it until then, ns; 0 where it had not.
    since_ns: u64,
    pub(super) by: Tid,
}

impl Signs {
    pub(super) fn is_lock(&self) -> bool {
        !self.refuted
            && self.given >= ENOUGH_GIVEN
            && self.again >= ENOUGH_AGAIN
            && self.against.saturating_mul(SIGNS_TO_ONE) <= self.given
    }

    fn was_given(&mut self) {
        self.given += 1;
        if self.given > MOST_SIGNS {
            self.given /= 2;
            self.against /= 2;
        }
    }

    fn is_against(&mut self) {
        self.against = MOST_SIGNS.min(self.against + 1);
    }

    /// Whether one more that says it is no lock changes nothing.
    fn has_all_against(&self) -> bool {
        self.against == MOST_SIGNS
    }
}

impl Lock {
    pub(super) fn new(pair: u32, at_ns: u64) -> Self {
        Self {
            pair,
            known_since_ns: at_ns,
            ..Self::default()
        }
    }

    /// Whether who waits at a word waits for this.
    pub(super) fn has(&self, word: u32) -> bool {
        self.pair == futex_pair(word) && self.for_a_time & bit_of(word) != 0
    }

    /// A thread waits at a word, and not for a time. At one of its own words that is for no lock.
    pub(super) fn waits_without_time(&mut self, word: u32) {
        if self.pair == futex_pair(word) {
            self.without_time |= bit_of(word);
            self.signs.refuted |= self.for_a_time & self.without_time != 0;
        }
    }

    /// What stands for the place at which a thread waits that does not wait for this: of a pair that both share, the
    /// word.
    fn beside(&self, word: u32) -> u32 {
        if self.pair == futex_pair(word) {
            word
        } else {
            futex_pair(word)
        }
    }

    fn user(&mut self, tid: Tid) -> Option<&mut User> {
        let has_room = self.users.len() < MAX_USERS || self.users.contains_key(&tid);
        has_room.then(|| self.users.entry(tid).or_default())
    }

    /// Thread `tid` begins to wait for it, at one of its words and for a time. Tells whether it is remembered.
    pub(super) fn waits(&mut self, tid: Tid, thread: &Thread, word: u32, at_ns: u64) -> bool {
        self.for_a_time |= bit_of(word);
        self.signs.refuted |= self.for_a_time & self.without_time != 0;
        let Some(user) = self.user(tid) else { return false };
        let User {
            given_ns,
            timed_out_ns,
            turn_ns,
            waits_since_ns,
            wants_since_ns,
            ..
        } = *user;
        let again = timed_out_ns.is_some_and(|since_ns| !thread.waited(since_ns, at_ns));
        *user = User {
            waits_since_ns: Some(at_ns),
            wants_since_ns: if again { wants_since_ns } else { at_ns },
            has_waited: true,
            ..User::default()
        };
        self.waiting += usize::from(waits_since_ns.is_none());
        if again {
            self.signs.again = self.signs.again.saturating_add(1);
        }
        if let Some(given_ns) = given_ns {
            let waits = |user: &User| user.waits_since_ns.is_some_and(|since_ns| since_ns < given_ns);
            if self.users.values().any(waits) && thread.worked(given_ns, at_ns) {
                self.signs.is_against();
            }
        }
        if let Some(since_ns) = turn_ns.filter(|&turn_ns| thread.had_lock(turn_ns, at_ns)) {
            // It let go of it just now, and woke nobody: those who waited had just stopped, as their time was over.
            self.keep(Given {
                at_ns,
                since_ns,
                by: tid,
            });
        }
        true
    }

    /// The wait of thread `tid` is over, and if another thread ended it, by that, of which this is known.
    pub(super) fn woken(&mut self, tid: Tid, block: &Block, by: Option<(Tid, Option<&Thread>)>, at_ns: u64) {
        let users = self.users.len();
        let Some(user) = self.user(tid) else {
            return self.forgets_until(at_ns);
        };
        let Some(since_ns) = user.waits_since_ns.take() else {
            return;
        };
        user.turn_ns = Some(at_ns);
        user.given_ns = by.map(|_| at_ns);
        let timed_out = by.is_none() && block.wake.is_some() && at_ns.saturating_sub(since_ns) < MAX_POLL_NS;
        user.timed_out_ns = timed_out.then_some(at_ns);
        let long_ago_ns = at_ns.saturating_sub(WORK_NS);
        let wants_for_long = user.wants_since_ns <= long_ago_ns;
        self.waiting -= 1;
        if timed_out && self.waiting + 1 == users {
            self.signs.is_against();
        }
        if let Some((by, giver)) = by {
            // Of a queue whose threads are woken thousands of times a second it is known soon.
            let asks = wants_for_long && !self.signs.has_all_against();
            let computes = asks && giver.is_some_and(|giver| giver.only_ran(long_ago_ns, at_ns));
            self.gives(by, computes, at_ns);
        }
    }

    /// Thread `by` gives it on, which has computed all the time while it was wanted for long, or not.
    fn gives(&mut self, by: Tid, computes: bool, at_ns: u64) {
        let Some(user) = self.user(by) else {
            return self.forgets_until(at_ns);
        };
        let (turn_ns, has_waited) = (user.turn_ns, user.has_waited);
        user.turn_ns = None;
        user.given_ns = None;
        user.timed_out_ns = None;
        user.gave_ns = Some(at_ns);
        if turn_ns.is_some() {
            self.signs.was_given();
        } else if !has_waited && !computes {
            // Who gives others work has waited for something to give.
            self.signs.is_against();
        }
        self.keep(Given {
            at_ns,
            since_ns: turn_ns.unwrap_or_default(),
            by,
        });
    }

    fn keep(&mut self, given: Given) {
        if self.signs.is_lock() {
            // A wakeup that came before its thread slept is told when that runs.
            let place = self.given.partition_point(|before| before.at_ns <= given.at_ns);
            self.given.insert(place, given);
            if self.given.len() > MAX_GIVEN
                && let Some(oldest) = self.given.pop_front()
            {
                self.known_since_ns = self.known_since_ns.max(oldest.at_ns);
                self.forgotten_until_ns = self.known_since_ns;
            }
        } else {
            self.knows_since(given.at_ns);
        }
    }

    /// Who had it before is not known.
    pub(super) fn knows_since(&mut self, at_ns: u64) {
        self.given.clear();
        self.known_since_ns = self.known_since_ns.max(at_ns);
    }

    /// A thread that found no room was given it, or gave it on: nobody knows who had it before.
    fn forgets_until(&mut self, at_ns: u64) {
        self.knows_since(at_ns);
        self.forgotten_until_ns = self.known_since_ns;
    }

    /// Thread `tid` waits without a time elsewhere. Whether it does so until another has taken the lock. A place that
    /// makes room is counted in `full`, if there were signs that they do that there.
    pub(super) fn waits_aside(
        &mut self,
        tid: Tid,
        thread: &Thread,
        word: u32,
        at_ns: u64,
        full: &Full,
    ) -> bool {
        let place = self.beside(word);
        let user = self.users.get_mut(&tid);
        let gave_ns = user.as_ref().and_then(|user| user.gave_ns);
        let gave = gave_ns.is_some_and(|since_ns| !thread.waited(since_ns, at_ns));
        let is_lock = self.signs.is_lock();
        let is_wanted = gave || self.waiting > 0;
        if let Some(aside) = self.aside.iter_mut().find(|aside| aside.place == place) {
            let others = aside.waits.is_some_and(|other| other != tid);
            aside.against = aside.against.saturating_add(u32::from(!is_wanted || others));
            aside.waits = Some(tid);
            let is_aside = is_lock && aside.is_believed();
            if is_aside && !gave {
                // Those who waited had just stopped, as their time was over: nobody was woken.
                let since_ns = user.and_then(|user| user.turn_ns.take()).unwrap_or_default();
                self.keep(Given {
                    at_ns,
                    since_ns,
                    by: tid,
                });
            }
            return is_aside;
        }
        if gave {
            if self.aside.len() == MAX_ASIDE {
                let least = (0..MAX_ASIDE).min_by_key(|&place| self.aside[place].seen);
                let forgotten = self.aside.remove(least.unwrap_or_default());
                full.count(Table::Locks, u64::from(forgotten.seen > 0));
            }
            self.aside.push(Aside::new(place, tid));
        }
        false
    }

    /// The wait of thread `tid` elsewhere is over, and if another thread ended it, by that.
    pub(super) fn woken_aside(&mut self, tid: Tid, word: u32, by: Option<Tid>) {
        let place = self.beside(word);
        let waited = |by| self.users.get(&by).is_some_and(|user| user.turn_ns.is_some());
        let is_in_turn = by.is_some_and(waited);
        let waits_there = |aside: &&mut Aside| aside.place == place && aside.waits == Some(tid);
        if let Some(aside) = self.aside.iter_mut().find(waits_there) {
            aside.waits = None;
            aside.seen = aside.seen.saturating_add(is_in_turn.into());
        }
    }

    pub(super) fn ended(&mut self, tid: Tid) {
        if let Some(user) = self.users.remove(&tid) {
            self.waiting -= usize::from(user.waits_since_ns.is_some());
        }
    }

    /// What it did until `to_ns` is not known.
    pub(super) fn lost(&mut self, to_ns: u64) {
        self.waiting = 0;
        for user in self.users.values_mut() {
            *user = User {
                has_waited: user.has_waited,
                ..User::default()
            };
        }
        self.aside.iter_mut().for_each(|aside| aside.waits = None);
        self.knows_since(to_ns);
    }

    pub(super) fn forget_until(&mut self, until_ns: u64) {
        let count = self.given.partition_point(|given| given.at_ns <= until_ns);
        if let Some(last) = self.given.drain(..count).next_back() {
            self.known_since_ns = self.known_since_ns.max(last.at_ns);
        }
    }

    /// Whether who had it at `at_ns` was forgotten for want of room.
    pub(super) fn was_forgotten(&self, at_ns: u64) -> bool {
        at_ns <= self.forgotten_until_ns
    }

    /// The first time from `at_ns` on that it was given on, and since when the same thread had it, ns.
    pub(super) fn given_after(&self, at_ns: u64) -> Option<(Given, u64)> {
        if at_ns <= self.known_since_ns {
            return None;
        }
        let place = self.given.partition_point(|given| given.at_ns < at_ns);
        let given = *self.given.get(place)?;
        let before = place.checked_sub(1).map(|before| self.given[before].at_ns);
        let since_ns = before.unwrap_or(self.known_since_ns).max(given.since_ns);
        (since_ns < at_ns).then_some((given, since_ns))
    }
}
