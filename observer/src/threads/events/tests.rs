//! What is known of threads of which not every event was recorded.

use bytemuck::Zeroable;
use observer_common::Header;

use super::*;

const PID: Pid = Pid(40);
const HOLDER: Tid = Tid(41);
const OTHER: Tid = Tid(42);
const SERVED: RequestId = RequestId {
    conn: ConnId(5),
    nth: 1,
};

fn header(tid: Tid, at_ns: u64) -> Header {
    Header {
        at_ns,
        tid: tid.0,
        ..Header::zeroed()
    }
}

fn sleeps(at_ns: u64) -> SwitchOut {
    SwitchOut {
        header: header(HOLDER, at_ns),
        tgid: PID.0,
        state: 1,
        syscall: libc::SYS_clock_nanosleep as i32,
        ..SwitchOut::zeroed()
    }
}

fn wakes_another(at_ns: u64) -> Waking {
    Waking {
        header: header(OTHER, at_ns),
        tgid: PID.0,
        waker_tid: HOLDER.0,
        waker_tgid: PID.0,
        ..Waking::zeroed()
    }
}

/// A thread that read a request at 100 ns and sleeps since 200 ns; that it runs again is not recorded.
fn asleep_for_a_request() -> Threads {
    let mut threads = Threads::default();
    let receive = Operation {
        at_ns: 100,
        direction: Direction::In,
        conn: SERVED.conn,
        arrived_ns: 50,
        request: Some(SERVED),
        outbound: false,
        stalled: false,
        read_by: None,
        faults: (0, 0),
        task: Task::UNKNOWN,
    };
    threads.operated(HOLDER, PID, 0, &receive);
    threads.switch_out(&sleeps(200));
    threads
}

fn before(threads: &Threads, at_ns: u64) -> (State, Owner) {
    let holder = threads.get(HOLDER).unwrap();
    (holder.before(at_ns).unwrap().state, holder.owner_before(at_ns).0)
}

#[test]
fn a_thread_that_runs_unseen_runs_for_the_same_request_and_what_it_did_is_not_known() {
    let mut threads = asleep_for_a_request();
    threads.switch_out(&sleeps(300));
    let owner = Owner::Request(SERVED);
    assert_eq!(before(&threads, 250), (State::Unknown { owner }, owner));
}

#[test]
fn a_thread_that_wakes_another_runs_though_its_switch_was_not_seen() {
    let mut threads = asleep_for_a_request();
    threads.woken(&wakes_another(300));
    threads.switch_out(&sleeps(400));
    let owner = Owner::Request(SERVED);
    let running = State::Running {
        cpu: 0,
        owner,
        began: Began::Plain,
    };
    assert_eq!(before(&threads, 250), (State::Unknown { owner }, owner));
    assert_eq!(before(&threads, 350), (running, owner));
}

#[test]
fn a_process_that_ends_leaves_nothing_to_the_next_with_its_number() {
    const FUTEX: u64 = 0x7000;
    let mut threads = Threads::default();
    let waits = |at_ns, value| SwitchOut {
        syscall: libc::SYS_futex as i32,
        args: [FUTEX, 0, value, 0],
        ..sleeps(at_ns)
    };
    let (parks, contended) = (waits(100, 1), waits(200, 2));
    threads.switch_out(&parks);
    threads.woken(&Waking {
        conn: conn::LISTENER,
        ..wakes_another(150)
    });
    let no_mutex = Wait::Park { timeout: false };
    assert_eq!(threads.wait(&contended), no_mutex);
    assert_eq!(threads.acceptors(PID), [OTHER]);
    threads.forget_process(PID);
    assert_eq!(threads.wait(&contended), Wait::Mutex);
    assert!(threads.acceptors(PID).is_empty());
}

#[test]
fn futexes_that_are_forgotten_are_counted() {
    let mut threads = Threads::default();
    for futex in 0..=MAX_FUTEXES as u64 {
        let waits = SwitchOut {
            syscall: libc::SYS_futex as i32,
            args: [futex, 0, 1, 0],
            ..sleeps(futex)
        };
        threads.switch_out(&waits);
    }
    assert_eq!(threads.no_mutexes.len(), 1);
    let counts: Vec<_> = threads.take_full().counts().collect();
    assert_eq!(counts, [(Table::Futexes, MAX_FUTEXES as u64)]);
}

#[test]
fn after_a_loss_nobody_knows_for_whom_a_thread_runs() {
    let mut threads = asleep_for_a_request();
    threads.lost(250);
    threads.switch_out(&sleeps(300));
    assert_eq!(before(&threads, 275).1, Owner::Nobody);
}
