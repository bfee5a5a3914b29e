//! Where threads have something to do while they are blocked, by what they are to their program.

use bytemuck::Zeroable as _;
use observer_common::{Header, SwitchIn, SwitchOut, Waking, flags};

use crate::model::id::{ConnId, Pid, RequestId, Task, Tid};
use crate::model::operation::{Direction, Operation};
use crate::model::report::Role;
use crate::threads::Threads;
use crate::threads::state::{Began, Owner, Slice, State};

use super::{AtWork, Metering};

const PID: Pid = Pid(40);
const OWN: Tid = Tid(41);
const OTHER: Tid = Tid(42);

/// Answers that tell what a thread is, and whether threads keep what they have read.
const ANSWERS: u64 = 16;

/// When it goes to wait, and until when it is looked at: what came before is a small part of that, ns.
const WAITS_NS: u64 = 1_000;
const UNTIL_NS: u64 = 5_000;

fn request(nth: u64) -> Operation {
    Operation {
        at_ns: 100 + nth,
        direction: Direction::In,
        conn: ConnId(nth),
        arrived_ns: 50,
        request: Some(RequestId {
            conn: ConnId(nth),
            nth: 1,
        }),
        outbound: false,
        stalled: false,
        read_by: None,
        faults: (0, 0),
        task: Task::UNKNOWN,
    }
}

fn answer(nth: u64, read_by: Tid) -> Operation {
    Operation {
        direction: Direction::Out,
        read_by: Some((read_by, 60)),
        ..request(nth)
    }
}

/// One that answers requests of ever other connections that this thread has read, and no more.
fn pool_fed_by(reader: Tid) -> Threads {
    let mut threads = Threads::default();
    for nth in 1..=ANSWERS {
        threads.operated(reader, PID, 0, &request(nth));
        threads.operated(OWN, PID, 1, &answer(nth, reader));
    }
    threads
}

/// One that reads requests of ever other connections, with each of which this thread wakes it, and answers them.
fn pool_woken_by(waker: Tid) -> Threads {
    let mut threads = Threads::default();
    for nth in 1..=ANSWERS {
        threads.operated(OWN, PID, 1, &request(nth));
        threads.operated(OWN, PID, 1, &answer(nth, OWN));
        threads.switch_out(&waits(100 + nth, libc::SYS_futex, 0));
        threads.woken(&wakes(100 + nth, waker, libc::SYS_futex));
    }
    threads.operated(OWN, PID, 1, &request(ANSWERS + 1));
    threads
}

/// One that sleeps again and again in a program in which another serves.
fn timer() -> Threads {
    let mut threads = Threads::default();
    threads.operated(OTHER, PID, 0, &request(1));
    for at_ns in 100..100 + ANSWERS {
        threads.switch_out(&waits(at_ns, libc::SYS_clock_nanosleep, 0));
        threads.woken(&wakes(at_ns, Tid(0), -1));
        threads.switch_in(&SwitchIn {
            header: header(at_ns),
            tgid: PID.0,
            ..SwitchIn::zeroed()
        });
    }
    threads
}

fn header(at_ns: u64) -> Header {
    Header {
        at_ns,
        tid: OWN.0,
        ..Header::zeroed()
    }
}

fn waits(at_ns: u64, syscall: i64, flags: u32) -> SwitchOut {
    SwitchOut {
        header: header(at_ns),
        tgid: PID.0,
        state: 1,
        syscall: syscall as i32,
        args: [8, 0, 1, 0],
        flags,
        ..SwitchOut::zeroed()
    }
}

fn wakes(at_ns: u64, by: Tid, syscall: i64) -> Waking {
    Waking {
        header: header(at_ns),
        tgid: PID.0,
        waker_tid: by.0,
        waker_tgid: PID.0,
        waker_syscall: syscall as i32,
        ..Waking::zeroed()
    }
}

/// What it is to the program, and whether it is at work while it waits.
fn waiting(threads: Threads, syscall: i64, flags: u32) -> (Role, bool) {
    waiting_so(threads, &waits(WAITS_NS, syscall, flags))
}

fn waiting_so(mut threads: Threads, wait: &SwitchOut) -> (Role, bool) {
    threads.switch_out(wait);
    let told = threads.take_roles(UNTIL_NS, UNTIL_NS);
    let roles = told.iter().flat_map(|(_, window, _)| &window.roles);
    let each = roles.flat_map(|role| role.threads.iter().map(move |thread| (role.role, thread)));
    let mut own = each.filter(|(_, thread)| thread.tid == OWN);
    let (role, thread) = own.next().expect("it has a role");
    (role, thread.at_work > 0.5)
}

#[test]
fn one_of_a_pool_that_sleeps_is_at_work_and_one_that_waits_to_be_given_something_is_not() {
    for (syscall, expected) in [
        (libc::SYS_clock_nanosleep, true),
        (libc::SYS_wait4, true),
        (libc::SYS_futex, false),
        (libc::SYS_epoll_wait, false),
        (libc::SYS_accept4, false),
    ] {
        let found = waiting(pool_fed_by(OTHER), syscall, 0);
        assert_eq!(found, (Role::Pool, expected), "{syscall}");
    }
}

