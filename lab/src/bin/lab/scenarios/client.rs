//! Clients that are slow themselves.

use super::super::scenario::{Expected, Injected, Load, Part, Scenario, Server};
use super::{AROUND_NS, case, short};

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "reads-late",
            about: "The client leaves a large answer lying for a while. There is no room in the socket's buffer: \
                    `send_blocked`; what the buffer holds at the end is `held_back`.",
            known: None,
            expected: Expected::Parts(vec![Part::new(Injected::Unread, &["send_blocked", "held_back"])]),
            cases: vec![
                case("50ms", Server::workers(1), reads_late("50ms")),
                short(case("200ms", Server::workers(1), reads_late("200ms"))),
            ],
        },
        Scenario {
            name: "nagle",
            about: "The server sends the body after the head, without TCP_NODELAY. TCP keeps it until the client has \
                    acknowledged the head, which that puts off: `held_back`. The truth is the client's.",
            known: None,
            expected: Expected::Parts(vec![Part::new(Injected::Answering(AROUND_NS), &["held_back"])]),
            cases: vec![
                short(case("axum", nagle(&[]), halves(1))),
                case("axum-8", nagle(&[]), halves(8)),
                case("hyper", nagle(&["--framework", "hyper"]), halves(1)),
                case("actix", nagle(&["--framework", "actix"]), halves(1)),
            ],
        },
        Scenario {
            name: "reads-a-little-late",
            about: "The client leaves an answer lying for which it has no room and the server's socket has. The last \
                    send returns long before the last byte can leave: `held_back`.",
            known: None,
            expected: Expected::Parts(vec![Part::new(Injected::Unread, &["held_back"])]),
            cases: vec![
                case("50ms", Server::workers(1), reads_a_little_late("50ms")),
                short(case("200ms", Server::workers(1), reads_a_little_late("200ms"))),
            ],
        },
        Scenario {
            name: "sends-in-pieces",
            about: "The client sends the request in three pieces. The request began with the first of them: `client`.",
            known: None,
            expected: Expected::Parts(vec![Part::new(Injected::Withheld, &["client"])]),
            cases: vec![
                case("2ms", Server::workers(1), in_pieces("2ms", 0)),
                short(case("20ms", Server::workers(1), in_pieces("20ms", 0))),
                case("20ms-body", Server::workers(2), in_pieces("20ms", 3000)),
            ],
        },
        Scenario {
            name: "asks-before-it-sends",
            about: "The client sends the head with `Expect: 100-continue`, and the body some time after the server has \
                    asked for it: one request, `client`.",
            known: None,
            expected: Expected::Parts(vec![Part::new(Injected::Withheld, &["client"])]),
            cases: vec![
                short(case("20ms", Server::workers(1), asks_first(&[]))),
                case(
                    "20ms-hyper",
                    Server::workers(2).with(&["--framework", "hyper"]),
                    asks_first(&["--reconnect"]),
                ),
            ],
        },
    ]
}

fn reads_late(pause: &str) -> Vec<Load> {
    vec![Load::closed("/large?kib=8192", 1).with(&["--read-pause", pause])]
}

fn reads_a_little_late(pause: &str) -> Vec<Load> {
    vec![Load::closed("/large?kib=1024", 1).with(&["--read-pause", pause])]
}

fn nagle(arguments: &[&str]) -> Server {
    Server::workers(1).with(&["--nagle"]).with(arguments)
}

fn halves(connections: u16) -> Vec<Load> {
    vec![Load::closed("/halves", connections)]
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
