//! Who gave a thread something to do, where its wait is taken for one of the request that it had in hand.

use super::*;
use crate::model::full::Table;
use crate::model::id::Task;
use crate::threads::Threads;
use crate::threads::comms::Comm;
use crate::threads::state::{Occupant, Wake};

const PID: Pid = Pid(40);
const OWN: Tid = Tid(41);
const LOOP: Tid = Tid(42);

fn request(conn: u64) -> RequestId {
    RequestId {
        conn: ConnId(conn),
        nth: 1,
    }
}

fn reads(conn: u64) -> Operation {
    Operation {
        at_ns: 100,
        direction: Direction::In,
        conn: ConnId(conn),
        arrived_ns: 50,
        request: Some(request(conn)),
        outbound: false,
        stalled: false,
        read_by: None,
        faults: (0, 0),
        task: Task::UNKNOWN,
    }
}

/// A wait in this call that another thread ended, or the bytes of a connection.
fn waits(syscall: i64, conn: ConnId) -> Block {
    waits_for(LOOP, syscall, conn)
}

fn waits_for(by: Tid, syscall: i64, conn: ConnId) -> Block {
    Block {
        wait: Wait::Park { timeout: false },
        syscall: syscall as i32,
        arg0: 8,
        wake: Some(Wake {
            by: Occupant {
                tid: by,
                pid: PID,
                comm: Comm::default(),
            },
            syscall: libc::SYS_futex as i32,
            conn,
        }),
        owner: Owner::Request(request(5)),
    }
}

fn given(deeds: &mut Deeds) -> u32 {
    deeds.settle(&[], &FxHashSet::default(), 0);
    deeds.window.given
}

/// It reads a request, waits until the loop ends that, and goes on with a request of this connection.
fn goes_on_with(conn: u64) -> Deeds {
    let mut deeds = Deeds::default();
    deeds.operates(OWN, &reads(5));
    deeds.waited(PID, 1000, &waits(libc::SYS_futex, ConnId::NONE), false);
    deeds.operates(OWN, &reads(conn));
    deeds
}

#[test]
fn whose_wait_another_ended_before_it_reads_from_another_connection_was_given_that() {
    assert_eq!(given(&mut goes_on_with(6)), 1);
}

#[test]
fn who_goes_on_with_the_same_connection_waited_for_the_request_in_hand() {
    assert_eq!(given(&mut goes_on_with(5)), 0);
}

#[test]
fn what_the_bytes_of_a_client_ended_after_that_was_not_given_by_another() {
    let mut deeds = Deeds::default();
    deeds.operates(OWN, &reads(5));
    deeds.waited(PID, 1000, &waits(libc::SYS_futex, ConnId::NONE), false);
    deeds.waited(PID, 1000, &waits(libc::SYS_poll, ConnId(6)), false);
    deeds.operates(OWN, &reads(6));
    assert_eq!(given(&mut deeds), 0);
}

#[test]
fn where_a_thread_waits_for_work_is_known_when_it_goes_on_with_another_request() {
    let mut deeds = Deeds::default();
    deeds.operates(OWN, &reads(5));
    deeds.waited(PID, 1000, &waits(libc::SYS_read, ConnId::NONE), false);
    assert!(
        !deeds.waits_for_work_at(8),
        "the request may have waited for that"
    );
    deeds.operates(OWN, &reads(6));
    assert!(deeds.waits_for_work_at(8));
}

#[test]
fn of_many_that_ended_its_waits_the_last_are_known_and_all_are_counted() {
    let mut deeds = Deeds::default();
    deeds.operates(OWN, &reads(5));
    let by: Vec<Tid> = (100..=100 + MAX_GIVERS as u32).map(Tid).collect();
    for by in [&by[..1], &by[..]].concat() {
        deeds.waited(PID, 1000, &waits_for(by, libc::SYS_futex, ConnId::NONE), false);
    }
    deeds.operates(OWN, &reads(6));
    assert!(
        deeds
            .givers(&[])
            .map(|giver| giver.by)
            .eq(by[1..].iter().copied())
    );
    assert_eq!(given(&mut deeds), 2 + MAX_GIVERS as u32);
    assert_eq!(deeds.close_window(), 2, "the first did so twice");
}

/// It answers what this thread has read.
fn answers(reader: Tid) -> Operation {
    Operation {
        direction: Direction::Out,
        read_by: Some((reader, 60)),
        ..reads(5)
    }
}

#[test]
fn one_that_gave_it_something_in_an_earlier_window_makes_room_and_what_is_forgotten_for_it_is_told() {
    let mut deeds = Deeds::default();
    let readers: Vec<Tid> = (100..=100 + MAX_GIVERS as u32).map(Tid).collect();
    let (last, first) = readers.split_last().unwrap();
    for &reader in [first, first].concat().iter().chain([last, last]) {
        deeds.operates(OWN, &answers(reader));
    }
    assert_eq!(deeds.close_window(), 2, "all have done so in this window");
    deeds.operates(OWN, &answers(*last));
    assert_eq!(deeds.close_window(), 2, "the first did so twice before");
    let known: Vec<Tid> = deeds.givers(&[]).map(|giver| giver.by).collect();
    assert!(known.contains(last) && !known.contains(&readers[0]));
    deeds.operates(OWN, &answers(*last));
    assert_eq!(deeds.close_window(), 0);
}

#[test]
fn what_is_forgotten_is_counted_of_threads_of_a_pool() {
    let mut threads = Threads::default();
    let counted = |threads: &mut Threads, readers: u32| {
        threads.operated(Tid(100), PID, 0, &reads(5));
        for reader in 100..100 + readers {
            threads.operated(OWN, PID, 0, &answers(Tid(reader)));
        }
        let told = threads.take_roles(1_000, 1_000);
        let roles = told.iter().flat_map(|(_, window, _)| &window.roles);
        assert!(roles.into_iter().any(|totals| totals.role == Role::Pool));
        threads.take_full().counts().collect::<Vec<_>>()
    };
    assert_eq!(counted(&mut threads, MAX_GIVERS as u32), []);
    assert_eq!(
        counted(&mut threads, MAX_GIVERS as u32 + 2),
        [(Table::PoolThreads, 2)]
    );
}
