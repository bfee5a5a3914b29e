//! What socket operations make of a thread, and several events in a row.

use bytemuck::Zeroable;
use observer_common::{Header, SwitchIn, SwitchOut, Waking, flags, task};

use super::super::Threads;
use super::super::state::{Block, State};
use super::rows::{A, B, MOMENT, OTHER, OWN, answered, believed, holds, since_idle, until_now};
use super::*;
use crate::model::id::{ConnId, Pid, Tid};
use crate::runtime::Runtime;
use crate::syscall::Wait;

use Observation::Operates;
use Owner::{Mixed, Nobody, Others, Request};

const PID: Pid = Pid(40);
const WORKER: Tid = Tid(41);
const OF_POOL: Tid = Tid(42);
const SERVED: RequestId = RequestId {
    conn: ConnId(5),
    nth: 1,
};

/// An operation on the connection of this request.
fn operates(at_ns: u64, direction: Direction, request: RequestId) -> Operation {
    Operation {
        at_ns,
        direction,
        conn: request.conn,
        arrived_ns: at_ns,
        request: Some(request),
        outbound: false,
        stalled: false,
        read_by: None,
        faults: (0, 0),
        task: Task::new(5),
    }
}

fn header(tid: Tid, at_ns: u64) -> Header {
    Header {
        at_ns,
        tid: tid.0,
        ..Header::zeroed()
    }
}

#[test]
fn a_socket_operation_tells_for_whom_a_thread_runs() {
    let reads = |request| operates(MOMENT.at_ns, Direction::In, request);
    let sends = |request| operates(MOMENT.at_ns, Direction::Out, request);
    holds(&[
        (
            "the first one since it was idle says for whom it ran until then",
            believed(Nobody, Task::NONE),
            Operates(&reads(A), OWN),
            Some(since_idle(Request(A), OWN)),
            believed(Request(A), OWN),
        ),
        (
            "a receive is the first thing that its task does",
            believed(Request(A), OWN),
            Operates(&reads(B), OTHER),
            Some(until_now(Request(A), OWN)),
            believed(Request(B), OTHER),
        ),
        (
            "a send of another task may come from any time",
            believed(Request(A), OWN),
            Operates(&sends(B), OTHER),
            Some(until_now(Mixed, Task::NONE)),
            answered(Request(B), OTHER),
        ),
        (
            "without tasks a send for another is of both, too",
            believed(Request(A), Task::UNKNOWN),
            Operates(&sends(B), Task::UNKNOWN),
            Some(Before {
                mixes_calls: true,
                ..until_now(Mixed, Task::UNKNOWN)
            }),
            answered(Request(B), Task::UNKNOWN),
        ),
        (
            "but not after an answer",
            answered(Request(A), Task::UNKNOWN),
            Operates(&sends(B), Task::UNKNOWN),
            Some(since_idle(Request(B), Task::UNKNOWN)),
            answered(Request(B), Task::UNKNOWN),
        ),
        (
            "a receive long after an answer ends what nobody saw",
            answered(Request(A), Task::UNKNOWN),
            Operates(&reads(B), Task::UNKNOWN),
            Some(until_now(Others, Task::UNKNOWN)),
            believed(Request(B), Task::UNKNOWN),
        ),
    ]);
}

#[test]
fn what_a_socket_did_not_take_and_what_nobody_asked_for_says_little() {
    let sends = |request| operates(MOMENT.at_ns, Direction::Out, request);
    let to_peer = Operation {
        request: None,
        outbound: true,
        ..sends(B)
    };
    let stalls = Operation {
        stalled: true,
        ..sends(A)
    };
    holds(&[
        (
            "where the socket had no room the answer is not yet sent",
            believed(Request(A), OWN),
            Operates(&stalls, OWN),
            Some(until_now(Request(A), OWN)),
            believed(Request(A), OWN),
        ),
        (
            "bytes to a peer of nobody say nothing",
            believed(Request(A), OWN),
            Operates(&to_peer, OWN),
            Some(until_now(Request(A), OWN)),
            believed(Request(A), OWN),
        ),
        (
            "nor do they take an answer back",
            answered(Request(A), OWN),
            Operates(&to_peer, OWN),
            Some(until_now(Request(A), OWN)),
            answered(Request(A), OWN),
        ),
    ]);
}

