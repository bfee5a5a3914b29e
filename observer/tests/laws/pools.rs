//! What is told of a request that an event loop reads and a pool of the program's own answers: short streams, each with
//! the one answer that its events support.

use bytemuck::Zeroable as _;
use observer::model::cause::Cause;
use observer::model::id::{ConnId, Tid};
use observer::model::request::Request;
use observer_common::{
    Connection, Header, Kind, Process, ProcessChange, Receive, Send, SwitchIn, SwitchOut, Waking, conn,
    flags, task, tcp,
};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use syscalls::Sysno;

use super::check::Law;
use super::evidence::Truth;
use super::machine::START_NS;
use super::run::explain;
use super::script::{A, B, PID, charged_us};
use super::stream::Stream;

pub(super) const LOOP: u32 = 101;
pub(super) const FIRST: u32 = 102;
pub(super) const SECOND: u32 = 103;
const THIRD: u32 = 104;
const FOURTH: u32 = 105;

/// Where the threads of a pool wait for something to do, and those of another.
pub(super) const QUEUE: u64 = 0x7000;
const OTHER_QUEUE: u64 = 0x8000;

/// A third client.
const OTHER: u64 = 3;

/// A loop and its pool. Times are in microseconds.
pub(super) struct Program(pub(super) Stream);

pub(super) fn header(kind: Kind, tid: u32, at_us: u64) -> Header {
    Header {
        at_ns: START_NS + at_us * 1_000,
        tid,
        kind: kind as u16,
        cpu: (tid - LOOP) as u16,
    }
}

impl Program {
    /// These threads answered requests before, often enough for that to be believed, and wait for others since 1 ms at
    /// the latest.
    pub(super) fn with(pool: &[u32]) -> Self {
        let pool: Vec<_> = pool.iter().map(|&tid| (tid, QUEUE)).collect();
        Self::with_queues(&pool)
    }

    /// The same, of threads that each wait there.
    fn with_queues(pool: &[(u32, u64)]) -> Self {
        Self::fed(pool, Self::comes, Self::loops)
    }

    /// The same, where requests come so, and where the thread that reads them waits so.
    pub(super) fn fed(
        pool: &[(u32, u64)],
        comes: impl Fn(Self, u64, u64) -> Self,
        waits: impl Fn(Self, u64) -> Self,
    ) -> Self {
        let mut program = Self(Stream::default());
        program.gets_a_cpu(LOOP, 1);
        for (at_us, conn) in [(2, A), (3, B)] {
            program.record(&Connection {
                header: header(Kind::Connection, LOOP, at_us),
                conn,
                tgid: PID,
                old_state: tcp::ESTABLISHED,
                new_state: tcp::ESTABLISHED,
                flags: flags::ACCEPTED,
                local_port: 8080,
                ..Connection::zeroed()
            });
        }
        let mut program = waits(program, 5);
        for (nth, &(tid, queue)) in pool.iter().cycle().take(16).enumerate() {
            let at_us = 10 + 20 * nth as u64;
            program = waits(comes(program, at_us, A).gives(at_us + 2, tid), at_us + 4);
            program = program.answers(at_us + 6, tid, A);
            program = program.waits_at(at_us + 8, tid, queue);
        }
        program
    }

    pub(super) fn record(&mut self, event: &impl bytemuck::NoUninit) {
        self.0.push(bytemuck::bytes_of(event));
    }

    pub(super) fn gets_a_cpu(&mut self, tid: u32, at_us: u64) {
        self.record(&SwitchIn {
            header: header(Kind::SwitchIn, tid, at_us),
            tgid: PID,
            ..SwitchIn::zeroed()
        });
    }

    pub(super) fn leaves(mut self, at_us: u64, tid: u32, call: Sysno, args: [u64; 4]) -> Self {
        self.record(&SwitchOut {
            header: header(Kind::SwitchOut, tid, at_us),
            tgid: PID,
            state: 1,
            syscall: call as i32,
            args,
            task: task::UNKNOWN,
            ..SwitchOut::zeroed()
        });
        self
    }

