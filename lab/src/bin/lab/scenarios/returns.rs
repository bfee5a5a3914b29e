//! Servers without a runtime whose event loop reads and answers all requests, and has a pool of threads do jobs for
//! them, which it hands back: Python's `run_in_executor`, libuv.
//!
//! For whom a job was is told by both of its ends. Beside what such servers do stand scenarios in which the tempting
//! answer is wrong.

use testbed::truth::FaultKind;

use super::super::scenario::{
    Case, Culprit, Expected, Injected, InjectedPart, KnownFailure, Load, Scenario, Server,
};
use super::{SLEEPS, behind, case, own, own_cpu, own_sleep, short};

/// Why it is not told for whom a job was.
const UNSEEN: &str =
    "a thread that goes on with the next job, and one that ends while the loop is awake, make no event";
const OR_A_JOB: &str = "where a job can have been what a request waited for, no timer is told";
const AT_ONCE: &str =
    "where two jobs, or a job and a timer, are over at once, nothing recorded says which is whose";

pub(super) fn all() -> Vec<Scenario> {
    vec![
        jobs(),
        row_of_jobs(),
        full_pool(),
        full_pool_computes(),
        loop_computes(),
        // The tempting answer is wrong.
        over_at_once(),
        beside_timers(),
        answers_later(),
        pool_with_room(),
    ]
}

fn jobs() -> Scenario {
    Scenario {
        name: "plain-returns",
        about: "An event loop has eight threads do jobs for requests, which they hand back, and answers: some sleep, \
                others compute. `syscall`, `on_cpu`.",
        known: None,
        expected: Expected::Parts(vec![own_cpu(), own_sleep()]),
        cases: vec![
            known(case("2ms", employing(8), sleeping_and_computing(2_000, 80))),
            short(known(case(
                "20ms",
                employing(8),
                sleeping_and_computing(20_000, 15),
            ))),
        ],
    }
}

fn row_of_jobs() -> Scenario {
    Scenario {
        name: "plain-returns-in-a-row",
        about: "The same with four jobs for each request, one after the other, as a file is opened, looked at, read \
                and closed: each is the request's.",
        known: Some(KnownFailure::unexplained(UNSEEN, 100)),
        expected: Expected::Parts(vec![own_cpu(), own_sleep()]),
        cases: vec![short(known(case(
            "5ms",
            employing(8),
            vec![
                Load::rate("/job/blocking?us=5000&jobs=4", 4, 40),
                Load::rate("/job/burn?us=2000&jobs=4", 2, 20),
                Load::rate("/ping", 4, 100),
            ],
        )))],
    }
}

fn full_pool() -> Scenario {
    Scenario {
        name: "plain-returns-full",
        about: "An event loop with two threads, which sleep for more requests than that: whoever waits for a thread \
                does so behind those, `worker_blocked`.",
        known: Some(KnownFailure::unexplained(UNSEEN, 80)),
        expected: Expected::Parts(vec![
            own_sleep(),
            behind(&[FaultKind::Sleep], 2, &["worker_blocked"])
                .by(Culprit::request("GET /job/blocking").and_syscalls(SLEEPS)),
        ]),
        cases: vec![
            known(case("5ms", employing(2), full("/job/blocking?us=5000", 3))),
            short(known(case(
                "20ms",
                employing(2),
                full("/job/blocking?us=20000", 3),
            ))),
        ],
    }
}

fn full_pool_computes() -> Scenario {
    Scenario {
        name: "plain-returns-full-computes",
        about: "The same with one thread, which computes for requests: `worker_busy` behind them.",
        known: Some(KnownFailure::unexplained(UNSEEN, 70)),
        expected: Expected::Parts(vec![
            own_cpu(),
            behind(&[FaultKind::Cpu], 1, &["worker_busy"]).by(Culprit::request("GET /job/burn")),
        ]),
        cases: vec![short(known(case(
            "20ms",
            employing(1),
            vec![
                Load::rate("/job/ping", 4, 100),
                Load::rate("/job/burn?us=20000", 2, 20),
            ],
        )))],
    }
}