/// A thread of the blocking pool that was woken at 150 ns for a request and runs from 200 ns.
fn woken_for_a_job() -> Threads {
    let mut threads = Threads::default();
    threads.runs_on(PID, Runtime::Tokio);
    threads.operated(WORKER, PID, 0, &operates(100, Direction::In, SERVED));
    let futex = libc::SYS_futex as i32;
    threads.switch_out(&SwitchOut {
        header: header(OF_POOL, 120),
        tgid: PID.0,
        state: 1,
        syscall: futex,
        args: [0x7000, 137, 1, 0],
        ..SwitchOut::zeroed()
    });
    threads.woken(&Waking {
        header: header(OF_POOL, 150),
        tgid: PID.0,
        waker_tid: WORKER.0,
        waker_tgid: PID.0,
        waker_syscall: futex,
        waker_task: 5,
        ..Waking::zeroed()
    });
    threads.switch_in(&SwitchIn {
        header: header(OF_POOL, 200),
        tgid: PID.0,
        ..SwitchIn::zeroed()
    });
    threads
}

fn doing(threads: &Threads, at_ns: u64) -> (Owner, Task) {
    threads.get(OF_POOL).unwrap().owner_before(at_ns)
}

#[test]
fn a_thread_that_was_woken_for_a_job_is_in_it_from_then_on() {
    let mut threads = woken_for_a_job();
    threads.turned_to(OF_POOL, PID, 0, 300, Task::new(8));
    let job = (Owner::WokenFor(SERVED), Task::new(8));
    assert_eq!((doing(&threads, 250), doing(&threads, 350)), (job, job));
}

#[test]
fn a_job_that_follows_is_not_for_whom_the_thread_was_woken() {
    let mut threads = woken_for_a_job();
    for (at_ns, task) in [
        (300, Task::new(8)),
        (400, Task::NONE),
        (450, Task::new(9)),
        (500, Task::NONE),
    ] {
        threads.turned_to(OF_POOL, PID, 0, at_ns, task);
    }
    assert_eq!(doing(&threads, 350).0, Owner::WokenFor(SERVED));
    assert_eq!(doing(&threads, 425), (Owner::Nobody, Task::NONE));
    assert_eq!(doing(&threads, 475), (Owner::Nobody, Task::new(9)));
}

#[test]
fn a_job_is_not_over_before_its_poll_is() {
    let mut threads = woken_for_a_job();
    threads.turned_to(OF_POOL, PID, 0, 300, Task::new(8));
    threads.seen(OF_POOL, PID, 0, 350, Task::NONE);
    threads.turned_to(OF_POOL, PID, 0, 400, Task::NONE);
    assert_eq!(doing(&threads, 375), (Owner::WokenFor(SERVED), Task::new(8)));
    assert_eq!(doing(&threads, 425), (Owner::Nobody, Task::NONE));
}

#[test]
fn a_poll_in_which_a_next_request_began_was_for_the_one_that_took_most_of_it() {
    let mut threads = Threads::default();
    threads.turned_to(WORKER, PID, 0, 90, Task::new(5));
    for (at_ns, direction, nth) in [
        (100, Direction::In, 1),
        (900, Direction::Out, 1),
        (910, Direction::In, 2),
        (950, Direction::Out, 2),
    ] {
        let request = RequestId { conn: ConnId(5), nth };
        threads.operated(WORKER, PID, 0, &operates(at_ns, direction, request));
    }
    let worker = threads.get(WORKER).unwrap();
    assert_eq!(worker.did_most_for(90, 960), Some(SERVED));
    assert_eq!(
        worker.did_most_for(905, 960),
        Some(RequestId {
            conn: ConnId(5),
            nth: 2
        })
    );
}

/// The descriptor of an event loop, and one that is waited for beside it.
const LOOP: u64 = 4;
const PEER: u64 = 9;

fn leaves(at_ns: u64, syscall: i64, fd: u64, flags: u32) -> SwitchOut {
    SwitchOut {
        header: header(WORKER, at_ns),
        tgid: PID.0,
        state: 1,
        flags,
        syscall: i32::try_from(syscall).unwrap(),
        args: [fd, 1, 1_000, 0],
        task: task::UNKNOWN,
        ..SwitchOut::zeroed()
    }
}