    /// An interrupt wakes a thread.
    pub(super) fn wakes(mut self, at_us: u64, tid: u32, conn: u64) -> Self {
        self.record(&Waking {
            header: header(Kind::Waking, tid, at_us),
            tgid: PID,
            waker_syscall: -1,
            waker_task: task::UNKNOWN,
            conn,
            ..Waking::zeroed()
        });
        self.gets_a_cpu(tid, at_us + 1);
        self
    }

    /// The loop waits for events.
    pub(super) fn loops(self, at_us: u64) -> Self {
        self.leaves(at_us, LOOP, Sysno::epoll_wait, [3, 0, 64, u64::from(u32::MAX)])
    }

    /// A request comes, and the loop reads it.
    pub(super) fn comes(self, at_us: u64, conn: u64) -> Self {
        self.wakes(at_us - 2, LOOP, conn)
            .reads(at_us, LOOP, conn, at_us - 2)
    }

    /// A thread reads a request that came before.
    pub(super) fn reads(mut self, at_us: u64, tid: u32, conn: u64, arrived_us: u64) -> Self {
        self.record(&Receive {
            header: header(Kind::Receive, tid, at_us),
            tgid: PID,
            fd: conn as i32,
            conn,
            arrived_ns: START_NS + arrived_us * 1_000,
            task: task::UNKNOWN,
            result: 5,
            flags: flags::INBOUND,
            ..Receive::zeroed()
        });
        self
    }

    /// The loop gives a thread that waits something to do.
    pub(super) fn gives(self, at_us: u64, tid: u32) -> Self {
        self.ends_wait(at_us, LOOP, Sysno::futex, tid)
    }

    /// Thread `by` ends the wait of another by this call.
    pub(super) fn ends_wait(mut self, at_us: u64, by: u32, call: Sysno, tid: u32) -> Self {
        self.record(&Waking {
            header: Header {
                cpu: (by - LOOP) as u16,
                ..header(Kind::Waking, tid, at_us)
            },
            tgid: PID,
            waker_tid: by,
            waker_tgid: PID,
            waker_syscall: call as i32,
            waker_task: task::UNKNOWN,
            conn: conn::NONE,
            ..Waking::zeroed()
        });
        self.gets_a_cpu(tid, at_us + 1);
        self
    }

    pub(super) fn waits_for_a_job(self, at_us: u64, tid: u32) -> Self {
        self.waits_at(at_us, tid, QUEUE)
    }

    fn waits_at(self, at_us: u64, tid: u32, queue: u64) -> Self {
        self.leaves(at_us, tid, Sysno::futex, [queue, 137, 0, 0])
    }

    /// It waits until a time, in the middle of a job.
    fn waits_for_a_time(self, at_us: u64, tid: u32) -> Self {
        self.leaves(
            at_us,
            tid,
            Sysno::futex,
            [0x9000 + u64::from(tid), 137, 0, 0x7fff],
        )
    }

    pub(super) fn sleeps(self, at_us: u64, tid: u32) -> Self {
        self.leaves(at_us, tid, Sysno::clock_nanosleep, [0; 4])
    }

    /// What it waited for is over.
    pub(super) fn goes_on(self, at_us: u64, tid: u32) -> Self {
        self.wakes(at_us, tid, conn::NONE)
    }

    pub(super) fn answers(mut self, at_us: u64, tid: u32, conn: u64) -> Self {
        self.record(&Send {
            header: header(Kind::Send, tid, at_us),
            tgid: PID,
            fd: conn as i32,
            conn,
            task: task::UNKNOWN,
            result: 5,
            flags: flags::INBOUND,
            ..Send::zeroed()
        });
        self
    }

