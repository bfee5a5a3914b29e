//! Nothing is injected: nobody may be blamed.
//!
//! A slow request of these ran, or it or its worker waited for a CPU of a shared machine, or it stood behind others.
//! More than that did not happen.

use super::super::scenario::{Case, Expected, KnownFailure, Load, Scenario, Server};
use super::{case, short};

/// What a slow request may be made of where nothing is wrong.
const INNOCENT: &[&str] = &["on_cpu", "run_queue"];

pub(super) fn all() -> Vec<Scenario> {
    vec![nothing(), large(), reconnect(), pipelined()]
}

fn nothing() -> Scenario {
    Scenario {
        name: "nothing",
        about: "No fault, from a light load to a saturated worker. Slow requests have waited for a CPU, or stood behind \
                others.",
        known: None,
        expected: Expected::Nothing(INNOCENT),
        cases: vec![
            short(case("light", Server::workers(1), pings(4, 200))),
            case("busy", Server::workers(1), pings(16, 2000)),
            case("two-workers", Server::workers(2), pings(16, 2000)),
            case(
                "saturated",
                Server::workers(1),
                vec![Load::closed("/ping", 16).with(&["--requests", "20000"])],
            ),
        ],
    }
}

fn large() -> Scenario {
    Scenario {
        name: "large",
        about: "Large responses to a client that reads them as they come. The socket's buffer may be full for \
                a while, hold the end of the response when the server is done, and another response may be in the \
                making: `send_blocked`, `held_back` and `worker_busy` are true then.",
        known: None,
        expected: Expected::Nothing(&["on_cpu", "run_queue", "worker_busy", "send_blocked", "held_back"]),
        cases: vec![short(case(
            "4MiB",
            Server::workers(1),
            vec![Load::rate("/large?kib=4096", 2, 20)],
        ))],
    }
}

fn reconnect() -> Scenario {
    Scenario {
        name: "reconnect",
        about: "A new connection for each request. Being accepted by a worker that is awake is no fault.",
        // One of 600 was wrong on 27 November 2026 (docs/accuracy.md): on a busy machine more are slow.
        known: Some(KnownFailure {
            why: "where accepts are not seen, all time until the first read is `accept_queue`",
            most_wrong: 5,
            most_unexplained: 0,
        }),
        expected: Expected::Nothing(INNOCENT),
        cases: vec![short(case(
            "light",
            Server::workers(1),
            vec![Load::rate("/ping", 4, 200).with(&["--reconnect"])],
        ))],
    }
}

fn pipelined() -> Scenario {
    Scenario {
        name: "pipelined",
        about: "Four requests sent at once. By observer's definition, inbound bytes and then outbound ones, they \
                are one request with the name of the first.",
        known: None,
        expected: Expected::Nothing(INNOCENT),
        cases: vec![Case {
            pipelined: 4,
            ..short(case(
                "light",
                Server::workers(1),
                vec![Load::rate("/ping", 4, 200).with(&["--pipeline", "4"])],
            ))
        }],
    }
}

fn pings(connections: u16, per_second: u64) -> Vec<Load> {
    vec![Load::rate("/ping", connections, per_second)]
}
