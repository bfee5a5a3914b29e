//! Bytes of a response that TCP had not sent when the last send returned: why, and when they left.
//!
//! Judged from what the kernel knew of the connection at that moment. Later, of a large answer, it can have been
//! something else.

use observer_common as common;
use observer_common::flags::{AT_THE_LATEST, TO_A_TICK};
use observer_common::tcp::nagle;

use super::Connections;
use crate::model::id::ConnId;
use crate::model::request::HeldBy;

/// Bytes that were unsent when a send returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// When it returned, ns.
    pub(super) sent_ns: u64,
    /// How many.
    pub unsent_bytes: u32,
    /// What kept them then.
    pub by: HeldBy,
    /// When the last of them left, once that is known.
    pub left: Option<Left>,
}

/// When bytes left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// When, ns.
    pub at_ns: u64,
    /// How exact that is.
    pub exactness: Exactness,
}

/// How exact it is known when bytes left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exactness {
    /// To a microsecond.
    Exact,
    /// To a tick of the kernel's clock.
    Tick,
    /// It can have been earlier.
    AtTheLatest,
}

impl Held {
    fn new(event: &common::Held) -> Self {
        Self {
            sent_ns: event.sent_ns,
            unsent_bytes: event.unsent_bytes,
            by: kept_by(event),
            left: None,
        }
    }
}

impl Left {
    /// What a record tells, if they have left.
    fn new(event: &common::Left) -> Option<Self> {
        (event.left_ns > 0).then(|| Self {
            at_ns: event
                .left_ns
                .clamp(event.sent_ns, event.header.at_ns.max(event.sent_ns)),
            exactness: match event.flags {
                flags if flags & AT_THE_LATEST != 0 => Exactness::AtTheLatest,
                flags if flags & TO_A_TICK != 0 => Exactness::Tick,
                _ => Exactness::Exact,
            },
        })
    }
}

/// What kept the bytes, in the order in which the kernel asks before it sends (`tcp_write_xmit`).
fn kept_by(event: &common::Held) -> HeldBy {
    let less_than_a_segment = event.unsent_bytes < event.segment_bytes;
    if event.paced != 0 {
        HeldBy::Pacing
    } else if event.in_flight >= event.congestion_window {
        HeldBy::CongestionWindow
    } else if event.window_bytes < event.unsent_bytes.min(event.segment_bytes) {
        HeldBy::ClientWindow
    } else if less_than_a_segment && event.nagle & nagle::CORK != 0 {
        HeldBy::Cork
    } else if less_than_a_segment && event.nagle & nagle::OFF == 0 && event.in_flight > 0 {
        HeldBy::Nagle
    } else {
        HeldBy::Unknown
    }
}

impl Connections {
    /// The send that comes next on a connection left bytes unsent.
    pub fn held(&mut self, event: &common::Held) {
        if let Some(connection) = self.connections.get_mut(&ConnId(event.conn)) {
            connection.held = Some(Held::new(event));
        }
    }

    /// What the last send left unsent has left, or was looked at and had not: then it can still be long.
    pub fn left(&mut self, event: &common::Left) {
        let conn = ConnId(event.conn);
        let connection = self.connections.get_mut(&conn);
        let turn = connection.and_then(|connection| connection.turn.as_mut());
        let Some(turn) = turn.filter(|turn| turn.sent_ns == event.sent_ns) else {
            return;
        };
        let Some(held) = &mut turn.held else { return };
        let left = Left::new(event);
        // The kernel half can have told before userspace asked, and knows it better; but a bound is no better than what
        // is known unless it is lower.
        let is_no_news = |left: Left, known: Left| match left.exactness {
            Exactness::Exact => false,
            Exactness::Tick => true,
            Exactness::AtTheLatest => known.at_ns <= left.at_ns,
        };
        if left
            .zip(held.left)
            .is_some_and(|(left, known)| is_no_news(left, known))
        {
            return;
        }
        let at_ns = event.header.at_ns;
        turn.heard_ns = at_ns;
        held.left = left.or(held.left);
        self.is_heard_of(conn, at_ns);
    }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable as _;
    use observer_common::flags::INBOUND;
    use observer_common::{Header, tcp};

    use super::super::{Connections, QUIET_NS};
    use super::*;

