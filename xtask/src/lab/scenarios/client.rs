//! Clients that are slow themselves.

use super::super::scenario::{Expected, Injected, Load, Part, Scenario, Server};
use super::{case, short};

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "reads-late",
            about: "The client leaves a large answer lying for a while. There is no room in the socket's buffer: \
                    `send_blocked`.",
            known: None,
            expected: Expected::Parts(vec![Part::new(Injected::Unread, &["send_blocked"])]),
            cases: vec![
                case("50ms", Server::workers(1), reads_late("50ms")),
                short(case("200ms", Server::workers(1), reads_late("200ms"))),
            ],
        },
        Scenario {
            name: "sends-in-pieces",
            about: "The client sends the request in three pieces. The request began with the first of them, and the \
                    list of causes has none for a client that does not go on: `unexplained`, with a note.",
            known: None,
            expected: Expected::Parts(vec![Part::new(Injected::Withheld, &["unexplained"])]),
            cases: vec![
                case("2ms", Server::workers(1), in_pieces("2ms")),
                short(case("20ms", Server::workers(1), in_pieces("20ms"))),
            ],
        },
    ]
}

fn reads_late(pause: &str) -> Vec<Load> {
    vec![Load::closed("/large?kib=8192", 1).with(&["--read-pause", pause])]
}

fn in_pieces(pause: &str) -> Vec<Load> {
    vec![Load::rate("/ping", 4, 30).with(&["--pieces", "3", "--piece-pause", pause])]
}