    /// The request of B, with all laws held.
    pub(super) fn request(&self) -> Result<Request, TestCaseError> {
        let explained = explain(&self.0)?;
        explained.obeys_the_laws()?;
        let mut requests = explained.requests.iter().map(|(request, _)| request);
        let request = requests.find(|request| request.conn.id == ConnId(B)).cloned();
        let request = request.ok_or_else(|| TestCaseError::fail("no request of B"))?;
        Truth::of(&self.0).supports(&request)?;
        Ok(request)
    }
}

/// The first thread sleeps for A for 50 ms from 2.02 ms on, and B comes at 3 ms.
pub(super) fn full(pool: &[u32]) -> Program {
    let program = Program::with(pool);
    let program = program.comes(2_010, A).gives(2_012, FIRST).loops(2_015);
    program.sleeps(2_020, FIRST).comes(3_000, B).loops(3_010)
}

/// The first thread answers A, and then B.
fn then_answers(program: Program) -> Program {
    let program = program.goes_on(52_020, FIRST).answers(52_030, FIRST, A);
    program.answers(52_060, FIRST, B).waits_for_a_job(52_070, FIRST)
}

#[test]
fn behind_a_pool_that_is_full_a_request_waits_for_the_thread_that_took_it_up() -> Law {
    let request = then_answers(full(&[FIRST])).request()?;
    prop_assert_eq!(charged_us(&request, Cause::WorkerBlocked), 49_010);
    prop_assert_eq!(charged_us(&request, Cause::WorkerBusy), 9);
    prop_assert_eq!(charged_us(&request, Cause::Unexplained), 0);
    let mut spans = request.timeline.iter();
    let blocked = spans.find(|span| span.cause == Cause::WorkerBlocked).unwrap();
    prop_assert_eq!(blocked.tid, Some(Tid(FIRST)));
    prop_assert_eq!(blocked.culprit.as_ref().unwrap().syscall, Some("clock_nanosleep"));
    Ok(())
}

#[test]
fn where_a_thread_of_the_pool_was_free_nothing_says_that_a_request_waited_for_one() -> Law {
    let request = then_answers(full(&[FIRST, SECOND])).request()?;
    prop_assert_eq!(charged_us(&request, Cause::WorkerBlocked), 0);
    prop_assert!(charged_us(&request, Cause::Unexplained) >= 49_000);
    Ok(())
}

/// Two threads at each of these two queues. Those of the first two sleep for A and another, the others have nothing to
/// do.
fn beside_another_pool(queues: [u64; 2]) -> Result<Request, TestCaseError> {
    let of = |tid| (tid, queues[((tid - FIRST) % 2) as usize]);
    let pool = [FIRST, SECOND, THIRD, FOURTH].map(of);
    let mut program = Program::with_queues(&pool);
    for (nth, &(tid, queue)) in pool.iter().enumerate() {
        let at_us = 2_000 + 100 * nth as u64;
        program = program.comes(at_us, A).gives(at_us + 2, tid).loops(at_us + 4);
        program = program.answers(at_us + 6, tid, A).waits_at(at_us + 8, tid, queue);
    }
    let program = program.comes(4_010, OTHER).gives(4_012, THIRD).loops(4_015);
    let program = program
        .sleeps(4_020, THIRD)
        .comes(4_030, A)
        .gives(4_032, FIRST)
        .loops(4_035);
    let program = program.sleeps(4_040, FIRST).comes(5_000, B).loops(5_010);
    then_answers(program).request()
}

#[test]
fn threads_that_wait_at_another_queue_are_none_of_the_pool() -> Law {
    let request = beside_another_pool([QUEUE, OTHER_QUEUE])?;
    prop_assert_eq!(charged_us(&request, Cause::WorkerBlocked), 47_010);
    prop_assert_eq!(charged_us(&request, Cause::Unexplained), 0);
    let request = beside_another_pool([QUEUE, QUEUE])?;
    prop_assert_eq!(charged_us(&request, Cause::WorkerBlocked), 0);
    Ok(())
}

