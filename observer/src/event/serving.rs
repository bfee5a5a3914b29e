//! Facts about who serves, from procfs: the sockets on which watched processes and those that they started listen, and
//! who took over when one ended.

use bytemuck::{Pod, Zeroable};
use observer_common::Header;

use super::fact::{FactKind, TEXT_BYTES, header, text_field};
use crate::model::id::Pid;
use crate::model::privilege::Missing;

/// A socket that listens, and a process that holds it: a watched one, or one that it started. What it accepts there is
/// not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Listener {
    /// `tid`: the process that holds it.
    pub header: Header,
    /// The watched process: itself, or the one that started it, or started the one that did.
    pub watched: u32,
    /// Its parent.
    pub parent: u32,
    /// Number of the socket.
    pub inode: u64,
    /// TCP port; 0 for a Unix stream socket.
    pub port: u32,
    /// 1 when the process that holds it was started by the watched one, and is watched too.
    pub followed: u32,
    /// Name of the process that holds it, NUL-padded.
    pub comm: [u8; observer_common::limits::COMM_BYTES],
    /// Path of a Unix socket, NUL-padded; it begins with `@` where it is abstract, and is empty where it has no name.
    pub path: [u8; TEXT_BYTES],
}

impl Listener {
    /// Process `pid`, which is `watched` itself, holds socket `inode`, which listens on `port`.
    #[must_use]
    pub const fn tcp(at_ns: u64, pid: Pid, watched: Pid, inode: u64, port: u16) -> Self {
        Self {
            header: header(FactKind::Listener, at_ns, pid.0),
            watched: watched.0,
            parent: 0,
            inode,
            port: port as u32,
            followed: 0,
            comm: [0; observer_common::limits::COMM_BYTES],
            path: [0; TEXT_BYTES],
        }
    }

    /// The same of a Unix stream socket.
    #[must_use]
    pub fn unix(at_ns: u64, pid: Pid, watched: Pid, inode: u64, path: &str) -> Self {
        Self {
            path: text_field(path),
            ..Self::tcp(at_ns, pid, watched, inode, 0)
        }
    }

    /// The same, held by a process of this parent and name.
    #[must_use]
    pub fn of(self, parent: Pid, comm: &str) -> Self {
        Self {
            parent: parent.0,
            comm: text_field(comm),
            ..self
        }
    }
}

/// A watched process was looked at. Its [`Listener`]s stand before this, and take the place of those of the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Looked {
    /// `tid`: the watched process.
    pub header: Header,
    /// TCP connections that it holds.
    pub connections: u32,
    /// [`Looked::IO_URING`] and so on.
    pub flags: u32,
    /// Its name, NUL-padded.
    pub comm: [u8; observer_common::limits::COMM_BYTES],
}

impl Looked {
    /// It has an `io_uring`.
    pub const IO_URING: u32 = 1;
    /// What its descriptors are, or some of them, could not be seen.
    pub const UNSEEN: u32 = 1 << 1;
    /// Observer had no `CAP_DAC_READ_SEARCH`.
    pub const NO_DAC_READ_SEARCH: u32 = 1 << 2;
    /// Observer had no `CAP_SYS_PTRACE`.
    pub const NO_SYS_PTRACE: u32 = 1 << 3;

    /// What process `pid` holds beside its listeners.
    #[must_use]
    pub fn new(at_ns: u64, pid: Pid, comm: &str, connections: u32, io_uring: bool) -> Self {
        Self {
            header: header(FactKind::Looked, at_ns, pid.0),
            connections,
            flags: if io_uring { Self::IO_URING } else { 0 },
            comm: text_field(comm),
        }
    }

    /// The same, of descriptors that could not be seen for want of these capabilities.
    #[must_use]
    pub const fn unseen(mut self, missing: Missing) -> Self {
        self.flags |= Self::UNSEEN;
        if missing.dac_read_search {
            self.flags |= Self::NO_DAC_READ_SEARCH;
        }
        if missing.sys_ptrace {
            self.flags |= Self::NO_SYS_PTRACE;
        }
        self
    }

    /// For want of which capabilities its descriptors could not be seen. `None` where they were.
    #[must_use]
    pub const fn missing(&self) -> Option<Missing> {
        if self.flags & Self::UNSEEN == 0 {
            return None;
        }
        Some(Missing {
            dac_read_search: self.flags & Self::NO_DAC_READ_SEARCH != 0,
            sys_ptrace: self.flags & Self::NO_SYS_PTRACE != 0,
        })
    }
}

/// How many attempts to connect a TCP socket has refused since it listens: its queue was full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Refused {
    /// `tid`: the watched process that holds it, or started the one that does.
    pub header: Header,
    /// Number of the socket.
    pub inode: u64,
    /// Its port.
    pub port: u32,
    /// So many. It counts on from 0 behind the greatest.
    pub count: u32,
}

impl Refused {
    /// Socket `inode` of process `pid` has refused so many.
    #[must_use]
    pub const fn new(at_ns: u64, pid: Pid, inode: u64, port: u16, count: u32) -> Self {
        Self {
            header: header(FactKind::Refused, at_ns, pid.0),
            inode,
            port: port as u32,
            count,
        }
    }
}

/// A process that listens on a port of a watched one that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Successor {
    /// `tid`: the process that ended.
    pub header: Header,
    /// The one that listens now.
    pub pid: u32,
    /// The port.
    pub port: u32,
    /// 1 when it is the same socket, 0 when it is another one on the same port.
    pub same_socket: u32,
    /// 1 when it is watched too.
    pub watched: u32,
    /// Its name, NUL-padded.
    pub comm: [u8; observer_common::limits::COMM_BYTES],
}

impl Successor {
    /// Process `pid` listens where `ended` did.
    #[must_use]
    pub fn new(at_ns: u64, ended: Pid, pid: Pid, comm: &str, port: u16, same_socket: bool) -> Self {
        Self {
            header: header(FactKind::Successor, at_ns, ended.0),
            pid: pid.0,
            port: port.into(),
            same_socket: same_socket.into(),
            watched: 0,
            comm: text_field(comm),
        }
    }
}

/// A watched process has ended, and its [`Successor`]s are all told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Ended {
    /// `tid`: the process that ended.
    pub header: Header,
    /// A TCP port on which it listened; 0 where it listened on none, and nobody was looked for.
    pub port: u32,
    /// Of those that it started, and those started by these, how many are still watched.
    pub left: u32,
    /// How long was waited for a successor, ns.
    pub waited_ns: u64,
}

impl Ended {
    /// Process `pid` has ended, and for so long somebody was looked for who listens on its ports.
    #[must_use]
    pub fn new(at_ns: u64, pid: Pid, port: u16, waited_ns: u64) -> Self {
        Self {
            header: header(FactKind::Ended, at_ns, pid.0),
            port: port.into(),
            left: 0,
            waited_ns,
        }
    }

    /// The same, with so many of its family still watched.
    #[must_use]
    pub fn leaves(self, left: usize) -> Self {
        Self {
            left: u32::try_from(left).unwrap_or(u32::MAX),
            ..self
        }
    }
}
