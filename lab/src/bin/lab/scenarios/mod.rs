//! All scenarios, in the order in which they are run and printed.
//!
//! One file for each kind of trouble, and in it one function for each scenario: a new one is named in the list on top
//! of its file. The parts, sizes and loads that most of them share are here.

mod attached;
mod client;
mod computing;
mod controls;
mod frameworks;
mod go;
mod long;
mod plain;
mod queues;
mod returns;
mod tasks;
mod waits;

use testbed::truth::FaultKind;

use super::scenario::{Case, Culprit, Injected, InjectedPart, Load, Scenario, Server};

/// Injected lengths, microseconds.
const SIZES_US: &[u64] = &[200, 2_000, 20_000, 200_000];
/// The one of them that the short form runs.
const SHORT_US: u64 = 20_000;
/// Sizes that are also run near saturation.
const SATURATED_US: &[u64] = &[2_000, 20_000];
/// How much of one worker's time the faults take at light load, and near saturation.
const LIGHT_PERCENT: u64 = 15;
const HEAVY_PERCENT: u64 = 70;
/// More than this a second is a load on the machine and not on the server.
const MOST_PER_SECOND: u64 = 1_000;
/// With fewer there would be nothing to judge after some seconds.
const LEAST_PER_SECOND: u64 = 2;

/// The call in which a handler sleeps.
const SLEEPS: &[&str] = &["clock_nanosleep"];
/// Calls in which a handler waits that writes a file through to the disk.
const WRITES: &[&str] = &["fsync", "write", "openat", "close"];

/// What reading, parsing and answering a request takes beside its handler, at most.
const AROUND_NS: u64 = 500_000;

pub(super) fn all() -> Vec<Scenario> {
    let mut all = controls::all();
    all.extend(computing::all());
    all.extend(queues::all());
    all.extend(waits::all());
    all.extend(client::all());
    all.extend(attached::all());
    all.extend(tasks::all());
    all.extend(long::all());
    all.extend(plain::all());
    all.extend(returns::all());
    all.extend(go::all());
    all.extend(frameworks::all());
    all
}

/// The cases of a fault whose length a request asks for with `us`: `loads` makes the load from that and the rate at
/// which such requests come.
fn sized(server: &Server, loads: impl Fn(u64, u64) -> Vec<Load>) -> Vec<Case> {
    let light = SIZES_US.iter().map(|us| (*us, "light", LIGHT_PERCENT));
    let heavy = SATURATED_US.iter().map(|us| (*us, "heavy", HEAVY_PERCENT));
    light
        .chain(heavy)
        .map(|(us, name, percent)| {
            let case = case(
                &format!("{}-{name}", length(us)),
                server.clone(),
                loads(us, rate(us, percent)),
            );
            Case {
                short: us == SHORT_US && name == "light",
                ..case
            }
        })
        .collect()
}

/// What a request's own handler does.
fn own(kinds: &'static [FaultKind], causes: &'static [&'static str]) -> InjectedPart {
    InjectedPart::new(Injected::Own(kinds), causes)
}

fn own_cpu() -> InjectedPart {
    InjectedPart::new(Injected::OwnAndAround(&[FaultKind::Cpu], AROUND_NS), &["on_cpu"])
}

fn own_sleep() -> InjectedPart {
    own(&[FaultKind::Sleep], &["syscall"]).by(Culprit::syscalls(SLEEPS))
}

/// What the handlers of others do, on so many workers at once: all there are.
fn behind(kinds: &'static [FaultKind], workers: usize, causes: &'static [&'static str]) -> InjectedPart {
    InjectedPart::new(Injected::Behind(kinds, workers), causes)
}

/// So many requests a second, one at a time: none waits behind another.
fn one_at_a_time(path: &str, per_second: u64) -> Vec<Load> {
    vec![Load::rate(path, 1, per_second)]
}

/// From so many connections, each as fast as it is answered.
fn closed(path: &str, connections: u16) -> Vec<Load> {
    vec![Load::closed(path, connections)]
}

/// Small requests, beside others: so many a second, from so many connections.
fn beside(path: &str, connections: u16, per_second: u64) -> Vec<Load> {
    vec![
        Load::rate("/ping", 8, 300),
        Load::rate(path, connections, per_second),
    ]
}

fn case(name: &str, server: Server, loads: Vec<Load>) -> Case {
    Case::new(name, server, loads)
}

fn short(case: Case) -> Case {
    Case { short: true, ..case }
}

/// So many requests a second of this length take that part of a worker's time.
fn rate(us: u64, percent: u64) -> u64 {
    (percent * 10_000 / us).clamp(LEAST_PER_SECOND, MOST_PER_SECOND)
}

fn length(us: u64) -> String {
    match us {
        0..1000 => format!("{us}us"),
        _ => format!("{}ms", us / 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenario::Expected;
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn scenarios_and_their_cases_have_names_of_their_own() {
        let mut names = BTreeSet::new();
        for scenario in all() {
            assert!(names.insert(scenario.name), "{}", scenario.name);
            let cases: BTreeSet<_> = scenario.cases.iter().map(|case| &case.name).collect();
            assert_eq!(cases.len(), scenario.cases.len(), "{}", scenario.name);
        }
    }

    #[test]
    fn the_short_form_has_at_most_one_case_of_each() {
        for scenario in all() {
            let short = scenario.cases.iter().filter(|case| case.short).count();
            assert!(short <= 1, "{}", scenario.name);
        }
    }

    #[test]
    fn parts_of_a_scenario_have_different_causes() {
        for scenario in all() {
            if let Expected::Parts(parts) = scenario.expected {
                let causes: Vec<_> = parts.iter().flat_map(|part| part.causes).collect();
                let different: BTreeSet<_> = causes.iter().collect();
                assert_eq!(causes.len(), different.len(), "{}", scenario.name);
            }
        }
    }
}
