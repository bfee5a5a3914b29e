//! Functions are named, with what a program's file tells of them: debug information, symbols, or nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::kernel;
use crate::laws::{number, spans};
use crate::measured::{self, Measured};
use crate::observation::Observation;
use crate::run::{DEADLINE, run};
use crate::server::{Server, load, testbed};

/// A stack each 5 ms.
pub(crate) const OFTEN: &[&str] = &["--sample-hz", "1990"];

const NOT_NAMED: &str = "not named";

/// How long spans of `cause` took all together, by function, ns. Only those that were sampled for sure: at
/// [`OFTEN`] there is one in each.
pub(crate) fn functions(requests: &[Value], cause: &str) -> BTreeMap<String, u64> {
    let long = requests
        .iter()
        .flat_map(|request| spans(request, cause))
        .filter(|span| number(&span["dur_ns"]) >= 5_000_000);
    let mut functions = BTreeMap::new();
    for span in long {
        let function = match cause {
            "on_cpu" => &span["function"],
            _ => &span["culprit"]["function"],
        };
        let function = function.as_str().unwrap_or(NOT_NAMED).to_owned();
        *functions.entry(function).or_default() += number(&span["dur_ns"]);
    }
    functions
}

/// What stripping leaves of a program; itself where there is nothing to strip.
fn stripped(program: &Path, arguments: &[&str], directory: &TempDir) -> PathBuf {
    let path = directory.path().join("server");
    let status = run(Command::new("strip")
        .args(arguments)
        .arg("-o")
        .args([&path, &program.to_owned()]));
    assert!(status.status.success(), "{status:?}");
    path
}

/// Loads a server until the first function is named: its program's symbols are read meanwhile. Gives how many requests
/// that took.
pub(crate) fn until_named(observation: &mut Observation, url: &str, arguments: &[&str]) -> usize {
    let until = Instant::now() + DEADLINE;
    let mut asked = 0;
    loop {
        asked += usize::try_from(load(url, &[arguments, &["--requests", "10"]].concat())).unwrap();
        let soon = Instant::now() + Duration::from_millis(5);
        let is_named = |line: &Value| {
            let timeline = line["timeline"].as_array().into_iter().flatten();
            let mut spans = timeline.map(|span| [&span["function"], &span["culprit"]["function"]]);
            spans.any(|functions| functions.iter().any(|function| function.is_string()))
        };
        if observation.line_before(soon, "function", is_named).is_some() {
            return asked;
        }
        assert!(soon < until, "no function is named after {DEADLINE:?}");
    }
}

/// Two clients of one worker, each of which asks for 30 ms of computing.
const TWO: &[&str] = &["--connections", "2"];
const BURN: &str = "/burn?us=30000";

/// The culprits' functions when two clients of one worker each ask for 30 ms of computing.
fn behind_a_busy_worker(program: &Path, arguments: &[&str]) -> BTreeMap<String, u64> {
    let server = Server::start(Command::new(program).args(["--workers", "1"]));
    let mut observation = Observation::of(server.pid(), arguments);
    let before = until_named(&mut observation, &server.url(BURN), TWO);
    load(&server.url(BURN), &[TWO, &["--requests", "60"]].concat());
    let lines = observation.finish();
    assert_eq!(lines.without_loss().requests.len(), before + 60);
    functions(&lines.requests[before..], "worker_busy")
}

/// Checks that most of the time has a function whose name begins so.
#[track_caller]
pub(crate) fn most_are(functions: &BTreeMap<String, u64>, beginning: &str, others: &Measured) {
    let right = functions
        .iter()
        .filter(|(function, _)| function.starts_with(beginning));
    let (right_ns, all_ns) = (
        right.map(|(_, ns)| ns).sum::<u64>(),
        functions.values().sum::<u64>(),
    );
    assert!(all_ns >= 20_000_000, "{beginning}: {functions:?}");
    others.holds_percent(all_ns - right_ns, all_ns, Some(&json!(functions)));
}

#[test]
fn samples_come_and_have_names() {
    let Some(_turn) = kernel::turn() else { return };
    let functions = behind_a_busy_worker(&testbed("faulty-server"), &[]);
    let named = functions
        .keys()
        .any(|function| function.starts_with("faulty_server::"));
    assert!(named, "{functions:?}");
}

#[test]
fn behind_a_busy_worker_the_function_that_computes_is_named() {
    let Some(_turn) = kernel::turn() else { return };
    most_are(
        &behind_a_busy_worker(&testbed("faulty-server"), OFTEN),
        "faulty_server::",
        &measured::FUNCTIONS_BEHIND,
    );
}

