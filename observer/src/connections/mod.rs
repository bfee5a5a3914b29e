//! Where each request begins and ends on its socket.
//!
//! A request is one turn on an accepted connection: inbound bytes, then outbound bytes, until the next inbound byte.
//! Its end is when the last of them has left ([`held`]), and is known only when something follows it: the next request,
//! a close, or a second of quiet ([`QUIET_NS`]) in which no thread is blocked in sending its answer. Bytes sent later
//! than that belong to no request; they are counted. A turn that was quiet for a while ([`SETTLED_NS`]) has probably
//! ended: time to explain it, before what threads did is forgotten.

mod accepted;
mod calls;
mod connection;
mod counts;
mod descriptors;
mod endings;
mod held;
mod opened;
pub mod protocol;
mod received;
mod sent;
mod speech;
mod stalls;
mod turn;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use observer_common::{self as common, flags, tcp};
use rustc_hash::{FxHashMap, FxHashSet};

pub use accepted::Accepted;
pub use calls::Callee;
use calls::Calls;
pub use connection::{Connection, OutboundSend};
pub use counts::{Counts, NotFollowed};
use descriptors::Descriptors;
pub use held::{Exactness, Held};
use opened::Listeners;
pub use opened::Opened;
pub use turn::Turn;

use crate::model::full::{Full, Table};
use crate::model::id::{ConnId, Pid, RequestId, Tid};
use crate::newest::Newest;

/// A response is over when nothing was sent for this long, ns.
pub const QUIET_NS: u64 = 1_000_000_000;

/// A response is probably over when nothing was sent for this long, ns.
pub const SETTLED_NS: u64 = 25_000_000;

/// Connections kept at once. For more, those that were not used for longest make room, which is counted.
pub const MAX_CONNECTIONS: usize = 262_144;

/// How many make room at once: looking for them takes some 10 ms.
const MAKES_ROOM: usize = MAX_CONNECTIONS / 16;

/// Threads of requests that had more than a few, of all requests together: 1 MiB.
const MAX_EXTRA_TIDS: usize = 262_144;

/// Closed connections that are still known, the newest: a history. What waited for an older one has a culprit without a
/// request.
const MAX_CLOSED: usize = 1024;

/// All connections of the watched processes.
#[derive(Debug, Default)]
pub struct Connections {
    /// In boxes: of a table of ten thousand nearly half is empty.
    connections: FxHashMap<ConnId, Box<Connection>>,
    listeners: Listeners,
    fds: Descriptors,
    calls: Calls,
    /// Those that are over.
    closed: Newest<ConnId, MAX_CLOSED>,
    /// Turns that have an end which is not yet certain, oldest first: (when it was last heard of, connection).
    quiet: VecDeque<(u64, ConnId)>,
    /// The same, as long as they are not settled: (last send, connection).
    settling: VecDeque<(u64, ConnId)>,
    /// Connections that were over before their request was answered, oldest first: (when, connection).
    leaving: VecDeque<(u64, ConnId)>,
    /// New connections that are refused before room is looked for again: there was none.
    refusing: usize,
    /// Threads of requests that had more than a few, or less than so many.
    extra_tids_at_most: usize,
    /// What could not be followed.
    pub counts: Counts,
    /// What found no place, or is not remembered any more.
    pub full: Full,
    /// From when on what is received and what is sent are both recorded, ns. A connection of which something was
    /// recorded before that is taken for one that was open at the attach.
    whole_since_ns: u64,
}

impl Connections {
    /// Connections of which everything is recorded from this time on, ns.
    #[must_use]
    pub fn whole_since(whole_since_ns: u64) -> Self {
        Self {
            whole_since_ns,
            ..Self::default()
        }
    }

    /// The connection with this cookie.
    #[must_use]
    pub fn get(&self, conn: ConnId) -> Option<&Connection> {
        self.connections.get(&conn).map(Box::as_ref)
    }

    /// The turn that a request is.
    #[must_use]
    pub fn turn(&self, id: RequestId) -> Option<&Turn> {
        self.connections.get(&id.conn)?.turn(id.nth)
    }

    /// The turn that a request is, if another has not begun on its connection, and it has not ended for certain.
    #[must_use]
    pub fn current(&self, id: RequestId) -> Option<&Turn> {
        let turn = self.connections.get(&id.conn)?.turn.as_deref()?;
        (turn.id == id).then_some(turn)
    }

    /// The turns that arrived before `at_ns` and have not ended for certain, nor has another begun on their connection.
    #[must_use]
    pub fn arrived_before(&self, at_ns: u64) -> FxHashSet<RequestId> {
        let turns = self
            .connections
            .values()
            .filter_map(|connection| connection.turn.as_deref());
        let begun = turns.filter(|turn| turn.arrival_ns < at_ns);
        begun.map(|turn| turn.id).collect()
    }

