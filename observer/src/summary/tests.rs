//! Which turns the totals are of.

use super::*;
use crate::model::cause::{Budget, Cause};
use crate::model::request::{Confidence, Faults, Rss};

/// So many turns of a protocol, each of this latency.
fn add(summary: &mut Summary, protocol: Protocol, turns: u64, latency_ns: u64) {
    let mut budget = Budget::default();
    budget.charge(Cause::OnCpu, latency_ns);
    let figures = Figures {
        pid: 7,
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
    };
    for _ in 0..turns {
        summary.request(&figures, None, None);
    }
}

#[test]
fn requests_of_http_1_lead_however_few_they_are() {
    let mut summary = Summary::default();
    assert_eq!(summary.end(0, 1).totals.protocol, None);
    add(&mut summary, Protocol::Http2, 900, 50_000_000);
    add(&mut summary, Protocol::Http1, 10, 1_000_000);
    let totals = summary.close_window(0, 1).totals;
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
    for totals in [&window.totals, &window.run, &summary.end(0, 1).totals] {
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
    let quiet = summary.close_window(1, 1).totals;
    assert_eq!((quiet.protocol, quiet.requests), (Some(Protocol::Other), 0));
    assert_eq!(quiet.other_protocols, []);
}

#[test]
fn turns_that_were_not_answered_lead_nothing_that_has_others() {
    let mut summary = Summary::default();
    summary.unanswered(Protocol::Http1, 5);
    assert_eq!(summary.leading(), Some(Protocol::Http1));
    add(&mut summary, Protocol::Other, 1, 1_000);
    let totals = summary.end(0, 1).totals;
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
    assert!(summary.tail_threshold_ns(Protocol::Other).is_some());
    add(&mut summary, Protocol::Http1, 100, 1_000);
    assert_eq!(summary.tail_threshold_ns(Protocol::Other), None);
    assert_eq!(summary.tail_threshold_ns(Protocol::Http1), Some(1_000));
}
