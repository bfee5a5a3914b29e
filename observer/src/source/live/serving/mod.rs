//! Who serves, as procfs tells it: the sockets on which watched processes listen, who else holds them, and who takes
//! them over when one ends. It adds facts to the merge, and judges nothing.
//!
//! A look takes as long as procfs takes to show every process, so there are few: at the start, two seconds later, at
//! the end, and in between only after something happened that could change it, less and less often.

mod look;
mod succession;

use observer_common::tcp;

use self::look::Look;
use self::succession::SuccessorSearch;
use super::facts::SECOND_NS;
use super::processes;
use super::socket_info::SocketInfo;
use super::targets::{Change, InKernel, Targets};
use crate::event::Event;
use crate::model::id::Pid;
use crate::source::Merge;

/// After the look at the start nothing is looked at for so long, ns; after each further one twice as long.
const FIRST_PAUSE_NS: u64 = 2 * SECOND_NS - SECOND_NS / 10;

/// The longest pause between two looks, ns.
const LONGEST_PAUSE_NS: u64 = 60 * SECOND_NS;

pub(super) struct ServingLooks {
    /// What was last seen of each chosen process that lives. Its children are looked at with it.
    looks: Vec<Look>,
    sockets: SocketInfo,
    /// Of those that ended, who took over.
    searches: Vec<SuccessorSearch>,
    /// Whoever listens next on these ports is watched without being looked for.
    awaited: Vec<u16>,
    /// Something may have changed since the last look.
    stale: bool,
    /// No look before this time, ns.
    next_ns: u64,
    pause_ns: u64,
    /// When watching began, in the unit in which procfs tells when processes were started.
    begun_ticks: u64,
}

impl ServingLooks {
    pub(super) fn new(pids: &[Pid], awaited: &[u16], now_ns: u64) -> Self {
        Self {
            looks: pids.iter().copied().map(Look::of_nothing).collect(),
            sockets: SocketInfo::default(),
            searches: Vec::new(),
            awaited: awaited.to_vec(),
            stale: true,
            next_ns: now_ns,
            pause_ns: FIRST_PAUSE_NS,
            begun_ticks: look::now_ticks(),
        }
    }

    /// Reacts to one record.
    pub(super) fn on_event(&mut self, event: &Event<'_>) {
        if let Event::Connection(change) = event {
            self.stale |= change.new_state == tcp::LISTEN;
        }
    }

    /// Reacts to what happened to a target.
    pub(super) fn on_change(&mut self, change: Change) {
        match change {
            Change::Gone { is_root: false, .. } => {}
            Change::Gone { pid, at_ns, .. } => {
                if let Some(place) = self.looks.iter().position(|look| look.pid == pid) {
                    let mut look = self.looks.remove(place);
                    look.ports.retain(|_, port| !self.awaited.contains(port));
                    self.searches.push(SuccessorSearch::new(look, at_ns));
                }
            }
            Change::Came { pid, parent, .. } => {
                if parent.is_none() {
                    self.looks.push(Look::of_nothing(pid));
                }
                self.stale = true;
            }
            Change::Exec { .. } | Change::Unwatched => self.stale = true,
        }
    }

    /// Whether of one that ended it is not known yet who took over.
    pub(super) fn is_searching(&self) -> bool {
        !self.searches.is_empty()
    }

    /// Looks for successors. With `last` there is no later time at which one could be found.
    pub(super) fn search(
        &mut self,
        now_ns: u64,
        targets: &Targets,
        in_kernel: &InKernel,
        last: bool,
        merge: &mut Merge,
    ) {
        let begun_ticks = self.begun_ticks;
        self.searches
            .retain_mut(|search| !search.step(now_ns, begun_ticks, targets, in_kernel, last, merge));
    }

    /// Looks at the processes, if it is time for it.
    pub(super) fn each_second(&mut self, now_ns: u64, in_kernel: &InKernel, merge: &mut Merge) {
        if self.stale && now_ns >= self.next_ns {
            let first = self.pause_ns == FIRST_PAUSE_NS;
            self.look(now_ns, in_kernel, merge);
            self.next_ns = now_ns.saturating_add(self.pause_ns);
            self.pause_ns = (2 * self.pause_ns).min(LONGEST_PAUSE_NS);
            // Whoever was just starting is looked at again.
            self.stale = first;
        }
    }

    /// Looks at the processes.
    pub(super) fn look(&mut self, now_ns: u64, in_kernel: &InKernel, merge: &mut Merge) {
        let all = processes::all();
        // After that: of a child that was forked just now the kernel half knows, and the list of targets not yet.
        let watched = in_kernel.pids();
        for look in &mut self.looks {
            // What ends meanwhile leaves what was known of it.
            if let Some(new) = Look::at(look.pid, &all, &watched, now_ns, &mut self.sockets, merge) {
                *look = new;
            }
        }
    }
}