    const MS: u64 = 1_000_000;

    fn header(at_ns: u64) -> Header {
        Header {
            at_ns,
            tid: 1,
            ..Header::zeroed()
        }
    }

    /// A request that was answered at the time 10, with bytes unsent.
    fn answered() -> Connections {
        let mut connections = Connections::default();
        let receive = common::Receive {
            header: header(5),
            conn: 1,
            result: 5,
            flags: INBOUND,
            ..common::Receive::zeroed()
        };
        connections.received(&receive, b"");
        connections.held(&common::Held {
            header: header(10),
            conn: 1,
            sent_ns: 10,
            unsent_bytes: 7,
            ..common::Held::zeroed()
        });
        let send = common::Send {
            header: header(10),
            conn: 1,
            result: 5,
            flags: INBOUND,
            ..common::Send::zeroed()
        };
        connections.sent(&send, b"", || None, || None);
        connections
    }

    fn told(connections: &mut Connections, at_ns: u64, left_ns: u64, flags: u32) {
        connections.left(&common::Left {
            header: header(at_ns),
            conn: 1,
            sent_ns: 10,
            left_ns,
            flags,
            reserved: 0,
        });
    }

    fn end_ns(connections: &Connections) -> Option<u64> {
        let connection = connections.get(ConnId(1))?;
        connection.turn(1).map(super::super::Turn::end_ns)
    }

    #[test]
    fn a_turn_has_no_end_before_its_bytes_have_left() {
        let mut connections = answered();
        told(&mut connections, 900 * MS, 0, TO_A_TICK);
        assert_eq!(
            connections.take_quiet(QUIET_NS + 20, |_, _| false),
            None,
            "it was asked about"
        );
        told(&mut connections, QUIET_NS, 950 * MS, TO_A_TICK);
        assert_eq!(end_ns(&connections), Some(950 * MS));
        told(&mut connections, QUIET_NS + 1, 940 * MS, 0);
        told(&mut connections, QUIET_NS + 2, 950 * MS, TO_A_TICK);
        assert_eq!(end_ns(&connections), Some(940 * MS), "a tick tells less");
        assert!(connections.take_quiet(3 * QUIET_NS, |_, _| false).is_some());
    }

    #[test]
    fn a_turn_of_which_nothing_is_heard_ends_with_its_last_send() {
        let mut connections = answered();
        assert!(connections.take_quiet(QUIET_NS + 10, |_, _| false).is_some());
        assert_eq!(end_ns(&connections), Some(10));
    }

    #[test]
    fn a_server_that_closes_has_not_sent_everything() {
        let mut connections = answered();
        let becomes = |new_state| common::Connection {
            header: header(20),
            conn: 1,
            new_state,
            ..common::Connection::zeroed()
        };
        assert_eq!(connections.changed(&becomes(tcp::FIN_WAIT1), None), None);
        told(&mut connections, 30, 25, 0);
        assert!(connections.changed(&becomes(tcp::CLOSE), None).is_some());
        assert_eq!(end_ns(&connections), Some(25));
    }

    #[test]
    fn what_kept_the_bytes_is_told_by_what_the_kernel_asks_first() {
        let nagle = common::Held {
            unsent_bytes: 200,
            window_bytes: 60_000,
            in_flight: 1,
            congestion_window: 10,
            segment_bytes: 1_448,
            ..common::Held::zeroed()
        };
        assert_eq!(kept_by(&nagle), HeldBy::Nagle);
        let of = |held: common::Held| kept_by(&held);
        assert_eq!(
            of(common::Held {
                nagle: nagle::OFF,
                ..nagle
            }),
            HeldBy::Unknown
        );
        assert_eq!(
            of(common::Held {
                nagle: nagle::CORK,
                ..nagle
            }),
            HeldBy::Cork
        );
        assert_eq!(
            of(common::Held {
                window_bytes: 100,
                ..nagle
            }),
            HeldBy::ClientWindow
        );
        assert_eq!(
            of(common::Held {
                in_flight: 10,
                ..nagle
            }),
            HeldBy::CongestionWindow
        );
        assert_eq!(of(common::Held { paced: 1, ..nagle }), HeldBy::Pacing);
    }
}
