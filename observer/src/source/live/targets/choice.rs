//! Who is watched from the start: the processes that were given, whoever listens on the ports that were given, and the
//! children of both. Who comes later is the kernel half's to see.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use observer_common::{LostReason, limits};
use procfs::process::Process;

use super::look::{self, Target};
use super::{Change, Targets, tell_executable};
use crate::event;
use crate::model::id::Pid;
use crate::source::Merge;
use crate::source::live::facts::clock;
use crate::source::live::kernel_half::{KernelHalf, LoadOptions};
use crate::source::live::processes::{self, Listed};
use crate::source::live::sockets;

/// The process that starts all others. It holds sockets for services to come, and is none.
const FIRST_PROCESS: Pid = Pid(1);

/// How often is looked for children that began while was looked for others, at most: each time fewer are left.
const MOST_ROUNDS: usize = 8;

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Choice {
    /// These processes.
    pub pids: Vec<Pid>,
    /// Whoever listens on these ports, in observer's own network namespace.
    pub ports: Vec<u16>,
    /// Their children too.
    pub follow: bool,
}

/// Who that is.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The processes, without their children, in the order of their numbers.
    pub targets: Vec<Target>,
    /// Ports on which nobody who can be watched listens.
    pub vacant: Vec<Vacant>,
}

/// A port on which nobody who can be watched listens yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vacant {
    /// The port.
    pub port: u16,
    /// Who listens there all the same.
    pub taken_by: Option<Unwatched>,
}

/// One who listens and cannot be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwatched {
    /// The first process.
    First,
    /// One whose descriptors cannot be seen.
    Unseen,
}

/// Looks who that is now.
///
/// # Errors
/// When a process that was given cannot be watched, or there are too many ports.
pub fn choose(choice: &Choice) -> Result<Chosen> {
    let ports: BTreeSet<u16> = choice.ports.iter().copied().collect();
    let (given, most) = (ports.len(), limits::MAX_AWAITED_PORTS);
    ensure!(
        given <= most as usize,
        "{given} ports were given: at most {most} can be watched at a time"
    );
    let mut pids: BTreeSet<Pid> = choice.pids.iter().copied().collect();
    let mut targets = pids
        .iter()
        .map(|&pid| look::look_at(pid))
        .collect::<Result<Vec<_>>>()?;
    let listening = Listening::on(&choice.ports);
    for pid in listening.firsts(&pids, choice.follow) {
        // Who has ended meanwhile listens no more.
        if pids.insert(pid)
            && let Ok(target) = look::look_at(pid)
        {
            targets.push(target);
        }
    }
    targets.sort_by_key(|target| target.pid);
    let is_held = |port: &u16| listening.holders.values().any(|ports| ports.contains(port));
    let vacant = ports.into_iter().filter(|port| !is_held(port));
    Ok(Chosen {
        targets,
        vacant: vacant
            .map(|port| Vacant {
                port,
                taken_by: listening.unwatched(port),
            })
            .collect(),
    })
}

/// Who listens on some ports, in observer's network namespace.
struct Listening {
    all: BTreeMap<Pid, Listed>,
    /// Those of the ports on which anybody does.
    ports: BTreeSet<u16>,
    /// Those on which the first process does.
    of_first: BTreeSet<u16>,
    /// Processes that hold such a socket, with the ports.
    holders: BTreeMap<Pid, BTreeSet<u16>>,
}

impl Listening {
    fn on(ports: &[u16]) -> Self {
        let sockets = Process::myself().map(|me| sockets::tcp_listening(&me));
        let mut sockets = sockets.unwrap_or_default();
        sockets.retain(|_, port| ports.contains(port));
        let all = if sockets.is_empty() {
            BTreeMap::new()
        } else {
            processes::all()
        };
        let others = all
            .keys()
            .filter(|pid| ![FIRST_PROCESS, Pid(std::process::id())].contains(pid));
        let held = |pid| -> BTreeSet<u16> {
            let descriptors = sockets::descriptors(pid);
            let ports = descriptors.sockets.iter().filter_map(|inode| sockets.get(inode));
            ports.copied().collect()
        };
        let holder = |&pid: &Pid| Some((pid, held(pid))).filter(|(_, ports)| !ports.is_empty());
        Self {
            holders: others.filter_map(holder).collect(),
            of_first: all
                .get(&FIRST_PROCESS)
                .map(|_| held(FIRST_PROCESS))
                .unwrap_or_default(),
            ports: sockets.into_values().collect(),
            all,
        }
    }

