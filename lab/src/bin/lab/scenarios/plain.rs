//! Servers without a runtime: pools of threads, event loops with helpers and without, a lock that all threads need.
//!
//! What their threads are is told by what they do. Beside each kind stands a scenario in which the tempting answer is
//! wrong.

use testbed::truth::FaultKind;

use super::super::scenario::{Case, Culprit, Expected, Injected, InjectedPart, Load, Scenario, Server};
use super::{SLEEPS, behind, beside, case, own, own_cpu, own_sleep, short};

const FUTEX: &[&str] = &["futex"];
const POLLS: &[&str] = &["poll", "ppoll"];

pub(super) fn all() -> Vec<Scenario> {
    vec![
        pool_waits(),
        pool_computes(),
        pool_of_connections(),
        two_pools(),
        pool_with_room(),
        event_loop(),
        loop_polls(),
        two_loops(),
        fed_pool(),
        fed_two_pools(),
        global_lock(),
        global_lock_is_free(),
    ]
}

fn pool_waits() -> Scenario {
    Scenario {
        name: "plain-pool-waits",
        about: "One thread watches all connections and hands those that are readable to four others, all of which \
                requests hold that wait on a condition variable until their time is over: `worker_blocked` in `futex` \
                behind that request; `timer` for itself.",
        known: None,
        expected: Expected::Parts(vec![
            own(&[FaultKind::Timer], &["timer", "syscall"]),
            behind(&[FaultKind::Timer], 4, &["worker_blocked"])
                .by(Culprit::request("GET /hold").and_syscalls(FUTEX)),
        ]),
        cases: vec![
            case("5ms", Server::plain("dispatcher", 4), held("/hold?us=5000")),
            short(case(
                "50ms",
                Server::plain("dispatcher", 4),
                held("/hold?us=50000"),
            )),
        ],
    }
}

fn pool_computes() -> Scenario {
    Scenario {
        name: "plain-pool-computes",
        about: "The same with one thread in the pool, for which requests compute: `worker_busy` behind them.",
        known: None,
        expected: Expected::Parts(vec![
            own_cpu(),
            behind(&[FaultKind::Cpu], 1, &["worker_busy"]).by(Culprit::request("GET /burn")),
        ]),
        cases: vec![
            case(
                "2ms",
                Server::plain("dispatcher", 1),
                beside("/burn?us=2000", 2, 150),
            ),
            short(case(
                "20ms",
                Server::plain("dispatcher", 1),
                beside("/burn?us=20000", 2, 20),
            )),
        ],
    }
}

fn pool_of_connections() -> Scenario {
    Scenario {
        name: "plain-pool-accepted",
        about: "One thread accepts connections and hands each to three others, which serve it until it is closed. All \
                three sleep for requests; others come on new connections: `worker_blocked` behind the sleepers.",
        known: None,
        expected: Expected::Parts(vec![
            own_sleep(),
            behind(&[FaultKind::Sleep], 3, &["worker_blocked"])
                .by(Culprit::request("GET /blocking").and_syscalls(SLEEPS)),
        ]),
        cases: vec![short(case(
            "20ms",
            Server::plain("acceptor", 3),
            vec![
                Load::rate("/ping", 8, 100).with(&["--reconnect"]),
                Load::closed("/blocking?us=20000", 4).with(&["--reconnect"]),
            ],
        ))],
    }
}

fn two_pools() -> Scenario {
    Scenario {
        name: "plain-two-pools",
        about: "One thread hands connections to two pools, by the address to which they came. Both are full: whoever \
                waits for the second waits behind what sleeps there, and not behind what is held in the first.",
        known: None,
        expected: Expected::Parts(vec![
            own_sleep(),
            own(&[FaultKind::Timer], &["timer"]),
            behind(&[FaultKind::Sleep], 2, &["worker_blocked"])
                .by(Culprit::request("GET /blocking").and_syscalls(SLEEPS)),
        ]),
        cases: vec![short(case(
            "30ms",
            Server::plain("dispatcher", 2).with(&["--second"]),
            vec![
                Load::closed("/hold?us=50000", 4),
                Load::rate("/ping", 4, 100).at_second(),
                Load::closed("/blocking?us=30000", 2).at_second(),
            ],
        ))],
    }
}

