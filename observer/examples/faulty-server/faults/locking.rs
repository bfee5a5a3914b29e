//! Locks that are held too long.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Query, State};

use super::size::Time;
use super::{Shared, waiting};
use crate::clock;
use crate::truth::{Kind, Stretch};
use crate::visit::Visit;

/// The locks. Each holds the time of its last release: a wait for it was no shorter than until then.
#[derive(Default)]
pub(super) struct Locks {
    blocking: Mutex<u64>,
    yielding: tokio::sync::Mutex<u64>,
}

/// Sleeps on the worker with a lock in its hand that the next such request blocks its own worker on.
pub(super) async fn lock(
    mut visit: Visit,
    State(shared): State<Arc<Shared>>,
    Query(time): Query<Time>,
) -> &'static str {
    let from_ns = clock::now_ns();
    let mut released_ns = shared
        .locks
        .blocking
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    visit.injected(Stretch::until_now(
        Kind::Lock,
        from_ns,
        released_ns.saturating_sub(from_ns),
    ));
    visit.injected(waiting::slept(time.duration()));
    *released_ns = clock::now_ns();
    "unlocked\n"
}

/// Waits, without the worker, with a lock in its hand that the next such request waits for, without its worker too.
pub(super) async fn async_lock(
    mut visit: Visit,
    State(shared): State<Arc<Shared>>,
    Query(time): Query<Time>,
) -> &'static str {
    let from_ns = clock::now_ns();
    let mut released_ns = shared.locks.yielding.lock().await;
    let least_ns = released_ns.saturating_sub(from_ns);
    visit.injected(Stretch::until_now(Kind::AsyncLock, from_ns, least_ns));
    let held_ns = clock::now_ns();
    tokio::time::sleep(time.duration()).await;
    visit.injected(Stretch::until_now(
        Kind::Timer,
        held_ns,
        waiting::nanoseconds(time.duration()),
    ));
    *released_ns = clock::now_ns();
    "unlocked\n"
}
