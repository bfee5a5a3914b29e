//! Requests that wait while a Java virtual machine has stopped its program, by its own log.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::kernel;
use crate::laws::{number, spans, waited};
use crate::measured;
use crate::observation::Observation;
use crate::server::{Loading, Server, load};

const MS: u64 = 1_000_000;

/// Times in which the program was stopped, by the log of `-Xlog:safepoint` with times of the monotonic clock, ns.
fn safepoints(log: &str) -> Vec<(u64, u64)> {
    let lines = log.lines().filter(|line| line.contains("] Safepoint \""));
    let stops = lines.map(|line| {
        let end: u64 = line
            .trim_start_matches('[')
            .split("ns]")
            .next()
            .unwrap()
            .parse()
            .unwrap();
        let total = line.split("Total:").nth(1).unwrap();
        let total: u64 = total.split_whitespace().next().unwrap().parse().unwrap();
        (end - total, end)
    });
    stops.collect()
}

/// How much of an interval lies in these, ns.
fn stopped_ns(stops: &[(u64, u64)], from_ns: u64, to_ns: u64) -> u64 {
    let parts = stops
        .iter()
        .map(|&(first, last)| last.min(to_ns).saturating_sub(first.max(from_ns)));
    parts.sum()
}

#[test]
fn what_waits_for_the_end_of_a_safepoint_waits_for_the_runtime() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("java") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("safepoints");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/Stopped.java");
    let server = Server::start(
        Command::new("java")
            .args(["-XX:+UseSerialGC", "-Xmx256m"])
            .arg(format!("-Xlog:safepoint:file={}:timenanos", log.display()))
            .arg(source),
    );
    // What runs often is compiled by then.
    load(
        &server.url("/ping"),
        &["--connections", "2", "--requests", "2000"],
    );
    let observation = Observation::of(server.pid(), &[]);
    let collecting = Loading::start(
        &server.url("/collect"),
        &["--connections", "1", "--rate", "5", "--duration", "3s"],
    );
    load(
        &server.url("/ping"),
        &["--connections", "4", "--rate", "400", "--duration", "3s"],
    );
    assert_eq!(collecting.ended().1, 0);
    let lines = observation.finish();
    lines.without_loss();
    let header: Value = serde_json::from_str(&lines.written[0]).unwrap();
    let offset_ns = number(&header["unix_offset_ns"]);
    let stops = safepoints(&fs::read_to_string(log).unwrap());
    let (mut stopped, mut told, mut wrong, mut all, mut missed) = (0, 0, 0, 0, None);
    for request in &lines.requests {
        let begins_ns = number(&request["start_unix_ns"]) - offset_ns;
        let in_stops_ns = stopped_ns(&stops, begins_ns, begins_ns + number(&request["latency_ns"]));
        let mut right_ns = 0;
        for span in spans(request, "runtime") {
            assert_eq!(span["culprit"]["comm"], "VM Thread", "{span}");
            let from_ns = begins_ns + number(&span["at_ns"]);
            right_ns += stopped_ns(&stops, from_ns, from_ns + number(&span["dur_ns"]));
        }
        stopped += in_stops_ns;
        told += right_ns;
        all += waited(request, "runtime");
        wrong += waited(request, "runtime") - right_ns;
        if in_stops_ns > 5 * MS && right_ns * 2 < in_stops_ns {
            missed = Some(request);
        }
    }
    assert!(stopped > 100 * MS, "{stopped} ns in {} stops", stops.len());
    measured::OF_A_SAFEPOINT.holds_percent(stopped - told, stopped, missed);
    measured::OF_NO_SAFEPOINT.holds_percent(wrong, all, None);
}
