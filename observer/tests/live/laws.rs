//! The laws that hold for every request of every run, checked on what was written.

use std::collections::BTreeMap;

use observer::attribution::notes::{NO_RECORD, NOT_SEEN};
use observer::model::cause::Cause;
use serde_json::Value;

use crate::measured;

/// A count or a time.
#[track_caller]
pub(crate) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

/// Nanoseconds by cause.
fn budget(request: &Value) -> BTreeMap<&str, u64> {
    let budget = request["budget_ns"].as_object().expect("there is a budget");
    budget
        .iter()
        .map(|(cause, ns)| (cause.as_str(), number(ns)))
        .collect()
}

/// Conservation: budget and timeline add up to the latency, and are the same partition of it.
pub(crate) fn check_request(request: &Value) {
    let latency_ns = number(&request["latency_ns"]);
    let mut charged = budget(request);
    assert_eq!(charged.values().sum::<u64>(), latency_ns, "the budget: {request}");
    for cause in charged.keys() {
        assert!(
            Cause::ALL.iter().any(|known| known.name() == *cause),
            "cause {cause}: {request}"
        );
    }
    let mut at_ns = 0;
    for span in request["timeline"].as_array().expect("there is a timeline") {
        let dur_ns = number(&span["dur_ns"]);
        assert_eq!(number(&span["at_ns"]), at_ns, "a gap or an overlap: {request}");
        assert!(dur_ns > 0, "an empty span: {request}");
        at_ns += dur_ns;
        let left = charged
            .get_mut(span["cause"].as_str().unwrap())
            .expect("its cause is in the budget");
        *left = left
            .checked_sub(dur_ns)
            .unwrap_or_else(|| panic!("the budget is less: {request}"));
    }
    assert_eq!(at_ns, latency_ns, "the timeline: {request}");
    assert!(
        charged.values().all(|left| *left == 0),
        "the timeline is not the budget: {request}"
    );
    assert!(number(&request["receive_queue_ns"]) <= latency_ns, "{request}");
    let confidence = request["confidence"].as_str().unwrap();
    assert!(
        ["exact", "inferred", "partial"].contains(&confidence),
        "{request}"
    );
}

/// The protocol of a line: HTTP/1 is not named in `request` lines.
pub(crate) fn protocol(line: &Value) -> &str {
    line["protocol"].as_str().unwrap_or("http/1")
}

/// The totals count every request, in each of the ways in which they count, and so does each target its own.
pub(crate) fn check_end(end: &Value, requests: &[Value]) {
    check_figures(end);
    // A slow reader loses lines, which are counted.
    let unwritten = end["lost"]["output_full"].as_u64().unwrap_or(0);
    let is_line_of_each = unwritten == 0;
    if is_line_of_each {
        check_lines(end, &requests.iter().collect::<Vec<_>>());
    } else {
        let lines = requests.iter().filter(|line| protocol(line) == protocol(end));
        let lines = lines.count() as u64;
        assert!(
            lines + unwritten >= number(&end["requests"]),
            "{lines} lines: {end}"
        );
    }
    let targets = end["targets"].as_array().unwrap();
    let mut of_targets = number(&end["targets_other"]);
    for target in targets {
        let pids: Vec<_> = target["pids"].as_array().unwrap().iter().map(number).collect();
        check_figures(target);
        if is_line_of_each && number(&target["processes"]) == pids.len() as u64 {
            let is_of = |line: &&Value| pids.contains(&number(&line["pid"]));
            check_lines(target, &requests.iter().filter(is_of).collect::<Vec<_>>());
        }
        of_targets += turns_of(target, protocol(end));
    }
    assert_eq!(of_targets, number(&end["requests"]), "the targets add up: {end}");
    if let [only] = &targets[..] {
        for (field, value) in only.as_object().unwrap() {
            assert!(
                ["pid", "comm", "processes", "pids", "ended"].contains(&field.as_str())
                    || end[field] == *value,
                "{field} of the only target: {end}"
            );
        }
    }
}

