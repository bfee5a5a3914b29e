//! What is told of a worker and its tasks: short streams, each with the one answer that its events support.
//!
//! Times are in microseconds after [`START_NS`].

use bytemuck::Zeroable as _;
use observer::model::cause::Cause;
use observer::model::id::ConnId;
use observer::model::request::{Confidence, Request};
use observer_common::{
    Connection, Header, Kind, Receive, Seen, Send, SwitchIn, SwitchOut, Waking, conn, flags, task, tcp,
};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use syscalls::Sysno;

use super::check::{Law, explain};
use super::evidence::Truth;
use super::machine::START_NS;
use super::stream::Stream;

pub(crate) const PID: u32 = 100;
pub(crate) const WORKER: u32 = 101;
const PORT: u16 = 8080;

/// Two clients and a peer, and the tasks of the clients' connections.
pub(crate) const A: u64 = 1;
pub(crate) const B: u64 = 2;
const PEER: u64 = 1_000_000;
pub(crate) const TASK_A: u64 = 11;
pub(crate) const TASK_B: u64 = 12;
/// A task that serves no client.
const OTHER: u64 = 13;

/// Which side opened a connection, as its socket tells.
const fn opened(conn: u64) -> u32 {
    if conn == PEER {
        flags::OUTBOUND
    } else {
        flags::INBOUND
    }
}

/// What the one worker does, beginning with its two connections.
pub(crate) struct Script(Stream);

impl Script {
    pub(crate) fn begin() -> Self {
        let mut script = Self(Stream::default());
        script.record(&SwitchIn {
            header: header(Kind::SwitchIn, 1),
            tgid: PID,
            ..SwitchIn::zeroed()
        });
        for (at_us, conn) in [(2, A), (3, B)] {
            script.record(&Connection {
                header: header(Kind::Connection, at_us),
                conn,
                tgid: PID,
                old_state: tcp::ESTABLISHED,
                new_state: tcp::ESTABLISHED,
                flags: flags::ACCEPTED,
                local_port: PORT,
                ..Connection::zeroed()
            });
        }
        script
    }

    /// What was recorded.
    pub(crate) fn stream(&self) -> &Stream {
        &self.0
    }

    pub(crate) fn record(&mut self, event: &impl bytemuck::NoUninit) {
        self.0.push(bytemuck::bytes_of(event));
    }

    pub(crate) fn reads(mut self, at_us: u64, conn: u64, task: u64, arrived_us: u64) -> Self {
        self.record(&Receive {
            header: header(Kind::Receive, at_us),
            tgid: PID,
            fd: conn as i32,
            conn,
            arrived_ns: START_NS + arrived_us * 1_000,
            task,
            result: 5,
            flags: opened(conn),
            ..Receive::zeroed()
        });
        self
    }

    pub(crate) fn sends(mut self, at_us: u64, conn: u64, task: u64) -> Self {
        self.record(&Send {
            header: header(Kind::Send, at_us),
            tgid: PID,
            fd: conn as i32,
            conn,
            task,
            result: 5,
            flags: opened(conn),
            ..Send::zeroed()
        });
        self
    }

    fn seen(mut self, at_us: u64, task: u64) -> Self {
        self.record(&Seen {
            header: header(Kind::Seen, at_us),
            tgid: PID,
            reserved: 0,
            task,
        });
        self
    }

    /// It has nothing to do, and nothing will be due for so long.
    fn idles(mut self, at_us: u64, timeout_ms: u64) -> Self {
        self.record(&waits(header(Kind::SwitchOut, at_us), timeout_ms));
        self
    }

    /// Something came on a connection, and it gets a CPU at once.
    fn woken(mut self, at_us: u64, conn: u64) -> Self {
        self.record(&Waking {
            header: header(Kind::Waking, at_us),
            tgid: PID,
            waker_syscall: -1,
            conn,
            ..Waking::zeroed()
        });
        let mut entered = header(Kind::SwitchIn, at_us);
        entered.at_ns += 1;
        self.record(&SwitchIn {
            header: entered,
            tgid: PID,
            ..SwitchIn::zeroed()
        });
        self
    }

    /// It opens the connection to the peer, and asks it.
    fn asks(mut self, at_us: u64, task: u64) -> Self {
        self.record(&Connection {
            header: header(Kind::Connection, at_us),
            conn: PEER,
            tgid: PID,
            old_state: tcp::CLOSE,
            new_state: tcp::SYN_SENT,
            remote_port: 99,
            ..Connection::zeroed()
        });
        self.sends(at_us + 1, PEER, task)
    }

    /// The request of a connection, of which there is one, with all laws held.
    pub(crate) fn request(&self, conn: u64) -> Result<Request, TestCaseError> {
        let explained = explain(&self.0)?;
        explained.obeys_the_laws()?;
        let mut requests = explained.requests.iter().map(|(request, _)| request);
        let request = requests.find(|request| request.conn.id == ConnId(conn)).cloned();
        let request = request.ok_or_else(|| TestCaseError::fail("no request of this connection"))?;
        Truth::of(&self.0).supports(&request)?;
        Ok(request)
    }
}

