//! What one thread was seen to do, counted: in this window, and before.

use observer_common::conn;
use rustc_hash::FxHashSet;

use super::giver::{Giver, WaitPlace};
use crate::model::id::{ConnId, Pid, RequestId, Tid};
use crate::model::operation::{Direction, Operation};
use crate::model::report::Role;
use crate::syscall::{self, Wait};
use crate::threads::state::{Block, Owner};

/// Those who gave a thread something to do that are remembered of it, each with where it waited then. One that did so
/// in this window stays. Of others it is only counted how often they did.
const MAX_GIVERS: usize = 8;

/// How often a thread did what tells what it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// It accepted a connection.
    pub(super) accepts: u32,
    /// A new connection ended its wait.
    pub(super) accept_waits: u32,
    /// It waited for events of any of many descriptors.
    pub(super) event_waits: u32,
    /// Bytes on a connection ended its wait, whatever it waited in.
    pub(super) connection_waits: u32,
    /// It read a request.
    pub(super) reads: u32,
    /// Of these, on another connection than the one before.
    pub(super) moves: u32,
    /// It began to answer what it had read itself.
    pub(super) kept: u32,
    /// It began to answer what another thread had read.
    pub(super) taken: u32,
    /// It had nothing in hand and waited, and another thread of the program ended that.
    pub(super) given: u32,
    /// Of these, by a thread that works for the runtime.
    pub(super) given_by_runtime: u32,
    /// It ended the wait of an event loop of the program.
    pub(super) woke_loops: u32,
    /// It waited for a time, and nothing else ended that.
    pub(super) alone: u32,
    /// Its waits that ended, but those for a lock.
    pub(super) waits: u32,
    /// It stopped the program.
    pub(super) stops: u32,
}

impl Counts {
    /// Whether it read or answered a request.
    pub(super) fn serves(&self) -> bool {
        self.reads > 0 || self.kept > 0 || self.taken > 0
    }

    pub(super) fn named(self) -> [(&'static str, u32); 14] {
        let Self {
            accepts,
            accept_waits,
            event_waits,
            connection_waits,
            reads,
            moves,
            kept,
            taken,
            given,
            given_by_runtime,
            woke_loops,
            alone,
            waits,
            stops,
        } = self;
        [
            ("accepts", accepts),
            ("accept_waits", accept_waits),
            ("event_waits", event_waits),
            ("connection_waits", connection_waits),
            ("reads", reads),
            ("moves", moves),
            ("kept", kept),
            ("taken", taken),
            ("given", given),
            ("given_by_runtime", given_by_runtime),
            ("woke_loops", woke_loops),
            ("alone", alone),
            ("waits", waits),
            ("stops", stops),
        ]
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            accepts: self.accepts.saturating_add(other.accepts),
            accept_waits: self.accept_waits.saturating_add(other.accept_waits),
            event_waits: self.event_waits.saturating_add(other.event_waits),
            connection_waits: self.connection_waits.saturating_add(other.connection_waits),
            reads: self.reads.saturating_add(other.reads),
            moves: self.moves.saturating_add(other.moves),
            kept: self.kept.saturating_add(other.kept),
            taken: self.taken.saturating_add(other.taken),
            given: self.given.saturating_add(other.given),
            given_by_runtime: self.given_by_runtime.saturating_add(other.given_by_runtime),
            woke_loops: self.woke_loops.saturating_add(other.woke_loops),
            alone: self.alone.saturating_add(other.alone),
            waits: self.waits.saturating_add(other.waits),
            stops: self.stops.saturating_add(other.stops),
        }
    }
}

/// What is counted of a thread.
#[derive(Debug, Default)]
pub(in crate::threads) struct Deeds {
    pub(super) window: Counts,
    before: Counts,
    givers: Vec<Giver>,
    /// How often in this window others gave it something to do, or how often those did that are forgotten for them.
    by_forgotten: u64,
    read_last: Option<RequestId>,
    /// Others ended its wait since it was seen with this request, answered or not.
    had_in_hand: Option<RequestId>,
    /// Who that was, where, and how often it counts: the request may have waited for this. Of many the last are kept.
    unsure: Vec<(Tid, WaitPlace, u32)>,
    /// How often those did that are not kept.
    unsure_forgotten: u32,
    /// The wait that it is in is for a descriptor or two, by `poll`.
    waits_for_few: bool,
    woke_who_began_it: bool,
    /// What it is, as far as that was told.
    pub(in crate::threads) role: Option<Role>,
}

impl Deeds {
    /// It accepted a connection.
    pub(in crate::threads) fn accepts(&mut self) {
        self.window.accepts = self.window.accepts.saturating_add(1);
    }

