//! The shortest streams that broke a law once, as the other tests found them.
//!
//! Times are in ns after [`START_NS`].

use bytemuck::Zeroable as _;
use observer::event::{Cost, Lost, Memory, Tick};
use observer::model::id::Pid;
use observer_common::{
    Connection, Header, Kind, LostReason, Process, ProcessChange, Receive, Send, SwitchIn, SwitchOut, Waking,
    flags, tcp,
};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use syscalls::Sysno;

use super::check::{Law, lines_add_up};
use super::evidence::Truth;
use super::machine::START_NS;
use super::run::{explain, lines};
use super::stream::Stream;

const CONN: u64 = 1;
const PID: u32 = 100;
const TID: u32 = 101;
const EVENT_LOOP: i32 = Sysno::epoll_pwait as i32;

fn header(kind: Kind, at_ns: u64) -> Header {
    Header {
        at_ns: START_NS + at_ns,
        tid: TID,
        kind: kind as u16,
        cpu: 0,
    }
}

/// What the thread `TID` and the connection `CONN` do.
impl Stream {
    fn record(mut self, event: &impl bytemuck::NoUninit) -> Self {
        self.push(bytemuck::bytes_of(event));
        self
    }

    fn opens(self, at_ns: u64) -> Self {
        let accepted = Connection {
            header: header(Kind::Connection, at_ns),
            conn: CONN,
            old_state: tcp::ESTABLISHED,
            new_state: tcp::ESTABLISHED,
            flags: flags::ACCEPTED,
            ..Connection::zeroed()
        };
        self.record(&accepted)
    }

    fn enters(self, at_ns: u64) -> Self {
        self.record(&SwitchIn {
            header: header(Kind::SwitchIn, at_ns),
            tgid: PID,
            ..SwitchIn::zeroed()
        })
    }

    fn blocks(self, at_ns: u64, syscall: i32) -> Self {
        let args = [3, 0, 64, u64::from(u32::MAX)];
        let header = header(Kind::SwitchOut, at_ns);
        self.record(&SwitchOut {
            header,
            tgid: PID,
            state: 1,
            syscall,
            args,
            ..SwitchOut::zeroed()
        })
    }

    fn wakes(self, at_ns: u64, conn: u64) -> Self {
        let header = header(Kind::Waking, at_ns);
        self.record(&Waking {
            header,
            tgid: PID,
            waker_syscall: -1,
            conn,
            ..Waking::zeroed()
        })
    }

    fn receives(self, at_ns: u64, arrived_ns: u64) -> Self {
        let (header, arrived_ns) = (header(Kind::Receive, at_ns), START_NS + arrived_ns);
        self.record(&Receive {
            header,
            tgid: PID,
            fd: 9,
            conn: CONN,
            arrived_ns,
            result: 5,
            flags: flags::INBOUND,
            ..Receive::zeroed()
        })
    }

    fn sends(self, at_ns: u64) -> Self {
        let header = header(Kind::Send, at_ns);
        self.record(&Send {
            header,
            tgid: PID,
            fd: 9,
            conn: CONN,
            result: 5,
            flags: flags::INBOUND,
            ..Send::zeroed()
        })
    }

    fn loses(self, from_ns: u64, to_ns: u64) -> Self {
        let (from_ns, to_ns) = (START_NS + from_ns, START_NS + to_ns);
        self.record(&Lost::new(
            from_ns,
            1,
            from_ns,
            to_ns,
            LostReason::RingFull as u32,
        ))
    }
}

/// The one request of a stream is complete, and charged only what `truth` supports.
fn is_true(stream: &Stream, truth: &Stream) -> Law {
    let explained = explain(stream)?;
    explained.obeys_the_laws()?;
    let [(request, _)] = &explained.requests[..] else {
        return Err(TestCaseError::fail(format!(
            "not one request: {:?}",
            explained.requests
        )));
    };
    prop_assert!(request.figures.complete);
    Truth::of(truth).supports(request)
}

/// The bytes are there at 1000, the thread goes on with other work until 5000 and waits only then.
#[test]
fn a_thread_is_not_being_woken_before_it_waits() -> Law {
    let stream = Stream::default().opens(100).enters(200);
    let stream = stream.blocks(5_000, EVENT_LOOP).wakes(6_000, CONN).enters(6_500);
    let stream = stream.receives(7_000, 1_000).sends(8_000);
    is_true(&stream, &stream)
}

