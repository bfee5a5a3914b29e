//! Whether each thread of a process keeps the request that it has read in hand until it has answered it, as those of a
//! pool do. Whatever such a thread waits for meanwhile, it waits for that request. Where a runtime switches threads
//! between requests, a thread that waits for a futex is free for others.

use rustc_hash::FxHashMap;

use super::Threads;
use crate::model::id::{Pid, Tid};

/// So many answers in a row by the threads that had read the requests are needed before that is believed.
const ENOUGH: u32 = 16;

/// By process.
#[derive(Debug, Default)]
pub(super) struct Hands(FxHashMap<Pid, Habit>);

/// What the threads of a process were seen to do with their requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    /// So many were answered by the thread that had read them, and none by another.
    Keep(u32),
    /// They hand them over, or a runtime does.
    HandOver,
}

impl Hands {
    /// Thread `tid` of the process began to answer a request that thread `read_by` had read.
    pub(super) fn answered(&mut self, pid: Pid, tid: Tid, read_by: Tid) {
        let habit = self.0.entry(pid).or_insert(Habit::Keep(0));
        *habit = match *habit {
            Habit::Keep(count) if tid == read_by => Habit::Keep(count.saturating_add(1)),
            _ => Habit::HandOver,
        };
    }

    /// The process has a runtime that switches threads between requests.
    pub(super) fn switches(&mut self, pid: Pid) {
        self.0.insert(pid, Habit::HandOver);
    }

    /// Whether a thread of the process that has not answered what it read is still at it.
    pub(super) fn are_kept(&self, pid: Pid) -> bool {
        matches!(self.0.get(&pid), Some(Habit::Keep(ENOUGH..)))
    }

    /// The process became another program, or ended.
    pub(super) fn forget(&mut self, pid: Pid) {
        self.0.remove(&pid);
    }
}

impl Threads {
    /// Whether a thread of process `pid` that has not answered what it read is still at it.
    #[must_use]
    pub fn keep_requests(&self, pid: Pid) -> bool {
        self.hands.are_kept(pid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PID: Pid = Pid(7);
    const READER: Tid = Tid(8);

    fn answer(hands: &mut Hands, count: u32) {
        (0..count).for_each(|_| hands.answered(PID, READER, READER));
    }

    #[test]
    fn threads_keep_their_requests_where_each_answers_what_it_has_read() {
        let mut hands = Hands::default();
        answer(&mut hands, ENOUGH - 1);
        assert!(!hands.are_kept(PID));
        answer(&mut hands, 1);
        assert!(hands.are_kept(PID));
        assert!(!hands.are_kept(Pid(8)));
    }

    #[test]
    fn one_answer_by_another_thread_is_enough_to_know_that_they_do_not() {
        let mut hands = Hands::default();
        answer(&mut hands, ENOUGH);
        hands.answered(PID, Tid(9), READER);
        answer(&mut hands, ENOUGH);
        assert!(!hands.are_kept(PID));
    }

    #[test]
    fn those_of_a_runtime_do_not_until_the_process_is_another_program() {
        let mut hands = Hands::default();
        hands.switches(PID);
        answer(&mut hands, ENOUGH);
        assert!(!hands.are_kept(PID));
        hands.forget(PID);
        answer(&mut hands, ENOUGH);
        assert!(hands.are_kept(PID));
    }
}
