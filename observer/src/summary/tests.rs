//! Which turns the totals are of, and which those of a target.

mod ended;

use super::*;
use crate::model::cause::{Budget, Cause};
use crate::model::id::Tid;
use crate::model::report::Trouble;
use crate::model::request::{Confidence, Culprit, Detail, Faults, Rss};
use crate::threads::Usage;

/// So many turns of a protocol, each of this latency.
fn add(summary: &mut Summary, protocol: Protocol, turns: u64, latency_ns: u64) {
    let figures = figures(7, protocol, Cause::OnCpu, latency_ns);
    for _ in 0..turns {
        summary.request(&figures, None, None);
    }
}

/// So many requests for `/slow` that process `pid` answered, each of this latency.
fn slow(summary: &mut Summary, pid: u32, requests: u64, latency_ns: u64) {
    let figures = figures(pid, Protocol::Http1, Cause::OnCpu, latency_ns);
    for _ in 0..requests {
        summary.request(&figures, Some("/slow"), None);
    }
}

fn figures(pid: u32, protocol: Protocol, cause: Cause, latency_ns: u64) -> Figures {
    let mut budget = Budget::default();
    budget.charge(cause, latency_ns);
    Figures {
        pid: Pid(pid),
        protocol,
        status: None,
        arrival_ns: 1,
        latency_ns,
        receive_queue_ns: 0,
        bytes_in: 1,
        bytes_out: 1,
        unsent_bytes: 0,
        confidence: Confidence::Inferred,
        complete: true,
        rss: Rss::default(),
        faults: Faults::default(),
        budget,
    }
}

/// A wait behind process 9, which is called `hog`.
fn behind_hog() -> LongestWait {
    LongestWait {
        cause: Cause::RunQueue,
        dur_ns: 1_000,
        detail: Detail::default(),
        culprit: Some(Culprit {
            pid: Pid(9),
            tid: Tid(9),
            comm: Some("hog".into()),
            task: None,
            request: None,
            role: None,
            syscall: None,
            object: None,
            function: None,
            answer: None,
        }),
        function_seen_ns: 0,
        behind_pool: false,
    }
}

fn watching(pids: &[u32]) -> Summary {
    let mut summary = Summary::default();
    for &pid in pids {
        summary.target(Pid(pid), Some("server"));
    }
    summary
}

#[test]
fn requests_of_http_1_lead_however_few_they_are() {
    let mut summary = Summary::default();
    assert_eq!(summary.clone().end(0, 1).totals.figures.protocol, None);
    add(&mut summary, Protocol::Http2, 900, 50_000_000);
    add(&mut summary, Protocol::Http1, 10, 1_000_000);
    let totals = summary.close_window(0, 1).totals.figures;
    assert_eq!((totals.protocol, totals.requests), (Some(Protocol::Http1), 10));
    assert_eq!(totals.latency_ns.unwrap().max, 1_000_000);
    assert_eq!(totals.at.unwrap().p99.latency_ns, 1_000_000);
    let [other] = totals.other_protocols[..] else {
        panic!("{:?}", totals.other_protocols)
    };
    assert_eq!((other.protocol, other.turns), (Protocol::Http2, 900));
    assert!(other.p50_ns.unwrap().abs_diff(50_000_000) < 50_000, "{other:?}");
}

#[test]
fn without_http_1_the_protocol_with_most_turns_leads() {
    let mut summary = Summary::default();
    add(&mut summary, Protocol::Tls, 3, 1_000);
    add(&mut summary, Protocol::Other, 4, 2_000);
    let window = summary.close_window(0, 1);
    let end = summary.clone().end(0, 1).totals;
    for totals in [&window.totals, &window.run, &end].map(|totals| &totals.figures) {
        assert_eq!((totals.protocol, totals.requests), (Some(Protocol::Other), 4));
        assert_eq!(
            (
                totals.other_protocols[0].protocol,
                totals.other_protocols[0].turns
            ),
            (Protocol::Tls, 3)
        );
    }
    // A window in which nothing happened has no turns of it, and still says whose they would be.
    let quiet = summary.close_window(1, 1).totals.figures;
    assert_eq!((quiet.protocol, quiet.requests), (Some(Protocol::Other), 0));
    assert_eq!(quiet.other_protocols, []);
}

#[test]
fn turns_that_were_not_answered_lead_nothing_that_has_others() {
    let mut summary = Summary::default();
    summary.unanswered(Pid(7), Protocol::Http1, 5);
    let alone = summary.clone().end(0, 1).totals.figures;
    assert_eq!((alone.protocol, alone.unanswered), (Some(Protocol::Http1), 5));
    add(&mut summary, Protocol::Other, 1, 1_000);
    let totals = summary.clone().end(0, 1).totals.figures;
    assert_eq!(
        (totals.protocol, totals.requests, totals.unanswered),
        (Some(Protocol::Other), 1, 0)
    );
    let other = totals.other_protocols[0];
    assert_eq!((other.turns, other.unanswered, other.p50_ns), (0, 5, None));
}