/// A worker with nothing to do waits for events, and nothing will be due for so long.
fn waits(header: Header, timeout_ms: u64) -> SwitchOut {
    SwitchOut {
        header,
        tgid: PID,
        state: 1,
        syscall: Sysno::epoll_pwait as i32,
        args: [3, 0, 64, timeout_ms],
        task: task::NONE,
        ..SwitchOut::zeroed()
    }
}

pub(crate) fn header(kind: Kind, at_us: u64) -> Header {
    Header {
        at_ns: START_NS + at_us * 1_000,
        tid: WORKER,
        kind: kind as u16,
        cpu: 0,
    }
}

pub(crate) fn charged_us(request: &Request, cause: Cause) -> u64 {
    request.figures.budget.get(cause) / 1_000
}

/// The tasks that are named for a cause.
fn culprits(request: &Request, cause: Cause) -> Vec<Option<u64>> {
    let spans = request.timeline.iter().filter(|span| span.cause == cause);
    spans
        .filter_map(|span| span.culprit.as_ref().map(|culprit| culprit.task))
        .collect()
}

#[test]
fn what_computes_after_an_answer_is_named_when_it_was_seen() -> Law {
    let script = Script::begin().reads(50, A, TASK_A, 40).sends(100, A, TASK_A);
    let script = script.seen(900, OTHER).seen(4_900, OTHER);
    let request = script
        .reads(5_000, B, TASK_B, 200)
        .sends(5_100, B, TASK_B)
        .request(B)?;
    prop_assert_eq!(charged_us(&request, Cause::WorkerBusy), 4_800);
    prop_assert_eq!(culprits(&request, Cause::WorkerBusy), [Some(OTHER)]);
    prop_assert_eq!(request.figures.confidence, Confidence::Exact);
    Ok(())
}

#[test]
fn what_follows_an_answer_is_nobodys_where_nothing_was_seen_of_it() -> Law {
    let script = Script::begin().reads(50, A, TASK_A, 40).sends(100, A, TASK_A);
    let request = script
        .reads(5_000, B, TASK_B, 200)
        .sends(5_100, B, TASK_B)
        .request(B)?;
    prop_assert_eq!(charged_us(&request, Cause::WorkerBusy), 4_800);
    prop_assert_eq!(culprits(&request, Cause::WorkerBusy), [None]);
    Ok(())
}

#[test]
fn a_request_that_goes_on_right_after_a_task_waited_for_that() -> Law {
    let script = Script::begin().reads(50, A, TASK_A, 40).seen(60, TASK_A);
    let script = script.seen(900, OTHER).seen(4_900, OTHER);
    let request = script.sends(5_000, A, TASK_A).request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::WorkerBusy), 4_940);
    prop_assert_eq!(culprits(&request, Cause::WorkerBusy), [Some(OTHER)]);
    prop_assert_eq!(request.figures.confidence, Confidence::Inferred);
    Ok(())
}

#[test]
fn a_request_that_goes_on_right_after_another_waited_for_nobody_knows_what() -> Law {
    let script = Script::begin().reads(50, A, TASK_A, 40).seen(60, TASK_A);
    let script = script.reads(900, B, TASK_B, 890).seen(4_900, TASK_B);
    let request = script.sends(5_000, A, TASK_A).request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::Unexplained), 4_100);
    Ok(())
}

/// The worker waits for the timer of A, and a request of B wakes it when that is due within the millisecond.
#[test]
fn a_timer_that_is_due_is_found_by_a_worker_that_something_else_woke() -> Law {
    let script = Script::begin().reads(50, A, TASK_A, 40).idles(100, 20);
    let script = script
        .woken(19_900, B)
        .reads(19_910, B, TASK_B, 19_900)
        .sends(19_950, B, TASK_B);
    let request = script.sends(20_000, A, TASK_A).request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::Timer), 19_800);
    prop_assert_eq!(request.figures.confidence, Confidence::Inferred);
    Ok(())
}

#[test]
fn a_timer_that_is_due_while_its_worker_is_busy_waits_for_the_worker_from_then_on() -> Law {
    let script = Script::begin().reads(50, A, TASK_A, 40).idles(100, 20);
    let script = script.woken(5_000, B).reads(5_010, B, TASK_B, 5_000);
    let script = script.seen(29_000, TASK_B).sends(30_000, B, TASK_B);
    let request = script.sends(30_010, A, TASK_A).request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::Timer), 20_000);
    prop_assert_eq!(charged_us(&request, Cause::WorkerBusy), 9_900);
    Ok(())
}

#[test]
fn a_timer_that_is_not_due_explains_nothing() -> Law {
    let script = Script::begin().reads(50, A, TASK_A, 40).idles(100, 60);
    let script = script
        .woken(19_900, B)
        .reads(19_910, B, TASK_B, 19_900)
        .sends(19_950, B, TASK_B);
    let request = script.sends(20_000, A, TASK_A).request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::Timer), 0);
    prop_assert!(charged_us(&request, Cause::Unexplained) >= 19_800);
    Ok(())
}

