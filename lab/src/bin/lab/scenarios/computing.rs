//! Requests that compute, and what keeps them from it: other processes, a quota, memory that is not there.

use testbed::truth::FaultKind;

use super::super::scenario::{Case, Culprit, Expected, Injected, InjectedPart, Load, Scenario, Server};
use super::{behind, beside, case, length, one_at_a_time, own, own_cpu, short, sized};

pub(super) fn all() -> Vec<Scenario> {
    vec![
        cpu(),
        cpu_hog(),
        cpu_quota(),
        behind_computing(),
        stolen(),
        minor_faults(),
    ]
}

fn cpu() -> Scenario {
    Scenario {
        name: "cpu",
        about: "The handler computes. The request was `on_cpu`; the next one on the same worker waited behind it.",
        known: None,
        expected: Expected::Parts(vec![
            own_cpu(),
            behind(&[FaultKind::Cpu], 1, &["worker_busy"]).by(Culprit::request("GET /burn")),
        ]),
        cases: sized(&Server::workers(1), |us, rate| {
            vec![Load::rate(&format!("/burn?us={us}"), 4, rate)]
        }),
    }
}

fn cpu_hog() -> Scenario {
    Scenario {
        name: "cpu-hog",
        about: "The handler computes on a CPU that three hogs want too. The time in which it did not get on was \
                the `run_queue`, behind a hog.",
        known: None,
        expected: Expected::Parts(vec![
            own_cpu(),
            InjectedPart::new(
                Injected::OwnAndAround(&[FaultKind::OffCpu], u64::MAX),
                &["run_queue"],
            )
            .by(Culprit::comm("hog")),
        ]),
        cases: beside_hogs(),
    }
}

fn cpu_quota() -> Scenario {
    Scenario {
        name: "cpu-quota",
        about: "The handler computes in a control group with a tenth of a CPU. The time in which it did not get \
                on is `throttled`.",
        known: None,
        expected: Expected::Parts(vec![
            own_cpu(),
            InjectedPart::new(
                Injected::OwnAndAround(&[FaultKind::OffCpu], u64::MAX),
                &["throttled"],
            ),
        ]),
        cases: in_a_quota(),
    }
}

fn behind_computing() -> Scenario {
    Scenario {
        name: "behind-computing",
        about: "Small requests to a worker on which another computes: `worker_busy`, with that request's name.",
        known: None,
        expected: Expected::Parts(vec![
            own_cpu(),
            behind(&[FaultKind::Cpu], 1, &["worker_busy"]).by(Culprit::request("GET /burn")),
        ]),
        cases: sized(&Server::workers(1), |us, rate| {
            beside(&format!("/burn?us={us}"), 1, rate)
        }),
    }
}

fn stolen() -> Scenario {
    Scenario {
        name: "stolen",
        about: "The handler computes on a virtual machine. What the hypervisor took meanwhile is `stolen`: what the \
                thread had a CPU for, by the clock on the wall, less what its own CPU clock counts. Theft cannot be \
                made from within: where there was none only the computing is judged, and that is said.",
        known: None,
        expected: Expected::Parts(vec![own_cpu(), own(&[FaultKind::Stolen], &["stolen"])]),
        cases: vec![
            short(case(
                "20ms",
                Server::workers(1),
                one_at_a_time("/burn?us=20000", 25),
            )),
            case("100ms", Server::workers(1), one_at_a_time("/burn?us=100000", 5)),
        ],
    }
}

fn minor_faults() -> Scenario {
    Scenario {
        name: "minor-faults",
        about: "The handler touches fresh memory, a minor fault a page. That is work of its own: `on_cpu`.",
        known: None,
        expected: Expected::Parts(vec![own_cpu()]),
        cases: vec![
            case("1MiB", Server::workers(1), one_at_a_time("/touch?kib=1024", 100)),
            short(case(
                "16MiB",
                Server::workers(1),
                one_at_a_time("/touch?kib=16384", 20),
            )),
        ],
    }
}

/// Beside hogs on its one CPU.
fn beside_hogs() -> Vec<Case> {
    let sizes = [(2_000, 60), (10_000, 15), (40_000, 5)];
    let cases = sizes.map(|(us, rate)| {
        let server = Server {
            beside_hogs: Some((0, 3)),
            ..Server::workers(1)
        };
        let loads = one_at_a_time(&format!("/burn?us={us}"), rate);
        Case {
            short: us == 10_000,
            ..case(&length(us), server, loads)
        }
    });
    cases.into()
}

/// With a tenth of a CPU, by periods of different lengths.
fn in_a_quota() -> Vec<Case> {
    let periods = [(10_000, 4_000, 15), (50_000, 15_000, 5), (100_000, 40_000, 2)];
    let cases = periods.map(|(period_us, us, rate)| {
        let server = Server {
            quota_us: Some((period_us / 10, period_us)),
            ..Server::workers(1)
        };
        let loads = one_at_a_time(&format!("/burn?us={us}"), rate);
        Case {
            short: us == 15_000,
            ..case(&format!("{}-period", length(period_us)), server, loads)
        }
    });
    cases.into()
}