    /// It woke an event loop.
    pub(in crate::threads) fn wakes_loop(&mut self) {
        self.window.woke_loops = self.window.woke_loops.saturating_add(1);
    }

    /// It wakes the thread that began it. Tells whether for the first time.
    pub(super) fn wakes_who_began_it(&mut self) -> bool {
        !std::mem::replace(&mut self.woke_who_began_it, true)
    }

    /// It left its CPU in this call.
    pub(in crate::threads) fn leaves(&mut self, call: i32, waits_for_few: bool) {
        // Also where it is preempted: a saturated loop asks for events without ever waiting for them.
        if syscall::waits_for_events(call) {
            self.window.event_waits = self.window.event_waits.saturating_add(1);
        }
        self.waits_for_few = waits_for_few;
    }

    /// Whether it waits, if it does, for a descriptor or two by `poll`.
    pub(in crate::threads) fn waits_for_few(&self) -> bool {
        self.waits_for_few
    }

    /// It finished a socket operation.
    pub(in crate::threads) fn operates(&mut self, tid: Tid, operation: &Operation) {
        if let Some((reader, _)) = operation.read_by {
            if reader == tid {
                self.window.kept = self.window.kept.saturating_add(1);
            } else {
                self.window.taken = self.window.taken.saturating_add(1);
                self.given(reader, None, 1);
            }
        }
        if let Some(request) = operation.request.filter(|_| !operation.outbound) {
            self.goes_on_with(request);
        }
        let is_read = operation.direction == Direction::In && !operation.outbound;
        if let Some(request) = operation.request.filter(|_| is_read)
            && self.read_last != Some(request)
        {
            self.window.reads = self.window.reads.saturating_add(1);
            let is_move = self.read_last.is_some_and(|last| last.conn != request.conn);
            self.window.moves = self.window.moves.saturating_add(u32::from(is_move));
            self.read_last = Some(request);
        }
    }

    /// It has this request in hand. If it had one of another connection, who ended its waits meanwhile gave it this.
    fn goes_on_with(&mut self, request: RequestId) {
        if let Some(had) = self.had_in_hand.take() {
            self.settle_unsure(request.conn != had.conn);
        }
    }

    fn settle_unsure(&mut self, is_given: bool) {
        let mut unsure = std::mem::take(&mut self.unsure);
        for (by, place, times) in unsure.drain(..) {
            if is_given {
                self.given(by, Some(place), times);
            }
        }
        self.unsure = unsure;
        let forgotten = std::mem::take(&mut self.unsure_forgotten);
        if is_given {
            self.given_by_forgotten(forgotten);
        }
    }

    /// A wait of a thread of process `pid` is over, which took this long. With `no_work` who ended it gave it nothing
    /// to do.
    pub(in crate::threads) fn waited(&mut self, pid: Pid, waited_ns: u64, block: &Block, no_work: bool) {
        let says_nothing = matches!(
            block.wait,
            Wait::Mutex | Wait::GlobalLock | Wait::PageFault | Wait::Stopped
        );
        let Some(wake) = block.wake.filter(|_| !says_nothing) else {
            return;
        };
        self.window.waits = self.window.waits.saturating_add(1);
        let is_epoll = syscall::waits_for_events(block.syscall);
        let is_loop = matches!(block.wait, Wait::EventLoop { .. });
        let given_by = block
            .handed_off_by()
            .filter(|by| by.pid == pid && !syscall::exits(wake.syscall));
        let ready = is_connection(wake.conn) && !syscall::is_futex(block.syscall);
        if ready {
            if self.had_in_hand.take().is_some() {
                self.settle_unsure(false);
            }
            self.window.connection_waits = self.window.connection_waits.saturating_add(1);
            if is_loop && !is_epoll && !self.waits_for_few {
                self.window.event_waits = self.window.event_waits.saturating_add(1);
            }
        } else if let Some(by) = given_by {
            let for_work = match block.wait {
                Wait::Park { .. } => true,
                // An event loop can be woken by others for anything.
                _ => !is_epoll && syscall::receives(block.syscall),
            };
            if for_work {
                self.woken_to_work(by.tid, block, u32::from(!no_work));
            }
        } else if wake.conn.0 == conn::LISTENER && !syscall::is_futex(block.syscall) {
            self.window.accept_waits = self.window.accept_waits.saturating_add(1);
        } else if block.wait.expired(waited_ns) || syscall::sleeps(block.syscall) {
            self.window.alone = self.window.alone.saturating_add(1);
        }
    }

