//! What was under way when observer attached.

use testbed::truth::FaultKind;

use super::super::scenario::{Case, Culprit, Expected, Load, Scenario, Server};
use super::{case, own, short};

pub(super) fn all() -> Vec<Scenario> {
    vec![attached_late()]
}

fn attached_late() -> Scenario {
    Scenario {
        name: "attached-late",
        about: "Clients ask without a pause while observer attaches: each connection, and each to the peer, is in the \
                middle of something. All requests that begin afterwards are there, with their `timer`, or `downstream` \
                with the peer's address.",
        known: None,
        expected: Expected::Parts(vec![
            own(&[FaultKind::Timer], &["timer"]),
            own(&[FaultKind::Peer, FaultKind::ConnectionQueue], &["downstream"]).by(Culprit::peer()),
        ]),
        cases: vec![short(Case {
            attached_late: true,
            ..case(
                "150ms",
                Server::workers(1).with_peer(&[]),
                vec![
                    Load::closed("/timer?us=150000", 4),
                    Load::closed("/downstream?us=150000", 4),
                ],
            )
        })],
    }
}
