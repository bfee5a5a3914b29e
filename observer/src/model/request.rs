//! One finished request, as attribution hands it to the summary and the outputs.
//!
//! Names are kept as they came from the kernel or the network; outputs escape them.

use std::net::SocketAddr;
use std::sync::Arc;

use super::cause::{Budget, Cause};
use super::id::{ConnId, Pid, TaskId, Tid};
use super::protocol::Protocol;

/// What is known of every request, written or not: numbers only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Process that answered it.
    pub pid: Pid,
    /// What its connection spoke.
    pub protocol: Protocol,
    /// HTTP status, where a response head was seen.
    pub status: Option<u16>,
    /// Arrival of the first byte, ns of `CLOCK_MONOTONIC`.
    pub arrival_ns: u64,
    /// Arrival until the last byte of the response left: the return of the last send, or later where TCP had bytes
    /// unsent then, ns.
    pub latency_ns: u64,
    /// Arrival to the first read, ns. A phase, not a cause.
    pub receive_queue_ns: u64,
    /// Bytes received in this turn.
    pub bytes_in: u64,
    /// Bytes sent in this turn.
    pub bytes_out: u64,
    /// Bytes that TCP had not sent at the end of the last send, where it was not seen when they left; or 0.
    pub unsent_bytes: u32,
    /// How sure the attribution is.
    pub confidence: Confidence,
    /// False when records were lost inside its window.
    pub complete: bool,
    /// Resident memory of the process at the first read and at the last send, bytes.
    pub rss: Rss,
    /// Page faults of the threads on its path, while they were on it.
    pub faults: Faults,
    /// Nanoseconds for each cause; they add up to `latency_ns`.
    pub budget: Budget,
}

/// A request with everything that was found out about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Its numbers.
    pub figures: Figures,
    /// Its connection.
    pub conn: Conn,
    /// The runtime task that read it, where known.
    pub task: Option<TaskId>,
    /// Method and path where the bytes were HTTP/1.x.
    pub http: Option<Http>,
    /// The time of `figures.budget` as spans, ordered, without gap or overlap.
    pub timeline: Vec<Span>,
    /// Cycles of garbage collection that it overlapped, where these are known.
    pub gc: Option<GcOverlap>,
}

/// The longest interval of a request in which it waited for something that is known.
#[derive(Clone, Debug, PartialEq)]
pub struct LongestWait {
    /// Its cause.
    pub cause: Cause,
    /// Its length, ns.
    pub dur_ns: u64,
    /// What it was in or on.
    pub detail: Detail,
    /// What it waited behind.
    pub culprit: Option<Culprit>,
    /// How much time the samples stand for of which the culprit's function is, ns.
    pub function_seen_ns: u64,
    /// The culprit is a thread of a runtime's blocking pool.
    pub behind_pool: bool,
}

/// The cycles of garbage collection that a time overlaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GcOverlap {
    /// Number of the first.
    pub first: u32,
    /// Number of the last.
    pub last: u32,
    /// How much of the time they marked, ns.
    pub mark_ns: u64,
    /// How much of it they had the world stopped, ns.
    pub stopped_ns: u64,
}

/// The connection of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conn {
    /// What it is known by.
    pub id: ConnId,
    /// The server's side.
    pub local: Option<SocketAddr>,
    /// The client's side.
    pub peer: Option<SocketAddr>,
    /// Which request on this connection this was, from 1, as far as it was watched.
    pub nth: u64,
}

/// What the first bytes said, where they were HTTP/1.x.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Request method.
    pub method: Box<str>,
    /// Path with its query string, as far as it was captured.
    pub target: Box<str>,
    /// The target was longer than what was captured.
    pub target_cut: bool,
}

/// How sure the attribution is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// Something needed was not seen (attached in the middle, history too short).
    Partial,
    /// From the order of events.
    Inferred,
    /// From the runtime's own task identity.
    Exact,
}

impl Confidence {
    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Inferred => "inferred",
            Self::Partial => "partial",
        }
    }
}

/// Resident memory at both ends of a request, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rss {
    /// At the first read.
    pub start: u64,
    /// At the last send.
    pub end: u64,
}

/// Page faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Served without I/O.
    pub minor: u64,
    /// Waited for I/O.
    pub major: u64,
}

/// One interval of a request's timeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Start, ns after the arrival.
    pub at_ns: u64,
    /// Length, ns; never 0.
    pub dur_ns: u64,
    /// What it is charged to.
    pub cause: Cause,
    /// Thread on the request's path, where there was one.
    pub tid: Option<Tid>,
    /// CPU of that thread, where it ran.
    pub cpu: Option<u16>,
    /// What the wait was in or on, where known.
    pub detail: Detail,
    /// What it waited behind, where known.
    pub culprit: Option<Culprit>,
}

/// The task of a span as long as this is reported in any case, ns.
const TASK_REPORTED_NS: u64 = 200_000;

