//! Who took over from a watched process that ended: who holds its listening socket, or listens on its port.

use std::collections::{BTreeMap, BTreeSet};

use procfs::process::Process;

use super::super::facts::SECOND_NS;
use super::super::processes::{self, Listed};
use super::super::sockets;
use super::super::targets::{InKernel, Targets};
use super::look::{Look, network, not_reported};
use crate::event::{Ended, Successor};
use crate::model::id::Pid;
use crate::source::Merge;

/// A supervisor needs a while to start another one, ns.
const PATIENCE_NS: u64 = 2 * SECOND_NS;

/// How long to wait between two tries, ns.
const PAUSE_NS: u64 = SECOND_NS / 5;

/// Successors of one process that are reported, at most.
const MAX_SUCCESSORS: usize = 16;

pub(super) struct SuccessorSearch {
    ended: Look,
    since_ns: u64,
    next_ns: u64,
}

/// One who listens where another did.
struct FoundSuccessor {
    pid: Pid,
    comm: String,
    port: u16,
    same_socket: bool,
    /// It was started while this watched, or by the one that ended. Others that hold the socket did so all the time.
    is_new: bool,
    is_watched: bool,
}

impl SuccessorSearch {
    pub(super) const fn new(ended: Look, since_ns: u64) -> Self {
        Self {
            ended,
            since_ns,
            next_ns: 0,
        }
    }

    /// Looks once more, if it is time for it. Tells whether it is over, and then tells the merge what there is.
    pub(super) fn step(
        &mut self,
        now_ns: u64,
        begun_ticks: u64,
        targets: &Targets,
        in_kernel: &InKernel,
        last: bool,
        merge: &mut Merge,
    ) -> bool {
        let pid = self.ended.pid;
        // A drain takes what is written meanwhile: the end can be later than the drain's time, and is reported first.
        let now_ns = now_ns.max(self.since_ns);
        let Some(&port) = self.ended.ports.values().next() else {
            merge.push(bytemuck::bytes_of(
                &Ended::new(now_ns, pid, 0, 0).leaves(targets.left_of(pid)),
            ));
            return true;
        };
        if now_ns < self.next_ns && !last {
            return false;
        }
        self.next_ns = now_ns + PAUSE_NS;
        let waited_ns = now_ns.saturating_sub(self.since_ns);
        let mut found = self.find(begun_ticks, targets, in_kernel);
        let is_new = found.iter().any(|found| found.is_new);
        if !is_new && waited_ns < PATIENCE_NS && !last {
            return false;
        }
        found.retain(|found| found.is_new == is_new);
        not_reported(now_ns, found.len().saturating_sub(MAX_SUCCESSORS), merge);
        for found in found.iter().take(MAX_SUCCESSORS) {
            let FoundSuccessor {
                pid: by,
                comm,
                port,
                same_socket,
                is_watched,
                ..
            } = found;
            let successor = Successor {
                watched: u32::from(*is_watched),
                ..Successor::new(now_ns, pid, *by, comm, *port, *same_socket)
            };
            merge.push(bytemuck::bytes_of(&successor));
        }
        let ended = Ended::new(now_ns, pid, port, waited_ns).leaves(targets.left_of(pid));
        merge.push(bytemuck::bytes_of(&ended));
        true
    }

    fn find(&self, begun_ticks: u64, targets: &Targets, in_kernel: &InKernel) -> Vec<FoundSuccessor> {
        let ports: BTreeSet<u16> = self.ended.ports.values().copied().collect();
        let listening = || {
            let listening = sockets::tcp_listening(&self.neighbour()?);
            let wanted = listening.into_iter().filter(|(_, port)| ports.contains(port));
            Some(wanted.collect::<BTreeMap<u64, u16>>())
        };
        let Some(listening) = listening().filter(|listening| !listening.is_empty()) else {
            return Vec::new();
        };
        // Who started it may hold the socket for those to come, and is none of them.
        let ended = self.ended.pid;
        let other = |other: &&Listed| {
            (!targets.contains(other.pid) || targets.is_of(other.pid, ended))
                && !self.ended.ancestors.contains(&other.pid)
                && other.pid != ended
        };
        let all = processes::all();
        let watched = in_kernel.pids();
        let others = all.values().filter(other);
        others
            .filter_map(|other| {
                let descriptors = sockets::descriptors(other.pid);
                let (inode, port) = listening
                    .iter()
                    .find(|(inode, _)| descriptors.sockets.contains(inode))?;
                Some(FoundSuccessor {
                    pid: other.pid,
                    comm: other.comm.clone(),
                    port: *port,
                    same_socket: self.ended.ports.contains_key(inode),
                    is_new: watched.contains(&other.pid)
                        || other.started_ticks >= begun_ticks
                        || self.ended.started.contains(&other.pid),
                    is_watched: watched.contains(&other.pid),
                })
            })
            .collect()
    }

    /// A process in the network namespace of the one that ended, which can no longer be asked.
    fn neighbour(&self) -> Option<Process> {
        let wanted = self.ended.network.as_deref();
        let is_there = |pid: Pid| network(pid).as_deref() == wanted;
        let me = Pid(std::process::id());
        let pid = if is_there(me) {
            me
        } else {
            processes::all().into_keys().find(|&pid| is_there(pid))?
        };
        Process::new(i32::try_from(pid.0).ok()?).ok()
    }
}