    /// Another thread ended its wait. With a request in hand it may have waited for that.
    fn woken_to_work(&mut self, by: Tid, block: &Block, times: u32) {
        let place = WaitPlace::of(block);
        let Owner::Request(request) = block.owner else {
            self.given(by, Some(place), times);
            return;
        };
        self.had_in_hand = Some(request);
        let same = |(of, at, _): &&mut (Tid, WaitPlace, u32)| (*of, *at) == (by, place);
        if let Some((.., known)) = self.unsure.iter_mut().find(same) {
            *known = known.saturating_add(times);
            return;
        }
        if self.unsure.len() == MAX_GIVERS {
            let (.., oldest) = self.unsure.remove(0);
            self.unsure_forgotten = self.unsure_forgotten.saturating_add(oldest);
        }
        self.unsure.push((by, place, times));
    }

    /// Another thread gave it something to do so often: it ended its wait there, or had read what this one answers.
    fn given(&mut self, by: Tid, waited_in: Option<WaitPlace>, times: u32) {
        let same = |giver: &&mut Giver| (giver.by, giver.waited_in) == (by, waited_in);
        if let Some(known) = self.givers.iter_mut().find(same) {
            known.window = known.window.saturating_add(times);
            return;
        }
        let giver = Giver {
            by,
            waited_in,
            window: times,
            before: 0,
        };
        if self.givers.len() < MAX_GIVERS {
            self.givers.push(giver);
            return;
        }
        let stale = self.givers.iter_mut().filter(|giver| giver.window == 0);
        if let Some(stalest) = stale.min_by_key(|giver| giver.before) {
            self.by_forgotten += u64::from(stalest.before);
            *stalest = giver;
            return;
        }
        if waited_in.is_some() {
            self.given_by_forgotten(times);
        } else {
            self.by_forgotten += u64::from(times);
        }
    }

    /// Threads that are not remembered ended its waits so often, and gave it something to do.
    fn given_by_forgotten(&mut self, times: u32) {
        self.by_forgotten += u64::from(times);
        self.window.given = self.window.given.saturating_add(times);
    }

    /// Counts what the thread was given in this window. Who let go of a lock at one of these places gave it nothing to
    /// do; these threads work for the runtime, and this one had it stop the program so often.
    pub(super) fn settle(&mut self, locks: &[u32], of_runtime: &FxHashSet<Tid>, stops: u32) {
        let waits = self.givers(locks).filter(|giver| giver.waited_in.is_some());
        let (given, by_runtime) = waits.fold((0_u32, 0_u32), |(all, by_runtime), giver| {
            let more = if of_runtime.contains(&giver.by) {
                giver.window
            } else {
                0
            };
            (all.saturating_add(giver.window), by_runtime.saturating_add(more))
        });
        self.window.given = self.window.given.saturating_add(given);
        self.window.given_by_runtime = by_runtime;
        self.window.stops = stops;
    }

    /// Who gave it something to do, but for those who let go of a lock at one of these places.
    pub(super) fn givers(&self, locks: &[u32]) -> impl Iterator<Item = &Giver> {
        let at_lock = |place: &WaitPlace| place.is_futex && locks.contains(&place.place);
        let givers = self.givers.iter();
        givers.filter(move |giver| !giver.waited_in.as_ref().is_some_and(at_lock))
    }

    /// Whether another thread was seen to end its waits where this one is.
    pub(in crate::threads) fn waits_too(&self, block: &Block) -> bool {
        let place = Some(WaitPlace::of(block));
        self.givers.iter().any(|giver| giver.waited_in == place)
    }

    /// Whether other threads gave it something to do where this wait is.
    pub(in crate::threads) fn is_given_work_at(&self, block: &Block) -> bool {
        let place = Some(WaitPlace::of(block));
        let mut givers = self.givers.iter();
        givers.any(|giver| giver.waited_in == place && giver.times() > 0)
    }

    /// Whether other threads gave it something to do by this descriptor.
    pub(in crate::threads) fn waits_for_work_at(&self, fd: u32) -> bool {
        let places = self.givers.iter().filter_map(|giver| giver.waited_in);
        places
            .into_iter()
            .any(|place| !place.is_futex && place.place == fd)
    }

    /// What it did in the run, with this window.
    pub(super) fn run(&self) -> Counts {
        self.before.plus(self.window)
    }

    /// The window is over. Gives how often those gave it something to do who are not remembered.
    pub(super) fn close_window(&mut self) -> u64 {
        self.before = self.run();
        self.window = Counts::default();
        for giver in &mut self.givers {
            giver.before = giver.times();
            giver.window = 0;
        }
        std::mem::take(&mut self.by_forgotten)
    }
}

/// Whether it is a connection, and not one that waits to be accepted.
fn is_connection(id: ConnId) -> bool {
    id != ConnId::NONE && id.0 != conn::LISTENER
}

#[cfg(test)]
mod tests;