fn pool_with_room() -> Scenario {
    Scenario {
        name: "plain-pool-with-room",
        about: "Two of four threads sleep for requests. Others find a thread that is free, and no CPU, which hogs \
                want: `run_queue`.",
        known: None,
        expected: Expected::Parts(vec![
            own_cpu(),
            own_sleep(),
            InjectedPart::new(
                Injected::OwnAndAround(&[FaultKind::OffCpu], u64::MAX),
                &["run_queue"],
            ),
        ]),
        cases: beside_hogs(
            Server::plain("dispatcher", 4),
            vec![
                Load::closed("/blocking?us=50000", 2),
                Load::rate("/burn?us=8000", 1, 12),
            ],
        ),
    }
}

fn event_loop() -> Scenario {
    Scenario {
        name: "plain-loop",
        about: "An event loop serves all. For some it computes: `worker_busy` behind those. For others it asks a peer, \
                and waits for it in `poll`: `worker_blocked` in that call behind those, which themselves wait for the \
                peer: `downstream`.",
        known: None,
        expected: Expected::Parts(vec![
            own_cpu(),
            own(&[FaultKind::Peer], &["downstream"]).by(Culprit::peer()),
            behind(&[FaultKind::Cpu], 1, &["worker_busy"]).by(Culprit::request("GET /burn")),
            behind(&[FaultKind::Peer], 1, &["worker_blocked"])
                .by(Culprit::request("GET /ask").and_syscalls(POLLS)),
        ]),
        cases: vec![
            case("2ms", asking(), in_turn(2_000, 75)),
            short(case("20ms", asking(), in_turn(20_000, 10))),
        ],
    }
}

fn loop_polls() -> Scenario {
    Scenario {
        name: "plain-loop-polls",
        about: "An event loop waits in `poll` for its few sockets, one of a peer that a request needs among them. \
                That is no call of the request: `downstream`, and nobody waits behind it.",
        known: None,
        expected: Expected::Parts(vec![
            own(&[FaultKind::Peer], &["downstream"]).by(Culprit::peer()),
            own_cpu(),
            behind(&[FaultKind::Cpu], 1, &["worker_busy"]).by(Culprit::request("GET /burn")),
        ]),
        cases: vec![short(case(
            "20ms",
            Server::plain("loop", 1).with(&["--poll"]).with_peer(&[]),
            vec![
                Load::closed("/downstream?us=20000", 1),
                Load::rate("/ping", 1, 100),
                Load::rate("/burn?us=5000", 1, 20),
            ],
        ))],
    }
}

fn two_loops() -> Scenario {
    Scenario {
        name: "plain-two-loops",
        about: "Two event loops with an address each. The first computes, the second sleeps: its requests wait behind \
                the sleep and not behind the computing.",
        known: None,
        expected: Expected::Parts(vec![
            own_cpu(),
            own_sleep(),
            behind(&[FaultKind::Sleep], 1, &["worker_blocked"])
                .by(Culprit::request("GET /blocking").and_syscalls(SLEEPS)),
        ]),
        cases: vec![short(case(
            "20ms",
            Server::plain("loop", 1).with(&["--second"]),
            vec![
                Load::closed("/burn?us=15000", 1),
                Load::rate("/ping", 4, 150).at_second(),
                Load::rate("/blocking?us=20000", 1, 20).at_second(),
            ],
        ))],
    }
}