fn operates_in_no_task(at_ns: u64, direction: Direction, request: RequestId) -> Operation {
    Operation {
        task: Task::UNKNOWN,
        ..operates(at_ns, direction, request)
    }
}

/// A thread that waited at this descriptor with `epoll` and read a request polls another one from 200 ns on. Gives what
/// that is taken for.
fn polls(loop_fd: Option<u64>, task: u64, flags: u32) -> Block {
    let mut threads = Threads::default();
    if let Some(fd) = loop_fd {
        threads.switch_out(&leaves(50, libc::SYS_epoll_wait, fd, 0));
    }
    let read = Operation {
        task: Task::new(task),
        ..operates(100, Direction::In, A)
    };
    threads.operated(WORKER, PID, 0, &read);
    threads.switch_out(&SwitchOut {
        task,
        ..leaves(200, libc::SYS_poll, PEER, flags)
    });
    match threads.get(WORKER).unwrap().before(250).unwrap().state {
        State::Blocked(block) => block,
        state => panic!("{state:?}"),
    }
}

#[test]
fn a_thread_whose_events_are_elsewhere_or_that_is_in_a_task_is_not_idle_in_poll() {
    let call = |block: Block| (block.wait, block.fd(), block.owner);
    let polls_peer = (Wait::Call, Some(9), Request(A));
    assert_eq!(
        call(polls(Some(LOOP), task::UNKNOWN, flags::POLLS_FEW)),
        polls_peer
    );
    assert_eq!(call(polls(None, 7, flags::POLLS_FEW)), polls_peer);
    for (loop_fd, flags) in [
        (None, flags::POLLS_FEW),
        (Some(PEER), flags::POLLS_FEW),
        (Some(LOOP), 0),
    ] {
        let block = polls(loop_fd, task::UNKNOWN, flags);
        assert!(block.wait.is_idle(), "{loop_fd:?} {flags}: {block:?}");
    }
}

/// A thread that has waited so often at its `epoll` waits at another one, after it has read a request and, where
/// `answered`, answered it. Gives what that is taken for.
fn waits_at_another(times: u64, answered: bool) -> Block {
    let mut threads = Threads::default();
    for number in 0..times {
        threads.switch_out(&leaves(10 + number, libc::SYS_epoll_pwait, LOOP, 0));
        threads.switch_in(&SwitchIn {
            header: header(WORKER, 10 + number),
            tgid: PID.0,
            ..SwitchIn::zeroed()
        });
    }
    threads.operated(WORKER, PID, 0, &operates_in_no_task(100, Direction::In, A));
    if answered {
        threads.operated(WORKER, PID, 0, &operates_in_no_task(150, Direction::Out, A));
    }
    threads.switch_out(&leaves(200, libc::SYS_epoll_pwait, PEER, 0));
    match threads.get(WORKER).unwrap().before(250).unwrap().state {
        State::Blocked(block) => block,
        state => panic!("{state:?}"),
    }
}

#[test]
fn a_thread_with_a_request_in_hand_is_not_idle_at_another_epoll_than_its_own() {
    let block = waits_at_another(16, false);
    assert_eq!((block.wait, block.owner), (Wait::Call, Request(A)));
    for (times, answered) in [(15, false), (16, true)] {
        assert!(
            waits_at_another(times, answered).wait.is_idle(),
            "{times} {answered}"
        );
    }
}

#[test]
fn of_two_requests_that_were_read_the_call_before_the_first_answer_is_one_s_and_not_known_whose() {
    let owner_of_call = |first_answered| {
        let mut threads = Threads::default();
        for (at_ns, request) in [(100, A), (110, B)] {
            let read = operates_in_no_task(at_ns, Direction::In, request);
            threads.operated(WORKER, PID, 0, &read);
        }
        threads.switch_out(&leaves(200, libc::SYS_wait4, 0, 0));
        threads.switch_in(&SwitchIn {
            header: header(WORKER, 300),
            tgid: PID.0,
            ..SwitchIn::zeroed()
        });
        let answer = operates_in_no_task(400, Direction::Out, first_answered);
        threads.operated(WORKER, PID, 0, &answer);
        match threads.get(WORKER).unwrap().before(250).unwrap().state {
            State::Blocked(block) => block.owner,
            state => panic!("{state:?}"),
        }
    };
    assert_eq!(owner_of_call(A), Mixed);
    assert_eq!(owner_of_call(B), Request(B));
}
