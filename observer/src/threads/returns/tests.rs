//! What is not told of jobs where a loop had more in hand, or more was over, than is remembered.

use super::*;
use crate::model::id::ConnId;
use crate::syscall::Wait;
use crate::threads::Owner;
use crate::threads::state::{Occupant, Wake};

const PID: Pid = Pid(7);
const LOOP: Tid = Tid(8);
const HELPER: Tid = Tid(9);
const OTHER: Tid = Tid(10);

fn request(conn: usize) -> RequestId {
    RequestId {
        conn: ConnId(conn as u64),
        nth: 1,
    }
}

/// A wait in this call that another thread of the process ended.
fn wait(wait: Wait, syscall: i64, by: Tid) -> Block {
    Block {
        wait,
        syscall: syscall as i32,
        arg0: 1,
        wake: Some(Wake {
            by: Occupant {
                tid: by,
                pid: PID,
                ..Occupant::default()
            },
            syscall: libc::SYS_futex as i32,
            conn: ConnId::NONE,
        }),
        owner: Owner::Nobody,
    }
}

/// A loop with threads that hand their jobs back to it.
#[derive(Default)]
struct Served {
    returns: Returns,
    at_ns: u64,
}

impl Served {
    /// One that is known to have such threads.
    fn known() -> Self {
        let mut served = Self::default();
        for _ in 0..known::ENOUGH {
            served.reads(1);
            served.gives(HELPER);
            served.returns.loops(PID, LOOP);
            served.hands_back(HELPER);
            assert!(served.answers(0));
        }
        served
    }

    fn passes(&mut self) -> u64 {
        self.at_ns += 10;
        self.at_ns
    }

    /// The loop is woken by a thread.
    fn woken_by(&mut self, by: Tid) {
        self.woken_within(None, by);
    }

    /// The same where it would have waited for so long at most.
    fn woken_within(&mut self, timeout_ms: Option<u32>, by: Tid) {
        let at_ns = self.passes();
        self.returns.loops(PID, LOOP);
        let events = wait(Wait::EventLoop { timeout_ms }, libc::SYS_epoll_wait, by);
        self.returns.woken(PID, LOOP, (1, &events), at_ns);
    }

    /// The loop is woken by somebody else, and reads so many requests.
    fn reads(&mut self, count: usize) {
        self.woken_by(Tid(30));
        (0..count).for_each(|conn| self.returns.reads(PID, LOOP, request(conn)));
    }

    fn gives(&mut self, tid: Tid) {
        self.ends_wait(tid, Wait::Park { timeout: false });
    }

    /// The loop ends this wait of a thread.
    fn ends_wait(&mut self, tid: Tid, of: Wait) -> u64 {
        let at_ns = self.passes();
        let waited = wait(of, libc::SYS_futex, LOOP);
        self.returns.woken(PID, tid, (1, &waited), at_ns);
        at_ns
    }

    fn hands_back(&mut self, by: Tid) {
        self.woken_by(by);
    }

    /// One thread wakes the loop, and the other is done right after.
    fn both_are_over(&mut self) {
        self.hands_back(HELPER);
        let at_ns = self.passes();
        self.returns.rests(PID, OTHER, at_ns);
    }

    /// The loop answers a request that it had read long ago. Whether it is told for which job.
    fn answers(&mut self, conn: usize) -> bool {
        self.jobs_of(conn).is_some()
    }

    fn jobs_of(&mut self, conn: usize) -> Option<Vec<JobOf>> {
        let at_ns = self.passes();
        self.returns
            .answers(PID, LOOP, request(conn), Some(1), |_, _| None, at_ns)
    }

    fn counted(&self) -> Vec<(Table, u64)> {
        self.returns.full.take().counts().collect()
    }
}