fn fed_pool() -> Scenario {
    Scenario {
        name: "plain-fed-pool",
        about: "An event loop reads all requests and two other threads answer them. Both sleep for requests: \
                `worker_blocked` behind those.",
        known: None,
        expected: Expected::Parts(vec![
            own_sleep(),
            behind(&[FaultKind::Sleep], 2, &["worker_blocked"])
                .by(Culprit::request("GET /blocking").and_syscalls(SLEEPS)),
        ]),
        cases: vec![
            case("5ms", Server::plain("fed", 2), in_two("/blocking?us=5000")),
            short(case(
                "20ms",
                Server::plain("fed", 2),
                in_two("/blocking?us=20000"),
            )),
        ],
    }
}

fn fed_two_pools() -> Scenario {
    Scenario {
        name: "plain-fed-two-pools",
        about: "An event loop reads all requests, for two pools. The second is full of sleepers, and the first has \
                room: its threads are no threads for those that wait.",
        known: None,
        expected: Expected::Parts(vec![
            own_sleep(),
            behind(&[FaultKind::Sleep], 2, &["worker_blocked"])
                .by(Culprit::request("GET /blocking").and_syscalls(SLEEPS)),
        ]),
        cases: vec![short(case(
            "20ms",
            Server::plain("fed", 2).with(&["--second"]),
            vec![
                Load::rate("/ping", 2, 100),
                Load::rate("/ping", 2, 100).at_second(),
                Load::rate("/blocking?us=20000", 4, 80).at_second(),
            ],
        ))],
    }
}

fn global_lock() -> Scenario {
    Scenario {
        name: "plain-global-lock",
        about: "A thread for each connection, and one lock that who computes has and lets go when another has waited \
                for 5 ms: `lock` behind the request that has it, or behind nobody: who stops to wait just then finds \
                it free, and nothing recorded says who had it.",
        known: None,
        expected: Expected::Parts(vec![
            own(&[FaultKind::Lock], &["lock"])
                .by(Culprit::request("GET /burn"))
                .nameless(),
            own_cpu(),
        ]),
        cases: vec![short(with_lock_known(case(
            "40ms",
            Server::plain("interpreter", 1),
            vec![Load::rate("/ping", 3, 100), Load::closed("/burn?us=40000", 1)],
        )))],
    }
}

fn global_lock_is_free() -> Scenario {
    Scenario {
        name: "plain-global-lock-free",
        about: "The same lock, which nobody else wants when requests want it, on a CPU that hogs want: `run_queue`.",
        known: None,
        expected: Expected::Parts(vec![
            own_cpu(),
            own_sleep(),
            InjectedPart::new(
                Injected::OwnAndAround(&[FaultKind::OffCpu], u64::MAX),
                &["run_queue"],
            ),
        ]),
        cases: beside_hogs(
            Server::plain("interpreter", 1),
            vec![
                Load::rate("/burn?us=8000", 1, 12),
                Load::closed("/blocking?us=50000", 1),
            ],
        )
        .into_iter()
        .map(with_lock_known)
        .collect(),
    }
}

/// An event loop with a peer.
fn asking() -> Server {
    Server::plain("loop", 1).with_peer(&[])
}

/// So many of each a second, of this length.
fn in_turn(us: u64, per_second: u64) -> Vec<Load> {
    let mut loads = beside(&format!("/burn?us={us}"), 1, per_second);
    loads.push(Load::rate(&format!("/ask?us={us}"), 1, per_second));
    loads
}

/// One more than there are threads in the pool hold them all the time.
fn held(path: &str) -> Vec<Load> {
    vec![Load::rate("/ping", 4, 100), Load::closed(path, 5)]
}

/// One more than two.
fn in_two(path: &str) -> Vec<Load> {
    vec![Load::rate("/ping", 4, 100), Load::closed(path, 3)]
}

fn beside_hogs(server: Server, loads: Vec<Load>) -> Vec<Case> {
    let server = Server {
        beside_hogs: Some((0, 3)),
        ..server
    };
    vec![short(case("8ms", server, loads))]
}

/// Before what counts, several requests want the lock at once.
fn with_lock_known(case: Case) -> Case {
    Case {
        warm_up: "/burn?us=8000",
        ..case
    }
}
