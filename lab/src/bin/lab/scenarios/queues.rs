//! Requests that wait until others are done: for a worker, a lock, a thread of the pool, to be accepted.

use testbed::truth::Kind;

use super::super::scenario::{Culprit, Expected, Injected, Load, Part, Scenario, Server};
use super::{case, own_cpu, short, sized};

pub(super) const SLEEPS: &[&str] = &["clock_nanosleep"];
/// What writing a file to the disk may wait in.
const WRITES: &[&str] = &["fsync", "write", "openat", "close"];

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "behind-sleep",
            about: "Small requests to the one worker, which another's handler puts to sleep: `worker_blocked`, with \
                    the call and that request's name. The sleeper itself is in a `syscall`.",
            known: None,
            expected: Expected::Parts(vec![
                own_sleep(),
                Part::new(Injected::Behind(&[Kind::Sleep], 1), &["worker_blocked"])
                    .by(Culprit::request("GET /blocking").and_syscalls(SLEEPS)),
            ]),
            cases: sized(&Server::workers(1), |us, rate| {
                vec![
                    Load::rate("/ping", 8, 300),
                    Load::rate(&format!("/blocking?us={us}"), 2, rate),
                ]
            }),
        },
        Scenario {
            name: "behind-disk",
            about: "Small requests to the one worker, on which another's handler writes a file through to the disk: \
                    `worker_blocked` behind that request.",
            known: None,
            expected: Expected::Parts(vec![
                Part::new(Injected::Own(&[Kind::Disk]), &["syscall"]),
                Part::new(Injected::Behind(&[Kind::Disk], 1), &["worker_blocked"])
                    .by(Culprit::request("GET /blocking-file").and_syscalls(WRITES)),
            ]),
            cases: vec![
                case("64KiB", Server::workers(1), behind_file(64, 60)),
                short(case("4MiB", Server::workers(1), behind_file(4096, 12))),
            ],
        },
        Scenario {
            name: "behind-lock",
            about: "Small requests to two workers, of which one sleeps with a mutex in its hand and the other waits \
                    for it: `worker_blocked` behind one of the two, which are requests of the same name.",
            known: None,
            expected: Expected::Parts(vec![
                own_sleep(),
                Part::new(Injected::Own(&[Kind::Lock]), &["lock"]),
                Part::new(
                    Injected::Behind(&[Kind::Sleep, Kind::Lock], 2),
                    &["worker_blocked"],
                )
                .by(Culprit::request("GET /lock")),
            ]),
            cases: vec![
                case("2ms", Server::workers(2), behind_lock(2_000, 150)),
                short(case("20ms", Server::workers(2), behind_lock(20_000, 15))),
            ],
        },
        Scenario {
            name: "lock",
            about: "Four requests at a time, each on a worker of its own, all for one mutex that each holds for a \
                    while: `lock`, behind the holder, for those that wait; a `syscall` for the holder's sleep.",
            known: None,
            expected: Expected::Parts(vec![
                own_sleep(),
                Part::new(Injected::Own(&[Kind::Lock]), &["lock"]).by(Culprit::request("GET /lock")),
            ]),
            cases: vec![
                case("200us", Server::workers(8), convoy("/lock?us=200")),
                case("2ms", Server::workers(8), convoy("/lock?us=2000")),
                short(case("20ms", Server::workers(8), convoy("/lock?us=20000"))),
            ],
        },
        Scenario {
            name: "async-lock",
            about: "The same with a mutex of the runtime's, held across an await of a timer. No event says that a \
                    task waits for a lock, and what ends the wait is the holder's timer: `timer` and `unexplained` \
                    are both right, and no other cause is.",
            known: None,
            expected: Expected::Parts(vec![
                Part::new(
                    Injected::Own(&[Kind::AsyncLock, Kind::Timer]),
                    &["timer", "unexplained"],
                )
                .nameless(),
            ]),
            cases: vec![
                case("2ms", Server::workers(1), convoy("/async-lock?us=2000")),
                short(case("20ms", Server::workers(1), convoy("/async-lock?us=20000"))),
            ],
        },
        Scenario {
            name: "pool-queue",
            about: "Six requests at a time want a blocking pool of two threads, each for a sleep. Who waits for a \
                    thread of the pool waits for a worker that is blocked for another: `worker_blocked`. Where no \
                    event joins the job to its request, `unexplained` is right too.",
            known: None,
            expected: Expected::Parts(vec![
                own_sleep(),
                Part::new(
                    Injected::Own(&[Kind::PoolQueue]),
                    &["worker_blocked", "unexplained"],
                ),
            ]),
            cases: vec![
                case("2ms", pool_of_two(), convoy_of(6, "/pool?us=2000")),
                short(case("20ms", pool_of_two(), convoy_of(6, "/pool?us=20000"))),
            ],
        },
        Scenario {
            name: "accept-queue",
            about: "The server leaves its listener alone for a while, with its worker idle; every request comes on a \
                    new connection: `accept_queue`.",
            known: None,
            expected: Expected::Parts(vec![
                Part::new(Injected::Own(&[Kind::NotAccepting]), &["timer"]),
                Part::new(Injected::Unaccepted, &["accept_queue"]),
            ]),
            cases: vec![
                case("2ms", Server::workers(1), not_accepting(2_000, 60)),
                short(case("20ms", Server::workers(1), not_accepting(20_000, 10))),
                case("200ms", Server::workers(1), not_accepting(200_000, 2)),
            ],
        },
        Scenario {
            name: "accept-behind-sleep",
            about: "Every small request comes on a new connection, while all workers sleep in the handlers of others: \
                    `accept_queue`, or `worker_blocked` once it is accepted, with the call and that request's name.",
            known: None,
            expected: Expected::Parts(vec![
                own_sleep(),
                Part::new(
                    Injected::Behind(&[Kind::Sleep], 1),
                    &["accept_queue", "worker_blocked"],
                )
                .by(Culprit::request("GET /blocking").and_syscalls(SLEEPS)),
            ]),
            cases: vec![
                case("2ms", Server::workers(1), new_beside("/blocking?us=2000", 1, 100)),
                short(case(
                    "20ms",
                    Server::workers(1),
                    new_beside("/blocking?us=20000", 1, 15),
                )),
                case(
                    "200ms",
                    Server::workers(1),
                    new_beside("/blocking?us=200000", 1, 2),
                ),
            ],
        },
        Scenario {
            name: "accept-behind-computing",
            about: "The same while the one worker computes for another: `accept_queue`, or `worker_busy` once it is \
                    accepted, behind that request.",
            known: None,
            expected: behind_computing(),
            cases: vec![short(case(
                "20ms",
                Server::workers(1),
                new_beside("/burn?us=20000", 1, 15),
            ))],
        },
        Scenario {
            name: "accept-crowd",
            about: "Sixty connections at once, each for one request that computes for a millisecond, again and again: \
                    `accept_queue` and `worker_busy`, behind those that came before.",
            known: None,
            expected: behind_computing(),
            cases: vec![short(case(
                "60",
                Server::workers(1),
                vec![Load::closed("/burn?us=1000", 60).with(&["--reconnect"])],
            ))],
        },
    ]
}