/// Turns of a protocol in these figures.
fn turns_of(figures: &Value, of: &str) -> u64 {
    if protocol(figures) == of {
        return number(&figures["requests"]);
    }
    let others = figures["other_protocols"].as_array().unwrap().iter();
    let others = others.filter(|other| other["protocol"] == of);
    others.map(|other| number(&other["turns"])).sum()
}

/// The figures add up.
fn check_figures(end: &Value) {
    let count = number(&end["requests"]);
    for by in ["confidence", "status"] {
        let sum: u64 = end[by].as_object().unwrap().values().map(number).sum();
        assert_eq!(sum, count, "by {by}: {end}");
    }
    let paths: u64 = end["paths"]
        .as_array()
        .unwrap()
        .iter()
        .map(|path| number(&path["requests"]))
        .sum();
    assert!(paths + number(&end["paths_other"]) <= count, "{end}");
    for band in end["at"].as_object().into_iter().flat_map(|at| at.values()) {
        assert_eq!(
            budget(band).values().sum::<u64>(),
            number(&band["latency_ns"]),
            "{band}"
        );
    }
    let quantiles = &end["latency_ns"];
    if count > 0 {
        let rising = ["min", "p50", "p90", "p99", "p999", "max"].map(|name| number(&quantiles[name]));
        assert!(rising.is_sorted(), "{quantiles}");
    }
}

/// The figures count every one of these requests.
fn check_lines(end: &Value, requests: &[&Value]) {
    for other in end["other_protocols"].as_array().unwrap() {
        let lines = requests.iter().filter(|line| protocol(line) == other["protocol"]);
        assert_eq!(
            lines.count() as u64,
            number(&other["turns"]),
            "every turn is a line: {end}"
        );
    }
    let requests: Vec<_> = requests
        .iter()
        .filter(|line| protocol(line) == protocol(end))
        .collect();
    let count = number(&end["requests"]);
    assert_eq!(requests.len() as u64, count, "every request is a line");
    let incomplete = requests
        .iter()
        .filter(|request| request["complete"] == false)
        .count();
    assert_eq!(number(&end["incomplete"]), incomplete as u64);
    if count > 0 {
        let slowest = requests
            .iter()
            .map(|request| number(&request["latency_ns"]))
            .max();
        assert_eq!(slowest, Some(number(&end["latency_ns"]["max"])));
    }
}

/// What took most of a request: the cause, its time, and the longest span that it was charged for.
pub(crate) fn largest(request: &Value) -> (&str, u64, &Value) {
    let (cause, ns) = budget(request)
        .into_iter()
        .max_by_key(|(_, ns)| *ns)
        .expect("the budget is not empty");
    let longest = spans(request, cause).max_by_key(|span| number(&span["dur_ns"]));
    (cause, ns, longest.unwrap())
}

/// The time of a request that was charged to `cause`.
pub(crate) fn waited(request: &Value, cause: &str) -> u64 {
    budget(request).get(cause).copied().unwrap_or(0)
}

/// Whether a thread of the request went on without having been seen to get a CPU. There are machines whose own agent is
/// hidden: while a thread of it has a CPU, no program and no trace of the kernel's tells what happens there.
pub(crate) fn is_unseen(request: &Value) -> bool {
    // Of a thread that slept since before observer attached there is no record then.
    spans(request, "unexplained").any(|span| span["note"] == NOT_SEEN || span["note"] == NO_RECORD)
}

/// Those of a test's requests of which every thread was seen, see [`is_unseen`].
#[track_caller]
pub(crate) fn seen<'a>(requests: impl IntoIterator<Item = &'a Value>) -> Vec<&'a Value> {
    let (unseen, seen): (Vec<_>, Vec<_>) = requests.into_iter().partition(|request| is_unseen(request));
    measured::HIDDEN_IN_A_TEST.holds_of(&unseen);
    seen
}

/// The spans of a request that were charged to `cause`.
pub(crate) fn spans<'a>(request: &'a Value, cause: &str) -> impl Iterator<Item = &'a Value> {
    let all = request["timeline"].as_array().unwrap().iter();
    all.filter(move |span| span["cause"] == cause)
}
