//! Requests that wait until others are done: for a worker, a lock, a thread of the pool, to be accepted.

use testbed::truth::FaultKind;

use super::super::scenario::{Culprit, Expected, Injected, InjectedPart, Load, Scenario, Server};
use super::{SLEEPS, WRITES, behind, beside, case, closed, own, own_cpu, own_sleep, short, sized};

pub(super) fn all() -> Vec<Scenario> {
    vec![
        behind_sleep(),
        behind_disk(),
        behind_peer(),
        behind_lock(),
        lock(),
        async_lock(),
        pool_queue(),
        accept_queue(),
        accept_behind_sleep(),
        accept_behind_computing(),
        accept_crowd(),
    ]
}

fn behind_sleep() -> Scenario {
    Scenario {
        name: "behind-sleep",
        about: "Small requests to the one worker, which another's handler puts to sleep: `worker_blocked`, with \
                the call and that request's name. The sleeper itself is in a `syscall`.",
        known: None,
        expected: Expected::Parts(vec![
            own_sleep(),
            behind(&[FaultKind::Sleep], 1, &["worker_blocked"])
                .by(Culprit::request("GET /blocking").and_syscalls(SLEEPS)),
        ]),
        cases: sized(&Server::workers(1), |us, rate| {
            beside(&format!("/blocking?us={us}"), 2, rate)
        }),
    }
}

fn behind_disk() -> Scenario {
    Scenario {
        name: "behind-disk",
        about: "Small requests to the one worker, on which another's handler writes a file through to the disk: \
                `worker_blocked` behind that request.",
        known: None,
        expected: Expected::Parts(vec![
            own(&[FaultKind::Disk], &["syscall"]),
            behind(&[FaultKind::Disk], 1, &["worker_blocked"])
                .by(Culprit::request("GET /blocking-file").and_syscalls(WRITES)),
        ]),
        cases: vec![
            case(
                "64KiB",
                Server::workers(1),
                beside("/blocking-file?kib=64", 1, 60),
            ),
            short(case(
                "4MiB",
                Server::workers(1),
                beside("/blocking-file?kib=4096", 1, 12),
            )),
        ],
    }
}

fn behind_peer() -> Scenario {
    Scenario {
        name: "behind-peer",
        about: "Small requests to the one worker, on which another's handler asks a peer and waits in `poll` for the \
                answer, as a synchronous client with a time limit does: `worker_blocked` behind that request, which \
                itself waits for the peer: `downstream`.",
        known: None,
        expected: Expected::Parts(vec![
            own(&[FaultKind::Peer], &["downstream"]).by(Culprit::peer()),
            behind(&[FaultKind::Peer], 1, &["worker_blocked"])
                .by(Culprit::request("GET /ask").and_syscalls(&["poll", "ppoll"])),
        ]),
        cases: sized(&Server::workers(1).with_peer(&[]), |us, rate| {
            beside(&format!("/ask?us={us}"), 2, rate)
        }),
    }
}

fn behind_lock() -> Scenario {
    Scenario {
        name: "behind-lock",
        about: "Small requests to two workers, of which one sleeps with a mutex in its hand and the other waits \
                for it: `worker_blocked` behind one of the two, which are requests of the same name.",
        known: None,
        expected: Expected::Parts(vec![
            own_sleep(),
            own(&[FaultKind::Lock], &["lock"]),
            behind(&[FaultKind::Sleep, FaultKind::Lock], 2, &["worker_blocked"])
                .by(Culprit::request("GET /lock")),
        ]),
        cases: vec![
            case("2ms", Server::workers(2), beside("/lock?us=2000", 3, 150)),
            short(case("20ms", Server::workers(2), beside("/lock?us=20000", 3, 15))),
        ],
    }
}

fn lock() -> Scenario {
    Scenario {
        name: "lock",
        about: "Four requests at a time, each on a worker of its own, all for one mutex that each holds for a \
                while: `lock`, behind the holder, for those that wait; a `syscall` for the holder's sleep.",
        known: None,
        expected: Expected::Parts(vec![
            own_sleep(),
            own(&[FaultKind::Lock], &["lock"]).by(Culprit::request("GET /lock")),
        ]),
        cases: vec![
            case("200us", Server::workers(8), closed("/lock?us=200", 4)),
            case("2ms", Server::workers(8), closed("/lock?us=2000", 4)),
            short(case("20ms", Server::workers(8), closed("/lock?us=20000", 4))),
        ],
    }
}