    /// Who listens on this port, of those who cannot be watched.
    fn unwatched(&self, port: u16) -> Option<Unwatched> {
        if self.of_first.contains(&port) {
            Some(Unwatched::First)
        } else {
            self.ports.contains(&port).then_some(Unwatched::Unseen)
        }
    }

    /// The holders; where children are followed without those that are children of another, or of one of `chosen`.
    fn firsts(&self, chosen: &BTreeSet<Pid>, follow: bool) -> Vec<Pid> {
        let is_first = |pid: &&Pid| {
            let ancestors = processes::ancestors(**pid, &self.all);
            let is_watched = |pid: &Pid| self.holders.contains_key(pid) || chosen.contains(pid);
            !follow || !ancestors.iter().any(is_watched)
        };
        self.holders.keys().filter(is_first).copied().collect()
    }
}

/// Watches who came before the programs were attached and is to be watched as well: children, and whoever began to
/// listen since [`choose`] looked. From the attachment on the kernel half sees each.
pub(in super::super) fn complete(
    targets: &mut Targets,
    kernel_half: &mut KernelHalf,
    options: &LoadOptions,
    merge: &mut Merge,
) -> Result<Vec<Change>> {
    let mut adoption = Adoption {
        targets,
        kernel_half,
        merge,
        refused: BTreeSet::new(),
        changes: Vec::new(),
    };
    if !options.awaited.is_empty() {
        let chosen = adoption.targets.pids().collect();
        for pid in Listening::on(&options.awaited).firsts(&chosen, options.follow) {
            adoption.adopt(pid, None)?;
        }
    }
    for _ in 0..MOST_ROUNDS {
        if !options.follow || !adoption.children()? {
            break;
        }
    }
    let Adoption { refused, changes, .. } = adoption;
    if !refused.is_empty() {
        let now_ns = clock(libc::CLOCK_MONOTONIC);
        let reason = LostReason::TooManyTargets as u32;
        let lost = event::Lost::new(now_ns, refused.len() as u64, now_ns, now_ns, reason);
        merge.push(bytemuck::bytes_of(&lost));
    }
    Ok(changes)
}

struct Adoption<'a> {
    targets: &'a mut Targets,
    kernel_half: &'a mut KernelHalf,
    merge: &'a mut Merge,
    /// For them there was no room.
    refused: BTreeSet<Pid>,
    changes: Vec<Change>,
}

impl Adoption<'_> {
    /// Watches the children that are there. Tells whether there were any.
    fn children(&mut self) -> Result<bool> {
        let all = processes::all();
        let before = self.changes.len();
        for root in self.targets.pids().collect::<Vec<_>>() {
            for child in processes::started_by(root, &all) {
                // Whoever observes a shell was started by it.
                if child != Pid(std::process::id()) {
                    let parent = all.get(&child).map(|child| child.parent);
                    let parent = parent.filter(|parent| self.targets.contains(*parent));
                    self.adopt(child, Some(parent.unwrap_or(root)))?;
                }
            }
        }
        Ok(self.changes.len() > before)
    }

    fn adopt(&mut self, pid: Pid, parent: Option<Pid>) -> Result<()> {
        if self.targets.contains(pid) || self.refused.contains(&pid) {
            return Ok(());
        }
        let at_ns = clock(libc::CLOCK_MONOTONIC);
        match self.kernel_half.targets.add(pid)? {
            // Its record is on its way.
            None => return Ok(()),
            Some(false) => {
                self.refused.insert(pid);
                return Ok(());
            }
            Some(true) => {}
        }
        // The end of one that had ended by then was recorded by nobody.
        let Some((_, comm)) = look::parent(pid) else {
            self.kernel_half.targets.remove(pid);
            return Ok(());
        };
        self.kernel_half.find_sockets(pid);
        tell_executable(at_ns, pid, self.merge);
        let added = event::TargetAdded::new(at_ns, pid, parent, &comm);
        self.merge.push(bytemuck::bytes_of(&added));
        self.changes.extend(self.targets.came(pid, parent, false, at_ns));
        Ok(())
    }
}
