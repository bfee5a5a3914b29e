//! Asks the kernel about connections with unsent bytes on which nothing happens: a client that has its answer can be
//! silent for minutes, and then no event of the connection tells when the last byte left.
//!
//! The answers enter the stream as records. The kernel tells the time of a send by the ticks of its clock.

use bytemuck::Zeroable as _;
use observer_common::{self as common, Header, Kind, flags, tcp};
use rustc_hash::FxHashMap;

use super::socket_info::{Info, SocketInfo};
use crate::event::Event;
use crate::source::Merge;

/// Before this, the connection's next event will tell, as a rule, ns.
const PATIENCE_NS: u64 = 20_000_000;

/// The longest from one question to the next, ns.
const LONGEST_PAUSE_NS: u64 = 500_000_000;

/// After so much of the time that is over it is asked again: who reads for a minute is not asked about each 20 ms.
const PART_OF_PAST: u64 = 8;

/// Questions of one drain, at most: they take some microseconds each.
const MOST_QUESTIONS: usize = 256;

/// Connections that are waited for, at most. Of others their next event has to tell.
const MAX_WAITING: usize = 65_536;

/// The connections with unsent bytes.
#[derive(Default)]
pub(super) struct HeldBack {
    waiting: FxHashMap<u64, Waiting>,
    info: SocketInfo,
}

/// One that is waited for.
struct Waiting {
    event: common::Held,
    /// When it is asked about, ns.
    due_ns: u64,
}

impl HeldBack {
    /// Follows which connections have unsent bytes.
    pub(super) fn on_event(&mut self, event: &Event<'_>) {
        let (conn, sent_ns) = match event {
            Event::Held(event) => {
                if self.waiting.len() < MAX_WAITING {
                    let waiting = Waiting {
                        event: **event,
                        due_ns: event.sent_ns.saturating_add(PATIENCE_NS),
                    };
                    self.waiting.insert(event.conn, waiting);
                }
                return;
            }
            // What it left unsent itself was told just before.
            Event::Send(event, _) if event.result > 0 => (event.conn, Some(event.header.at_ns)),
            Event::Left(event) => (event.conn, None),
            Event::Connection(event) if event.new_state == tcp::CLOSE => (event.conn, None),
            _ => return,
        };
        if !self.waiting.is_empty()
            && let Some(waiting) = self.waiting.get(&conn)
            && sent_ns != Some(waiting.event.sent_ns)
        {
            self.waiting.remove(&conn);
        }
    }

    /// Asks about those for which it is time.
    pub(super) fn ask(&mut self, now_ns: u64, merge: &mut Merge) {
        let due: Vec<u64> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.due_ns <= now_ns)
            .map(|(conn, _)| *conn)
            .take(MOST_QUESTIONS)
            .collect();
        for conn in due {
            let Some(waiting) = self.waiting.get_mut(&conn) else {
                continue;
            };
            let event = &waiting.event;
            // Where it cannot be asked about, its next event tells, or nothing does.
            let Some(info) = self.info.of(event) else {
                self.waiting.remove(&conn);
                continue;
            };
            merge.push(bytemuck::bytes_of(&answer(event, info, now_ns)));
            if info.unsent_bytes == 0 {
                self.waiting.remove(&conn);
            } else {
                let past_ns = now_ns.saturating_sub(event.sent_ns);
                let pause_ns = (past_ns / PART_OF_PAST).clamp(PATIENCE_NS, LONGEST_PAUSE_NS);
                waiting.due_ns = now_ns.saturating_add(pause_ns);
            }
        }
    }
}

/// What was answered, as a record.
fn answer(event: &common::Held, info: Info, now_ns: u64) -> common::Left {
    let left_ns = now_ns.saturating_sub(info.since_last_ns).max(event.sent_ns);
    common::Left {
        header: Header {
            at_ns: now_ns,
            kind: Kind::Left as u16,
            ..Header::zeroed()
        },
        conn: event.conn,
        sent_ns: event.sent_ns,
        left_ns: if info.unsent_bytes == 0 { left_ns } else { 0 },
        flags: flags::TO_A_TICK,
        reserved: 0,
    }
}
