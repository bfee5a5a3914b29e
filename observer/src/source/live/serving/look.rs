//! One look at a watched process: on which sockets it listens, and which of the processes that it started hold such
//! too.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use procfs::net::TcpState;
use procfs::process::Process;

use super::super::facts::{SECOND_NS, clock};
use super::super::privilege;
use super::super::processes::{self, Listed};
use super::super::socket_info::SocketInfo;
use super::super::sockets::{self, Descriptors};
use crate::event::{Full, Listener, Looked, Refused};
use crate::model::full::Table;
use crate::model::id::Pid;
use crate::source::Merge;

/// Processes that a watched one started and that are looked at, at most.
const MAX_STARTED: usize = 256;

/// Sockets of a process that are reported, at most.
const MAX_LISTENERS: usize = 16;

/// The time since the machine was started, as procfs counts it.
pub(super) fn now_ticks() -> u64 {
    let per_second = procfs::ticks_per_second();
    let ns = u128::from(clock(libc::CLOCK_BOOTTIME)) * u128::from(per_second);
    u64::try_from(ns / u128::from(SECOND_NS)).unwrap_or(u64::MAX)
}

/// What was seen of a watched process, as far as it matters once the process has ended.
pub(super) struct Look {
    pub(super) pid: Pid,
    /// Ports of its TCP sockets that listen, by number.
    pub(super) ports: BTreeMap<u64, u16>,
    /// Its network namespace, as procfs names it.
    pub(super) network: Option<String>,
    /// Whom it was started by, and who started that one, and so on.
    pub(super) ancestors: BTreeSet<Pid>,
    /// Those that it started, and those started by these.
    pub(super) started: Vec<Pid>,
}

impl Look {
    pub(super) const fn of_nothing(pid: Pid) -> Self {
        Self {
            pid,
            ports: BTreeMap::new(),
            network: None,
            ancestors: BTreeSet::new(),
            started: Vec::new(),
        }
    }

    /// Looks at process `pid`, the first of its family, with those of the others that are `watched`, and tells what
    /// there is. `None` where it has ended.
    pub(super) fn at(
        pid: Pid,
        all: &BTreeMap<Pid, Listed>,
        watched: &BTreeSet<Pid>,
        now_ns: u64,
        sockets: &mut SocketInfo,
        merge: &mut Merge,
    ) -> Option<Self> {
        let me = all.get(&pid)?;
        let process = Process::new(i32::try_from(pid.0).ok()?).ok()?;
        let own = sockets::descriptors(pid);
        let mut started = processes::started_by(pid, all);
        not_reported(now_ns, started.len().saturating_sub(MAX_STARTED), merge);
        started.truncate(MAX_STARTED);
        let children: Vec<(&Listed, Descriptors)> = started
            .iter()
            .filter_map(|child| Some((all.get(child)?, sockets::descriptors(*child))))
            .collect();
        let family = children.iter().filter(|(child, _)| watched.contains(&child.pid));
        let mut descriptors = own.clone();
        for (_, followed) in family {
            descriptors.sockets.extend(&followed.sockets);
            descriptors.io_uring |= followed.io_uring;
            descriptors.unseen |= followed.unseen;
        }
        let (mut tcp, mut connections) = (BTreeMap::new(), 0);
        for entry in sockets::tcp(&process) {
            if entry.state == TcpState::Listen {
                tcp.insert(entry.inode, entry.local_address.port());
            } else if entry.state == TcpState::Established && descriptors.sockets.contains(&entry.inode) {
                connections += 1;
            }
        }
        let tables = Tables {
            tcp,
            unix: sockets::unix_listening(pid),
        };
        tables.tell(me, pid, &own, false, now_ns, merge);
        for (child, descriptors) in &children {
            tables.tell(
                child,
                pid,
                descriptors,
                watched.contains(&child.pid),
                now_ns,
                merge,
            );
        }
        tables.tell_refused(pid, &descriptors, &sockets.refused(pid), now_ns, merge);
        let mut looked = Looked::new(now_ns, pid, &me.comm, connections, descriptors.io_uring);
        if descriptors.unseen {
            looked = looked.unseen(privilege::missing_for_descriptors());
        }
        merge.push(bytemuck::bytes_of(&looked));
        Some(Self {
            pid,
            ports: tables
                .tcp
                .into_iter()
                .filter(|(inode, _)| own.sockets.contains(inode))
                .collect(),
            network: network(pid),
            ancestors: processes::ancestors(pid, all),
            started,
        })
    }
}

/// Every socket that listens in the network namespace of a watched process.
struct Tables {
    tcp: BTreeMap<u64, u16>,
    unix: BTreeMap<u64, String>,
}

impl Tables {
    /// Tells which of them `holder` holds, which is `watched`, or was started by it and perhaps followed.
    fn tell(
        &self,
        holder: &Listed,
        watched: Pid,
        descriptors: &Descriptors,
        followed: bool,
        now_ns: u64,
        merge: &mut Merge,
    ) {
        let listener = |inode: &u64| {
            let tcp = self.tcp.get(inode);
            let tcp = tcp.map(|&port| Listener::tcp(now_ns, holder.pid, watched, *inode, port));
            tcp.or_else(|| {
                let path = self.unix.get(inode)?;
                Some(Listener::unix(now_ns, holder.pid, watched, *inode, path))
            })
        };
        let mut listeners = descriptors.sockets.iter().filter_map(listener);
        for listener in listeners.by_ref().take(MAX_LISTENERS) {
            let listener = Listener {
                followed: followed.into(),
                ..listener.of(holder.parent, &holder.comm)
            };
            merge.push(bytemuck::bytes_of(&listener));
        }
        not_reported(now_ns, listeners.count(), merge);
    }

    /// Tells how much those of them have refused that a process holds, or its family.
    fn tell_refused(
        &self,
        pid: Pid,
        descriptors: &Descriptors,
        refused: &BTreeMap<u64, u32>,
        now_ns: u64,
        merge: &mut Merge,
    ) {
        for (&inode, &port) in &self.tcp {
            if let Some(&count) = refused.get(&inode)
                && descriptors.sockets.contains(&inode)
            {
                let refused = Refused::new(now_ns, pid, inode, port, count);
                merge.push(bytemuck::bytes_of(&refused));
            }
        }
    }
}

/// So many of what was seen are not reported: there are too many.
pub(super) fn not_reported(now_ns: u64, count: usize, merge: &mut Merge) {
    if count > 0 {
        let full = Full::new(now_ns, Table::Serving, count as u64);
        merge.push(bytemuck::bytes_of(&full));
    }
}

/// The network namespace of a process, as procfs names it.
pub(super) fn network(pid: Pid) -> Option<String> {
    let link = fs::read_link(format!("/proc/{pid}/ns/net")).ok()?;
    Some(link.to_string_lossy().into_owned())
}
