//! Locks that are held too long.

use std::sync::{Mutex, PoisonError};

use testbed::clock;
use testbed::truth::{FaultKind, Stretch};

use super::size::Time;
use super::waiting;
use crate::truth;
use crate::visit::Visit;

/// The locks.
#[derive(Default)]
pub(super) struct Locks {
    blocking: Mutex<Release>,
    yielding: tokio::sync::Mutex<Release>,
}

/// The last release of a lock: a wait for it was no shorter than until then, and was for that task.
#[derive(Default)]
struct Release {
    at_ns: u64,
    by: Option<u64>,
}

impl Release {
    fn now() -> Self {
        Self {
            at_ns: clock::now_ns(),
            by: truth::current_task(),
        }
    }

    /// The wait that is over now.
    fn waited(&self, kind: FaultKind, from_ns: u64) -> Stretch {
        Stretch::until_now(kind, from_ns, self.at_ns.saturating_sub(from_ns)).by(self.by)
    }
}

/// Sleeps on the worker with a lock in its hand that the next such request blocks its own worker on.
pub(super) fn lock(visit: &mut Visit, locks: &Locks, time: &Time) -> &'static str {
    let from_ns = clock::now_ns();
    let mut release = locks.blocking.lock().unwrap_or_else(PoisonError::into_inner);
    visit.injected(release.waited(FaultKind::Lock, from_ns));
    visit.injected(waiting::slept(time.duration()));
    *release = Release::now();
    "unlocked\n"
}

/// Waits, without the worker, with a lock in its hand that the next such request waits for, without its worker too.
pub(super) async fn async_lock(visit: &mut Visit, locks: &Locks, time: &Time) -> &'static str {
    let from_ns = clock::now_ns();
    let mut release = locks.yielding.lock().await;
    visit.injected(release.waited(FaultKind::AsyncLock, from_ns));
    waiting::timer(visit, time).await;
    *release = Release::now();
    "unlocked\n"
}