#[test]
fn who_computes_for_milliseconds_now_and_then_is_named_at_the_default_rate() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&["--workers", "1"]);
    let mut observation = Observation::of(server.pid(), &[]);
    let now_and_then = ["--connections", "1", "--rate", "20"];
    let url = server.url("/burn?us=6000");
    let before = until_named(&mut observation, &url, &now_and_then);
    load(&url, &[&now_and_then[..], &["--requests", "60"]].concat());
    let lines = observation.finish();
    let requests = &lines.without_loss().requests[before..];
    most_are(
        &functions(requests, "on_cpu"),
        "faulty_server::",
        &measured::FUNCTIONS_NOW_AND_THEN,
    );
}

#[test]
fn many_who_each_compute_for_a_moment_are_named_by_what_they_do_most() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&["--workers", "1"]);
    let observation = Observation::counting(server.pid());
    // Some 28 samples come of 4,000: too few to tell for certain what they do most. A slow machine does fewer.
    load(
        &server.url("/burn?us=1000"),
        &["--connections", "12", "--requests", "12000", "--duration", "20s"],
    );
    let lines = observation.finish();
    // On a busy machine they wait for a CPU as well.
    let mut waits = lines.end["at"]["p50"]["waited_for"].as_array().unwrap().iter();
    let busy = waits.find(|wait| wait["cause"] == "worker_busy");
    let function = busy
        .and_then(|busy| busy["function"].as_str())
        .unwrap_or(NOT_NAMED);
    assert!(function.starts_with("faulty_server::"), "{}", lines.end);
}

#[test]
fn without_debug_information_the_symbols_have_the_names_and_without_symbols_there_are_none() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("strip") {
        return;
    }
    let directory = TempDir::new().unwrap();
    let program = stripped(&testbed("faulty-server"), &["--strip-debug"], &directory);
    most_are(
        &behind_a_busy_worker(&program, OFTEN),
        "faulty_server::",
        &measured::FUNCTIONS_OF_SYMBOLS,
    );
    let program = stripped(&testbed("faulty-server"), &["--strip-all"], &directory);
    let server = Server::start(Command::new(program).args(["--workers", "1"]));
    let observation = Observation::of(server.pid(), OFTEN);
    load(&server.url(BURN), &[TWO, &["--requests", "60"]].concat());
    let lines = observation.finish();
    assert!(lines.end["cost"]["samples"].as_u64() > Some(0), "{}", lines.end);
    let functions = functions(&lines.without_loss().requests, "worker_busy");
    assert!(functions.keys().eq([NOT_NAMED]), "{functions:?}");
}

#[test]
fn in_an_optimized_program_inlined_functions_are_named_where_it_has_debug_information() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("rustc") {
        return;
    }
    let directory = TempDir::new().unwrap();
    let program = directory.path().join("busy");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/busy.rs");
    for (debug_information, inlined) in [("0", "busy::around"), ("1", "busy::inlined")] {
        let compiled = run(Command::new("rustc")
            .args(["--edition", "2024", "-C", "opt-level=3", "-C", "strip=none", "-C"])
            .arg(format!("debuginfo={debug_information}"))
            .args([&source, Path::new("-o"), &program]));
        assert!(
            compiled.status.success(),
            "{}",
            String::from_utf8_lossy(&compiled.stderr)
        );
        for (path, function) in [("/apart", "busy::apart"), ("/inlined", inlined)] {
            let server = Server::start(&mut Command::new(&program));
            let mut observation = Observation::of(server.pid(), OFTEN);
            let (url, one) = (server.url(path), ["--connections", "1"]);
            let before = until_named(&mut observation, &url, &one);
            load(&url, &[&one[..], &["--requests", "30"]].concat());
            let lines = observation.finish();
            let requests = &lines.without_loss().requests[before..];
            most_are(
                &functions(requests, "on_cpu"),
                function,
                &measured::FUNCTIONS_INLINED,
            );
        }
    }
}

#[test]
fn without_samples_nothing_is_named() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&["--workers", "1"]);
    let observation = Observation::of(server.pid(), &["--sample-hz", "0"]);
    load(
        &server.url("/burn?us=30000"),
        &["--connections", "2", "--requests", "20"],
    );
    let lines = observation.finish();
    let functions = functions(&lines.requests, "worker_busy");
    assert!(functions.keys().eq([NOT_NAMED]), "{functions:?}");
    assert!(lines.end["cost"].get("samples").is_none(), "{}", lines.end);
}
