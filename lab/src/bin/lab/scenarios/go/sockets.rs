//! Requests that wait for others at the far end of a socket: a peer, or the client.

use testbed::truth::FaultKind;

use super::super::super::scenario::{
    Case, Culprit, Expected, Injected, InjectedPart, KnownFailure, Load, Scenario, Server,
};
use super::super::{case, closed, length, own, short};

/// What all requests to the peer have to share.
const ONE_CONNECTION: &[&str] = &["--downstream-connections", "1"];

pub(super) fn all() -> Vec<Scenario> {
    vec![
        peer(),
        pool(),
        transport(),
        transport_pool(),
        reads_late(),
        sends_in_pieces(),
    ]
}

fn peer() -> Scenario {
    Scenario {
        name: "go-peer",
        about: "A peer takes its time to answer, on connections of `database/sql`, of which there are enough: \
                `downstream`, with its address.",
        known: None,
        expected: its_answer(),
        cases: from_peer("/downstream", &[], 4),
    }
}

fn pool() -> Scenario {
    Scenario {
        name: "go-pool",
        about: "Four requests at a time share one connection to the peer, in a pool of `database/sql`. No event says \
                that a goroutine waits for a connection; what ends the wait is the peer's answer to another: \
                `downstream` with the peer's address and `unexplained` are right.",
        known: None,
        expected: its_answer_or_unexplained(),
        cases: from_peer("/downstream", ONE_CONNECTION, 4),
    }
}

fn transport() -> Scenario {
    Scenario {
        name: "go-transport",
        about: "The same by `http.Transport`, whose own goroutines write and read for the request: `downstream`, with \
                the peer's address.",
        known: Some(KnownFailure::unexplained(
            "no event tells for which goroutine another one has read an answer",
            40,
        )),
        expected: its_answer(),
        cases: from_peer("/fetch", &[], 4),
    }
}

fn transport_pool() -> Scenario {
    Scenario {
        name: "go-transport-pool",
        about: "Four requests at a time share one connection of an `http.Transport`: as with `database/sql`.",
        known: None,
        expected: its_answer_or_unexplained(),
        cases: from_peer("/fetch", ONE_CONNECTION, 4),
    }
}

fn reads_late() -> Scenario {
    Scenario {
        name: "go-reads-late",
        about: "The client leaves a large answer lying for a while: `send_blocked`; what the socket's buffer holds at \
                the end is `held_back`.",
        known: Some(KnownFailure::unexplained(
            "what wakes its thread is not known to be its client",
            70,
        )),
        expected: Expected::Parts(vec![InjectedPart::new(
            Injected::Unread,
            &["send_blocked", "held_back"],
        )]),
        cases: vec![short(case(
            "200ms",
            Server::go(1),
            vec![Load::closed("/large?kib=8192", 1).with(&["--read-pause", "200ms"])],
        ))],
    }
}

fn sends_in_pieces() -> Scenario {
    Scenario {
        name: "go-sends-in-pieces",
        about: "The client sends the request in three pieces: `client`.",
        known: None,
        expected: Expected::Parts(vec![InjectedPart::new(Injected::Withheld, &["client"])]),
        cases: vec![short(case(
            "20ms",
            Server::go(1),
            vec![Load::rate("/ping", 4, 30).with(&["--pieces", "3", "--piece-pause", "20ms"])],
        ))],
    }
}

fn its_answer() -> Expected {
    Expected::Parts(vec![
        own(&[FaultKind::Peer, FaultKind::ConnectionQueue], &["downstream"]).by(Culprit::peer()),
    ])
}

/// No event says that a goroutine waits for a connection.
fn its_answer_or_unexplained() -> Expected {
    Expected::Parts(vec![own(
        &[FaultKind::Peer, FaultKind::ConnectionQueue],
        &["downstream", "unexplained"],
    )])
}

/// A peer that takes its time, and requests from so many connections.
fn from_peer(path: &str, arguments: &[&str], connections: u16) -> Vec<Case> {
    let cases = [2_000, 20_000].map(|us| Case {
        short: us == 20_000,
        ..case(
            &length(us),
            Server::go(2).with(arguments).with_peer(&[]),
            closed(&format!("{path}?us={us}"), connections),
        )
    });
    cases.into()
}
