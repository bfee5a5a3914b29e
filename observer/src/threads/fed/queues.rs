//! Which threads of pools wait at the same word of memory for something to do: they take it from one queue, and are of
//! one pool. Threads of which each waits at a word of its own, as Java's do, can be of any.

use std::collections::BTreeSet;

use super::Tid;
use crate::model::full::{Full, Table};
use crate::syscall::futex_pair;

/// Words that are remembered of the threads of a process.
const MAX_WORDS: usize = 1024;

/// Where the threads of a process's pools were seen to wait until a loop gave them something.
#[derive(Debug, Default)]
pub(super) struct Queues {
    /// Pairs of words.
    waited: BTreeSet<(Tid, u32)>,
    /// There were more of them than are remembered.
    has_more: bool,
}

impl Queues {
    /// A loop ended the wait of thread `tid` at a word.
    pub(super) fn waited(&mut self, tid: Tid, word: u32, full: &Full) {
        let at = (tid, futex_pair(word));
        if self.waited.len() < MAX_WORDS {
            self.waited.insert(at);
        } else if !self.waited.contains(&at) {
            self.has_more = true;
            full.count(Table::PoolThreads, 1);
        }
    }

    pub(super) fn ended(&mut self, tid: Tid) {
        self.waited.retain(|(of, _)| *of != tid);
    }

    /// Those of `members` that may be of the pool of thread `tid`: the ones with which it shares words, and those of
    /// which none is known. All of them, where it shares none.
    pub(super) fn of_pool(&self, tid: Tid, members: impl Iterator<Item = Tid>) -> Vec<Tid> {
        let shared = self.sharing_with(tid);
        if self.has_more || shared.len() < 2 {
            return members.collect();
        }
        let is_known = |tid: Tid| self.words_of(tid).next().is_some();
        let may_be = |member: &Tid| shared.contains(member) || !is_known(*member);
        members.filter(may_be).collect()
    }

    /// Thread `tid` and all that wait where it does, or where another of them does.
    pub(super) fn sharing_with(&self, tid: Tid) -> Vec<Tid> {
        let mut shared = vec![tid];
        let mut next = 0;
        while let Some(&tid) = shared.get(next) {
            next += 1;
            for word in self.words_of(tid) {
                let there = self.waited.iter().filter(|(_, other)| *other == word);
                for &(other, _) in there {
                    if !shared.contains(&other) {
                        shared.push(other);
                    }
                }
            }
        }
        shared
    }

    /// Where a thread waited.
    fn words_of(&self, tid: Tid) -> impl Iterator<Item = u32> + '_ {
        self.waited
            .range((tid, 0)..=(tid, u32::MAX))
            .map(|&(_, word)| word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBERS: [Tid; 5] = [Tid(1), Tid(2), Tid(3), Tid(4), Tid(5)];

    /// Threads that wait at these words.
    fn waiting(at: &[(u32, u32)]) -> Queues {
        let mut queues = Queues::default();
        for &(tid, word) in at {
            queues.waited(Tid(tid), word, &Full::default());
        }
        queues
    }

    #[test]
    fn who_waits_at_one_word_is_of_one_pool_and_who_is_not_known_can_be() {
        let queues = waiting(&[(1, 0x100), (2, 0x104), (3, 0x200), (4, 0x200)]);
        assert_eq!(queues.of_pool(Tid(1), MEMBERS.into_iter()), [1, 2, 5].map(Tid));
        assert_eq!(queues.of_pool(Tid(4), MEMBERS.into_iter()), [3, 4, 5].map(Tid));
        assert_eq!(queues.of_pool(Tid(5), MEMBERS.into_iter()), MEMBERS);
    }

    #[test]
    fn threads_with_a_word_each_can_be_of_any_pool() {
        let queues = waiting(&[(1, 0x100), (2, 0x200), (3, 0x300), (4, 0x400)]);
        assert_eq!(queues.of_pool(Tid(1), MEMBERS.into_iter()), MEMBERS);
    }

    #[test]
    fn who_waits_now_here_and_now_there_makes_one_pool_of_both() {
        let queues = waiting(&[
            (1, 0x100),
            (2, 0x100),
            (2, 0x200),
            (3, 0x200),
            (4, 0x300),
            (5, 0x300),
        ]);
        assert_eq!(queues.of_pool(Tid(1), MEMBERS.into_iter()), [1, 2, 3].map(Tid));
    }

    #[test]
    fn threads_that_have_ended_share_nothing() {
        let mut queues = waiting(&[(1, 0x100), (2, 0x100), (3, 0x200), (4, 0x200)]);
        queues.ended(Tid(2));
        assert_eq!(queues.of_pool(Tid(1), MEMBERS.into_iter()), MEMBERS);
    }

    #[test]
    fn where_more_words_were_seen_than_are_remembered_all_can_be_of_one_pool() {
        let (mut queues, full) = (waiting(&[(1, 0x100), (2, 0x100), (3, 0x200)]), Full::default());
        (3..=MAX_WORDS as u32).for_each(|number| queues.waited(Tid(9), 8 * number, &full));
        queues.waited(Tid(9), 8 * 3, &full);
        assert_eq!(full.counts().collect::<Vec<_>>(), [(Table::PoolThreads, 1)]);
        assert_eq!(queues.of_pool(Tid(1), MEMBERS.into_iter()), MEMBERS);
    }
}
