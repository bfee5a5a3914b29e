//! Requests that compute, and what keeps them and others from it.

use testbed::truth::FaultKind;

use super::super::super::scenario::{
    Culprit, Expected, Injected, InjectedPart, KnownFailure, Load, Scenario, Server,
};
use super::super::{behind, beside, case, closed, one_at_a_time, own_cpu, short};

/// A slow request where nothing is wrong.
const INNOCENT: &[&str] = &["on_cpu", "run_queue"];

pub(super) fn all() -> Vec<Scenario> {
    vec![nothing(), behind_computing(), two_procs(), hog(), quota()]
}

fn nothing() -> Scenario {
    Scenario {
        name: "go-nothing",
        about: "No fault. Slow requests have waited for a CPU, or stood behind others.",
        known: None,
        expected: Expected::Nothing(INNOCENT),
        cases: vec![
            short(case("light", Server::go(2), vec![Load::rate("/ping", 4, 200)])),
            case("one-proc", Server::go(1), vec![Load::rate("/ping", 16, 2000)]),
            case("saturated", Server::go(2), closed("/ping", 16)),
        ],
    }
}

fn behind_computing() -> Scenario {
    Scenario {
        name: "go-behind-computing",
        about: "Small requests beside others that compute, where one goroutine runs at a time: `worker_busy`, with the \
                other request's name. After 10 ms Go takes a goroutine that computes off its thread.",
        known: None,
        expected: computing(1),
        cases: vec![
            case("2ms", Server::go(1), beside("/burn?us=2000", 1, 75)),
            short(case("8ms", Server::go(1), beside("/burn?us=8000", 1, 40))),
            case("40ms", Server::go(1), beside("/burn?us=40000", 1, 5)),
        ],
    }
}

fn two_procs() -> Scenario {
    Scenario {
        name: "go-two-procs",
        about: "The same where two run at a time: who waits does so behind two that compute, or for a CPU.",
        known: Some(KnownFailure::unexplained(
            "no event tells that a goroutine is ready where the thread that takes it up has nothing to do",
            15,
        )),
        expected: computing(2),
        cases: vec![
            short(case(
                "8ms",
                Server::go(2),
                vec![Load::rate("/ping", 4, 200), Load::closed("/burn?us=8000", 3)],
            )),
            case(
                "saturated",
                Server::go(2),
                vec![Load::rate("/ping", 4, 200), Load::closed("/burn?us=2000", 6)],
            ),
        ],
    }
}

fn hog() -> Scenario {
    let server = Server {
        beside_hogs: Some((0, 3)),
        ..Server::go(1)
    };
    Scenario {
        name: "go-hog",
        about: "The handler computes on a CPU that three hogs want too: `run_queue` behind a hog.",
        known: None,
        expected: kept_from_a_cpu(&["run_queue"], Culprit::comm("hog")),
        cases: vec![short(case("8ms", server, one_at_a_time("/burn?us=8000", 15)))],
    }
}

fn quota() -> Scenario {
    let server = Server {
        quota_us: Some((5_000, 50_000)),
        ..Server::go(1)
    };
    Scenario {
        name: "go-quota",
        about: "The handler computes in a control group with a tenth of a CPU: `throttled`.",
        known: None,
        expected: kept_from_a_cpu(&["throttled"], Culprit::default()),
        cases: vec![short(case("15ms", server, one_at_a_time("/burn?us=15000", 5)))],
    }
}

/// Requests that compute, and others that wait behind so many of them at once.
fn computing(procs: usize) -> Expected {
    Expected::Parts(vec![
        own_cpu(),
        behind(&[FaultKind::Cpu], procs, &["worker_busy"]).by(Culprit::request("GET /burn")),
    ])
}

/// Requests that compute, and are kept from it for one of these causes.
fn kept_from_a_cpu(causes: &'static [&'static str], culprit: Culprit) -> Expected {
    let kept = InjectedPart::new(Injected::OwnAndAround(&[FaultKind::OffCpu], u64::MAX), causes);
    Expected::Parts(vec![own_cpu(), kept.by(culprit)])
}
