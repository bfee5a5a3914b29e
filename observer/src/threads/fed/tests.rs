//! Which threads are of a pool that a loop feeds, and when one of them is taken to be free.

use super::super::state::{Occupant, Owner, Wake};
use super::*;
use crate::model::id::ConnId;

const PID: Pid = Pid(7);
const LOOP: Tid = Tid(8);
const OF_POOL: Tid = Tid(9);

/// A loop, and a thread that answered what it had read, as often as is needed.
fn fed() -> Fed {
    let mut fed = Fed::default();
    fed.waits(PID, LOOP, 10, MAX_LOOPS);
    (0..ENOUGH).for_each(|_| fed.answers(PID, OF_POOL, (LOOP, 10), 20, &Full::default()));
    fed
}

fn threads(fed: Fed) -> Threads {
    Threads {
        fed,
        ..Threads::default()
    }
}

/// A wait at a futex, ended by a call of this thread, or by its time.
fn parked(timeout: bool, woken_by: Option<Tid>) -> Block {
    Block {
        wait: Wait::Park { timeout },
        syscall: libc::SYS_futex as i32,
        arg0: 1,
        wake: Some(Wake {
            by: Occupant {
                tid: woken_by.unwrap_or_default(),
                pid: PID,
                ..Occupant::default()
            },
            syscall: woken_by.map_or(-1, |_| libc::SYS_futex as i32),
            conn: ConnId::NONE,
        }),
        owner: Owner::Nobody,
    }
}

#[test]
fn a_thread_that_answers_what_a_loop_has_read_is_of_its_pool() {
    let mut fed = fed();
    // Nothing tells that this one loops.
    fed.answers(PID, Tid(11), (Tid(10), 10), 20, &Full::default());
    fed.answers(PID, LOOP, (LOOP, 10), 20, &Full::default());
    let threads = threads(fed);
    assert!(threads.is_fed(PID, OF_POOL) && !threads.is_fed(Pid(1), OF_POOL));
    assert!(!threads.is_fed(PID, Tid(11)) && !threads.is_fed(PID, LOOP));
}

#[test]
fn a_few_answers_by_others_than_the_reader_are_no_pool_yet() {
    let mut fed = Fed::default();
    fed.waits(PID, LOOP, 10, MAX_LOOPS);
    (1..ENOUGH).for_each(|_| fed.answers(PID, OF_POOL, (LOOP, 10), 20, &Full::default()));
    let mut threads = threads(fed);
    assert!(!threads.is_fed(PID, OF_POOL));
    threads
        .fed
        .answers(PID, OF_POOL, (LOOP, 10), 20, &Full::default());
    assert!(threads.is_fed(PID, OF_POOL));
}

#[test]
fn where_threads_do_now_one_thing_and_now_another_there_is_no_pool_any_more() {
    let changes: [fn(&mut Fed); 3] = [
        |fed| fed.reads(PID, OF_POOL),
        |fed| assert!(fed.waits(PID, OF_POOL, 20, MAX_LOOPS)),
        |fed| fed.switches(PID),
    ];
    for change in changes {
        let mut fed = fed();
        change(&mut fed);
        fed.waits(PID, LOOP, 30, MAX_LOOPS);
        (0..ENOUGH).for_each(|_| fed.answers(PID, OF_POOL, (LOOP, 10), 20, &Full::default()));
        assert!(!threads(fed).is_fed(PID, OF_POOL));
    }
}

#[test]
fn who_waits_is_free_unless_its_time_was_over_or_it_was_given_something_at_once() {
    let lasts = |timeout| Block {
        wake: None,
        ..parked(timeout, None)
    };
    let cases = [
        (2 * FREE_NS, parked(false, Some(LOOP)), true),
        (FREE_NS / 2, parked(false, Some(LOOP)), false),
        (2 * FREE_NS, parked(true, Some(LOOP)), true),
        // A sleep of its own.
        (2 * FREE_NS, parked(true, None), false),
        (2 * FREE_NS, parked(true, Some(Tid(30))), false),
        (2 * FREE_NS, lasts(false), true),
        (2 * FREE_NS, lasts(true), true),
    ];
    for (waited_ns, block, is_free) in cases {
        let fed = fed();
        assert_eq!(
            fed.0[&PID].is_free(waited_ns, &block),
            is_free,
            "{waited_ns} {block:?}"
        );
    }
}

#[test]
fn a_wait_for_a_time_that_is_not_over_is_a_job_s_own_where_the_pool_waits_for_jobs_without_one() {
    let lasts = Block {
        wake: None,
        ..parked(true, None)
    };
    let mut fed = fed();
    let given = parked(false, Some(LOOP));
    fed.woken(PID, OF_POOL, (2 * FREE_NS, &given), 20, &Full::default());
    assert!(!fed.0[&PID].is_free(2 * FREE_NS, &lasts));
    let given = parked(true, Some(LOOP));
    fed.woken(PID, OF_POOL, (2 * FREE_NS, &given), 20, &Full::default());
    assert!(fed.0[&PID].is_free(2 * FREE_NS, &lasts));
}

#[test]
fn a_loop_that_was_awake_without_reading_a_request_may_have_gone_on_with_one() {
    let mut fed = fed();
    let woken = Block {
        wait: Wait::EventLoop { timeout_ms: None },
        syscall: libc::SYS_epoll_wait as i32,
        ..parked(false, None)
    };
    fed.woken(PID, LOOP, (10, &woken), 20, &Full::default());
    fed.reads(PID, LOOP);
    fed.waits(PID, LOOP, 100, MAX_LOOPS);
    fed.woken(PID, LOOP, (10, &woken), 20, &Full::default());
    fed.waits(PID, LOOP, 200, MAX_LOOPS);
    let threads = threads(fed);
    for (from_ns, to_ns, since_ns) in [(50, 150, 50), (50, 300, 200), (250, 300, 250)] {
        assert_eq!(threads.only_read_since(PID, LOOP, from_ns, to_ns), since_ns);
    }
    assert_eq!(
        threads.only_read_since(PID, OF_POOL, 50, 150),
        150,
        "it is no loop"
    );
}

#[test]
fn of_a_pool_that_is_not_known_or_grew_meanwhile_nobody_can_say_that_it_was_full() {
    let mut threads = threads(fed());
    assert!(!threads.none_is_free(Pid(1), OF_POOL, 10, 20));
    // Of its thread nothing is recorded.
    assert!(!threads.none_is_free(PID, OF_POOL, 10, 20));
    threads.fed.ended(PID, OF_POOL);
    assert!(!threads.none_is_free(PID, OF_POOL, 10, 20));
}

#[test]
fn what_a_loop_did_too_long_ago_is_not_known_and_counted() {
    let mut fed = fed();
    let woken = Block {
        wait: Wait::EventLoop { timeout_ms: None },
        syscall: libc::SYS_epoll_wait as i32,
        ..parked(false, None)
    };
    for at_ns in 1..=MAX_OTHERWISE as u64 + 1 {
        fed.woken(PID, LOOP, (10, &woken), 20, &Full::default());
        fed.waits(PID, LOOP, 100 * at_ns, MAX_LOOPS);
    }
    let threads = threads(fed);
    assert_eq!(threads.only_read_since(PID, LOOP, 150, 250), 200);
    assert_eq!(threads.take_full().counts().count(), 0);
    assert_eq!(threads.only_read_since(PID, LOOP, 50, 150), 150);
    let counts: Vec<_> = threads.take_full().counts().collect();
    assert_eq!(counts, [(Table::PoolThreads, 1)]);
}
