//! Where in their code goroutines wait that serve requests, without a probe.

use std::path::Path;
use std::process::Command;

use crate::client::{Connection, request};
use crate::go::{built, built_from, until_told};
use crate::laws::{largest, number, spans};
use crate::observation::Observation;
use crate::server::Server;
use crate::{kernel, measured};

/// Each of four computes for 60 ms with a mutex. Of those that wait the goroutine is looked at in this time.
fn who_waits_for_a_mutex_says_in_which_function(arguments: &[&str]) {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("go") {
        return;
    }
    let directory = env!("CARGO_TARGET_TMPDIR");
    let server = Server::start(Command::new(built("handing", arguments)).args(["-directory", directory]));
    let mut observation = Observation::of(server.pid(), &[]);
    let mut connections: Vec<_> = (0..4).map(|_| Connection::open(server.address)).collect();
    until_told(&mut observation, &mut connections, "/ping", |line| {
        line["task_ids"] == true
    });
    for connection in &mut connections {
        connection.send(&request("/lock?ms=60"));
    }
    for connection in &mut connections {
        connection.answer();
    }
    let lines = observation.finish();
    lines.without_loss();
    let locks = lines.of_path("/lock");
    assert_eq!(locks.len(), 4);
    let mut waiting = 0;
    for lock in locks {
        let causes = ["unexplained", "lock", "timer"];
        let suspended = causes.iter().flat_map(|cause| spans(lock, cause));
        // After 10 ms it is looked at when the rings are drained, and again when it is twice as old: what follows the
        // last look is up to half of the wait.
        let long = suspended.filter(|span| number(&span["dur_ns"]) > 50_000_000);
        if let Some(span) = long.min_by_key(|span| number(&span["at_ns"])) {
            waiting += 1;
            assert_eq!(span["waits_in"], "main.hold", "{lock}");
            let called_by = span["called_by"].as_str().unwrap();
            assert!(called_by.starts_with("main.main.func"), "{lock}");
        }
    }
    assert!(waiting > 0, "nobody waited: {}", lines.end);
    let looks = &lines.end["cost"]["looks"];
    println!("{looks}");
    assert!(number(&looks["parked"]) >= waiting, "{looks}");
}

#[test]
fn where_a_goroutine_waits_is_told_with_who_called_that() {
    who_waits_for_a_mutex_says_in_which_function(&[]);
}

#[test]
fn the_same_is_told_of_a_program_without_symbols_that_is_loaded_anywhere() {
    who_waits_for_a_mutex_says_in_which_function(&["-ldflags=-s -w", "-buildmode=pie"]);
}

const ROUNDS: usize = 5;
const PATHS: [&str; 4] = ["/write-lock?us=100000", "/read-lock", "/read-lock", "/read-lock"];

/// One sleeps in a system call with a lock for writing, and three want it for reading and do nothing else.
#[test]
fn a_goroutine_that_waits_for_a_mutex_and_for_nothing_else_is_in_lock() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("go") {
        return;
    }
    let program = built_from(Path::new("../testbed/go"), "testbed", &[]);
    let server = Server::start(Command::new(program).args(["-procs", "2"]));
    let mut observation = Observation::of(server.pid(), &[]);
    let mut connections: Vec<_> = (0..4).map(|_| Connection::open(server.address)).collect();
    until_told(&mut observation, &mut connections, "/ping", |line| {
        line["task_ids"] == true
    });
    // Whose request is read first is up to the server.
    for _ in 0..ROUNDS {
        for (connection, path) in connections.iter_mut().zip(PATHS) {
            connection.send(&request(path));
        }
        for connection in &mut connections {
            connection.answer();
        }
    }
    let lines = observation.finish();
    let read = lines.of_path("/read-lock");
    assert_eq!(read.len(), 3 * ROUNDS);
    let waited = read
        .iter()
        .filter(|line| number(&line["latency_ns"]) > 50_000_000);
    let (told, untold): (Vec<_>, Vec<_>) = waited.partition(|line| largest(line).0 == "lock");
    assert!(!told.is_empty(), "{untold:?}");
    measured::MUTEX.holds_of(&untold);
    for span in told.iter().flat_map(|line| spans(line, "lock")) {
        assert!(span["culprit"].is_null(), "{span}");
        if number(&span["dur_ns"]) > 50_000_000 {
            assert_eq!(span["waits_in"], "main.reads", "{span}");
        }
    }
}
