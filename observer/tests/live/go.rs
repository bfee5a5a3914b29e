//! Servers in Go: net/http through Gin, and Fiber, which does without it; and one whose garbage is collected.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::Connection;
use crate::observation::{Lines, Observation};
use crate::run::DEADLINE;
use crate::server::{Server, load};
use crate::{kernel, laws, measured};

const CONNECTIONS: usize = 4;

/// Builds the server of this name, with these arguments of `go build`.
pub(crate) fn built(name: &str, arguments: &[&str]) -> PathBuf {
    built_from(&Path::new("tests/servers").join(name), name, arguments)
}

/// Builds the server in this directory of the package.
pub(crate) fn built_from(source: &Path, name: &str, arguments: &[&str]) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
    // Kept between runs; Go itself knows what is up to date.
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-server{}", arguments.concat()));
    // Without a deadline: on a fresh machine it fetches and compiles a hundred packages.
    let status = Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .args(arguments)
        .arg(".")
        .current_dir(source)
        .status();
    assert!(status.unwrap().success(), "go build failed");
    program
}

/// Watches the server of this name while it answers 1000 requests on so many connections.
fn observe(name: &str, connections: &str) -> Lines {
    let server = Server::start(&mut Command::new(built(name, &[])));
    let observation = Observation::of(server.pid(), &[]);
    load(
        &server.url("/ping"),
        &["--requests", "1000", "--connections", connections],
    );
    let lines = observation.finish();
    lines.without_loss();
    let header: Value = serde_json::from_str(&lines.written[0]).unwrap();
    assert_eq!(header["targets"][0]["runtime"]["name"], "go", "{header}");
    lines
}

/// Requests this path on each of these connections in turn, until there is a line about the runtime that is like this.
pub(crate) fn until_told(
    observation: &mut Observation,
    connections: &mut [Connection],
    path: &str,
    is_wanted: impl Fn(&Value) -> bool,
) -> Value {
    let until = Instant::now() + DEADLINE;
    loop {
        for connection in &mut *connections {
            connection.get(path);
        }
        let soon = Instant::now() + Duration::from_millis(5);
        let is_it = |line: &Value| line["type"] == "runtime" && is_wanted(line);
        if let Some(line) = observation.line_before(soon, "runtime", is_it) {
            return line;
        }
        assert!(Instant::now() < until, "nothing of the kind is told");
    }
}

/// Sends requests on so many connections until the goroutines of a server are known, and then so many for each of these
/// paths on each of the connections. Gives the lines, and what was answered to the latter, by connection and path.
fn with_goroutines(program: &Path, paths: &[&str], each: usize) -> (Lines, BTreeSet<u64>) {
    let server = Server::start(&mut Command::new(program));
    let mut observation = Observation::of(server.pid(), &[]);
    let mut connections: Vec<_> = (0..CONNECTIONS)
        .map(|_| Connection::open(server.address))
        .collect();
    let line = until_told(&mut observation, &mut connections, "/ping", |_| true);
    assert_eq!(
        (&line["name"], &line["task_ids"]),
        (&"go".into(), &true.into()),
        "{line}"
    );
    println!("{}", line["evidence"]);
    let mut told = BTreeSet::new();
    for path in paths {
        for connection in &mut connections {
            told.extend((0..each).map(|_| connection.get(path).parse::<u64>().unwrap()));
        }
    }
    (observation.finish(), told)
}

/// The goroutines that served this path, and how many of its requests are `exact`.
fn served(lines: &Lines, path: &str) -> (BTreeSet<u64>, usize) {
    let requests = lines.of_path(path);
    let exact = requests.iter().filter(|line| line["confidence"] == "exact");
    let goroutines = requests.iter().map(|line| line["task"].as_u64().unwrap());
    (goroutines.collect(), exact.count())
}

/// What the server tells of its goroutines is what is recorded of them, and those that did not leave their thread are
/// exact.
fn goroutines_are_those_that_the_server_tells(name: &str, arguments: &[&str]) {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("go") {
        return;
    }
    let program = built(name, arguments);
    let (lines, told) = with_goroutines(&program, &["/task", "/nap"], 20);
    let ((at_work, exact), (asleep, exact_asleep)) = (served(&lines, "/task"), served(&lines, "/nap"));
    assert_eq!((&at_work, &asleep), (&told, &told));
    assert_eq!(exact_asleep, 0, "a goroutine that sleeps leaves its thread");
    let all = CONNECTIONS * 20;
    measured::GO_INFERRED.holds_percent((all - exact) as u64, all as u64, None);
}