#[test]
fn only_turns_of_the_leading_protocol_have_a_tail() {
    let mut summary = Summary::default();
    add(&mut summary, Protocol::Other, 500, 9_000);
    assert_eq!(summary.tail(Pid(7), Protocol::Http1), Tail::NotYetKnown);
    assert_eq!(summary.tail(Pid(7), Protocol::Tls), Tail::NotSought);
    assert!(matches!(summary.tail(Pid(7), Protocol::Other), Tail::From(_)));
    add(&mut summary, Protocol::Http1, 100, 1_000);
    assert_eq!(summary.tail(Pid(7), Protocol::Other), Tail::NotSought);
    assert_eq!(summary.tail(Pid(7), Protocol::Http1), Tail::From(1_000));
}

#[test]
fn two_targets_with_one_path_have_their_own_figures_and_the_totals_are_of_both() {
    let mut summary = watching(&[9, 7]);
    slow(&mut summary, 7, 300, 1_000_000);
    slow(&mut summary, 9, 100, 50_000_000);
    for totals in [summary.close_window(0, 1).totals, summary.end(0, 1).totals] {
        let pids: Vec<_> = totals
            .targets
            .iter()
            .map(|target| (target.pid, target.pids.clone()))
            .collect();
        // Of the end nothing is left in the window, so it has the same.
        assert_eq!(pids, [Pid(7), Pid(9)].map(|pid| (pid, vec![pid])));
        let figures: Vec<_> = totals.targets.iter().map(|target| &target.figures).collect();
        for (figures, requests, latency_ns) in [
            (figures[0], 300, 1_000_000),
            (figures[1], 100, 50_000_000),
            (&totals.figures, 400, 50_000_000),
        ] {
            assert_eq!(figures.requests, requests);
            let quantiles = figures.latency_ns.unwrap();
            assert!(
                quantiles.p99.abs_diff(latency_ns) * 1_000 <= latency_ns,
                "{quantiles:?}"
            );
            assert_eq!(figures.at.as_ref().unwrap().p99.latency_ns, latency_ns);
            let [path] = &figures.paths[..] else {
                panic!("{:?}", figures.paths)
            };
            assert_eq!((path.path.as_str(), path.requests), ("/slow", requests));
        }
        let p50 = totals.figures.latency_ns.unwrap().p50;
        assert!(p50.abs_diff(1_000_000) <= 1_000, "{p50}");
        assert_eq!(totals.targets_other, 0);
    }
}

#[test]
fn the_tail_of_a_target_is_what_is_slow_for_it() {
    let mut summary = watching(&[7, 9]);
    slow(&mut summary, 7, 1_000, 1_000);
    slow(&mut summary, 9, 1_000, 9_000_000);
    assert_eq!(summary.tail(Pid(7), Protocol::Http1), Tail::From(1_000));
    let of_slow = summary.tail(Pid(9), Protocol::Http1);
    assert!(matches!(of_slow, Tail::From(8_900_001..)), "{of_slow:?}");
    // And in each it is judged within the protocol that leads there.
    assert_eq!(summary.tail(Pid(9), Protocol::Other), Tail::NotSought);
    summary.target(Pid(11), None);
    assert_eq!(summary.tail(Pid(11), Protocol::Other), Tail::NotYetKnown);
    let redis = figures(11, Protocol::Other, Cause::OnCpu, 500);
    (0..100).for_each(|_| summary.request(&redis, None, None));
    assert_eq!(summary.tail(Pid(11), Protocol::Other), Tail::From(500));
    let totals = summary.end(0, 1).totals;
    assert_eq!(totals.targets[2].figures.protocol, Some(Protocol::Other));
    assert_eq!(
        (totals.figures.protocol, totals.figures.requests),
        (Some(Protocol::Http1), 2_000)
    );
    assert_eq!(totals.figures.other_protocols[0].turns, 100);
}

#[test]
fn children_and_theirs_stand_with_the_process_that_is_watched() {
    let mut summary = watching(&[7, 9]);
    summary.forked(Pid(7), Pid(70));
    summary.forked(Pid(70), Pid(700));
    // It had the number of a target that has ended.
    summary.forked(Pid(7), Pid(9));
    for pid in [70, 700, 9, 70] {
        slow(&mut summary, pid, 1, 1_000);
    }
    summary.memory(Pid(7), 4_096, 0, 0);
    summary.memory(Pid(700), 4_096, 0, 0);
    let totals = summary.end(0, 1).totals;
    let [master, other] = &totals.targets[..] else {
        panic!("{totals:?}")
    };
    assert_eq!(
        (master.pid, master.processes, master.figures.requests),
        (Pid(7), 4, 4)
    );
    assert_eq!(master.pids, [7, 9, 70, 700].map(Pid));
    assert_eq!(master.figures.memory.len(), 2);
    assert_eq!(
        (other.pid, other.processes, other.figures.requests),
        (Pid(9), 0, 0)
    );
}