fn async_lock() -> Scenario {
    Scenario {
        name: "async-lock",
        about: "The same with a mutex of the runtime's, held across an await of a timer. No event says that a \
                task waits for a lock, and what ends the wait is the holder's timer: `timer` and `unexplained` \
                are both right, and no other cause is.",
        known: None,
        expected: Expected::Parts(vec![
            own(
                &[FaultKind::AsyncLock, FaultKind::Timer],
                &["timer", "unexplained"],
            )
            .nameless(),
        ]),
        cases: vec![
            case("2ms", Server::workers(1), closed("/async-lock?us=2000", 4)),
            short(case(
                "20ms",
                Server::workers(1),
                closed("/async-lock?us=20000", 4),
            )),
        ],
    }
}

fn pool_queue() -> Scenario {
    Scenario {
        name: "pool-queue",
        about: "Six requests at a time want a blocking pool of two threads, each for a sleep. Who waits for a \
                thread of the pool waits for a worker that is blocked for another: `worker_blocked`. Where no \
                event joins the job to its request, `unexplained` is right too.",
        known: None,
        expected: Expected::Parts(vec![
            own_sleep(),
            own(&[FaultKind::PoolQueue], &["worker_blocked", "unexplained"]),
        ]),
        cases: vec![
            case("2ms", pool_of_two(), closed("/pool?us=2000", 6)),
            short(case("20ms", pool_of_two(), closed("/pool?us=20000", 6))),
        ],
    }
}

fn accept_queue() -> Scenario {
    Scenario {
        name: "accept-queue",
        about: "The server leaves its listener alone for a while, with its worker idle; every request comes on a \
                new connection: `accept_queue`.",
        known: None,
        expected: Expected::Parts(vec![
            own(&[FaultKind::NotAccepting], &["timer"]),
            InjectedPart::new(Injected::Unaccepted, &["accept_queue"]),
        ]),
        cases: vec![
            case("2ms", Server::workers(1), not_accepting(2_000, 60)),
            short(case("20ms", Server::workers(1), not_accepting(20_000, 10))),
            case("200ms", Server::workers(1), not_accepting(200_000, 2)),
        ],
    }
}

fn accept_behind_sleep() -> Scenario {
    Scenario {
        name: "accept-behind-sleep",
        about: "Every small request comes on a new connection, while all workers sleep in the handlers of others: \
                `accept_queue`, or `worker_blocked` once it is accepted, with the call and that request's name.",
        known: None,
        expected: Expected::Parts(vec![
            own_sleep(),
            behind(&[FaultKind::Sleep], 1, &["accept_queue", "worker_blocked"])
                .by(Culprit::request("GET /blocking").and_syscalls(SLEEPS)),
        ]),
        cases: vec![
            case(
                "2ms",
                Server::workers(1),
                new_connections_beside("/blocking?us=2000", 100),
            ),
            short(case(
                "20ms",
                Server::workers(1),
                new_connections_beside("/blocking?us=20000", 15),
            )),
            case(
                "200ms",
                Server::workers(1),
                new_connections_beside("/blocking?us=200000", 2),
            ),
        ],
    }
}

fn accept_behind_computing() -> Scenario {
    Scenario {
        name: "accept-behind-computing",
        about: "The same while the one worker computes for another: `accept_queue`, or `worker_busy` once it is \
                accepted, behind that request.",
        known: None,
        expected: behind_computing(),
        cases: vec![short(case(
            "20ms",
            Server::workers(1),
            new_connections_beside("/burn?us=20000", 15),
        ))],
    }
}

fn accept_crowd() -> Scenario {
    Scenario {
        name: "accept-crowd",
        about: "Forty connections at once, each for one request that computes for a millisecond, again and again: \
                `accept_queue` and `worker_busy`, behind those that came before.",
        known: None,
        expected: behind_computing(),
        cases: vec![short(case(
            "40",
            Server::workers(1),
            vec![Load::closed("/burn?us=1000", 40).with(&["--reconnect"])],
        ))],
    }
}

/// Until it is accepted and read, a request waits behind others that compute.
fn behind_computing() -> Expected {
    let behind = behind(&[FaultKind::Cpu], 1, &["accept_queue", "worker_busy"]);
    Expected::Parts(vec![own_cpu(), behind.by(Culprit::request("GET /burn"))])
}

fn not_accepting(us: u64, rate: u64) -> Vec<Load> {
    vec![
        Load::rate("/ping", 8, 150).with(&["--reconnect"]),
        Load::rate(&format!("/not-accepting?us={us}"), 1, rate),
    ]
}

/// Small requests on new connections, beside others on one that is kept.
fn new_connections_beside(path: &str, rate: u64) -> Vec<Load> {
    vec![
        Load::rate("/ping", 8, 200).with(&["--reconnect"]),
        Load::rate(path, 1, rate),
    ]
}

fn pool_of_two() -> Server {
    Server::workers(1).with(&["--pool-threads", "2"])
}
