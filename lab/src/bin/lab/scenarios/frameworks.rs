//! The same faults below every framework and on every kind of runtime: a scenario for each of these, with one case for
//! each kind of load.

use testbed::truth::FaultKind;

use super::super::scenario::{Case, Culprit, Expected, Load, Program, Scenario, Server};
use super::{SLEEPS, behind, case, closed, own, own_cpu, own_sleep, short};

/// A framework on a runtime.
struct Stack {
    name: &'static str,
    about: &'static str,
    arguments: &'static [&'static str],
    /// Threads of one runtime that run tasks.
    workers: usize,
    /// Such threads of the process.
    threads: u64,
}

const STACKS: &[Stack] = &[
    Stack {
        name: "axum-multi",
        about: "axum on two workers",
        arguments: &["--framework", "axum", "--runtime", "multi", "--workers", "2"],
        workers: 2,
        threads: 2,
    },
    Stack {
        name: "axum-current",
        about: "axum on a current-thread runtime",
        arguments: &["--framework", "axum", "--runtime", "current"],
        workers: 1,
        threads: 1,
    },
    Stack {
        name: "axum-two",
        about: "axum on two runtimes with a worker each, which share the connections",
        arguments: &["--framework", "axum", "--runtime", "two", "--workers", "1"],
        workers: 1,
        threads: 2,
    },
    Stack {
        name: "hyper-multi",
        about: "hyper on two workers",
        arguments: &["--framework", "hyper", "--runtime", "multi", "--workers", "2"],
        workers: 2,
        threads: 2,
    },
    Stack {
        name: "hyper-current",
        about: "hyper on a current-thread runtime",
        arguments: &["--framework", "hyper", "--runtime", "current"],
        workers: 1,
        threads: 1,
    },
    Stack {
        name: "hyper-two",
        about: "hyper on two runtimes with a worker each, which share the connections",
        arguments: &["--framework", "hyper", "--runtime", "two", "--workers", "1"],
        workers: 1,
        threads: 2,
    },
    Stack {
        name: "actix",
        about: "actix-web with two workers, each with a current-thread runtime of its own",
        arguments: &["--framework", "actix", "--workers", "2"],
        workers: 1,
        threads: 2,
    },
];

pub(super) fn all() -> Vec<Scenario> {
    STACKS.iter().map(scenario).collect()
}

fn scenario(stack: &Stack) -> Scenario {
    Scenario {
        name: stack.name,
        about: stack.about,
        known: None,
        expected: Expected::Parts(vec![
            own_cpu(),
            own_sleep(),
            own(&[FaultKind::Timer], &["timer"]),
            own(&[FaultKind::Peer, FaultKind::ConnectionQueue], &["downstream"]).by(Culprit::peer()),
            behind(&[FaultKind::Cpu], stack.workers, &["worker_busy"]).by(Culprit::request("GET /burn")),
            behind(&[FaultKind::Sleep], stack.workers, &["worker_blocked"])
                .by(Culprit::request("GET /blocking").and_syscalls(SLEEPS)),
        ]),
        cases: cases(stack),
    }
}

fn cases(stack: &Stack) -> Vec<Case> {
    let ping = || Load::rate("/ping", 8, 300);
    let every_thread = |per_second: u64| per_second * stack.threads;
    vec![
        short(case(
            "mixed-light",
            server(stack),
            vec![
                ping(),
                Load::rate("/blocking?us=20000", 4, every_thread(5)),
                Load::rate("/burn?us=10000", 4, every_thread(5)),
                Load::rate("/timer?us=20000", 2, 20),
                Load::rate("/downstream?us=5000", 2, 40),
            ],
        )),
        case(
            "sleeping-heavy",
            server(stack),
            vec![ping(), Load::rate("/blocking?us=20000", 4, every_thread(35))],
        ),
        case(
            "computing-heavy",
            server(stack),
            vec![ping(), Load::rate("/burn?us=10000", 4, every_thread(35))],
        ),
        case(
            "saturated",
            server(stack),
            vec![Load::rate("/ping", 4, 200), Load::closed("/burn?us=1000", 8)],
        ),
        case("peer-saturated", server(stack), closed("/downstream?us=2000", 32)),
    ]
}

fn server(stack: &Stack) -> Server {
    Server::of(Program::Faulty).with(stack.arguments).with_peer(&[])
}