#[test]
fn the_goroutines_of_net_http_are_those_that_it_tells() {
    goroutines_are_those_that_the_server_tells("gin", &[]);
}

#[test]
fn the_goroutines_of_fasthttp_are_those_that_it_tells() {
    goroutines_are_those_that_the_server_tells("fiber", &[]);
}

#[test]
fn a_program_without_symbols_that_is_loaded_anywhere_has_goroutines_too() {
    goroutines_are_those_that_the_server_tells("gin", &["-ldflags=-s -w", "-buildmode=pie"]);
}

/// The numbers that a server answers.
fn numbers(answer: &str) -> Vec<u64> {
    answer
        .split_whitespace()
        .map(|number| number.parse().unwrap())
        .collect()
}

/// The time in which the world was stopped is what the server's own runtime says of it, for each cycle of garbage
/// collection, and those that were missed are counted: on a machine whose CPUs are taken nobody looks in time.
fn cycles_are_those_that_the_server_tells(arguments: &[&str]) {
    /// By how much both may differ, ns: the runtime reads its clock twice, and can lose its CPU in between.
    const APART_NS: u64 = 20_000;
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("go") {
        return;
    }
    let server = Server::start(&mut Command::new(built("collect", arguments)));
    let mut observation = Observation::of(server.pid(), &[]);
    let mut connections = [Connection::open(server.address)];
    let line = until_told(&mut observation, &mut connections, "/collect", |line| {
        line["go"]["max_procs"].is_number() && line["runtimes"][0]["count"].is_number()
    });
    println!("{}", line["go"]["evidence"]);
    assert_eq!(line["go"]["cycles"], true, "{line}");
    let [connection] = &mut connections;
    assert_eq!(
        line["go"]["max_procs"],
        numbers(&connection.get("/procs"))[0],
        "{line}"
    );
    let before = numbers(&connection.get("/cycles"));
    let told: Vec<_> = (0..20).map(|_| numbers(&connection.get("/collect"))).collect();
    connection.get("/garbage");
    let after = numbers(&connection.get("/cycles"));
    let lines = observation.finish();

    let mut all = lines.of_path("/collect");
    all.sort_by_key(|request| request["conn"]["nth"].as_u64());
    let last = &all[all.len() - told.len()..];
    let (mut apart, mut unknown) = (Vec::new(), 0);
    for (&request, told) in last.iter().zip(&told) {
        let [cycle, pause_ns] = told[..] else {
            panic!("{told:?}")
        };
        let gc = &request["gc"];
        // Its own was missed; one before may have been under way.
        if gc["last_cycle"].as_u64() < Some(cycle) {
            unknown += 1;
            continue;
        }
        // A cycle of its own may have been under way when another one was asked for.
        assert_eq!(gc["last_cycle"], cycle, "{request}");
        let apart_ns = gc["stopped_ns"].as_u64().unwrap().abs_diff(pause_ns);
        if gc["first_cycle"] == cycle && apart_ns > APART_NS {
            apart.push(request);
        }
    }
    measured::GO_APART.holds_of(&apart);
    let garbage = lines.of_path("/garbage")[0];
    let end = &lines.end["gc"][0];
    println!("{end}");
    let missed = end["missed"].as_u64().unwrap();
    assert!(unknown <= missed, "{unknown} requests have no cycle: {end}");
    measured::GO_MISSED.holds(missed, Some(end));
    let cycles = after[0] - before[0];
    assert!(cycles > told.len() as u64, "/garbage made garbage");
    assert!(end["cycles"].as_u64().unwrap() >= cycles, "{end}");
    let seen = garbage["gc"]["last_cycle"].as_u64().unwrap();
    // One that is under way is not told.
    assert!((before[0]..=after[0] + 1).contains(&seen), "{garbage}");
}

#[test]
fn the_cycles_of_garbage_collection_are_those_that_the_server_tells() {
    cycles_are_those_that_the_server_tells(&[]);
}

#[test]
fn the_cycles_of_a_program_that_is_loaded_anywhere_are_told_too() {
    cycles_are_those_that_the_server_tells(&["-buildmode=pie"]);
}