fn loop_computes() -> Scenario {
    Scenario {
        name: "plain-returns-loop",
        about: "The event loop computes itself for some requests. Others wait for it to read them, or to go on with \
                them when their job is over: `worker_busy` behind those, and not `syscall` in the job.",
        known: Some(KnownFailure::unexplained(UNSEEN, 25)),
        expected: Expected::Parts(vec![
            own_cpu(),
            own_sleep(),
            InjectedPart::new(
                Injected::OwnAndBehind(&[FaultKind::HandedBack], &[FaultKind::Cpu], 1),
                &["worker_busy"],
            )
            .by(Culprit::request("GET /burn")),
        ]),
        cases: vec![short(known(case(
            "20ms",
            employing(4),
            vec![
                Load::rate("/burn?us=20000", 1, 20),
                // Not in step with the first: each job would begin and end beside the same of its requests, or none.
                Load::rate("/ping", 4, 103),
                Load::rate("/job/blocking?us=3000", 4, 97),
            ],
        )))],
    }
}

fn over_at_once() -> Scenario {
    Scenario {
        name: "plain-returns-at-once",
        about: "Jobs of the same length for several clients, each of which asks again when it is answered, so that \
                jobs begin and end at once. Some sleep, others wait in `poll` for a peer: none is the other's.",
        known: Some(KnownFailure::unexplained(AT_ONCE, 40)),
        expected: Expected::Parts(vec![
            own_sleep(),
            own(&[FaultKind::Peer], &["downstream"]).by(Culprit::peer()),
        ]),
        cases: vec![short(known(case(
            "20ms",
            employing(4).with_peer(&[]),
            vec![
                Load::closed("/job/blocking?us=20000", 2),
                Load::closed("/job/ask?us=20000", 2),
            ],
        )))],
    }
}

fn beside_timers() -> Scenario {
    Scenario {
        name: "plain-returns-timers",
        about: "Some requests wait for a timer of the event loop's and others for a job, equally long: timers are due \
                as jobs end. `timer` for the ones, `syscall` for the others.",
        known: Some(KnownFailure::unexplained(AT_ONCE, 85)),
        expected: Expected::Parts(vec![own(&[FaultKind::Timer], &["timer"]), own_sleep()]),
        cases: vec![short(known(case(
            "20ms",
            employing(4),
            vec![
                Load::closed("/ping?timer_us=20000", 2),
                Load::closed("/job/blocking?us=20000", 2),
            ],
        )))],
    }
}

fn answers_later() -> Scenario {
    Scenario {
        name: "plain-returns-later",
        about: "When their job is over some requests wait for a timer before they are answered, while jobs of others \
                end: `timer`, and of jobs no more than its own.",
        known: Some(KnownFailure::unexplained(OR_A_JOB, 50)),
        expected: Expected::Parts(vec![own(&[FaultKind::Timer], &["timer"]), own_sleep()]),
        cases: vec![short(known(case(
            "20ms",
            employing(8),
            vec![
                Load::rate("/job/blocking?us=5000&timer_us=20000", 2, 30),
                Load::rate("/job/blocking?us=8000", 2, 60),
            ],
        )))],
    }
}

fn pool_with_room() -> Scenario {
    Scenario {
        name: "plain-returns-with-room",
        about: "Two of four threads sleep for requests. Others find a thread that is free, and no CPU, which hogs \
                want: `run_queue`.",
        known: Some(KnownFailure::unexplained(AT_ONCE, 40)),
        expected: Expected::Parts(vec![
            own_cpu(),
            own_sleep(),
            InjectedPart::new(
                Injected::OwnAndAround(&[FaultKind::OffCpu], u64::MAX),
                &["run_queue"],
            ),
        ]),
        cases: vec![short(known(case(
            "8ms",
            Server {
                beside_hogs: Some((0, 3)),
                ..employing(4)
            },
            vec![
                Load::closed("/job/blocking?us=50000", 2),
                Load::rate("/job/burn?us=8000", 1, 12),
            ],
        )))],
    }
}

/// An event loop with so many threads.
fn employing(threads: u16) -> Server {
    Server::plain("returns", threads)
}

/// Before what counts, it becomes known who does jobs for whom.
fn known(case: Case) -> Case {
    Case {
        warm_up: "/job/blocking?us=2000",
        ..case
    }
}

/// Jobs of this length, so many of each kind a second.
fn sleeping_and_computing(us: u64, per_second: u64) -> Vec<Load> {
    // Not in step: else all of a run's jobs were over at the same time, or none.
    vec![
        Load::rate(&format!("/job/blocking?us={us}"), 4, 4 * per_second + 1),
        Load::rate(&format!("/job/burn?us={us}"), 2, per_second),
        Load::rate("/ping", 4, 103),
    ]
}

/// Small jobs, beside others for so many clients that ask again when they are answered.
fn full(path: &str, connections: u16) -> Vec<Load> {
    vec![Load::rate("/job/ping", 4, 100), Load::closed(path, connections)]
}
