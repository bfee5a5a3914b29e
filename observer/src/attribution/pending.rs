//! Since when a request can have waited for the timer that ended an event loop's wait, where no runtime's tasks tell
//! whose timer it was.
//!
//! A loop waits until its next timer is due, and not longer. So one that waited for longer, or for ever, had not set
//! this one yet. And where it ran for nobody that is known, it may have run for the request, and set the timer then.

use super::moves::{Move, Position};
use super::path::{Charge, Reason};
use super::resumption::Idle;
use super::service::Walk;
use crate::model::cause::Cause;
use crate::syscall::{self, Wait};
use crate::threads::{Block, LastRun, Owner, Slice, State};

/// What runs for nobody that is known for less than this is no part of a request that is worth telling, ns.
const SHORT_NS: u64 = 1_000_000;

/// By so much a loop's deadline can be off: it counts in milliseconds, ns.
const SLACK_NS: u64 = 2_000_000;

/// Slices that are looked at for one timer, at most. What is older is not explained.
const MAX_SLICES: usize = 1024;

const RAN_FOR_NOBODY: &str = "suspended: its thread ran, and for whom is not known";

const NOT_FOLLOWED: &str = "suspended: what its thread did before it waited for the timer was not followed";

/// Since when a timer can have been waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    /// Since the request last ran.
    LastRun,
    /// Since the end of a wait at which the timer was not set yet, ns.
    NotSet(u64),
    /// Since the thread had run for nobody that is known, between the two times, ns.
    Ran(u64, u64),
    /// Since then, ns, or longer: before it there was too much to look at, or something that was not seen.
    AtLeast(u64),
}

/// A time in which a loop was awake.
#[derive(Clone, Copy, Debug, Default)]
struct Awake {
    to_ns: u64,
    length_ns: u64,
    nobodys_ns: u64,
    /// Somebody is known for whom it ran.
    known: bool,
}

impl Walk<'_, '_> {
    /// The request stopped at `run`, and went on with the timer that ended `idle`.
    pub(super) fn timer_was_due(&self, run: LastRun, idle: &Idle) -> Move {
        let since = if self.turn.read_task.is_known() {
            Since::LastRun
        } else {
            self.timer_is_pending_since(run, idle)
        };
        let timer = Charge::of(Cause::Timer, Reason::Plain);
        let unexplained = |note| Charge::unexplained(Some(idle.tid), note);
        let at = Move::to(Position::on(idle.tid));
        match since {
            Since::LastRun => self.waited_for_timer(run),
            Since::NotSet(since_ns) => at.charging(since_ns, timer),
            Since::Ran(from_ns, to_ns) => at
                .charging(to_ns, timer)
                .and_before(from_ns, unexplained(RAN_FOR_NOBODY)),
            Since::AtLeast(since_ns) => Move::to(Position::on(run.tid))
                .charging(since_ns, timer)
                .and_before(run.end_ns, unexplained(NOT_FOLLOWED)),
        }
    }

    fn timer_is_pending_since(&self, run: LastRun, idle: &Idle) -> Since {
        let Some(thread) = self.evidence.threads.get(idle.tid) else {
            return Since::LastRun;
        };
        let Slice { from_ns, to_ns, .. } = idle.slice;
        let due_ns = idle.block.wait.due_ns(from_ns).unwrap_or_default().max(to_ns);
        let back = thread.back_from(from_ns).take(MAX_SLICES);
        pending_since(back, run.end_ns, (from_ns, due_ns))
    }
}

/// Since when a timer can have been waited for that was due at `due_ns`, and that its loop last waited for since
/// `idle_ns`: by what the loop did before that, from the latest slice `back` to `run_ns`, where the request last ran.
fn pending_since(back: impl Iterator<Item = Slice>, run_ns: u64, (idle_ns, due_ns): (u64, u64)) -> Since {
    let (mut awake, mut waited, mut seen_ns) = (Awake::default(), None, idle_ns);
    for slice in back {
        let is_before = slice.to_ns <= run_ns;
        let wait = match slice.state {
            State::Blocked(block) if block.wait.is_idle() => Some(block),
            _ => None,
        };
        if !is_before && wait.is_none() {
            if matches!(slice.state, State::Unknown { .. }) {
                break;
            }
            awake.adds(&slice, run_ns);
            seen_ns = slice.from_ns;
            continue;
        }
        if let Some(since) = awake.says(waited, due_ns) {
            return since;
        }
        if is_before {
            return Since::LastRun;
        }
        seen_ns = slice.from_ns;
        waited = wait.and_then(|block| Some((slice.to_ns, deadline_ns(&slice, &block)?)));
        awake = Awake::default();
    }
    let is_all = seen_ns <= run_ns;
    let since = awake.says(waited, due_ns);
    since.unwrap_or(if is_all {
        Since::LastRun
    } else {
        Since::AtLeast(seen_ns)
    })
}

/// Until when a loop would have waited, ns, where that is known.
fn deadline_ns(slice: &Slice, block: &Block) -> Option<u64> {
    match block.wait {
        Wait::EventLoop { timeout_ms: None } if syscall::tells_timeout(block.syscall) => Some(u64::MAX),
        wait => wait.due_ns(slice.from_ns),
    }
}

impl Awake {
    fn adds(&mut self, slice: &Slice, run_ns: u64) {
        let length_ns = slice.to_ns - slice.from_ns.max(run_ns).min(slice.to_ns);
        self.to_ns = self.to_ns.max(slice.to_ns);
        self.length_ns += length_ns;
        match slice.state {
            State::Running { owner, .. } | State::Blocked(Block { owner, .. }) => {
                if owner == Owner::Nobody {
                    self.nobodys_ns += length_ns;
                } else {
                    self.known = true;
                }
            }
            State::Runnable { .. } | State::Unknown { .. } => {}
        }
    }

    /// What this says of a timer that was due at `due_ns`, with the end and the deadline of the wait that came after
    /// it.
    fn says(&self, waited: Option<(u64, u64)>, due_ns: u64) -> Option<Since> {
        // A loop may have looked at its clock when it woke.
        let is_later = |deadline_ns: u64| deadline_ns.saturating_sub(self.length_ns) > due_ns + SLACK_NS;
        match waited {
            Some((to_ns, deadline_ns)) if is_later(deadline_ns) => Some(Since::NotSet(to_ns)),
            _ if !self.known && self.nobodys_ns >= SHORT_NS => {
                Some(Since::Ran(self.to_ns - self.length_ns, self.to_ns))
            }
            _ => None,
        }
    }
}