#[test]
fn cycles_are_not_missed_where_threads_are_switched_often() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("go") {
        return;
    }
    let server = Server::start(&mut Command::new(built("collect", &[])));
    let mut observation = Observation::counting(server.pid());
    let mut connections = [Connection::open(server.address)];
    until_told(&mut observation, &mut connections, "/collect", |line| {
        line["go"]["cycles"] == true
    });
    let [connection] = &mut connections;
    let count = |connection: &mut Connection| numbers(&connection.get("/cycles"))[0];
    // Each switch is a look while a cycle is under way: many more than there is room for until the next drain.
    connection.get("/switch");
    let before = count(connection);
    let until = Instant::now() + DEADLINE;
    while count(connection) < before + 100 {
        connection.get("/garbage");
        assert!(Instant::now() < until, "there is no garbage");
    }
    let end = &observation.finish().end["gc"][0];
    println!("{end}");
    let all = end["cycles"].as_u64().unwrap();
    measured::GO_MISSED_SWITCHING.holds_percent(end["missed"].as_u64().unwrap(), all, Some(end));
}

/// Goroutines that allocate help to mark while they run. What is told of that is no more than the server's own runtime
/// counts, and requests are told it.
#[test]
fn no_more_assists_are_told_than_the_server_counts() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("go") {
        return;
    }
    let server = Server::start(&mut Command::new(built("collect", &[])));
    let mut observation = Observation::of(server.pid(), &[]);
    let mut connections = [Connection::open(server.address)];
    until_told(&mut observation, &mut connections, "/collect", |line| {
        line["go"]["cycles"] == true
    });
    let [connection] = &mut connections;
    let until = Instant::now() + DEADLINE;
    let mut found_ns = 0;
    while found_ns == 0 {
        connection.get("/garbage");
        let soon = Instant::now() + Duration::from_millis(5);
        let window = observation.line_before(soon, "window", |_| true);
        found_ns = window.map_or(0, |line| line["gc"][0]["assist_ns"].as_u64().unwrap_or(0));
        assert!(Instant::now() < until, "nobody is seen to assist");
    }
    let told_ns = numbers(&connection.get("/assists"))[0];
    let lines = observation.finish();
    let end = &lines.end["gc"][0];
    println!("the server tells {told_ns} ns: {end}");
    let all_ns = end["assist_ns"].as_u64().unwrap();
    assert!(found_ns <= all_ns && all_ns <= told_ns);
    let spans = lines
        .requests
        .iter()
        .flat_map(|line| line["timeline"].as_array().unwrap());
    let assisted = spans.filter(|span| span["runtime"] == "mark assist" && span["cpu"].is_u64());
    let of_requests_ns: u64 = assisted.map(|span| laws::number(&span["dur_ns"])).sum();
    assert!(
        0 < of_requests_ns && of_requests_ns <= all_ns,
        "{of_requests_ns} ns"
    );
}

#[test]
fn of_a_program_without_symbols_it_is_said_that_its_cycles_are_not_known() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("go") {
        return;
    }
    let server = Server::start(&mut Command::new(built("collect", &["-ldflags=-s -w"])));
    let mut observation = Observation::of(server.pid(), &[]);
    let mut connections = [Connection::open(server.address)];
    let is_told = |line: &Value| line["go"].is_object();
    let line = until_told(&mut observation, &mut connections, "/collect", is_told);
    let lines = observation.finish();
    assert_eq!(
        (&line["task_ids"], &line["go"]["cycles"]),
        (&true.into(), &false.into()),
        "{line}"
    );
    let evidence = line["go"]["evidence"].as_str().unwrap();
    assert!(evidence.contains("symbols are gone"), "{line}");
    let with_cycle = lines.requests.iter().filter(|request| request["gc"].is_object());
    assert_eq!(
        (with_cycle.count(), &lines.end["gc"]),
        (0, &serde_json::json!([]))
    );
}

fn every_request_is_counted(name: &str) {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("go") {
        return;
    }
    let lines = observe(name, "8");
    assert_eq!(lines.count(), 1000);
    assert_eq!(lines.end["status"]["2xx"], 1000);
    let partial = lines
        .requests
        .iter()
        .filter(|line| line["confidence"] == "partial");
    let (hidden, partial): (Vec<_>, Vec<_>) = partial.partition(|request| laws::is_unseen(request));
    measured::GO_HIDDEN.holds_of(&hidden);
    measured::GO.holds_of(&partial);
}

#[test]
fn every_request_of_a_gin_server_is_counted() {
    every_request_is_counted("gin");
}

#[test]
fn every_request_of_a_fiber_server_is_counted() {
    every_request_is_counted("fiber");
}

#[test]
fn every_request_of_a_gin_server_has_its_path() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("go") {
        return;
    }
    // net/http reads one byte beside the request that it serves, to see its client go away.
    let lines = observe("gin", "1");
    assert_eq!(lines.of_path("/ping").len(), 1000);
}
