//! Asks the kernel about connections with unsent bytes on which nothing happens: a client that has its answer can be
//! silent for minutes, and then no event of the connection tells when the last byte left.
//!
//! The answers enter the stream as records. The kernel tells the time of a send by the ticks of its clock.

use bytemuck::Zeroable as _;
use observer_common::{self as common, Header, Kind, flags, tcp};
use rustc_hash::FxHashMap;

use super::socket_info::{Info, SocketInfo};
use crate::event::Event;
use crate::model::full::{Full, Table};
use crate::model::id::ConnId;
use crate::source::Merge;

/// Before this, the connection's next event will tell, as a rule, ns.
const PATIENCE_NS: u64 = 20_000_000;

/// The longest from one question to the next, ns.
const LONGEST_PAUSE_NS: u64 = 500_000_000;

/// After so much of the time that is over it is asked again: who reads for a minute is not asked about each 20 ms.
const PART_OF_PAST: u64 = 8;

/// Questions of one drain, at most: they take some microseconds each. The others wait for a later drain: the kernel
/// tells since when no data has left, whenever it is asked.
const MOST_QUESTIONS: usize = 256;

/// Connections that are waited for, at most. Of others their next event has to tell.
const MAX_WAITING: usize = 65_536;

/// The connections with unsent bytes.
#[derive(Default)]
pub(super) struct Unsent {
    waiting: FxHashMap<ConnId, AwaitedSend>,
    info: SocketInfo,
    /// Connections that are not asked about.
    pub(super) full: Full,
}

/// One that is waited for.
struct AwaitedSend {
    event: common::Held,
    /// When it is asked about, ns.
    due_ns: u64,
}

impl Unsent {
    /// Follows which connections have unsent bytes.
    pub(super) fn on_event(&mut self, event: &Event<'_>) {
        match event {
            Event::Held(event) => self.wait_for(event),
            // What it left unsent itself has a record of its own.
            Event::Send(event, _) if event.result > 0 => {
                self.is_over(ConnId(event.conn), |sent_ns| sent_ns < event.header.at_ns);
            }
            Event::Left(event) => self.is_over(ConnId(event.conn), |sent_ns| sent_ns == event.sent_ns),
            Event::Connection(event) if event.new_state == tcp::CLOSE => {
                self.is_over(ConnId(event.conn), |_| true);
            }
            _ => {}
        }
    }

    /// Waits for what a send left. Events come CPU by CPU: one of an earlier send can come later.
    fn wait_for(&mut self, event: &common::Held) {
        let known = self.waiting.get(&ConnId(event.conn));
        if known.is_none() && self.waiting.len() >= MAX_WAITING {
            self.full.count(Table::Unsent, 1);
        } else if known.is_none_or(|known| known.event.sent_ns < event.sent_ns) {
            let waiting = AwaitedSend {
                event: *event,
                due_ns: event.sent_ns.saturating_add(PATIENCE_NS),
            };
            self.waiting.insert(ConnId(event.conn), waiting);
        }
    }

    /// Does not wait any more for what a connection's send left, if the time of that send is as asked.
    fn is_over(&mut self, conn: ConnId, of_send: impl FnOnce(u64) -> bool) {
        if !self.waiting.is_empty()
            && let Some(waiting) = self.waiting.get(&conn)
            && of_send(waiting.event.sent_ns)
        {
            self.waiting.remove(&conn);
        }
    }

    /// Asks about those for which it is time.
    pub(super) fn ask(&mut self, now_ns: u64, merge: &mut Merge) {
        let due: Vec<ConnId> = self
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

#[cfg(test)]
mod tests {
    use observer_common::{Connection, Held, Left, Send};

    use super::*;

    /// For which send's bytes the only connection is waited for, after these events in their order.
    fn waits_for(events: &[Event<'_>]) -> Option<u64> {
        let mut unsent = Unsent::default();
        events.iter().for_each(|event| unsent.on_event(event));
        unsent
            .waiting
            .get(&ConnId(0))
            .map(|waiting| waiting.event.sent_ns)
    }

    fn held(sent_ns: u64) -> Held {
        Held {
            sent_ns,
            ..Held::zeroed()
        }
    }

    fn send(at_ns: u64) -> Send {
        let mut send = Send::zeroed();
        send.header.at_ns = at_ns;
        send.result = 1;
        send
    }

    fn left(sent_ns: u64) -> Left {
        Left {
            sent_ns,
            ..Left::zeroed()
        }
    }

    #[test]
    fn the_last_send_is_waited_for_in_whichever_order_the_cpus_tell() {
        let (first, last) = (held(1), held(2));
        let (first, last) = (Event::Held(&first), Event::Held(&last));
        let (send_1, send_2) = (send(1), send(2));
        let (send_1, send_2) = (Event::Send(&send_1, &[]), Event::Send(&send_2, &[]));
        assert_eq!(waits_for(&[first, send_1, last, send_2]), Some(2));
        assert_eq!(waits_for(&[last, send_2, first, send_1]), Some(2));
    }

    #[test]
    fn connections_without_room_are_counted() {
        let mut unsent = Unsent::default();
        for conn in 0..=MAX_WAITING as u64 {
            assert_eq!(unsent.full.counts().count(), 0);
            unsent.on_event(&Event::Held(&Held { conn, ..held(1) }));
        }
        assert_eq!(
            unsent.full.take().counts().collect::<Vec<_>>(),
            [(Table::Unsent, 1)]
        );
        unsent.on_event(&Event::Held(&held(2)));
        assert_eq!(unsent.full, Full::default(), "it is waited for already");
    }

    #[test]
    fn what_left_or_was_followed_by_a_send_or_closed_is_not_waited_for() {
        let held = held(2);
        let held = Event::Held(&held);
        let send = send(3);
        let (earlier, this) = (left(1), left(2));
        let mut closed = Connection::zeroed();
        closed.new_state = tcp::CLOSE;
        assert_eq!(waits_for(&[held, Event::Send(&send, &[])]), None);
        assert_eq!(waits_for(&[held, Event::Left(&earlier)]), Some(2));
        assert_eq!(waits_for(&[held, Event::Left(&this)]), None);
        assert_eq!(waits_for(&[held, Event::Connection(&closed)]), None);
    }
}
