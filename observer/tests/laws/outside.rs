//! What happened outside of the threads, read off a stream: what a request is charged for no thread's doing must have ended
//! with it, or begun.

use std::collections::{HashMap, HashSet};

use observer::event::Event;
use observer::model::cause::Cause;
use observer::model::request::{Request, Span};
use observer_common::{SwitchOut, flags};
use syscalls::Sysno;

use super::machine;

/// A runtime's timers are due within the millisecond in which its worker stops waiting for them.
const TIMER_SLACK_NS: u64 = 1_000_000;

/// What happened.
#[derive(Debug, Default)]
pub(crate) struct Outside {
    /// Bytes that came: connection, and when.
    came: HashSet<(u64, u64)>,
    /// When bytes of peers came, were received, or woke a thread, ns.
    peers_ns: HashSet<u64>,
    /// Waits for work that end by themselves: since when, and after how long where that is known, ns.
    timers: Vec<(u64, u64)>,
    /// Sends that found no room: connection, and when.
    stalled: Vec<(u64, u64)>,
    /// Sends that left bytes with TCP: connection, and when.
    held: HashSet<(u64, u64)>,
    /// When each connection was read first, ns.
    read_ns: HashMap<u64, u64>,
}

impl Outside {
    /// The next event.
    pub(crate) fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Receive(event, _) => {
                self.came.insert((event.conn, event.arrived_ns));
                if machine::is_outbound(event.conn) {
                    self.peers_ns.extend([event.arrived_ns, event.header.at_ns]);
                }
                if event.result > 0 && event.flags & flags::PEEK == 0 {
                    self.read_ns.entry(event.conn).or_insert(event.header.at_ns);
                }
            }
            Event::Send(event, _) if event.result <= 0 => {
                self.stalled.push((event.conn, event.header.at_ns));
            }
            Event::Waking(event) if machine::is_outbound(event.conn) => {
                self.peers_ns.insert(event.header.at_ns);
            }
            Event::SwitchOut(event) if event.flags & flags::PREEMPTED == 0 => {
                self.timers.extend(timer(event));
            }
            Event::Held(event) => {
                self.held.insert((event.conn, event.sent_ns));
            }
            _ => {}
        }
    }

    /// When a connection was read first, ns.
    pub(crate) fn read_ns(&self, conn: u64) -> Option<u64> {
        self.read_ns.get(&conn).copied()
    }

    /// Whether a span of no thread may be charged to its cause.
    pub(crate) fn agrees(&self, request: &Request, span: &Span) -> bool {
        let from_ns = request.figures.arrival_ns + span.at_ns;
        let to_ns = from_ns + span.dur_ns;
        let conn = request.conn.id;
        match span.cause {
            Cause::Client => self.came.contains(&(conn, to_ns)),
            Cause::Downstream => self.peers_ns.contains(&to_ns),
            Cause::Timer => self.timers.iter().any(|&(since_ns, after_ns)| {
                let within = from_ns <= since_ns + TIMER_SLACK_NS && since_ns <= to_ns;
                within && since_ns + after_ns <= to_ns + TIMER_SLACK_NS
            }),
            Cause::SendBlocked => self
                .stalled
                .iter()
                .any(|&(on, at_ns)| on == conn && at_ns <= from_ns),
            Cause::HeldBack => self.held.contains(&(conn, from_ns)),
            // See `read_ns`.
            Cause::AcceptQueue => true,
            _ => false,
        }
    }
}

/// A thread waits for work until a time, at the latest.
fn timer(event: &SwitchOut) -> Option<(u64, u64)> {
    let after_ns = if event.syscall == Sysno::epoll_pwait as i32 {
        u64::try_from(event.args[3] as i32).ok()? * 1_000_000
    } else if event.syscall == Sysno::futex as i32 && event.args[3] != 0 {
        0
    } else {
        return None;
    };
    Some((event.header.at_ns, after_ns))
}