    /// Of an outbound connection: the last send for `request` between the two times, ns.
    #[must_use]
    pub fn last_send_for(
        &self,
        conn: ConnId,
        request: RequestId,
        since_ns: u64,
        before_ns: u64,
    ) -> Option<OutboundSend> {
        let connection = self.connections.get(&conn)?;
        let send = connection.last_send_for(request, since_ns, before_ns);
        if send.is_none() && connection.has_forgotten_sends_before(before_ns) {
            self.full.count(Table::PeerSends, 1);
        }
        send
    }

    /// Thread `tid` works for a request.
    pub fn touched(&mut self, id: RequestId, tid: Tid) {
        let has_room = self.has_room_for_tid();
        if let Some(connection) = self.connections.get_mut(&id.conn)
            && let Some(turn) = connection.turn.as_mut().filter(|turn| turn.id == id)
        {
            turn.touched_by(tid, has_room);
        }
    }

    /// Whether there is room for one more thread. They are counted when there may be too many, and if there are, not
    /// again before a sixteenth of them more.
    fn has_room_for_tid(&mut self) -> bool {
        const AGAIN: usize = MAX_EXTRA_TIDS + MAX_EXTRA_TIDS / 16;
        self.extra_tids_at_most += 1;
        if matches!(self.extra_tids_at_most, MAX_EXTRA_TIDS | AGAIN) {
            let turns = self
                .connections
                .values()
                .filter_map(|connection| connection.turn.as_deref());
            let extra_tids: usize = turns.map(Turn::extra_tids).sum();
            self.extra_tids_at_most = extra_tids.min(MAX_EXTRA_TIDS);
        }
        self.extra_tids_at_most < MAX_EXTRA_TIDS
    }

    /// What threads did until then is forgotten, ns: when their requests found no room will not be asked for either.
    pub fn forget_stalls_until(&mut self, until_ns: u64) {
        let turns = self
            .connections
            .values_mut()
            .filter_map(|connection| connection.turn.as_mut());
        turns.for_each(|turn| turn.stalls.forget_until(until_ns));
    }

    /// A request is explained for good: what threads did for it will not be asked for again.
    pub fn forget_details(&mut self, id: RequestId) {
        if let Some(connection) = self.connections.get_mut(&id.conn) {
            connection.forget_details(id.nth);
        }
    }

    /// Bytes that came on a connection woke thread `tid`.
    pub fn woke(&mut self, conn: ConnId, tid: Tid) {
        if let Some(connection) = self.connections.get_mut(&conn) {
            connection.is_watched_by(tid);
        }
    }

    /// In the network of a watched process, somebody listens on `port`.
    pub fn listens(&mut self, pid: Pid, port: u16) {
        self.listeners.add(pid, port, &self.full);
    }

    /// Who opened a connection that process `pid` uses: by the flags of a record, by what was known, by a listener on
    /// its port, or else by `bytes`.
    fn opened(&self, conn: ConnId, pid: Pid, flags: u32, bytes: impl FnOnce() -> Opened) -> Opened {
        let known = || self.connections.get(&conn);
        Opened::of(flags)
            .or_else(|| known().map_or(Opened::Unknown, |known| known.opened))
            .or_else(|| self.listeners.opened(pid, known().and_then(|known| known.local)))
            .or_else(bytes)
    }

    /// The request that uses an outbound connection, as long as it was not answered itself: as a rule nobody else
    /// sends on it until then. The thread may have turned to another request since.
    fn open_user(&self, conn: ConnId) -> Option<RequestId> {
        let connection = self
            .connections
            .get(&conn)
            .filter(|connection| connection.opened == Opened::Outbound)?;
        let user = connection.used_for?;
        self.turn(user)
            .filter(|turn| !turn.is_answered())
            .map(|turn| turn.id)
    }

