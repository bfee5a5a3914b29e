//! One look at a watched process: on which sockets it listens, and which of the processes that it started hold such too.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use procfs::net::TcpState;
use procfs::process::Process;

use super::super::facts::clock;
use super::super::sockets;
use crate::event::{Listener, Looked};
use crate::source::Merge;

/// Processes that a watched one started and that are looked at, at most.
const MAX_STARTED: usize = 256;

/// Sockets of a process that are told, at most.
const MAX_LISTENERS: usize = 16;

/// A process, as the table of all shows it.
pub(super) struct Other {
    pub(super) pid: u32,
    pub(super) parent: u32,
    pub(super) comm: String,
    /// When it was started, in clock ticks since the machine was.
    pub(super) started_ticks: u64,
}

/// Every process that has not ended, by number.
pub(super) fn processes() -> BTreeMap<u32, Other> {
    let all = procfs::process::all_processes().into_iter().flatten();
    all.filter_map(|process| {
        let stat = process.ok()?.stat().ok()?;
        let pid = u32::try_from(stat.pid).ok()?;
        let other = Other {
            pid,
            parent: u32::try_from(stat.ppid).unwrap_or(0),
            comm: stat.comm,
            started_ticks: stat.starttime,
        };
        // A zombie holds nothing any more.
        (stat.state != 'Z' && stat.state != 'X').then_some((pid, other))
    })
    .collect()
}

/// The time since the machine was started, as procfs counts it.
pub(super) fn now_ticks() -> u64 {
    let per_second = procfs::ticks_per_second();
    let ns = u128::from(clock(libc::CLOCK_BOOTTIME)) * u128::from(per_second);
    u64::try_from(ns / 1_000_000_000).unwrap_or(u64::MAX)
}

/// What was seen of a watched process, as far as it matters once the process has ended.
pub(super) struct Look {
    pub(super) pid: u32,
    /// Ports of its TCP sockets that listen, by number.
    pub(super) ports: BTreeMap<u64, u16>,
    /// Its network namespace, as procfs names it.
    pub(super) network: Option<String>,
    /// Whom it was started by, and who started that one, and so on.
    pub(super) ancestors: BTreeSet<u32>,
    /// Those that it started, and those started by these.
    pub(super) started: BTreeSet<u32>,
}

impl Look {
    pub(super) const fn of_nothing(pid: u32) -> Self {
        Self {
            pid,
            ports: BTreeMap::new(),
            network: None,
            ancestors: BTreeSet::new(),
            started: BTreeSet::new(),
        }
    }

    /// Looks at process `pid`, one of `watched`, and tells what there is. `None` where it has ended.
    pub(super) fn at(
        pid: u32,
        all: &BTreeMap<u32, Other>,
        watched: &[u32],
        now_ns: u64,
        merge: &mut Merge,
    ) -> Option<Self> {
        let me = all.get(&pid)?;
        let process = Process::new(i32::try_from(pid).ok()?).ok()?;
        let held = sockets::held(pid);
        let (mut tcp, mut connections) = (BTreeMap::new(), 0);
        for entry in sockets::tcp(&process) {
            if entry.state == TcpState::Listen {
                tcp.insert(entry.inode, entry.local_address.port());
            } else if entry.state == TcpState::Established && held.sockets.contains(&entry.inode) {
                connections += 1;
            }
        }
        let tables = Tables {
            tcp,
            unix: sockets::unix_listening(pid),
        };
        let started = started_by(pid, all);
        tables.tell(me, pid, &held.sockets, now_ns, merge);
        for child in started.iter().filter(|child| !watched.contains(child)) {
            if let Some(child) = all.get(child) {
                tables.tell(child, pid, &sockets::held(child.pid).sockets, now_ns, merge);
            }
        }
        let looked = Looked::new(now_ns, pid, &me.comm, connections, held.io_uring);
        merge.push(bytemuck::bytes_of(&looked));
        Some(Self {
            pid,
            ports: tables
                .tcp
                .into_iter()
                .filter(|(inode, _)| held.sockets.contains(inode))
                .collect(),
            network: network(pid),
            ancestors: ancestors(pid, all),
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
    /// Tells which of them `holder` holds, which is `watched` or was started by it.
    fn tell(&self, holder: &Other, watched: u32, held: &BTreeSet<u64>, now_ns: u64, merge: &mut Merge) {
        let listener = |inode: &u64| {
            let tcp = self.tcp.get(inode);
            let tcp = tcp.map(|&port| Listener::tcp(now_ns, holder.pid, watched, *inode, port));
            tcp.or_else(|| {
                let path = self.unix.get(inode)?;
                Some(Listener::unix(now_ns, holder.pid, watched, *inode, path))
            })
        };
        for listener in held.iter().filter_map(listener).take(MAX_LISTENERS) {
            merge.push(bytemuck::bytes_of(&listener.of(holder.parent, &holder.comm)));
        }
    }
}

/// The network namespace of a process, as procfs names it.
pub(super) fn network(pid: u32) -> Option<String> {
    let link = fs::read_link(format!("/proc/{pid}/ns/net")).ok()?;
    Some(link.to_string_lossy().into_owned())
}

fn started_by(pid: u32, all: &BTreeMap<u32, Other>) -> BTreeSet<u32> {
    let mut started = BTreeSet::new();
    let mut parents = vec![pid];
    while let Some(parent) = parents.pop() {
        for child in all.values().filter(|other| other.parent == parent) {
            if started.len() < MAX_STARTED && started.insert(child.pid) {
                parents.push(child.pid);
            }
        }
    }
    started
}

fn ancestors(pid: u32, all: &BTreeMap<u32, Other>) -> BTreeSet<u32> {
    let mut ancestors = BTreeSet::new();
    let mut at = pid;
    // Numbers are reused while this reads: a circle is possible.
    while let Some(parent) = all.get(&at).map(|other| other.parent)
        && ancestors.insert(parent)
    {
        at = parent;
    }
    ancestors
}
