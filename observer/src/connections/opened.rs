//! Who opened a connection, and what tells.
//!
//! As a rule its socket does, and every record says so. Where the socket does not, a listener on its port or the first
//! bytes that are HTTP can; that somebody sends first is no evidence: it can be the answer to what was read before.

use std::collections::HashSet;
use std::net::SocketAddr;

use observer_common::flags;

use super::protocol::{http1, shown_by};
use crate::model::full::{Full, Table};
use crate::model::id::Pid;
use crate::model::protocol::Protocol;

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// Not known yet.
    Unknown,
    /// A client; the process accepted it.
    Inbound,
    /// The process.
    Outbound,
}

impl Opened {
    /// What the flags of a record tell.
    pub(super) fn of(record_flags: u32) -> Self {
        if record_flags & (flags::INBOUND | flags::ACCEPTED) != 0 {
            Self::Inbound
        } else if record_flags & flags::OUTBOUND != 0 {
            Self::Outbound
        } else {
            Self::Unknown
        }
    }

    /// What the first bytes that were received tell.
    pub(super) fn of_received(head: &[u8]) -> Self {
        if begins_request(head) {
            Self::Inbound
        } else if http1::status(head).is_some() {
            Self::Outbound
        } else {
            Self::Unknown
        }
    }

    /// What the first bytes that were sent tell.
    pub(super) fn of_sent(head: &[u8]) -> Self {
        match Self::of_received(head) {
            Self::Inbound => Self::Outbound,
            Self::Outbound => Self::Inbound,
            Self::Unknown => Self::Unknown,
        }
    }

    /// This, or where it is unknown what `other` tells.
    pub(super) fn or_else(self, other: impl FnOnce() -> Self) -> Self {
        if self == Self::Unknown { other() } else { self }
    }
}

/// Listeners that are known. They decide only where a socket does not tell who opened it.
const MAX_LISTENERS: usize = 65_536;

/// Where somebody listens, as far as is known: process in whose network that is, port.
#[derive(Debug, Default)]
pub(super) struct Listeners(HashSet<(Pid, u16)>);

impl Listeners {
    pub(super) fn add(&mut self, pid: Pid, port: u16, full: &Full) {
        if self.0.len() < MAX_LISTENERS || self.0.contains(&(pid, port)) {
            self.0.insert((pid, port));
        } else {
            full.count(Table::Listeners, 1);
        }
    }

    /// Process `pid` became another program, or ended.
    pub(super) fn forget_process(&mut self, pid: Pid) {
        self.0.retain(|&(of, _)| of != pid);
    }

    /// What they tell of a connection of process `pid` with this local address.
    pub(super) fn opened(&self, pid: Pid, local: Option<SocketAddr>) -> Opened {
        match local {
            Some(local) if self.0.contains(&(pid, local.port())) => Opened::Inbound,
            _ => Opened::Unknown,
        }
    }
}

/// Whether these bytes are the beginning of an HTTP/1.x request.
pub(super) fn begins_request(head: &[u8]) -> bool {
    shown_by(head) == Some(Protocol::Http1)
}