    /// A connection changed, in the context of a thread that ran for `owner`. Returns the turn that this ended.
    pub fn changed(&mut self, event: &common::Connection, owner: Option<RequestId>) -> Option<RequestId> {
        let (conn, pid) = (ConnId(event.conn), Pid(event.tgid));
        if event.new_state == tcp::LISTEN {
            self.listens(pid, event.local_port);
            return None;
        }
        if event.new_state == tcp::CLOSE {
            let connection = self.connections.get_mut(&conn)?;
            connection.closes(event.header.at_ns);
            connection.closed = true;
            if connection.is_unanswered() {
                self.leaves(conn, event.header.at_ns);
                return None;
            }
            return connection.end_turn();
        }
        let opened = match (event.old_state, event.new_state) {
            (tcp::SYN_RECV, tcp::ESTABLISHED) => Opened::Inbound,
            (tcp::CLOSE, tcp::SYN_SENT) => Opened::Outbound,
            _ => self.opened(conn, pid, event.flags, || Opened::Unknown),
        };
        let is_whole = event.header.at_ns >= self.whole_since_ns;
        let connection = self.known(conn, opened, event.header.at_ns)?;
        if event.flags & flags::FOUND != 0 {
            connection.found = true;
            // Found with its process it had been accepted, else it may be in its listener's queue. Before all is
            // recorded it can have been in use for long.
            if event.tgid == 0 && is_whole {
                connection.established_ns = connection.established_ns.or(Some(event.header.at_ns));
            }
        }
        connection.local = address(event.family, event.local_addr, event.local_port).or(connection.local);
        connection.peer = address(event.family, event.remote_addr, event.remote_port).or(connection.peer);
        connection.network = event.network;
        if event.new_state == tcp::SYN_SENT && event.flags & flags::FOUND == 0 {
            // What asks for the connection is the first thing that the peer is sent.
            connection.sent_to_peer(OutboundSend {
                at_ns: event.header.at_ns,
                tid: Tid(event.header.tid),
                request: owner,
                read_ns: connection.read_ns,
            });
        }
        if (event.old_state, event.new_state) == (tcp::SYN_RECV, tcp::ESTABLISHED) {
            connection.established_ns = Some(event.header.at_ns);
        }
        if event.flags & flags::ACCEPTED != 0 {
            connection.was_accepted(event.header.at_ns, Tid(event.header.tid));
        }
        let this_side_closes = matches!(event.new_state, tcp::FIN_WAIT1 | tcp::LAST_ACK | tcp::CLOSING);
        if this_side_closes {
            connection.closes(event.header.at_ns);
        }
        let is_held = connection.turn.as_ref().is_some_and(|turn| turn.is_held());
        let ended = if this_side_closes && !is_held {
            connection.end_turn()
        } else {
            None
        };
        self.calls.add(conn, &self.connections, &self.full);
        ended
    }

    fn forget(&mut self, conn: ConnId) {
        if let Some(connection) = self.connections.remove(&conn) {
            self.fds.forget(connection.used_by, conn);
            self.calls.forget(conn, &connection);
            self.counts.unanswered(&connection);
        }
    }

    /// The connection of an operation. One that failed makes none known: the connection may be over and forgotten,
    /// and nothing would ever tell of its end again.
    fn used(&mut self, conn: ConnId, opened: Opened, at_ns: u64, result: i32) -> Option<&mut Connection> {
        if result <= 0 && !self.connections.contains_key(&conn) {
            return None;
        }
        self.known(conn, opened, at_ns)
    }

    fn known(&mut self, conn: ConnId, opened: Opened, at_ns: u64) -> Option<&mut Connection> {
        if self.connections.len() >= MAX_CONNECTIONS
            && !self.connections.contains_key(&conn)
            && !self.make_room()
        {
            self.counts.refused_connections += 1;
            return None;
        }
        let connection = self
            .connections
            .entry(conn)
            .or_insert_with(|| Box::new(Connection::new(at_ns)));
        connection.used_ns = at_ns;
        connection.opened = connection.opened.or_else(|| opened);
        Some(connection)
    }

    /// Forgets those that were not used for longest: their end may have been lost. One that was answered is still
    /// to be counted, which takes a second at most.
    fn make_room(&mut self) -> bool {
        if self.refusing > 0 {
            self.refusing -= 1;
            return false;
        }
        let mut oldest: Vec<_> = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.turn.is_none() || connection.is_unanswered())
            .map(|(&conn, connection)| (connection.used_ns, conn))
            .collect();
        if oldest.len() > MAKES_ROOM {
            oldest.select_nth_unstable(MAKES_ROOM);
            oldest.truncate(MAKES_ROOM);
        }
        for &(_, conn) in &oldest {
            self.forget(conn);
        }
        self.counts.refused_connections += oldest.len() as u64;
        if oldest.is_empty() {
            self.refusing = MAKES_ROOM;
        }
        !oldest.is_empty()
    }
}

fn address(family: u16, bytes: [u8; 16], port: u16) -> Option<SocketAddr> {
    let ip = match family {
        tcp::AF_INET => IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3])),
        tcp::AF_INET6 => {
            let v6 = Ipv6Addr::from(bytes);
            v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4)
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests;
