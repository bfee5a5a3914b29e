//! What tasks of the runtime do to each other: some that are no request's hold a worker, others make one request
//! together.

use testbed::truth::Kind;

use super::super::scenario::{Culprit, Expected, Injected, Known, Load, Part, Scenario, Server};
use super::queues::{SLEEPS, own_sleep};
use super::{case, length, own_cpu, short, sized};

/// A task computed for the request, or for another before: no event says for which.
const COMPUTED: &[&str] = &["on_cpu", "worker_busy"];
/// A task could have been polled, and its worker ran another.
const NOT_POLLED: &[&str] = &["worker_busy", "task_queue"];

pub(super) fn all() -> Vec<Scenario> {
    let mut all = others();
    all.extend(of_one_request());
    all
}

/// Tasks that no request waits for.
fn others() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "spawned-computing",
            about: "Small requests to the one worker, on which tasks compute that are no request's: `worker_busy`, \
                    with the task.",
            known: None,
            expected: Expected::Parts(vec![Part::new(
                Injected::Behind(&[Kind::Cpu], 1),
                &["worker_busy"],
            )]),
            cases: sized(&Server::workers(1), |us, rate| {
                beside(&format!("/spawned/burn?us={us}"), 2, rate)
            }),
        },
        Scenario {
            name: "spawned-sleep",
            about: "Small requests to the one worker, which tasks put to sleep that are no request's: \
                    `worker_blocked`, with the call and the task.",
            known: None,
            expected: Expected::Parts(vec![
                Part::new(Injected::Behind(&[Kind::Sleep], 1), &["worker_blocked"])
                    .by(Culprit::syscalls(SLEEPS)),
            ]),
            cases: sized(&Server::workers(1), |us, rate| {
                beside(&format!("/spawned/blocking?us={us}"), 2, rate)
            }),
        },
        Scenario {
            name: "spawned-disk",
            about: "The same with tasks that read blocks with O_DIRECT: `worker_blocked` in `pread64`.",
            known: None,
            expected: Expected::Parts(vec![
                Part::new(Injected::Behind(&[Kind::Disk], 1), &["worker_blocked"])
                    .by(Culprit::syscalls(&["pread64"])),
            ]),
            cases: vec![
                case(
                    "8-blocks",
                    Server::workers(1),
                    beside("/spawned/direct?kib=1024", 1, 50),
                ),
                short(case(
                    "32-blocks",
                    Server::workers(1),
                    beside("/spawned/direct?kib=4096", 1, 20),
                )),
            ],
        },
        Scenario {
            name: "spawned-lock",
            about: "Small requests to two workers, on which one task sleeps with a mutex in its hand and another \
                    waits for it: `worker_blocked`.",
            known: None,
            expected: Expected::Parts(vec![Part::new(
                Injected::Behind(&[Kind::Sleep, Kind::Lock], 2),
                &["worker_blocked"],
            )]),
            cases: vec![
                case(
                    "2ms",
                    Server::workers(2),
                    four_at_once("/spawned/lock?us=2000", 50),
                ),
                short(case(
                    "20ms",
                    Server::workers(2),
                    four_at_once("/spawned/lock?us=20000", 6),
                )),
            ],
        },
        Scenario {
            name: "spawned-async-lock",
            about: "Requests want a mutex of the runtime's that a task, which is no request's, holds across an await \
                    of a timer: `timer`, which is what ends the wait, or `unexplained`.",
            known: None,
            expected: Expected::Parts(vec![
                Part::new(
                    // It waits no time with the lock in its hand, which is a tick of the runtime's clock.
                    Injected::Own(&[Kind::AsyncLock, Kind::Timer]),
                    &["timer", "unexplained"],
                )
                .nameless(),
            ]),
            cases: vec![short(case(
                "20ms",
                Server::workers(1),
                vec![
                    Load::rate("/async-lock?us=0", 8, 200),
                    Load::rate("/spawned/async-lock?us=20000", 1, 20),
                ],
            ))],
        },
        Scenario {
            name: "woken-and-not-polled",
            about: "Requests sleep in the blocking pool, and when they are done the one worker computes for another \
                    request: `worker_busy` behind that, or `task_queue`.",
            known: None,
            expected: Expected::Parts(vec![
                own_sleep(),
                Part::new(
                    Injected::OwnAndBehind(&[Kind::TaskQueue], &[Kind::Cpu], 1),
                    NOT_POLLED,
                ),
                own_cpu(),
            ]),
            cases: [("light", 15), ("heavy", 35)]
                .map(|(name, rate)| {
                    let loads = vec![
                        Load::rate("/pool?us=2000", 4, 150),
                        Load::rate("/burn?us=20000", 1, rate),
                    ];
                    let case = case(name, Server::workers(1), loads);
                    if name == "heavy" { short(case) } else { case }
                })
                .into(),
        },
        Scenario {
            name: "stealing",
            about: "Computing requests on two workers that steal from each other, and small ones between them. \
                    Behind two that compute at once it is `worker_busy`.",
            known: None,
            expected: Expected::Parts(vec![
                own_cpu(),
                Part::new(Injected::Behind(&[Kind::Cpu], 2), &["worker_busy"])
                    .by(Culprit::request("GET /burn")),
            ]),
            cases: vec![
                case("light", Server::workers(2), beside("/burn?us=20000", 4, 30)),
                short(case(
                    "saturated",
                    Server::workers(2),
                    vec![Load::rate("/ping", 4, 200), Load::closed("/burn?us=2000", 6)],
                )),
            ],
        },
    ]
}

