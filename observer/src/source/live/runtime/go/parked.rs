//! Where requests wait: goroutines of requests that have been in flight for a while are looked at from outside. Of
//! those that are parked the stack is told, with why they wait.
//!
//! The process is neither stopped nor written to. It waits only where it changes its map of memory while that is read,
//! as the kernel holds that still meanwhile. How many looks there are is bounded, and how long they take.

mod goroutine;
mod in_flight;
mod list;

use std::fs::File;
use std::io;

use observer_common::flags;
use rustc_hash::FxHashSet;

use self::goroutine::{Parked, Unseen};
use self::in_flight::InFlight;
use self::list::List;
use super::function_names::FunctionNames;
use super::memory;
use super::offsets::Offsets;
use super::program::GPlace;
use crate::event::{self, Event};
use crate::model::id::{ConnId, Pid, Task, TaskId};
use crate::source::Merge;
use crate::source::live::facts::{SECOND_NS, clock};

/// Between two looks, ns, and how many there can be at once after a while without.
const PAUSE_NS: u64 = SECOND_NS / 200;
const AT_ONCE: u64 = 32;

/// Between two drains, looks take so long, ns, and one read of a file or of memory more: where a program's file is far
/// away or its memory on disk, the rings would fill meanwhile.
const LOOKS_NS: u64 = 5_000_000;

/// Going through the list of all goroutines takes so long at most, ns, and one part in so many of the time.
const WALK_NS: u64 = 100_000_000;
const WALK_PART: u64 = 100;

/// Whose requests are looked at: a process whose threads are known to tell their goroutines.
pub(in super::super) struct Looks {
    pid: Pid,
    offsets: Offsets,
    in_flight: InFlight,
    list: List,
    names: FunctionNames,
    /// Looks at the list until then would take too much time.
    walk_ns: u64,
    /// So many looks would have been possible by now, one each [`PAUSE_NS`].
    spent_until_ns: u64,
    /// What is told each second.
    counts: event::GoLooks,
}

impl Looks {
    /// Those of process `pid`, of whose program this was found. `None` where its program does not tell where they are
    /// and what they do.
    pub(in super::super) fn new(pid: Pid, place: &GPlace) -> Option<Self> {
        let stacks = place.stacks?;
        let file = File::open(format!("/proc/{pid}/exe")).ok()?;
        Some(Self {
            pid,
            offsets: Offsets::of(place.version),
            in_flight: InFlight::default(),
            list: List::new(stacks.all_gs),
            names: FunctionNames::new(file, stacks.functions),
            walk_ns: 0,
            spent_until_ns: 0,
            counts: event::GoLooks::new(0, pid),
        })
    }

    /// Follows which requests are in flight.
    pub(in super::super) fn on_event(&mut self, event: &Event<'_>) {
        match event {
            Event::Receive(event, head) if event.flags & flags::INBOUND != 0 => {
                let conn = ConnId(event.conn);
                match Task::new(event.task).id() {
                    Some(goroutine) if event.result > 0 => {
                        let begins = !head.is_empty();
                        let at_ns = event.header.at_ns;
                        let has_room = self.in_flight.received(conn, goroutine, at_ns, begins);
                        self.counts.skipped += u64::from(!has_room);
                    }
                    _ => self.in_flight.answered(conn, event.header.at_ns),
                }
            }
            Event::Send(event, _) if event.flags & flags::INBOUND != 0 && event.result > 0 => {
                self.in_flight.answered(ConnId(event.conn), event.header.at_ns);
            }
            _ => {}
        }
    }

    /// Looks at those that are due, as long as there is time.
    pub(in super::super) fn look(&mut self, now_ns: u64, merge: &mut Merge) {
        let mut due = Vec::new();
        while let Some(goroutine) = self.in_flight.next(now_ns) {
            if self.may_look(now_ns) {
                due.push(goroutine);
            } else {
                self.counts.skipped += 1;
            }
        }
        if !due.is_empty() {
            let begun_ns = now();
            let until_ns = begun_ns + LOOKS_NS;
            due.retain(|&goroutine| !self.look_at(goroutine, until_ns, merge));
            if !due.is_empty() && now_ns >= self.walk_ns && now() < until_ns {
                self.find(&due, now_ns);
                let until_ns = now() + LOOKS_NS;
                due.retain(|&goroutine| !self.look_at(goroutine, until_ns, merge));
            }
            self.counts.skipped += due.len() as u64;
            self.counts.spent_ns += now().saturating_sub(begun_ns);
        }
        if now_ns.saturating_sub(self.counts.header.at_ns) >= SECOND_NS {
            self.tell_counts(now_ns, merge);
        }
    }