/// The loop of Node has a thread do jobs for requests: it waits for each at the same place.
fn pool_of_node() -> Threads {
    let mut threads = Threads::default();
    for nth in 1..=ANSWERS {
        threads.operated(OTHER, PID, 0, &request(nth));
        threads.switch_out(&waits(200 + nth, libc::SYS_futex, 0));
        threads.woken(&wakes(200 + nth, OTHER, libc::SYS_futex));
        threads.switch_in(&SwitchIn {
            header: header(200 + nth),
            tgid: PID.0,
            ..SwitchIn::zeroed()
        });
        threads.operated(OTHER, PID, 0, &answer(nth, OTHER));
    }
    threads
}

#[test]
fn one_of_a_pool_that_was_woken_for_a_request_waits_for_the_next_where_it_was_given_that() {
    assert_eq!(waiting(pool_of_node(), libc::SYS_futex, 0), (Role::Pool, false));
    let elsewhere = SwitchOut {
        args: [0xb000, 0, 0, 0],
        ..waits(WAITS_NS, libc::SYS_futex, 0)
    };
    assert_eq!(waiting_so(pool_of_node(), &elsewhere), (Role::Pool, true));
}

#[test]
fn one_that_goes_on_when_a_time_has_come_has_nothing_to_do_until_then() {
    assert_eq!(
        waiting(timer(), libc::SYS_clock_nanosleep, 0),
        (Role::Timer, false)
    );
}

#[test]
fn one_of_a_pool_that_polls_for_a_peer_is_at_work_until_it_has_answered() {
    let mut threads = pool_woken_by(OTHER);
    // The peer answers, and it asks once more.
    threads.switch_out(&waits(200, libc::SYS_poll, flags::POLLS_FEW));
    threads.woken(&wakes(300, Tid(0), -1));
    let found = waiting(threads, libc::SYS_poll, flags::POLLS_FEW);
    assert_eq!(found, (Role::Pool, true));

    let mut threads = pool_woken_by(OTHER);
    threads.operated(OWN, PID, 1, &answer(ANSWERS + 1, OWN));
    let found = waiting(threads, libc::SYS_poll, flags::POLLS_FEW);
    assert_eq!(
        found,
        (Role::Pool, false),
        "it waits for its client's next request"
    );
}

#[test]
fn what_kept_a_thread_without_tasks_longest_is_also_what_it_ran_for_one_request() {
    let mut threads = Threads::default();
    threads.operated(OWN, PID, 0, &request(1));
    // It is preempted meanwhile, and then waits for a moment.
    for (left_ns, came_ns) in [(1_000, 2_000), (4_000, 4_100)] {
        let flags = if left_ns == 1_000 { flags::PREEMPTED } else { 0 };
        threads.switch_out(&waits(left_ns, libc::SYS_fsync, flags));
        threads.woken(&wakes(came_ns, Tid(0), -1));
        threads.switch_in(&SwitchIn {
            header: header(came_ns),
            tgid: PID.0,
            ..SwitchIn::zeroed()
        });
    }
    let thread = threads.threads.get_mut(&OWN).unwrap();
    let longest = thread.take_usage(UNTIL_NS).longest.unwrap();
    assert_eq!(longest.dur_ns, 1_000 - 101 + 2_000);
    assert_eq!((longest.owner.request().is_some(), longest.syscall), (true, None));
}

#[test]
fn what_a_thread_ran_for_nobody_ends_what_it_ran_without_a_break() {
    let owner = Owner::Request(request(1).request.unwrap());
    for (task, between) in [(Task::UNKNOWN, Task::UNKNOWN), (Task::new(7), Task::NONE)] {
        let mut metering = Metering::default();
        let runs = [(task, owner), (between, Owner::Nobody), (task, owner)];
        for (from_ns, (task, owner)) in (1_000..).step_by(1_000).zip(runs) {
            let state = State::Running {
                cpu: 0,
                owner,
                began: Began::Plain,
            };
            let slice = Slice {
                from_ns,
                to_ns: from_ns + 1_000,
                state,
                faults: (0, 0),
                task,
            };
            metering.add(&slice, AtWork::Yes, None);
        }
        let usage = metering.take();
        assert_eq!((usage.ran_ns, usage.longest.unwrap().dur_ns), (3_000, 1_000));
        assert_eq!(usage.turns, if task.is_known() { 2 } else { 0 });
    }
}

/// The kernel half watches a process no more when it is over, and its last threads may leave their CPUs later.
#[test]
fn what_a_thread_does_after_it_began_to_end_is_nobodys_work() {
    let mut threads = Threads::default();
    threads.operated(OWN, PID, 0, &request(1));
    threads.exits(OWN, WAITS_NS);
    threads.all_ended(PID, WAITS_NS);
    threads.switch_in(&SwitchIn {
        header: header(WAITS_NS + 1),
        tgid: PID.0,
        ..SwitchIn::zeroed()
    });
    let usage = threads.threads.get_mut(&OWN).unwrap().take_usage(UNTIL_NS);
    assert_eq!(usage.ran_ns, WAITS_NS - 101);
    assert_eq!(usage.longest.unwrap().dur_ns, WAITS_NS - 101);
}
