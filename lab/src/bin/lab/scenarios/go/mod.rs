//! A server in Go, on net/http: a goroutine for each connection, and threads that take goroutines up in turn.

mod computing;
mod garbage;
mod sockets;
mod waits;

use super::super::scenario::Scenario;

pub(super) fn all() -> Vec<Scenario> {
    let mut all = computing::all();
    all.extend(waits::all());
    all.extend(sockets::all());
    all.extend(garbage::all());
    all
}
