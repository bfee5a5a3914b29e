//! One turn on an inbound connection: what is known of a request before it is explained.

use observer_common::{Receive, limits::REQUEST_HEAD_BYTES};

use super::accepted::Accepted;
use super::held::Held;
use super::protocol::http1::RequestLine;
use super::stalls::Stalls;
use crate::model::id::{Pid, RequestId, Task, Tid};
use crate::model::protocol::Protocol;
use crate::runtime::go::Stay;

/// Threads that are remembered of a request, the first: those of a blocking pool can all work for it in turn, and
/// tokio's has up to 512.
const MAX_TIDS: usize = 768;

/// So many of them without memory of their own: most requests have one or two.
const FEW_TIDS: usize = 4;

/// One turn on an inbound connection.
#[derive(Clone, Debug)]
pub struct Turn {
    /// Which.
    pub id: RequestId,
    /// Process that read it.
    pub pid: Pid,
    /// Arrival of the first byte, ns; equals `read_ns` when it was not seen.
    pub arrival_ns: u64,
    /// The arrival was seen.
    pub arrival_seen: bool,
    /// End of the first read, ns.
    pub read_ns: u64,
    /// Thread that read first.
    pub read_tid: Tid,
    /// Runtime task that read first.
    pub read_task: Task,
    /// Of the goroutine that read first: its stay on its thread then.
    pub(crate) read_stay: Option<Stay>,
    /// How the connection was accepted, when that was after the arrival.
    pub accepted: Option<Accepted>,
    /// End of the last send, ns.
    pub sent_ns: u64,
    /// What that left unsent.
    pub held: Option<Held>,
    /// When its end was last heard of, ns.
    pub(super) heard_ns: u64,
    /// Thread that sent last, if one did.
    pub sent_tid: Option<Tid>,
    /// Runtime task that sent last.
    pub sent_task: Task,
    /// Of the goroutine that sent last: its stay on its thread then.
    pub(crate) sent_stay: Option<Stay>,
    /// Socket operations on its connection after the first read, up to the last send.
    pub(crate) operations: u8,
    /// When its answer found no room.
    pub(super) stalls: Stalls,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Resident pages at the first read.
    pub rss_start: u32,
    /// Resident pages at the last send.
    pub rss_end: u32,
    /// HTTP status, where the first bytes sent were a response head.
    pub status: Option<u16>,
    /// What its connection spoke, once it was answered.
    pub protocol: Protocol,
    tids: [Option<Tid>; FEW_TIDS],
    more_tids: Vec<Tid>,
    /// There were more.
    has_more_tids: bool,
    head: [u8; REQUEST_HEAD_BYTES],
    head_bytes: usize,
}

impl Turn {
    /// The turn that this receive starts, of bytes that came at `arrived_ns` (0: not seen), on a connection that was
    /// accepted then.
    pub(super) fn begin(id: RequestId, event: &Receive, arrived_ns: u64, accepted: Option<Accepted>) -> Self {
        let read_ns = event.header.at_ns;
        let arrival_seen = arrived_ns > 0;
        let arrival_ns = if arrival_seen {
            arrived_ns.min(read_ns)
        } else {
            read_ns
        };
        Self {
            id,
            pid: Pid(event.tgid),
            arrival_ns,
            arrival_seen,
            read_ns,
            read_tid: Tid(event.header.tid),
            read_task: Task::new(event.task),
            read_stay: Stay::of(event.task),
            accepted: accepted.filter(|accepted| id.nth == 1 && accepted.at_ns > arrival_ns),
            sent_ns: 0,
            held: None,
            heard_ns: 0,
            sent_tid: None,
            sent_task: Task::UNKNOWN,
            sent_stay: None,
            operations: 0,
            stalls: Stalls::default(),
            bytes_in: 0,
            bytes_out: 0,
            rss_start: event.rss_pages,
            rss_end: event.rss_pages,
            status: None,
            protocol: Protocol::default(),
            tids: [None; FEW_TIDS],
            more_tids: Vec::new(),
            has_more_tids: false,
            head: [0; REQUEST_HEAD_BYTES],
            head_bytes: 0,
        }
    }

