//! Bytes of a response that TCP had not sent when the last send returned: why, and when they left.
//!
//! Judged from what the kernel knew of the connection at that moment. Later, of a large answer, it can have been
//! something else.

use observer_common::{self as common, flags, tcp::nagle};
use serde::{Serialize, Serializer};

use super::Connections;

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
            by: HeldBy::of(event),
            left: None,
        }
    }
}

impl HeldBy {
    /// In the order in which the kernel asks before it sends (`tcp_write_xmit`).
    fn of(event: &common::Held) -> Self {
        let less_than_a_segment = event.unsent_bytes < event.segment_bytes;
        if event.paced != 0 {
            Self::Pacing
        } else if event.in_flight >= event.congestion_window {
            Self::CongestionWindow
        } else if event.window_bytes < event.unsent_bytes.min(event.segment_bytes) {
            Self::ClientWindow
        } else if less_than_a_segment && event.nagle & nagle::CORK != 0 {
            Self::Cork
        } else if less_than_a_segment && event.nagle & nagle::OFF == 0 && event.in_flight > 0 {
            Self::Nagle
        } else {
            Self::Unknown
        }
    }

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

impl Serialize for HeldBy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Connections {
    /// The send that comes next on a connection left bytes unsent.
    pub fn held(&mut self, event: &common::Held) {
        if let Some(connection) = self.connections.get_mut(&event.conn) {
            connection.held = Some(Held::new(event));
        }
    }

    /// What the last send left unsent has left, or was looked at and had not: then it can still be long.
    pub fn left(&mut self, event: &common::Left) {
        let connection = self.connections.get_mut(&event.conn);
        let turn = connection.and_then(|connection| connection.turn.as_mut());
        let Some(turn) = turn.filter(|turn| turn.sent_ns == event.sent_ns) else {
            return;
        };
        let Some(held) = &mut turn.held else { return };
        let at_ns = event.header.at_ns;
        turn.heard_ns = at_ns;
        self.quiet.push_back((at_ns, event.conn));
        if event.left_ns > 0 {
            held.left = Some(Left {
                at_ns: event.left_ns.clamp(event.sent_ns, at_ns.max(event.sent_ns)),
                exactness: match event.flags {
                    flags if flags & flags::AT_THE_LATEST != 0 => Exactness::AtTheLatest,
                    flags if flags & flags::TO_A_TICK != 0 => Exactness::Tick,
                    _ => Exactness::Exact,
                },
            });
            self.settling.push_back((at_ns, event.conn));
        }
    }
}