    /// Whether one more look is within what is allowed.
    fn may_look(&mut self, now_ns: u64) -> bool {
        let since_ns = now_ns.saturating_sub(PAUSE_NS * AT_ONCE);
        let spent_ns = self.spent_until_ns.max(since_ns) + PAUSE_NS;
        let may = spent_ns <= now_ns;
        if may {
            self.spent_until_ns = spent_ns;
        }
        may
    }

    /// Goes through the list of all goroutines to find these.
    fn find(&mut self, goroutines: &[TaskId], now_ns: u64) {
        let begun_ns = now();
        let wanted: FxHashSet<TaskId> = goroutines.iter().copied().collect();
        let pid = self.pid;
        // Where it cannot be read, or is not where the program says, none is found, and those that come later in it
        // are not where that takes too long.
        let _ = self.list.find(&wanted, &self.offsets, &mut |places, words| {
            if now() >= begun_ns + WALK_NS {
                return Err(io::ErrorKind::TimedOut.into());
            }
            memory::read(pid, places, words)
        });
        let took_ns = now().saturating_sub(begun_ns);
        self.walk_ns = now_ns + took_ns * WALK_PART;
    }

    /// Looks at a goroutine. Gives whether it was there, and there was time for it.
    fn look_at(&mut self, goroutine: TaskId, until_ns: u64, merge: &mut Merge) -> bool {
        let in_time = || now() < until_ns;
        let Some(g) = self.list.place(goroutine).filter(|_| in_time()) else {
            return false;
        };
        let pid = self.pid;
        let mut read = |places: &[_], words: &mut [_]| memory::read(pid, places, words);
        let looked = goroutine::look(&self.offsets, g, goroutine.0, &mut read, &now);
        match looked {
            Ok(Ok(parked)) => {
                let Some(stack) = self.named(&parked, &in_time) else {
                    return false;
                };
                merge.push(bytemuck::bytes_of(&stack));
                self.counts.parked += 1;
            }
            Ok(Err(Unseen::Changed)) => self.counts.changed += 1,
            Ok(Err(Unseen::NotParked)) => {}
            // It has ended, or the process has.
            Ok(Err(Unseen::Other)) | Err(_) => {
                self.list.forget(goroutine);
                return false;
            }
        }
        self.counts.looks += 1;
        true
    }

    /// The stack, as far as its functions have names. `None` where there was no time to read them all: the innermost
    /// alone would say something else. Those that were read are known the next time.
    fn named(&mut self, parked: &Parked, in_time: &dyn Fn() -> bool) -> Option<event::GoStack> {
        let mut functions = Vec::new();
        for frame in &parked.frames {
            // It is where a call returns to: what called is before that.
            let Some(function) = self.names.of(frame.wrapping_sub(1), in_time)? else {
                break;
            };
            functions.push(function);
        }
        let functions = functions.iter();
        Some(event::GoStack::new(
            parked.at_ns,
            self.pid,
            parked.task,
            functions,
        ))
    }

    /// Tells how many looks there were since that was told last.
    pub(in super::super) fn tell_counts(&mut self, now_ns: u64, merge: &mut Merge) {
        let counts = &mut self.counts;
        if counts.looks + counts.skipped > 0 {
            let next = event::GoLooks::new(now_ns, self.pid);
            let told = event::GoLooks {
                header: next.header,
                ..std::mem::replace(counts, next)
            };
            merge.push(bytemuck::bytes_of(&told));
        }
    }
}

fn now() -> u64 {
    clock(libc::CLOCK_MONOTONIC)
}

#[cfg(test)]
impl Looks {
    /// At process `pid`, which has no list of goroutines where it is sought.
    pub(in super::super) fn in_vain(pid: Pid) -> Self {
        let functions = super::pclntab::TablePlace {
            names: 0,
            rows: 0,
            count: 0,
            first: 0,
        };
        let stacks = super::program::StackPlaces { all_gs: 0, functions };
        let place = GPlace {
            version: crate::runtime::go::Version::NEWEST,
            g: 0,
            by_code: false,
            globals: None,
            stacks: Some(stacks),
        };
        Self::new(pid, &place).unwrap()
    }
}