    /// When the last byte of the response left, as far as that is known, ns.
    #[must_use]
    pub fn end_ns(&self) -> u64 {
        let left = self.held.and_then(|held| held.left);
        left.map_or(self.sent_ns, |left| left.at_ns.max(self.sent_ns))
    }

    /// From its arrival to its end, as far as that is known, ns.
    #[must_use]
    pub fn latency_ns(&self) -> u64 {
        self.end_ns().saturating_sub(self.arrival_ns)
    }

    /// Whether TCP still has bytes of it, as far as is known.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.held.is_some_and(|held| held.left.is_none())
    }

    /// Bytes of it that TCP still has, as far as is known.
    #[must_use]
    pub fn unsent_bytes(&self) -> u32 {
        let held = self.held.filter(|held| held.left.is_none());
        held.map_or(0, |held| held.unsent_bytes)
    }

    /// Its first bytes.
    pub(super) fn head(&self) -> &[u8] {
        &self.head[..self.head_bytes]
    }

    /// Method and target, where the first bytes were HTTP/1.x.
    #[must_use]
    pub fn request_line(&self) -> Option<RequestLine<'_>> {
        RequestLine::read(self.head())
    }

    /// Whether more threads touched it than are remembered.
    #[must_use]
    pub const fn has_more_tids(&self) -> bool {
        self.has_more_tids
    }

    /// Whether its answer found no room more often than is remembered.
    #[must_use]
    pub const fn has_more_stalls(&self) -> bool {
        self.stalls.has_more()
    }

    /// Threads that touched it, the first few.
    pub fn tids(&self) -> impl Iterator<Item = Tid> + '_ {
        let few = self.tids.iter().copied().map_while(|tid| tid);
        few.chain(self.more_tids.iter().copied())
    }

    /// The one of them that touched it at this place in their row.
    #[must_use]
    pub fn tid(&self, place: usize) -> Option<Tid> {
        let more = || self.more_tids.get(place - FEW_TIDS).copied();
        self.tids.get(place).copied().unwrap_or_else(more)
    }

    /// Whether something of its answer was sent.
    pub(super) const fn is_answered(&self) -> bool {
        self.sent_tid.is_some()
    }

    /// Adds what a receive brought, as far as all before it was kept.
    pub(super) fn add_head(&mut self, head: &[u8]) {
        let room = &mut self.head[self.head_bytes..];
        let bytes = head.len().min(room.len());
        room[..bytes].copy_from_slice(&head[..bytes]);
        self.head_bytes += bytes;
    }

    /// How many threads are remembered in memory of their own.
    #[must_use]
    pub fn extra_tids(&self) -> usize {
        self.more_tids.len()
    }

    /// Whether the last send of its answer found no room.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        self.stalls.go_on()
    }

    /// Since when its answer had found no room just before this time, ns, if it had not found any yet.
    #[must_use]
    pub fn stalled_since(&self, at_ns: u64) -> Option<u64> {
        self.stalls.since(at_ns)
    }

    /// Whether it has memory of its own beside that of every turn.
    #[must_use]
    pub fn has_details(&self) -> bool {
        self.extra_tids() > 0 || !self.stalls.is_empty()
    }

    /// Gives that memory back.
    pub(super) fn forget_details(&mut self) {
        self.more_tids = Vec::new();
        self.stalls.clear();
    }

    /// A thread worked for it. It is remembered among the first few, and beyond these while there is room in memory of
    /// its own.
    pub(super) fn touched_by(&mut self, tid: Tid, has_room: bool) {
        if let Some(slot) = self
            .tids
            .iter_mut()
            .find(|slot| slot.is_none_or(|known| known == tid))
        {
            *slot = Some(tid);
        } else if !self.more_tids.contains(&tid) {
            if has_room && self.more_tids.len() < MAX_TIDS - FEW_TIDS {
                self.more_tids.push(tid);
            } else {
                self.has_more_tids = true;
            }
        }
    }
}
