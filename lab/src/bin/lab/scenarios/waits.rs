//! Requests that wait for something of their own: the disk, a page, a peer, a timer, two things one after the other.

use testbed::truth::FaultKind;

use super::super::scenario::{Case, Culprit, Expected, Object, Scenario, Server};
use super::{WRITES, case, closed, length, one_at_a_time, own, own_cpu, own_sleep, short};

pub(super) fn all() -> Vec<Scenario> {
    vec![
        disk_sync(),
        disk_direct(),
        major_faults(),
        peer_slow(),
        peer_accepts_late(),
        peer_pool(),
        timer(),
        two_faults(),
    ]
}

fn disk_sync() -> Scenario {
    Scenario {
        name: "disk-sync",
        about: "The handler writes a file through to the disk: a `syscall`, `fsync` for the most part, on a file \
                in the server's directory, whose name is known if it is still open when it is asked for.",
        known: None,
        expected: Expected::Parts(vec![
            own(&[FaultKind::Disk], &["syscall"])
                .by(Culprit::syscalls(WRITES).on(Object::Files))
                .nameless(),
        ]),
        cases: vec![
            case(
                "4KiB",
                Server::workers(1),
                one_at_a_time("/blocking-file?kib=4", 100),
            ),
            short(case(
                "256KiB",
                Server::workers(1),
                one_at_a_time("/blocking-file?kib=256", 50),
            )),
            case(
                "8MiB",
                Server::workers(1),
                one_at_a_time("/blocking-file?kib=8192", 8),
            ),
        ],
    }
}

fn disk_direct() -> Scenario {
    Scenario {
        name: "disk-direct",
        about: "The handler reads blocks with O_DIRECT: a `syscall`, `pread64` on that file.",
        known: None,
        expected: Expected::Parts(vec![
            own(&[FaultKind::Disk], &["syscall"]).by(Culprit::syscalls(&["pread64"]).on(Object::Data)),
        ]),
        cases: vec![
            case(
                "2-blocks",
                Server::workers(1),
                one_at_a_time("/direct?kib=256", 50),
            ),
            short(case(
                "32-blocks",
                Server::workers(1),
                one_at_a_time("/direct?kib=4096", 15),
            )),
        ],
    }
}

fn major_faults() -> Scenario {
    Scenario {
        name: "major-faults",
        about: "The handler touches pages of a file that the kernel's cache does not have: `page_fault`.",
        known: None,
        expected: Expected::Parts(vec![own_cpu(), own(&[FaultKind::Fault], &["page_fault"])]),
        cases: vec![
            short(case(
                "4MiB",
                Server::workers(1),
                one_at_a_time("/cold?kib=4096", 20),
            )),
            case("16MiB", Server::workers(1), one_at_a_time("/cold?kib=16384", 6)),
        ],
    }
}

fn peer_slow() -> Scenario {
    Scenario {
        name: "peer-slow",
        about: "A peer takes its time to answer; requests never wait for each other: `downstream`, with its \
                address.",
        known: None,
        expected: Expected::Parts(vec![
            own(&[FaultKind::Peer, FaultKind::ConnectionQueue], &["downstream"]).by(Culprit::peer()),
        ]),
        cases: from_connections(),
    }
}

fn peer_accepts_late() -> Scenario {
    Scenario {
        name: "peer-accepts-late",
        about: "A peer that answers at once accepts connections late, and every request opens one. The kernel \
                completes the connection, so all that is to be seen is that no answer comes: `downstream`.",
        known: None,
        expected: Expected::Parts(vec![
            own(&[FaultKind::Peer, FaultKind::ConnectionQueue], &["downstream"]).by(Culprit::peer()),
        ]),
        cases: vec![short(case(
            "20ms",
            Server::workers(1)
                .with(&["--downstream-reconnects"])
                .with_peer(&["--accept-pause", "20ms"]),
            one_at_a_time("/downstream?us=0", 10),
        ))],
    }
}

fn peer_pool() -> Scenario {
    Scenario {
        name: "peer-pool",
        about: "Four requests at a time share one connection to the peer. No event says that a task waits for the \
                connection; what ends the wait is the peer's answer to another: `downstream` with the peer's \
                address and `unexplained` are right.",
        known: None,
        expected: Expected::Parts(vec![own(
            &[FaultKind::Peer, FaultKind::ConnectionQueue],
            &["downstream", "unexplained"],
        )]),
        cases: ["2000", "20000"]
            .map(|us| Case {
                short: us == "20000",
                ..case(
                    us,
                    Server::workers(1)
                        .with(&["--downstream-connections", "1"])
                        .with_peer(&[]),
                    closed(&format!("/downstream?us={us}"), 4),
                )
            })
            .into(),
    }
}

fn timer() -> Scenario {
    Scenario {
        name: "timer",
        about: "The handler waits for a timer of the runtime's: `timer`.",
        known: None,
        expected: Expected::Parts(vec![own(&[FaultKind::Timer], &["timer"])]),
        cases: [2_000, 20_000, 200_000]
            .map(|us| Case {
                short: us == 20_000,
                ..case(
                    &length(us),
                    Server::workers(1),
                    closed(&format!("/timer?us={us}"), 2),
                )
            })
            .into(),
    }
}

fn two_faults() -> Scenario {
    Scenario {
        name: "two-faults",
        about: "The handler computes and then sleeps. The larger of the two is the top cause, and both have \
                their time.",
        known: None,
        expected: Expected::Parts(vec![own_cpu(), own_sleep()]),
        cases: vec![
            case(
                "more-computing",
                Server::workers(1),
                one_at_a_time("/both?burn_us=8000&block_us=3000", 15),
            ),
            short(case(
                "more-sleep",
                Server::workers(1),
                one_at_a_time("/both?burn_us=3000&block_us=8000", 15),
            )),
        ],
    }
}

/// Peers that take so long, microseconds, and requests from so many connections.
fn from_connections() -> Vec<Case> {
    let loads = [(200, 2), (2_000, 2), (20_000, 2), (20_000, 16), (200_000, 4)];
    let cases = loads.map(|(us, connections)| Case {
        short: (us, connections) == (20_000, 2),
        ..case(
            &format!("{}-from-{connections}", length(us)),
            Server::workers(1).with_peer(&[]),
            closed(&format!("/downstream?us={us}"), connections),
        )
    });
    cases.into()
}