impl Span {
    /// Whether both differ in nothing but their time, or so short ones in the task that served the same path.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        let Self {
            at_ns: _,
            dur_ns: _,
            cause,
            tid,
            cpu,
            detail,
            culprit,
        } = self;
        (cause, tid, cpu) == (&other.cause, &other.tid, &other.cpu)
            && detail == &other.detail
            && match (culprit, &other.culprit) {
                (Some(culprit), Some(others)) => {
                    let short =
                        |span: &Self, task: Option<TaskId>| task.is_none() || span.dur_ns < TASK_REPORTED_NS;
                    let no_news = short(self, culprit.task) && short(other, others.task);
                    culprit.says_the_same(others) && (culprit.task == others.task || no_news)
                }
                (culprit, other) => culprit == other,
            }
    }

    /// Takes up the span that follows, which says the same.
    pub fn extend(&mut self, next: &Self) {
        self.dur_ns += next.dur_ns;
        if let (Some(culprit), Some(next)) = (&mut self.culprit, &next.culprit) {
            culprit.task = culprit.task.filter(|task| next.task == Some(*task));
        }
    }
}

/// What an interval was in or on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Detail {
    /// System call.
    pub syscall: Option<&'static str>,
    /// What that call was on: a path, `pipe`, `eventfd`, a socket's peer.
    pub object: Option<Arc<str>>,
    /// Function that the thread was seen running most, where it ran for the request.
    pub function: Option<Arc<str>>,
    /// Peer that was waited for.
    pub peer: Option<SocketAddr>,
    /// What TCP had after the last send.
    pub held: Option<HeldBack>,
    /// What the language's runtime did.
    pub runtime: Option<RuntimeWork>,
    /// A remark for people, where a cause alone would mislead.
    pub note: Option<&'static str>,
    /// Where in its code the request's goroutine was seen waiting.
    pub waits_in: Option<WaitsIn>,
}

/// Where in its code a goroutine waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitsIn {
    /// The innermost function that is not of Go's runtime.
    pub function: Arc<str>,
    /// What called that, from elsewhere in the program.
    pub called_by: Option<Arc<str>>,
}

/// What a language's runtime did meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuntimeWork {
    /// In words.
    pub what: &'static str,
    /// For which cycle of garbage collection, where that is known.
    pub cycle: Option<u32>,
}

/// Bytes that TCP had after the last send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldBack {
    /// What kept them.
    pub by: HeldBy,
    /// How many.
    pub unsent_bytes: u32,
}

/// What kept the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeldBy {
    /// The client has no room.
    ClientWindow,
    /// As many segments as the congestion window allows are on their way.
    CongestionWindow,
    /// The congestion control spreads segments over time.
    Pacing,
    /// Less than a segment, while others are not acknowledged: Nagle's algorithm, without `TCP_NODELAY`.
    Nagle,
    /// Less than a segment, and the server asked for full ones: `TCP_CORK`.
    Cork,
    /// None of these.
    Unknown,
}

impl HeldBy {
    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClientWindow => "client_window",
            Self::CongestionWindow => "congestion_window",
            Self::Pacing => "pacing",
            Self::Nagle => "nagle",
            Self::Cork => "cork",
            Self::Unknown => "unknown",
        }
    }
}

/// What a wait waited behind.
#[derive(Clone, Debug, PartialEq)]
pub struct Culprit {
    /// Process, 0 for the idle thread.
    pub pid: Pid,
    /// Thread.
    pub tid: Tid,
    /// Its name, where known.
    pub comm: Option<Arc<str>>,
    /// The runtime task that it was in, where known.
    pub task: Option<TaskId>,
    /// The request that it was serving, where known.
    pub request: Option<Arc<str>>,
    /// What the runtime has that task for, where it is its own: `GC worker`.
    pub role: Option<&'static str>,
    /// The system call that it was in, where that held the worker.
    pub syscall: Option<&'static str>,
    /// What that call was on.
    pub object: Option<Arc<str>>,
    /// The function that it was seen running most meanwhile, where it ran.
    pub function: Option<Arc<str>>,
    /// Its answer, where that was waited for. Boxed, because few waits are such.
    pub answer: Option<Box<Answer>>,
}

/// How a request of a watched process was answered, for which another waited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its connection.
    pub conn: ConnId,
    /// Its place on that.
    pub nth: u64,
    /// From its arrival to its last byte, as far as it was answered when the other was explained, ns.
    pub latency_ns: u64,
    /// What most of that was spent on, where that is known.
    pub mostly: Option<Cause>,
}

impl Culprit {
    /// Whether both differ in nothing that says more than what they have in common: of two that served requests of one
    /// path, the task is no news.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        let Self {
            pid,
            tid,
            comm,
            task,
            request,
            role,
            syscall,
            object,
            function,
            answer,
        } = self;
        (pid, tid, role, syscall) == (&other.pid, &other.tid, &other.role, &other.syscall)
            && (task == &other.task || request.is_some())
            && (comm, request, object) == (&other.comm, &other.request, &other.object)
            && (function, answer) == (&other.function, &other.answer)
    }
}
