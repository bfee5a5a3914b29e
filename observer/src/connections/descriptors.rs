//! By which descriptor a process knows a connection.
//!
//! Numbers of descriptors are used again and again, also for what is no connection: one tells of a time at which its
//! connection was open, and of no other.

use rustc_hash::FxHashMap;

use super::connection::Connection;
use super::{Connections, MAX_CONNECTIONS};
use crate::model::full::{Full, Table};
use crate::model::id::{ConnId, Pid};

/// The connection for which each was used last, by process and number.
#[derive(Debug, Default)]
pub(super) struct Descriptors(FxHashMap<(Pid, i32), ConnId>);

impl Descriptors {
    /// Process `pid` used a connection by descriptor `fd`.
    pub(super) fn add(&mut self, pid: Pid, fd: i32, conn: ConnId, full: &Full) {
        if self.0.len() < MAX_CONNECTIONS || self.0.contains_key(&(pid, fd)) {
            self.0.insert((pid, fd), conn);
        } else {
            full.count(Table::Descriptors, 1);
        }
    }

    /// A connection that was last used by this descriptor is forgotten.
    pub(super) fn forget(&mut self, used_by: (Pid, i32), conn: ConnId) {
        if self.0.get(&used_by) == Some(&conn) {
            self.0.remove(&used_by);
        }
    }
}

impl Connections {
    /// The connection behind a descriptor at this time, as far as it was used.
    #[must_use]
    pub fn by_fd(&self, pid: Pid, fd: i32, at_ns: u64) -> Option<(ConnId, &Connection)> {
        let conn = *self.fds.0.get(&(pid, fd))?;
        let connection = self.connections.get(&conn)?;
        connection.was_open(at_ns).then_some((conn, connection))
    }

    /// Process `pid` became another program, or ended.
    pub fn forget_process(&mut self, pid: Pid) {
        for (_, conn) in self.fds.0.extract_if(|&(of, _), _| of == pid) {
            if let Some(connection) = self.connections.get_mut(&conn) {
                connection.is_used_by_nobody();
            }
        }
        self.listeners.forget_process(pid);
    }
}