#[test]
fn a_job_of_a_loop_that_had_more_in_hand_than_is_remembered_is_counted_where_it_is_not_told() {
    let mut served = Served::known();
    served.reads(MAX_IN_HAND);
    served.gives(HELPER);
    served.hands_back(HELPER);
    assert!(served.answers(0));
    served.reads(MAX_IN_HAND + 1);
    served.gives(HELPER);
    served.gives(OTHER);
    served.both_are_over();
    assert_eq!(served.counted(), []);
    // It can have been the one's as well as the other's.
    assert!(!served.answers(0));
    assert_eq!(served.counted(), [(Table::PoolThreads, 1)]);
}

/// Where threads keep what they read, one that was woken for a request seems to have that in hand while it waits.
#[test]
fn who_has_nothing_to_do_is_given_the_next_job_also_where_it_seems_to_have_a_request_in_hand() {
    let in_hand = Wait::Condition { timeout: false };
    let from_ns = |rests: bool| {
        let mut served = Served::known();
        served.reads(1);
        if rests {
            let at_ns = served.passes();
            served.returns.rests(PID, HELPER, at_ns);
        }
        let woken_ns = served.ends_wait(HELPER, in_hand);
        served.returns.loops(PID, LOOP);
        served.hands_back(HELPER);
        (served.jobs_of(0).unwrap()[0].from_ns, woken_ns)
    };
    let (from_ns_of_next, woken_ns) = from_ns(true);
    assert_eq!(from_ns_of_next, woken_ns);
    // In the middle of a job it waits for something else.
    let (from_ns_of_same, woken_ns) = from_ns(false);
    assert!(from_ns_of_same < woken_ns);
}

#[test]
fn a_job_is_not_told_where_another_can_have_been_for_the_same_request() {
    for (conn, is_told) in [(0, false), (MAX_IN_HAND, true)] {
        let mut served = Served::known();
        served.reads(1);
        served.gives(HELPER);
        (1..=MAX_IN_HAND).for_each(|conn| served.returns.reads(PID, LOOP, request(conn)));
        // That the first was in hand then, too, is forgotten.
        served.gives(OTHER);
        served.both_are_over();
        assert_eq!(served.answers(conn), is_told, "{conn}");
        assert_eq!(served.counted().is_empty(), is_told, "{conn}");
    }
}

#[test]
fn a_job_that_one_that_was_answered_before_needs_is_nobody_else_s() {
    let mut served = Served::known();
    served.reads(2);
    served.gives(HELPER);
    served.returns.reads(PID, LOOP, request(2));
    served.gives(OTHER);
    served.both_are_over();
    // Either can have been its.
    assert!(!served.answers(0));
    // Only the second can have been this one's, so that the first was that of the one before.
    assert!(served.answers(2));
    assert!(!served.answers(1));
}

#[test]
fn where_a_timer_is_due_a_job_that_can_be_another_s_is_not_told() {
    for (in_hand, timeout_ms, is_told) in [(2, None, true), (2, Some(0), false), (1, Some(0), true)] {
        let mut served = Served::known();
        served.reads(in_hand);
        served.gives(HELPER);
        served.woken_within(timeout_ms, HELPER);
        assert_eq!(served.answers(0), is_told, "{in_hand} {timeout_ms:?}");
        assert!(!served.answers(1), "whosever it was");
    }
}

#[test]
fn what_ended_while_its_loop_was_awake_and_is_forgotten_is_counted_where_it_is_not_told() {
    let mut served = Served::known();
    served.reads(1);
    served.gives(HELPER);
    served.woken_by(Tid(30));
    for tid in (1..=MAX_ENDED as u32).map(|more| Tid(100 + more)) {
        served.gives(tid);
    }
    let at_ns = served.passes();
    served.returns.rests(PID, HELPER, at_ns);
    for tid in (1..=MAX_ENDED as u32).map(|more| Tid(100 + more)) {
        served.returns.rests(PID, tid, at_ns);
    }
    assert_eq!(served.counted(), []);
    assert!(!served.answers(0));
    assert_eq!(served.counted(), [(Table::PoolThreads, 1)]);
}
