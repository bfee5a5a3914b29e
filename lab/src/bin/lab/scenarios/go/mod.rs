//! A server in Go, on net/http: a goroutine for each connection, and threads that take goroutines up in turn.

mod computing;
mod garbage;
mod sockets;
mod waits;

use super::super::scenario::{Known, Scenario};

pub(super) fn all() -> Vec<Scenario> {
    let mut all = computing::all();
    all.extend(waits::all());
    all.extend(sockets::all());
    all.extend(garbage::all());
    all
}

/// What nothing that is recorded by default tells, of so many of a hundred requests at most.
fn unexplained(why: &'static str, most_unexplained: u64) -> Option<Known> {
    Some(Known {
        why,
        most_wrong: 5,
        most_unexplained,
    })
}