#[test]
fn where_the_pool_grew_meanwhile_it_had_room() -> Law {
    let mut program = full(&[FIRST]).comes(3_100, OTHER);
    program.record(&Process {
        header: header(Kind::Process, LOOP, 3_110),
        tgid: PID,
        change: ProcessChange::Fork as u32,
        child_tid: SECOND,
        child_tgid: PID,
        flags: flags::WATCHED,
        ..Process::zeroed()
    });
    let request = then_answers(program.loops(3_120)).request()?;
    prop_assert_eq!(charged_us(&request, Cause::WorkerBlocked), 0);
    prop_assert!(charged_us(&request, Cause::Unexplained) >= 49_000);
    Ok(())
}

#[test]
fn what_a_request_waited_for_before_its_loop_was_awake_for_something_else_is_not_known() -> Law {
    let program = full(&[FIRST]).goes_on(20_000, LOOP).loops(20_010);
    let request = then_answers(program).request()?;
    prop_assert_eq!(charged_us(&request, Cause::WorkerBlocked), 32_010);
    prop_assert_eq!(charged_us(&request, Cause::Unexplained), 17_000);
    Ok(())
}

#[test]
fn other_requests_that_come_meanwhile_change_nothing() -> Law {
    let program = full(&[FIRST]).comes(20_000, OTHER).loops(20_010);
    let request = then_answers(program).request()?;
    prop_assert_eq!(charged_us(&request, Cause::WorkerBlocked), 49_010);
    Ok(())
}

#[test]
fn a_time_that_a_job_waits_for_is_its_own_and_what_came_before_is_not() -> Law {
    let program = full(&[FIRST]).goes_on(52_020, FIRST).answers(52_030, FIRST, A);
    let program = program.waits_for_a_time(52_040, FIRST).goes_on(62_040, FIRST);
    let request = program.answers(62_050, FIRST, B).request()?;
    prop_assert_eq!(charged_us(&request, Cause::Timer), 10_000);
    prop_assert_eq!(charged_us(&request, Cause::WorkerBlocked), 49_010);
    Ok(())
}

/// The job of A ends with its time, and the loop was awake for something else just before.
#[test]
fn a_time_that_the_job_of_another_waited_for_is_none_of_the_request_s() -> Law {
    let program = Program::with(&[FIRST]);
    let program = program.comes(2_010, A).gives(2_012, FIRST).loops(2_015);
    let program = program
        .waits_for_a_time(2_020, FIRST)
        .comes(3_000, B)
        .loops(3_010);
    let program = program.goes_on(52_000, LOOP).loops(52_010);
    let request = then_answers(program).request()?;
    prop_assert_eq!(charged_us(&request, Cause::Timer), 0);
    prop_assert!(charged_us(&request, Cause::Unexplained) >= 48_900);
    Ok(())
}

/// A thread that is no loop had it go on: what that did may have nothing to do with the request.
#[test]
fn a_request_that_another_thread_reads_waits_for_no_other_that_was_told_of_nothing() -> Law {
    let program = Program::with(&[]).waits_for_a_job(10, FIRST);
    let program = program.sleeps(2_000, SECOND).wakes(3_000, LOOP, B).loops(3_010);
    let mut program = program.goes_on(13_010, SECOND);
    program.record(&Waking {
        header: Header {
            cpu: 2,
            ..header(Kind::Waking, FIRST, 13_020)
        },
        tgid: PID,
        waker_tid: SECOND,
        waker_tgid: PID,
        waker_syscall: Sysno::futex as i32,
        waker_task: task::UNKNOWN,
        conn: conn::NONE,
        ..Waking::zeroed()
    });
    program.gets_a_cpu(FIRST, 13_021);
    let program = program.reads(13_030, FIRST, B, 3_000).answers(13_040, FIRST, B);
    let request = program.request()?;
    prop_assert_eq!(charged_us(&request, Cause::WorkerBlocked), 0);
    prop_assert!(charged_us(&request, Cause::Unexplained) >= 10_000);
    Ok(())
}
