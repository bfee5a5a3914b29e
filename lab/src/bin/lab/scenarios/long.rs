//! Requests that take long: seconds on workers that are never idle, and large files.

use testbed::truth::FaultKind;

use super::super::scenario::{Expected, Injected, InjectedPart, Load, Scenario, Server};
use super::{case, closed, own, own_cpu, own_sleep, short};

/// What a job of the pool is made of, and what keeps it, or its request once the job is done.
const JOBS: &[&str] = &[
    "run_queue",
    "worker_busy",
    "task_queue",
    "on_cpu",
    "lock",
    "syscall",
];

pub(super) fn all() -> Vec<Scenario> {
    vec![seconds(), large_files()]
}

fn seconds() -> Scenario {
    Scenario {
        name: "seconds",
        about: "On four workers that small requests keep busy some requests compute for a second and more, and others sleep \
                in one job of the blocking pool after the other: `on_cpu`, `run_queue` where they did not get on, and \
                `syscall`, as of requests of milliseconds.",
        known: None,
        expected: Expected::Parts(vec![
            own_cpu(),
            InjectedPart::new(
                Injected::OwnAndAround(&[FaultKind::OffCpu], u64::MAX),
                &["run_queue"],
            ),
            own_sleep(),
        ]),
        cases: vec![
            short(case("2s", Server::workers(4), beside_many(700, 100))),
            case("10s", Server::workers(4), beside_many(3_000, 600)),
        ],
    }
}

fn large_files() -> Scenario {
    Scenario {
        name: "large-files",
        about: "Files go to eight connections. `tokio::fs` reads each piece in a job of the blocking pool, whose threads \
                take each other's jobs: computing, or a wait for a CPU, a worker or the pool's lock.",
        known: None,
        expected: Expected::Parts(vec![own(&[FaultKind::FileRead], JOBS)]),
        cases: vec![
            case("4MiB", files(2), closed("/file?kib=4096", 8)),
            short(case("40MiB", files(2), closed("/file?kib=40960", 8))),
            case("40MiB-axum", Server::workers(4), closed("/file?kib=40960", 8)),
        ],
    }
}

/// Requests that compute for so long, and others that sleep in so many jobs, beside many small ones.
fn beside_many(ms: u64, jobs: u64) -> Vec<Load> {
    vec![
        Load::closed(&format!("/burn?ms={ms}"), 2),
        Load::closed(&format!("/pool?ms=15&times={jobs}"), 4),
        Load::rate("/ping", 8, 4_000),
    ]
}

fn files(workers: u16) -> Server {
    Server::workers(workers).with(&["--framework", "hyper"])
}