/// Several tasks for one request.
fn of_one_request() -> Vec<Scenario> {
    let of = |path: &'static str, sizes: &[u64], short_size: u64| {
        sizes
            .iter()
            .map(|&us| {
                let loads = vec![Load::rate(
                    &format!("{path}?us={us}"),
                    2,
                    super::rate(us, 25).min(200),
                )];
                let case = case(&length(us), Server::workers(2), loads);
                if us == short_size { short(case) } else { case }
            })
            .collect()
    };
    let by_size = |path| of(path, &[200, 2_000, 20_000], 2_000);
    vec![
        Scenario {
            name: "join",
            about: "The handler spawns two tasks and awaits both. One computes, the other waits half as long: \
                    `on_cpu`, or `worker_busy`, because no event says for whom a task is; `run_queue` where the other \
                    worker takes the handler's CPU for it.",
            known: None,
            expected: Expected::Parts(vec![
                Part::new(Injected::Own(&[Kind::Cpu]), COMPUTED),
                Part::new(Injected::Own(&[Kind::OffCpu]), &["run_queue"]),
            ]),
            cases: by_size("/join"),
        },
        Scenario {
            name: "channel",
            about: "The handler sends a job to a task that all such requests share, which computes and replies: \
                    `on_cpu` or `worker_busy`, both for the job and for those before it.",
            known: None,
            expected: Expected::Parts(vec![Part::new(
                Injected::Own(&[Kind::ChannelQueue, Kind::Cpu]),
                COMPUTED,
            )]),
            cases: by_size("/channel"),
        },
        Scenario {
            name: "wake-first",
            about: "A task wakes the handler and goes on to compute. Whom a worker's task wakes is to be polled next \
                    by that worker, whatever the other worker does: `worker_busy` behind that task, or `task_queue`.",
            known: None,
            expected: Expected::Parts(vec![Part::new(Injected::Own(&[Kind::TaskQueue]), NOT_POLLED)]),
            cases: of("/wake-first", &[2_000, 20_000], 2_000),
        },
        Scenario {
            name: "wake-first-short",
            about: "The same for a fifth of the time in which observer looks once at what tasks run.",
            // 61 of a hundred were wrong on 27 November 2026 (docs/accuracy.md).
            known: Some(Known {
                why: "a task that runs for less than a millisecond between two events of another is mostly not seen, \
                      and its time counts as that one's",
                most_wrong: 75,
            }),
            expected: Expected::Parts(vec![Part::new(Injected::Own(&[Kind::TaskQueue]), NOT_POLLED)]),
            cases: of("/wake-first", &[200], 200),
        },
        Scenario {
            name: "block-in-place",
            about: "The handler tells the runtime that it will block, and sleeps: a `syscall`. Another thread goes on \
                    with the worker's tasks, and nobody waits behind it.",
            known: None,
            expected: Expected::Parts(vec![own_sleep()]),
            cases: vec![
                case(
                    "2ms",
                    Server::workers(1),
                    beside("/block-in-place?us=2000", 2, 75),
                ),
                short(case(
                    "20ms",
                    Server::workers(1),
                    beside("/block-in-place?us=20000", 2, 10),
                )),
            ],
        },
    ]
}

/// Small requests beside others.
fn beside(path: &str, connections: u16, rate: u64) -> Vec<Load> {
    vec![Load::rate("/ping", 8, 300), Load::rate(path, connections, rate)]
}

/// Small requests beside others of which four come at once.
fn four_at_once(path: &str, rate: u64) -> Vec<Load> {
    let mut loads = beside(path, 1, rate);
    loads.extend([(); 3].map(|()| Load::rate(path, 1, rate)));
    loads
}
