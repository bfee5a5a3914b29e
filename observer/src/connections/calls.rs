//! Calls of watched processes to each other: which request of the one was the call of the other.
//!
//! A connection of which both ends are watched is known twice: as one that its caller opened, and as one that its
//! callee accepted. Both have the same pair of addresses. What was asked on it and what answered it belong together
//! where they lie in one exchange: after the caller had read last before it sent, the callee began one request, and one
//! only, before the caller had read its answer.
//!
//! It judges by times and addresses, and not by what the bytes say.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::connection::Connection;
use super::opened::Opened;
use super::turn::Turn;
use super::{Connections, MAX_CONNECTIONS};
use crate::model::cause::Cause;
use crate::model::full::{Full, Table};
use crate::model::id::{ConnId, Pid, RequestId, Task, Tid};
use crate::model::protocol::Protocol;
use crate::newest::Newest;

/// Finished requests that were calls of watched processes, which are kept for their callers, the newest: a history of
/// about 1 MiB. A caller is explained some 25 ms after it has answered itself.
pub(super) const MAX_FINISHED: usize = 8192;

/// A request of a watched process that answered a call.
#[derive(Clone, Debug)]
pub struct Callee {
    /// Which.
    pub id: RequestId,
    /// Process that answered.
    pub pid: Pid,
    /// Thread that sent last.
    pub tid: Tid,
    /// In which task.
    pub task: Task,
    /// Method and path, where it was HTTP/1.x.
    pub name: Option<Arc<str>>,
    /// From its arrival to the last byte of its response, as far as it was answered by now, ns.
    pub latency_ns: u64,
    /// What most of that was spent on, once it is explained for good.
    pub mostly: Option<Cause>,
    arrival_ns: u64,
    sent_ns: u64,
}

impl Callee {
    /// The request that a turn is, once it was answered, if it is one.
    fn of(turn: &Turn, connection: &Connection, mostly: Option<Cause>) -> Option<Self> {
        let carries_several = matches!(turn.protocol, Protocol::Http2 | Protocol::Tls);
        let tid = turn.sent_tid.filter(|_| !carries_several)?;
        Some(Self {
            id: turn.id,
            pid: turn.pid,
            tid,
            task: turn.sent_task,
            name: connection.name(turn.id.nth),
            latency_ns: turn.latency_ns(),
            mostly,
            arrival_ns: turn.arrival_ns,
            sent_ns: turn.sent_ns,
        })
    }
}

/// What was asked on an outbound connection, as far as it is known to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Exchange {
    /// Whatever came before it was over by then, ns.
    after_ns: u64,
    /// When its answer was read last, as far as that is known, ns.
    read_ns: u64,
    /// When something was sent next, ns.
    next_ns: u64,
}

/// Both ends of a connection, as each of them knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Pair {
    caller: Ipv6Addr,
    callee: Ipv6Addr,
    ports: (u16, u16),
    /// Loopback addresses are others in each network, and what is sent to an own address stays in it.
    network: u32,
}

impl Pair {
    /// The pair of a connection, if both of its addresses are known, and who opened it.
    fn of(connection: &Connection) -> Option<Self> {
        let (local, peer) = connection.local.zip(connection.peer)?;
        let (caller, callee) = match connection.opened {
            Opened::Outbound => (local, peer),
            Opened::Inbound => (peer, local),
            Opened::Unknown => return None,
        };
        // One that connects has its port a moment later.
        (caller.port() != 0).then(|| Self {
            caller: widened(caller),
            callee: widened(callee),
            ports: (caller.port(), callee.port()),
            network: if callee.ip().is_loopback() || caller.ip() == callee.ip() {
                connection.network
            } else {
                0
            },
        })
    }
}