#[test]
fn where_that_is_asked_for_each_process_has_its_own_figures() {
    let mut summary = watching(&[7]).apart();
    summary.forked(Pid(7), Pid(70));
    summary.forked(Pid(70), Pid(700));
    for pid in [7, 70, 700, 70] {
        slow(&mut summary, pid, 1, 1_000);
    }
    let totals = summary.end(0, 1).totals;
    let listed = totals.targets.iter().map(|target| {
        let requests = target.figures.requests;
        (target.pid, target.comm.as_deref(), target.processes, requests)
    });
    assert_eq!(
        listed.collect::<Vec<_>>(),
        [
            (Pid(7), Some("server"), 1, 1),
            (Pid(70), Some("server"), 1, 2),
            (Pid(700), Some("server"), 1, 1)
        ]
    );
}

#[test]
fn a_process_of_which_nobody_said_whose_it_is_stands_for_itself() {
    let mut summary = watching(&[7]);
    slow(&mut summary, 8, 3, 1_000);
    let totals = summary.end(0, 1).totals;
    let listed: Vec<_> = totals
        .targets
        .iter()
        .map(|target| (target.pid, target.comm.as_deref(), target.figures.requests))
        .collect();
    assert_eq!(listed, [(Pid(7), Some("server"), 0), (Pid(8), None, 3)]);
}

#[test]
fn targets_beyond_those_that_are_told_apart_are_in_the_totals_and_counted() {
    let mut summary = Summary::default();
    for pid in 1..=100 {
        slow(&mut summary, pid, 2, 1_000);
        summary.no_turns(
            Pid(pid),
            NoTurns {
                late_sends: 1,
                ..NoTurns::default()
            },
        );
    }
    let window = summary.close_window(0, 1);
    for totals in [&window.totals, &window.run] {
        assert_eq!(totals.targets.len(), 64);
        assert_eq!((totals.figures.requests, totals.targets_other), (200, 72));
        assert_eq!(totals.figures.late_sends, 100);
        assert_eq!(totals.figures.paths[0].requests, 200);
    }
    assert_eq!(
        summary.tail(Pid(100), Protocol::Http1),
        Tail::NotYetKnown,
        "there were too few of them"
    );
}

#[test]
fn more_processes_than_are_remembered_leave_those_that_work_where_they_belong() {
    let mut summary = watching(&[7]);
    summary.forked(Pid(7), Pid(70));
    for pid in 1_000..100_000 {
        summary.forked(Pid(7), Pid(pid));
        if pid % 1_000 == 0 {
            slow(&mut summary, 70, 1, 1_000);
            summary.close_window(0, 1);
        }
    }
    let totals = summary.end(0, 1).totals;
    assert_eq!(totals.targets.len(), 1);
    assert_eq!(
        (totals.targets[0].pids.as_slice(), totals.figures.requests),
        (&[Pid(70)][..], 99)
    );
}

#[test]
fn another_target_that_has_the_cpus_is_somebody_else() {
    let mut summary = watching(&[7, 9]);
    let hog = behind_hog();
    let usage = Usage {
        ran_ns: 1,
        ..Usage::default()
    };
    for pid in [7, 9] {
        summary.none_free(Pid(pid), 0);
        summary.worker(&WorkerUsage {
            pid: Pid(pid),
            tid: Tid(pid),
            comm: None,
            usage: &usage,
            request: None,
        });
    }
    for pid in [7, 9] {
        let waited = figures(pid, Protocol::Http1, Cause::RunQueue, 1_000);
        (0..100).for_each(|_| summary.request(&waited, None, Some(&hog)));
    }
    let totals = summary.end(0, 1).totals;
    let kinds = totals
        .targets
        .iter()
        .map(|target| target.figures.diagnosis.as_ref());
    let kinds: Vec<_> = kinds.map(|found| found.map(|found| found.kind)).collect();
    assert_eq!(kinds, [Some(Trouble::CpuTaken), Some(Trouble::CpuShort)]);
    let of_both = totals.figures.diagnosis.map(|found| found.kind);
    assert_eq!(
        of_both,
        Some(Trouble::CpuShort),
        "of both together it is their own"
    );
    // What both waited for is one thing.
    let waited_for = &totals.figures.at.unwrap().p99.waited_for;
    assert_eq!((waited_for.len(), waited_for[0].requests), (1, 2));
}
