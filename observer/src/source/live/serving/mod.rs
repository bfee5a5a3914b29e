//! Who serves, as procfs tells it: the sockets on which watched processes listen, who else holds them, and who takes them
//! over when one ends. It adds facts to the merge, and judges nothing.
//!
//! A look takes as long as procfs takes to show every process, so there are few: at the start, two seconds later, at the
//! end, and in between only after something happened that could change it, less and less often.

mod look;
mod succession;

use observer_common::{ProcessChange, flags, tcp};

use self::look::Look;
use self::succession::Search;
use crate::event::Event;
use crate::source::Merge;

const SECOND_NS: u64 = 1_000_000_000;

/// After the look at the start nothing is looked at for so long, ns; after each further one twice as long.
const FIRST_PAUSE_NS: u64 = 2 * SECOND_NS - SECOND_NS / 10;

/// The longest pause between two looks, ns.
const LONGEST_PAUSE_NS: u64 = 60 * SECOND_NS;

pub(super) struct Serving {
    /// What was last seen of each watched process that lives.
    looks: Vec<Look>,
    /// Of those that ended, who took over.
    searches: Vec<Search>,
    /// Something may have changed since the last look.
    stale: bool,
    /// No look before this time, ns.
    next_ns: u64,
    pause_ns: u64,
    /// When watching began, in the unit in which procfs tells when processes were started.
    begun_ticks: u64,
}

impl Serving {
    pub(super) fn new(pids: &[u32], now_ns: u64) -> Self {
        Self {
            looks: pids.iter().copied().map(Look::of_nothing).collect(),
            searches: Vec::new(),
            stale: true,
            next_ns: now_ns,
            pause_ns: FIRST_PAUSE_NS,
            begun_ticks: look::now_ticks(),
        }
    }

    /// Reacts to one record.
    pub(super) fn on_event(&mut self, event: &Event<'_>) {
        match event {
            Event::Connection(change) => self.stale |= change.new_state == tcp::LISTEN,
            Event::Process(change) => match ProcessChange::from_u32(change.change) {
                Some(ProcessChange::Fork) => self.stale |= change.child_tgid != change.tgid,
                Some(ProcessChange::Exec) => self.stale = true,
                Some(ProcessChange::Exit) if change.flags & flags::GROUP_DEAD != 0 => {
                    let ended = self.looks.iter().position(|look| look.pid == change.tgid);
                    if let Some(place) = ended {
                        let look = self.looks.remove(place);
                        self.searches.push(Search::new(look, change.header.at_ns));
                    }
                }
                _ => {}
            },
            _ => {}
        }
    }

    /// Looks for successors. With `last` there is no later time at which one could be found.
    pub(super) fn search(&mut self, now_ns: u64, last: bool, merge: &mut Merge) {
        let watched: Vec<u32> = self.looks.iter().map(|look| look.pid).collect();
        self.searches
            .retain_mut(|search| !search.step(now_ns, self.begun_ticks, &watched, last, merge));
    }

    /// Looks at the processes, if it is time for it.
    pub(super) fn each_second(&mut self, now_ns: u64, merge: &mut Merge) {
        if self.stale && now_ns >= self.next_ns {
            let first = self.pause_ns == FIRST_PAUSE_NS;
            self.look(now_ns, merge);
            self.next_ns = now_ns.saturating_add(self.pause_ns);
            self.pause_ns = (2 * self.pause_ns).min(LONGEST_PAUSE_NS);
            // Whoever was just starting is looked at again.
            self.stale = first;
        }
    }

    /// Looks at the processes.
    pub(super) fn look(&mut self, now_ns: u64, merge: &mut Merge) {
        let watched: Vec<u32> = self.looks.iter().map(|look| look.pid).collect();
        let all = look::processes();
        for look in &mut self.looks {
            // What ends meanwhile leaves what was known of it.
            if let Some(new) = Look::at(look.pid, &all, &watched, now_ns, merge) {
                *look = new;
            }
        }
    }
}