fn widened(address: SocketAddr) -> Ipv6Addr {
    match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

/// What is known of both ends of a pair.
#[derive(Clone, Copy, Debug)]
struct Ends {
    caller: ConnId,
    /// The other end, once it has answered something.
    callee: ConnId,
    /// The last request that was finished on it.
    last: Option<InRow>,
}

/// A finished request, in the row of those of its connection.
#[derive(Debug)]
struct Finished {
    callee: Callee,
    before: Option<InRow>,
}

/// Where a finished request is, if it is not forgotten, and when it had come, ns.
#[derive(Clone, Copy, Debug)]
struct InRow {
    /// How many were finished before it on any connection.
    nth: u64,
    arrival_ns: u64,
}

/// Connections that watched processes opened, by both of their addresses, and what was finished on them.
#[derive(Debug, Default)]
pub(super) struct Calls {
    pairs: FxHashMap<Pair, Ends>,
    finished: Newest<Finished, MAX_FINISHED>,
    /// How many were forgotten, the first.
    forgotten: u64,
    /// Until when records were lost, ns.
    lost_ns: u64,
}

impl Calls {
    /// The addresses of a connection are known.
    pub(super) fn add(&mut self, conn: ConnId, all: &FxHashMap<ConnId, Box<Connection>>, full: &Full) {
        let is_call = |connection: &&Connection| connection.opened == Opened::Outbound;
        let Some(pair) = all.get(&conn).map(Box::as_ref).filter(is_call).and_then(Pair::of) else {
            return;
        };
        let ends = Ends {
            caller: conn,
            callee: ConnId::NONE,
            last: None,
        };
        if let Some(known) = self.pairs.get_mut(&pair) {
            if known.caller != conn {
                *known = ends;
            }
        } else if self.pairs.len() < MAX_CONNECTIONS {
            self.pairs.insert(pair, ends);
        } else {
            full.count(Table::Calls, 1);
        }
    }

    /// It is forgotten.
    pub(super) fn forget(&mut self, conn: ConnId, connection: &Connection) {
        if let Some(pair) = Pair::of(connection)
            && self.pairs.get(&pair).is_some_and(|ends| ends.caller == conn)
        {
            self.pairs.remove(&pair);
        }
    }

    /// Something was answered on a connection that was accepted.
    pub(super) fn has_other_end(&mut self, conn: ConnId, all: &FxHashMap<ConnId, Box<Connection>>) {
        // Most that are watched call nobody.
        if !self.pairs.is_empty()
            && let Some(pair) = all.get(&conn).map(Box::as_ref).and_then(Pair::of)
            && let Some(ends) = self.pairs.get_mut(&pair)
        {
            ends.callee = conn;
        }
    }

    /// A turn is explained for good, most of which was spent on a cause.
    fn finish(&mut self, turn: &Turn, connection: &Connection, mostly: impl FnOnce() -> Option<Cause>) {
        if self.pairs.is_empty() {
            return;
        }
        let own = InRow {
            nth: self.forgotten + self.finished.len() as u64,
            arrival_ns: turn.arrival_ns,
        };
        let ends = Pair::of(connection).and_then(|pair| self.pairs.get_mut(&pair));
        if let Some(ends) = ends.filter(|ends| ends.callee == turn.id.conn)
            && let Some(callee) = Callee::of(turn, connection, mostly())
        {
            let before = ends.last.replace(own);
            let oldest = self.finished.push(Finished { callee, before });
            self.forgotten += u64::from(oldest.is_some());
        }
    }

    /// The finished request at this place, if it is not forgotten.
    fn at(&self, place: InRow) -> Option<&Finished> {
        let index = place.nth.checked_sub(self.forgotten)?;
        self.finished.get(usize::try_from(index).ok()?)
    }
}

impl Connection {
    /// Outbound: the exchange to which the last send by `at_ns` belongs, if something was read after it.
    fn exchange(&self, at_ns: u64) -> Option<Exchange> {
        let place = self.sends.iter().rposition(|send| send.at_ns <= at_ns)?;
        let asked = self.sends.get(place)?;
        let mut later = self.sends.iter().skip(place + 1);
        let next = later.find(|send| send.read_ns > asked.read_ns);
        let read_ns = next.map_or(self.read_ns, |next| next.read_ns);
        let opened_ns = if self.found { 0 } else { self.heard_ns };
        (read_ns > asked.at_ns).then(|| Exchange {
            after_ns: asked.read_ns.max(opened_ns),
            read_ns,
            next_ns: next.map_or(u64::MAX, |next| next.at_ns),
        })
    }
}

impl Connections {
    /// A request is explained for good, most of which was spent on a cause: its caller may ask for it.
    pub fn finished(&mut self, id: RequestId, mostly: impl FnOnce() -> Option<Cause>) {
        if let Some(connection) = self.connections.get(&id.conn)
            && let Some(turn) = connection.turn(id.nth)
        {
            self.calls.finish(turn, connection, mostly);
        }
    }

    /// Records were lost until this time, ns.
    pub fn lost(&mut self, until_ns: u64) {
        self.calls.lost_ns = self.calls.lost_ns.max(until_ns);
    }

    /// The request of a watched process that answered what was asked on `conn`, where a request waited for the answer
    /// from `from_ns` to `to_ns`. None where another can have, too.
    #[must_use]
    pub fn callee(&self, conn: ConnId, from_ns: u64, to_ns: u64) -> Option<Callee> {
        let caller = self.connections.get(&conn)?;
        let ends = self.calls.pairs.get(&Pair::of(caller)?)?;
        let Some(exchange) = caller.exchange(from_ns).filter(|_| ends.caller == conn) else {
            let is_forgotten = caller.has_forgotten_sends_before(from_ns.saturating_add(1));
            self.full.count(Table::PeerSends, u64::from(is_forgotten));
            return None;
        };
        let callee = self.only_callee(ends, &exchange)?;
        let overlaps = callee.arrival_ns < to_ns && callee.sent_ns > from_ns;
        // Where an answer was lost, two requests look like one.
        let is_one = callee.sent_ns <= exchange.next_ns && callee.arrival_ns > self.calls.lost_ns;
        (overlaps && is_one).then_some(callee)
    }

    /// The only request that came to the other end in an exchange, if it was answered.
    fn only_callee(&self, ends: &Ends, exchange: &Exchange) -> Option<Callee> {
        let is_in = |arrival_ns| exchange.after_ns < arrival_ns && arrival_ns <= exchange.read_ns;
        let callee = self.connections.get(&ends.callee);
        let current = callee.and_then(|callee| Some((callee.turn.as_deref()?, callee)));
        let mut only = match current.filter(|(turn, _)| is_in(turn.arrival_ns)) {
            Some((turn, callee)) => Some(Callee::of(turn, callee, None)?),
            None => None,
        };
        let mut next = ends.last;
        while let Some(place) = next.filter(|place| place.arrival_ns > exchange.after_ns) {
            let Some(finished) = self.calls.at(place) else {
                self.full.count(Table::Calls, 1);
                return None;
            };
            if is_in(place.arrival_ns) && only.replace(finished.callee.clone()).is_some() {
                return None;
            }
            next = finished.before;
        }
        only
    }
}