/// Until it is accepted and read, a request waits behind others that compute.
fn behind_computing() -> Expected {
    let behind = Injected::Behind(&[Kind::Cpu], 1);
    let part = Part::new(behind, &["accept_queue", "worker_busy"]);
    Expected::Parts(vec![own_cpu(), part.by(Culprit::request("GET /burn"))])
}

pub(super) fn own_sleep() -> Part {
    Part::new(Injected::Own(&[Kind::Sleep]), &["syscall"]).by(Culprit::syscalls(SLEEPS))
}

fn behind_file(kib: u64, rate: u64) -> Vec<Load> {
    vec![
        Load::rate("/ping", 8, 300),
        Load::rate(&format!("/blocking-file?kib={kib}"), 1, rate),
    ]
}

fn behind_lock(us: u64, rate: u64) -> Vec<Load> {
    vec![
        Load::rate("/ping", 8, 300),
        Load::rate(&format!("/lock?us={us}"), 3, rate),
    ]
}

fn not_accepting(us: u64, rate: u64) -> Vec<Load> {
    vec![
        Load::rate("/ping", 8, 150).with(&["--reconnect"]),
        Load::rate(&format!("/not-accepting?us={us}"), 1, rate),
    ]
}

/// Small requests on new connections, beside others on so many that are kept.
fn new_beside(path: &str, connections: u16, rate: u64) -> Vec<Load> {
    vec![
        Load::rate("/ping", 8, 200).with(&["--reconnect"]),
        Load::rate(path, connections, rate),
    ]
}

fn pool_of_two() -> Server {
    Server::workers(1).with(&["--pool-threads", "2"])
}

fn convoy(path: &str) -> Vec<Load> {
    convoy_of(4, path)
}

fn convoy_of(connections: u16, path: &str) -> Vec<Load> {
    vec![Load::closed(path, connections)]
}
