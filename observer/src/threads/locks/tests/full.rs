//! What is counted where there are more locks, users of them and times than are remembered.

use super::super::lock::{MAX_ASIDE, MAX_GIVEN, MAX_USERS};
use super::*;

impl Program {
    fn counted(&self) -> Vec<(Table, u64)> {
        self.threads.take_full().counts().collect()
    }

    /// As many use the lock as are remembered, and all but the first wait for it.
    fn with_all_users() -> Self {
        let mut program = Self::with_a_lock();
        for tid in 4..=MAX_USERS as u32 {
            program.woken(tid, None);
            program.wants(tid);
        }
        program
    }
}

#[test]
fn pairs_and_users_that_find_no_room_are_counted() {
    let mut program = Program::with_a_lock();
    for futex in 0..MAX_PAIRS as u64 {
        program.woken(1, None);
        program.waits_at(1, 0x1_0000 + 8 * futex, 1);
    }
    assert!(
        program.threads.locks.pairs[&PID]
            .iter()
            .any(|lock| lock.pair == LOCK as u32),
        "the one with signs stays"
    );
    assert_eq!(program.counted(), []);
    for tid in 4..=MAX_USERS as u32 + 1 {
        program.woken(tid, None);
        program.wants(tid);
    }
    assert_eq!(program.counted(), [(Table::Locks, 1)]);
}

#[test]
fn who_had_it_too_long_ago_is_not_known_and_counted() {
    let mut program = Program::with_a_lock();
    program.passes(2 * POLL_NS);
    let given_ns = program.woken(2, Some(1));
    assert_eq!(program.holder(2, given_ns).map(|(holder, _)| holder), Some(1));
    program.wants(1);
    for turn in 1..=MAX_GIVEN as u32 {
        let [has, next] = [turn, turn + 1].map(|turn| 1 + turn % 3);
        program.woken(next, Some(has));
        program.wants(has);
    }
    assert_eq!(program.counted(), []);
    let lock = &program.threads.locks.pairs[&PID][0];
    assert!(lock.given_after(given_ns).is_none() && lock.was_forgotten(given_ns));
    assert_eq!(program.holder(2, given_ns), None);
    assert_eq!(program.counted(), [(Table::Locks, 1)]);
}

#[test]
fn where_one_that_found_no_room_gave_it_on_nobody_knows_who_had_it_before() {
    let mut program = Program::with_all_users();
    let more = MAX_USERS as u32 + 1;
    program.woken(more, None);
    program.woken(2, Some(1));
    program.sleeps(1);
    let given_ns = program.woken(3, Some(more));
    program.woken(1, None);
    let last_ns = program.woken(4, Some(1));
    assert_eq!(program.counted(), []);
    assert_eq!(program.holder(5, given_ns), None);
    assert_eq!(program.counted(), [(Table::Locks, 1)]);
    assert_eq!(program.holder(5, last_ns), Some((1, given_ns)));
}

#[test]
fn where_one_that_found_no_room_was_given_it_nobody_knows_who_had_it_before() {
    let mut program = Program::with_all_users();
    let more = MAX_USERS as u32 + 1;
    program.woken(more, None);
    program.wants(more);
    assert_eq!(program.counted(), [(Table::Locks, 1)]);
    program.woken(2, Some(1));
    let given_ns = program.woken(more, Some(2));
    program.sleeps(1);
    program.woken(1, None);
    program.woken(4, Some(1));
    assert_eq!(program.holder(5, given_ns), None);
    assert_eq!(program.counted(), [(Table::Locks, 1)]);
}

#[test]
fn a_place_that_makes_room_is_counted_if_it_told_something() {
    let mut program = Program::with_a_lock();
    for place in 0..=MAX_ASIDE as u64 {
        assert_eq!(program.counted(), []);
        program.woken(2, Some(1));
        program.waits_at(1, ASIDE + 8 * place, 0);
        program.woken(1, Some(2));
        program.wants(1);
        program.woken(1, Some(2));
        program.wants(2);
    }
    assert_eq!(program.counted(), [(Table::Locks, 1)]);
}