/// The peer's answer wakes the worker, which is in no task for a while before it receives it.
#[test]
fn a_task_that_is_ready_while_its_worker_is_in_none_is_in_the_queue() -> Law {
    let script = Script::begin().reads(50, A, TASK_A, 40).asks(60, TASK_A);
    let script = script.idles(100, u64::from(u32::MAX)).woken(5_000, PEER);
    let script = script.seen(7_000, task::NONE).reads(7_500, PEER, TASK_A, 4_999);
    let request = script.sends(7_600, A, TASK_A).request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::Downstream), 4_938);
    prop_assert_eq!(charged_us(&request, Cause::TaskQueue), 1_999);
    Ok(())
}

/// The rest of a request comes, and an interrupt hides that it is what wakes the worker.
#[test]
fn a_wakeup_just_after_the_bytes_of_the_client_was_for_them() -> Law {
    let script = Script::begin()
        .reads(50, A, TASK_A, 40)
        .idles(100, u64::from(u32::MAX));
    let script = script.woken(60_000, conn::NONE).reads(60_020, A, TASK_A, 59_900);
    let request = script.sends(60_100, A, TASK_A).request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::Client), 59_800);
    prop_assert_eq!(request.figures.confidence, Confidence::Inferred);
    Ok(())
}

#[test]
fn a_worker_that_sleeps_on_when_bytes_come_does_not_wait_for_them() -> Law {
    let script = Script::begin()
        .reads(50, A, TASK_A, 40)
        .idles(100, u64::from(u32::MAX));
    let script = script.woken(60_000, conn::NONE).reads(60_020, A, TASK_A, 50_000);
    let request = script.sends(60_100, A, TASK_A).request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::Client), 0);
    Ok(())
}

/// A second worker, on a CPU of its own.
const SECOND: u32 = 102;

/// A record of the second worker.
fn of_second(kind: Kind, at_us: u64) -> Header {
    Header {
        tid: SECOND,
        cpu: 1,
        ..header(kind, at_us)
    }
}

impl Script {
    fn second_idles(mut self, at_us: u64, timeout_ms: u64) -> Self {
        self.record(&waits(of_second(Kind::SwitchOut, at_us), timeout_ms));
        self
    }

    /// By an interrupt, or by the first worker, which writes to what the second one waits for.
    fn second_is_woken(mut self, at_us: u64, by_task: Option<u64>) -> Self {
        let waker = by_task.map(|_| WORKER).unwrap_or_default();
        self.record(&Waking {
            header: Header {
                cpu: u16::from(by_task.is_none()),
                ..of_second(Kind::Waking, at_us)
            },
            tgid: PID,
            waker_tid: waker,
            waker_tgid: if waker == 0 { 0 } else { PID },
            waker_syscall: by_task.map_or(-1, |_| Sysno::write as i32),
            waker_task: by_task.unwrap_or(task::UNKNOWN),
            conn: conn::NONE,
            ..Waking::zeroed()
        });
        self.record(&SwitchIn {
            header: of_second(Kind::SwitchIn, at_us + 1),
            tgid: PID,
            ..SwitchIn::zeroed()
        });
        self
    }

    fn second_sends(mut self, at_us: u64, conn: u64, task: u64) -> Self {
        self.record(&Send {
            header: of_second(Kind::Send, at_us),
            tgid: PID,
            fd: conn as i32,
            conn,
            task,
            result: 5,
            flags: opened(conn),
            ..Send::zeroed()
        });
        self
    }
}

/// The first worker sets a timer for A and computes on for it; the second waits for the timer, and goes on with A.
fn a_timer_on_the_second_worker(woken_by: Option<u64>) -> Result<Request, TestCaseError> {
    let script = Script::begin().reads(5, B, TASK_B, 4).sends(8, B, TASK_B);
    let script = script.second_idles(10, u64::from(u32::MAX));
    let script = script.reads(50, A, TASK_A, 40).second_is_woken(100, woken_by);
    let script = script.second_idles(150, 100).seen(4_900, TASK_A);
    let script = script
        .idles(5_000, u64::from(u32::MAX))
        .second_is_woken(100_150, None);
    script.second_sends(100_200, A, TASK_A).request(A)
}

#[test]
fn a_worker_that_the_request_woke_waits_for_the_request_s_timer_while_that_still_runs() -> Law {
    let request = a_timer_on_the_second_worker(Some(TASK_A))?;
    prop_assert_eq!(charged_us(&request, Cause::Timer), 95_150);
    prop_assert_eq!(request.figures.confidence, Confidence::Inferred);
    Ok(())
}

#[test]
fn a_timer_for_which_a_worker_waited_before_the_request_stopped_was_another_s() -> Law {
    for woken_by in [Some(TASK_B), None] {
        let request = a_timer_on_the_second_worker(woken_by)?;
        prop_assert_eq!(charged_us(&request, Cause::Timer), 0);
        prop_assert!(charged_us(&request, Cause::Unexplained) >= 95_000);
    }
    Ok(())
}
