//! Short streams, written by hand: what a worker or two do for two clients and a peer.
//!
//! Times are in microseconds after [`START_NS`].

use bytemuck::Zeroable as _;
use observer::model::cause::Cause;
use observer::model::header::Requests;
use observer::model::id::ConnId;
use observer::model::request::Request;
use observer::threads::SliceLimit;
use observer_common::{
    Connection, Header, Kind, Receive, Seen, Send, SwitchIn, SwitchOut, Waking, conn, flags, task, tcp,
};
use proptest::test_runner::TestCaseError;
use syscalls::Sysno;

use super::evidence::Truth;
use super::machine::START_NS;
use super::run::explain_remembering;
use super::stream::Stream;

pub(crate) const PID: u32 = 100;
pub(crate) const WORKER: u32 = 101;
/// A second worker, on a CPU of its own.
pub(crate) const SECOND: u32 = 102;
/// A thread that serves nobody.
const MONITOR: u32 = 103;
const PORT: u16 = 8080;

/// Two clients and a peer, and the tasks of the clients' connections.
pub(crate) const A: u64 = 1;
pub(crate) const B: u64 = 2;
pub(crate) const PEER: u64 = 1_000_000;
pub(crate) const TASK_A: u64 = 11;
pub(crate) const TASK_B: u64 = 12;
/// A task that serves no client.
pub(crate) const OTHER: u64 = 13;

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
            arrived_ns: START_NS + arrived_us * 1_000,
            result: 5,
            ..receives(at_us, conn, task)
        });
        self
    }

    /// It reads, and nothing is there.
    pub(crate) fn finds_nothing(mut self, at_us: u64, conn: u64, task: u64) -> Self {
        self.record(&Receive {
            result: -libc::EAGAIN,
            ..receives(at_us, conn, task)
        });
        self
    }

    pub(crate) fn sends(mut self, at_us: u64, conn: u64, task: u64) -> Self {
        self.record(&sends(header(Kind::Send, at_us), conn, task));
        self
    }

    /// It sends, and there is no room.
    pub(crate) fn finds_no_room(mut self, at_us: u64, conn: u64, task: u64) -> Self {
        self.record(&Send {
            result: -libc::EAGAIN,
            ..sends(header(Kind::Send, at_us), conn, task)
        });
        self
    }

    pub(crate) fn seen(mut self, at_us: u64, task: u64) -> Self {
        self.record(&Seen {
            header: header(Kind::Seen, at_us),
            tgid: PID,
            reserved: 0,
            task,
        });
        self
    }

    /// It has nothing to do, and nothing will be due for so long.
    pub(crate) fn idles(mut self, at_us: u64, timeout_ms: u64) -> Self {
        self.record(&waits(header(Kind::SwitchOut, at_us), timeout_ms));
        self
    }

    /// Something came on a connection, and it gets a CPU at once.
    pub(crate) fn woken(mut self, at_us: u64, conn: u64) -> Self {
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
    pub(crate) fn asks(mut self, at_us: u64, task: u64) -> Self {
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
        self.request_remembering(conn, SliceLimit::default())
    }

    /// The same, with no more than so many slices of what threads did.
    pub(crate) fn request_remembering(
        &self,
        conn: u64,
        slices: SliceLimit,
    ) -> Result<Request, TestCaseError> {
        let explained = explain_remembering(&self.0, Requests::All, slices)?;
        explained.obeys_the_laws()?;
        let mut requests = explained.requests.iter().map(|(request, _)| request);
        let request = requests.find(|request| request.conn.id == ConnId(conn)).cloned();
        let request = request.ok_or_else(|| TestCaseError::fail("no request of this connection"))?;
        Truth::of(&self.0).supports(&request)?;
        Ok(request)
    }

    /// The request of a connection for which a walk is given up. For that there are too few events, by the laws.
    pub(crate) fn request_given_up(&self, conn: u64) -> Result<Request, TestCaseError> {
        let explained = explain_remembering(&self.0, Requests::All, SliceLimit(1 << 20))?;
        let mut requests = explained.requests.into_iter().map(|(request, _)| request);
        let request = requests.find(|request| request.conn.id == ConnId(conn));
        request.ok_or_else(|| TestCaseError::fail("no request of this connection"))
    }
}

fn receives(at_us: u64, conn: u64, task: u64) -> Receive {
    Receive {
        header: header(Kind::Receive, at_us),
        tgid: PID,
        fd: conn as i32,
        conn,
        task,
        flags: opened(conn),
        ..Receive::zeroed()
    }
}

fn sends(header: Header, conn: u64, task: u64) -> Send {
    Send {
        header,
        tgid: PID,
        fd: conn as i32,
        conn,
        task,
        result: 5,
        flags: opened(conn),
        ..Send::zeroed()
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
pub(crate) fn culprits(request: &Request, cause: Cause) -> Vec<Option<u64>> {
    let spans = request.timeline.iter().filter(|span| span.cause == cause);
    spans
        .filter_map(|span| {
            span.culprit
                .as_ref()
                .map(|culprit| culprit.task.map(|task| task.0))
        })
        .collect()
}
/// A record of the second worker.
pub(crate) fn of_second(kind: Kind, at_us: u64) -> Header {
    Header {
        tid: SECOND,
        cpu: 1,
        ..header(kind, at_us)
    }
}

impl Script {
    pub(crate) fn second_idles(mut self, at_us: u64, timeout_ms: u64) -> Self {
        self.record(&waits(of_second(Kind::SwitchOut, at_us), timeout_ms));
        self
    }

    /// By an interrupt, or by the first worker, which writes to what the second one waits for.
    pub(crate) fn second_is_woken(self, at_us: u64, by_task: Option<u64>) -> Self {
        self.second_is_woken_by(at_us, by_task.map(|task| (WORKER, task)))
    }

    /// By a thread that is in no task, and on a CPU of its own.
    pub(crate) fn second_is_woken_by_monitor(mut self, at_us: u64) -> Self {
        self.record(&SwitchIn {
            header: Header {
                tid: MONITOR,
                cpu: 2,
                ..header(Kind::SwitchIn, at_us - 1)
            },
            tgid: PID,
            ..SwitchIn::zeroed()
        });
        self.second_is_woken_by(at_us, Some((MONITOR, task::NONE)))
    }

    fn second_is_woken_by(mut self, at_us: u64, by: Option<(u32, u64)>) -> Self {
        self.record(&Waking {
            header: Header {
                cpu: u16::from(by.is_none()),
                ..of_second(Kind::Waking, at_us)
            },
            tgid: PID,
            waker_tid: by.map_or(0, |(tid, _)| tid),
            waker_tgid: by.map_or(0, |_| PID),
            waker_syscall: by.map_or(-1, |_| Sysno::write as i32),
            waker_task: by.map_or(task::UNKNOWN, |(_, task)| task),
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

    pub(crate) fn second_reads(mut self, at_us: u64, conn: u64, task: u64, arrived_us: u64) -> Self {
        self.record(&Receive {
            header: of_second(Kind::Receive, at_us),
            arrived_ns: START_NS + arrived_us * 1_000,
            result: 5,
            ..receives(at_us, conn, task)
        });
        self
    }

    pub(crate) fn second_sends(mut self, at_us: u64, conn: u64, task: u64) -> Self {
        self.record(&sends(of_second(Kind::Send, at_us), conn, task));
        self
    }
}
