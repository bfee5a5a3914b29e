//! Clients that are slow themselves.

use super::super::scenario::{Expected, Injected, InjectedPart, Load, Scenario, Server};
use super::{AROUND_NS, case, closed, short};

pub(super) fn all() -> Vec<Scenario> {
    vec![
        reads_late(),
        nagle(),
        reads_a_little_late(),
        sends_in_pieces(),
        asks_before_it_sends(),
    ]
}

fn reads_late() -> Scenario {
    Scenario {
        name: "reads-late",
        about: "The client leaves a large answer lying for a while. There is no room in the socket's buffer: \
                `send_blocked`; what the buffer holds at the end is `held_back`.",
        known: None,
        expected: Expected::Parts(vec![InjectedPart::new(
            Injected::Unread,
            &["send_blocked", "held_back"],
        )]),
        cases: vec![
            case("50ms", Server::workers(1), pausing("/large?kib=8192", "50ms")),
            short(case(
                "200ms",
                Server::workers(1),
                pausing("/large?kib=8192", "200ms"),
            )),
        ],
    }
}

fn nagle() -> Scenario {
    Scenario {
        name: "nagle",
        about: "The server sends the body after the head, without TCP_NODELAY. TCP keeps it until the client has \
                acknowledged the head, which that puts off: `held_back`. The truth is the client's.",
        known: None,
        expected: Expected::Parts(vec![InjectedPart::new(
            Injected::Answering(AROUND_NS),
            &["held_back"],
        )]),
        cases: vec![
            short(case("axum", without_nodelay(&[]), closed("/halves", 1))),
            case("axum-8", without_nodelay(&[]), closed("/halves", 8)),
            case(
                "hyper",
                without_nodelay(&["--framework", "hyper"]),
                closed("/halves", 1),
            ),
            case(
                "actix",
                without_nodelay(&["--framework", "actix"]),
                closed("/halves", 1),
            ),
        ],
    }
}

fn reads_a_little_late() -> Scenario {
    Scenario {
        name: "reads-a-little-late",
        about: "The client leaves an answer lying for which it has no room and the server's socket has. The last \
                send returns long before the last byte can leave: `held_back`.",
        known: None,
        expected: Expected::Parts(vec![InjectedPart::new(Injected::Unread, &["held_back"])]),
        cases: vec![
            case("50ms", Server::workers(1), pausing("/large?kib=1024", "50ms")),
            short(case(
                "200ms",
                Server::workers(1),
                pausing("/large?kib=1024", "200ms"),
            )),
        ],
    }
}

fn sends_in_pieces() -> Scenario {
    Scenario {
        name: "sends-in-pieces",
        about: "The client sends the request in three pieces. The request began with the first of them: `client`.",
        known: None,
        expected: Expected::Parts(vec![InjectedPart::new(Injected::Withheld, &["client"])]),
        cases: vec![
            case("2ms", Server::workers(1), in_pieces("2ms", 0)),
            short(case("20ms", Server::workers(1), in_pieces("20ms", 0))),
            case("20ms-body", Server::workers(2), in_pieces("20ms", 3000)),
        ],
    }
}

fn asks_before_it_sends() -> Scenario {
    Scenario {
        name: "asks-before-it-sends",
        about: "The client sends the head with `Expect: 100-continue`, and the body some time after the server has \
                asked for it: one request, `client`.",
        known: None,
        expected: Expected::Parts(vec![InjectedPart::new(Injected::Withheld, &["client"])]),
        cases: vec![
            short(case("20ms", Server::workers(1), asks_first(&[]))),
            case(
                "20ms-hyper",
                Server::workers(2).with(&["--framework", "hyper"]),
                asks_first(&["--reconnect"]),
            ),
        ],
    }
}

/// The client makes a pause before it reads an answer.
fn pausing(path: &str, pause: &str) -> Vec<Load> {
    vec![Load::closed(path, 1).with(&["--read-pause", pause])]
}

fn without_nodelay(arguments: &[&str]) -> Server {
    Server::workers(1).with(&["--nagle"]).with(arguments)
}

fn in_pieces(pause: &str, body_bytes: u32) -> Vec<Load> {
    let pieces = [
        "--pieces",
        "3",
        "--piece-pause",
        pause,
        "--body-bytes",
        &body_bytes.to_string(),
    ];
    vec![Load::rate("/ping", 4, 30).with(&pieces)]
}

fn asks_first(more: &[&str]) -> Vec<Load> {
    let asks = [
        "--body-bytes",
        "3000",
        "--expect-continue",
        "--piece-pause",
        "20ms",
    ];
    vec![Load::rate("/ping", 4, 30).with(&asks).with(more)]
}