/// The first bytes wake nobody; further ones do, a millisecond later.
#[test]
fn a_thread_that_waits_on_is_not_being_woken() -> Law {
    let stream = Stream::default().enters(100).opens(200).blocks(500, EVENT_LOOP);
    let stream = stream.wakes(1_001_000, CONN).enters(1_002_000);
    let stream = stream.receives(1_003_000, 1_000).sends(1_004_000);
    is_true(&stream, &stream)
}

/// A sleep is over and the event loop waits again; the records of the change are lost. A request after that
/// is complete, and nothing of it was spent in the sleep.
#[test]
fn a_wait_from_before_a_loss_is_not_known_to_go_on_after_it() -> Law {
    let sleeps = |stream: Stream| {
        stream
            .opens(100)
            .enters(500)
            .blocks(1_000, Sysno::clock_nanosleep as i32)
    };
    let serves = |stream: Stream| {
        let stream = stream.wakes(9_000, CONN).enters(9_500);
        stream.receives(10_000, 8_999).sends(11_000)
    };
    let seen = serves(sleeps(Stream::default().loses(400, 3_000)));
    let truth = sleeps(Stream::default()).wakes(2_000, 0).enters(2_500);
    is_true(&seen, &serves(truth.blocks(3_000, EVENT_LOOP)))
}

/// A wakeup is lost, and the thread waits for a CPU: it is not blocked any more.
#[test]
fn a_wakeup_that_was_lost_does_not_prolong_the_wait() -> Law {
    let sleeps = |stream: Stream| {
        stream
            .opens(100)
            .enters(500)
            .blocks(1_000, Sysno::clock_nanosleep as i32)
    };
    let serves = |stream: Stream| stream.enters(29_500).receives(30_000, 5_000).sends(31_000);
    let seen = serves(sleeps(Stream::default().loses(400, 3_000)));
    is_true(&seen, &serves(sleeps(Stream::default()).wakes(2_000, 0)))
}

#[test]
fn amounts_too_large_to_add_up_do_no_harm() -> Law {
    let at_ns = u64::MAX - 3_000_000_000;
    let mut stream = Stream::default();
    for later_ns in [0, 1_500_000_000, 3_000_000_000] {
        let at_ns = at_ns + later_ns;
        let header = Header {
            at_ns,
            ..header(Kind::Process, 0)
        };
        let exec = Process {
            header,
            tgid: PID,
            change: ProcessChange::Exec as u32,
            ..Process::zeroed()
        };
        let exit = Process {
            change: ProcessChange::Exit as u32,
            flags: flags::GROUP_DEAD,
            ..exec
        };
        stream = stream.record(&Cost::new(at_ns, u64::MAX - 1, u64::MAX, u64::MAX, u64::MAX));
        stream = stream.record(&Lost::new(at_ns, u64::MAX, 1, 2, LostReason::RingFull as u32));
        stream = stream.record(&Memory::new(
            at_ns,
            Pid(PID),
            u64::MAX,
            later_ns << 32,
            later_ns << 32,
        ));
        stream = stream.record(&exec).record(&exit).record(&Tick::new(at_ns));
    }
    explain(&stream)?.obeys_the_laws()?;
    lines_add_up(&lines(&stream)?)
}

/// Of its last two threads each found the other gone.
#[test]
fn a_process_ends_once() -> Law {
    let exit = |tid| Process {
        header: Header {
            tid,
            ..header(Kind::Process, 1_000)
        },
        tgid: PID,
        change: ProcessChange::Exit as u32,
        flags: flags::GROUP_DEAD,
        ..Process::zeroed()
    };
    let stream = Stream::default().record(&exit(PID)).record(&exit(PID + 1));
    let lines = lines(&stream)?;
    let ends = String::from_utf8_lossy(&lines)
        .matches(r#""event":"exit""#)
        .count();
    prop_assert_eq!(ends, 1);
    Ok(())
}

/// Nobody's clock does this; but where a request says it was, nothing may be lost.
#[test]
fn a_request_without_length_can_be_incomplete() -> Law {
    let stream = Stream::default()
        .receives(2_000, 2_000)
        .loses(1_500, 2_500)
        .sends(1_000);
    explain(&stream)?.obeys_the_laws()
}

/// Two CPUs' clocks differ: the read ends after the send that followed it.
#[test]
fn a_read_that_seems_to_follow_its_send_takes_no_longer_than_the_request() -> Law {
    let stream = Stream::default().receives(3_000, 1_000).sends(2_000);
    explain(&stream)?.obeys_the_laws()
}
