//! What Go's garbage collector takes, by the execution trace that the server makes of itself.

use testbed::truth::FaultKind;

use super::super::super::scenario::{Culprit, Expected, KnownFailure, Load, Scenario, Server};
use super::super::{behind, case, closed, one_at_a_time, own, short};

/// What is in use, MiB: it takes some tens of milliseconds to mark it.
const HEAP_MIB: &str = "64";

/// 11 of a hundred requests in `go-assist`, 88 in `go-collection`, on 29 November 2026, where two goroutines ran at a
/// time.
const WAITS_BEHIND: &str = "who waits until garbage is marked is told to wait behind the goroutine that marks, or for a \
                            CPU with it; the trace does not tell who had none";

pub(super) fn all() -> Vec<Scenario> {
    vec![assist(), collection(), marking()]
}

fn assist() -> Scenario {
    Scenario {
        name: "go-assist",
        about: "The handler allocates large pieces beside a heap that takes long to mark: while that goes on it must help. \
                That is the `runtime`.",
        known: Some(KnownFailure {
            why: WAITS_BEHIND,
            most_wrong: 20,
            most_unexplained: 0,
        }),
        expected: Expected::Parts(vec![own(&[FaultKind::Assist], &["runtime"])]),
        cases: vec![short(case(
            "1MiB",
            traced(1).with(&["--gogc", "20"]),
            closed("/garbage?kib=1024&times=4", 1),
        ))],
    }
}

fn collection() -> Scenario {
    Scenario {
        name: "go-collection",
        about: "The handler calls `runtime.GC` and waits for a whole cycle: `runtime`.",
        known: Some(KnownFailure {
            why: WAITS_BEHIND,
            most_wrong: 90,
            most_unexplained: 0,
        }),
        expected: Expected::Parts(vec![own(&[FaultKind::Collection], &["runtime"])]),
        cases: vec![short(case("64MiB", traced(1), one_at_a_time("/collect", 5)))],
    }
}

fn marking() -> Scenario {
    Scenario {
        name: "go-marking",
        about: "Small requests beside one that has a large heap marked, where one goroutine runs at a time: \
                `worker_busy` behind the garbage collector's own goroutine.",
        known: None,
        expected: Expected::Parts(vec![
            own(&[FaultKind::Collection], &["runtime"]),
            behind(&[FaultKind::Mark], 1, &["worker_busy"]).by(Culprit::role("GC worker")),
        ]),
        cases: vec![short(case(
            "64MiB",
            traced(1),
            vec![Load::rate("/ping", 4, 300), Load::rate("/collect", 1, 4)],
        ))],
    }
}

fn traced(procs: u16) -> Server {
    Server {
        traced: true,
        ..Server::go(procs).with(&["--heap-mib", HEAP_MIB])
    }
}
