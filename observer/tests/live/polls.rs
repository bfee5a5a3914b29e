//! Polls of tokio's tasks, as they are counted and timed with `--polls`; and what is said where these or goroutines are
//! asked for and cannot be had.

use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use crate::client::{self, Connection};
use crate::kernel::{self, Turn};
use crate::laws::{self, number};
use crate::measured;
use crate::observation::{Lines, OBSERVER, Observation};
use crate::run::run;
use crate::server::{Server, load};
use crate::tasks::prove;

/// Waits for the turn. `None`: this kernel is too old for polls. Then there is nothing to be tested but that it is said
/// what to do.
fn turn() -> Option<Turn> {
    let turn = kernel::turn()?;
    if kernel::has_probes_of_many_places() {
        return Some(turn);
    }
    let server = Server::faulty(&[]);
    for option in ["--polls", "--goroutines"] {
        let stderr = told_of(&server, option, 1);
        assert!(stderr.contains(&format!("{option} needs Linux 6.10")), "{stderr}");
        assert!(
            stderr.contains(&format!("run observer without {option}")),
            "{stderr}"
        );
    }
    assert!(doctor().contains("needs Linux 6.10"));
    None
}

/// What is said where this is asked for of a server, and observer ends with this code.
fn told_of(server: &Server, option: &str, code: i32) -> String {
    let pid = server.pid().to_string();
    let output = run(Command::new(OBSERVER).args(["attach", option, "--duration", "200ms", "--pid", &pid]));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    stderr
}

fn doctor() -> String {
    let output = run(Command::new(OBSERVER).arg("doctor"));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The figures of the run, if this kernel has what they take.
fn polls(lines: &Lines) -> &Value {
    assert_eq!(lines.end["lost"], serde_json::json!({}), "{}", lines.end);
    &lines.end["polls"]
}

#[test]
fn the_doctor_tells_that_polls_and_goroutines_can_be_recorded() {
    let Some(_turn) = turn() else { return };
    let told = doctor();
    for (signal, told_of_it) in [
        ("poll", "on demand, with --polls"),
        ("goroutine", "on demand, with --goroutines"),
    ] {
        let is_its = |line: &str| line.starts_with(&format!("{signal} ")) && line.ends_with(told_of_it);
        assert!(told.lines().any(is_its), "{told}");
    }
}

#[test]
fn as_many_polls_are_counted_as_there_were() {
    let Some(_turn) = turn() else { return };
    const YIELDS: u64 = 20_000;
    let server = Server::faulty(&[]);
    let observation = Observation::of(server.pid(), &["--polls"]);
    let mut connection = Connection::open(server.address);
    assert_eq!(connection.get(&format!("/yields?times={YIELDS}")), "yielded\n");
    let lines = observation.finish();
    let polls = polls(&lines);
    // Of others there are those of the connection.
    let found = number(&polls["polls"]);
    assert!((YIELDS + 1..YIELDS + YIELDS / 100).contains(&found), "{polls}");
    let hits = number(&lines.end["cost"]["probes"]["hits"]);
    assert!((3 * YIELDS..4 * YIELDS).contains(&hits), "{hits}");
}

#[test]
fn each_request_of_a_load_is_polled_for() {
    let Some(_turn) = turn() else { return };
    let server = Server::faulty(&[]);
    let observation = Observation::of(server.pid(), &["--polls"]);
    let requests = load(
        &server.url("/ping"),
        &["--connections", "1", "--requests", "3000"],
    );
    let lines = observation.finish();
    let found = number(&polls(&lines)["polls"]);
    // The last may not be over.
    assert!(
        (requests - 1..=requests + requests / 100).contains(&found),
        "{found} for {requests}"
    );
}

#[test]
fn a_long_poll_is_found_with_its_task_and_its_request() {
    let Some(_turn) = turn() else { return };
    let server = Server::faulty(&["--workers", "1"]);
    let mut observation = Observation::of(server.pid(), &["--polls"]);
    prove(&server, &mut observation, 2);
    let mut connection = Connection::open(server.address);
    let mut other = Connection::open(server.address);
    other.get("/ping");
    let task: u64 = connection.get("/task").parse().unwrap();
    connection.get("/burn?ms=60");
    // The one worker is done with it when another task answers.
    other.get("/ping");
    let lines = observation.finish();
    // An emulated CPU takes as long for a poll in which it comes by code for the first time.
    let longest = polls(&lines)["longest"].as_array().unwrap();
    let burn = longest.iter().find(|poll| poll["request"] == "GET /burn");
    let burn = burn.unwrap_or_else(|| panic!("{longest:?}"));
    assert_eq!(burn["task"], task, "{burn}");
    assert!(number(&burn["dur_ns"]) >= 60_000_000, "{burn}");
    assert!(number(&lines.end["polls"]["long"]) >= 1);
}

#[test]
fn a_task_that_is_ready_while_its_worker_is_busy_is_queued_for_as_long() {
    let Some(_turn) = turn() else { return };
    let server = Server::faulty(&["--workers", "1"]);
    let mut observation = Observation::of(server.pid(), &["--polls"]);
    prove(&server, &mut observation, 2);
    let mut waits = Connection::open(server.address);
    let mut burns = Connection::open(server.address);
    burns.get("/ping");
    waits.get("/ping");
    let asked = Instant::now();
    waits.send(&client::request("/pool?ms=100"));
    // The job is on the pool before the worker is taken, and over long before the worker is free.
    server.wait_until_in(libc::SYS_clock_nanosleep);
    burns.get("/burn?ms=400");
    waits.answer();
    // An emulated CPU takes longer to compute for so long.
    let most_ns = asked.elapsed().as_nanos() as u64;
    // The one worker is done with the poll that answered when another task answers.
    burns.get("/ping");
    let lines = observation.finish();
    let polls = polls(&lines);
    let queued_ns = number(&polls["queue_max_ns"]);
    assert!((100_000_000..most_ns).contains(&queued_ns), "{polls}");
    assert_eq!(polls["unqueued"], 1, "the job of the pool: {polls}");
    let waited = lines.of_path("/pool")[0];
    let busy_ns = laws::waited(waited, "worker_busy");
    assert!(busy_ns > 100_000_000, "{waited}");
    let unexplained_ns = laws::waited(waited, "unexplained");
    measured::QUEUED_POLL.holds_percent(unexplained_ns, busy_ns, Some(waited));
}

#[test]
fn who_waits_for_a_thread_of_the_pool_waits_for_the_jobs_before() {
    let Some(_turn) = turn() else { return };
    let server = Server::faulty(&["--workers", "1", "--pool-threads", "1"]);
    let mut observation = Observation::of(server.pid(), &["--polls"]);
    prove(&server, &mut observation, 2);
    let mut connections = [(); 3].map(|()| Connection::open(server.address));
    for connection in &mut connections {
        // The pool's thread begins with the first job.
        connection.get("/pool?us=100");
    }
    const ROUNDS: usize = 3;
    for _ in 0..ROUNDS {
        for connection in &mut connections {
            connection.send(&client::request("/pool?ms=200"));
        }
        for connection in &mut connections {
            connection.answer();
        }
    }
    let lines = observation.finish();
    let is_last = |request: &&Value| number(&request["latency_ns"]) > 500_000_000;
    let last: Vec<_> = lines.of_path("/pool").into_iter().filter(is_last).collect();
    assert_eq!(last.len(), ROUNDS, "{:#?}", lines.of_path("/pool"));
    let last = laws::seen(last);
    assert!(!last.is_empty());
    for last in &last {
        // The first job may have begun before the last was asked for, and an end is seen a little after its cause.
        assert!(laws::waited(last, "worker_blocked") >= 250_000_000, "{last}");
        assert!(laws::waited(last, "syscall") >= 195_000_000, "{last}");
        assert_eq!(last["confidence"], "exact", "{last}");
    }
    measured::POOL_POLL.holds_of_each(last);
}

#[test]
fn a_program_without_symbols_is_observed_without_its_polls() {
    let Some(_turn) = turn() else { return };
    let directory = tempfile::tempdir().unwrap();
    let server = Server::without_symbols(directory.path());
    let stderr = told_of(&server, "--polls", 0);
    assert!(
        stderr.contains("goes on without the polls of stripped"),
        "{stderr}"
    );
    assert!(stderr.contains("no symbols"), "{stderr}");
}

#[test]
fn of_two_processes_the_one_with_symbols_has_its_polls_counted_and_the_signal_is_not_of_both() {
    let Some(_turn) = turn() else { return };
    let directory = tempfile::tempdir().unwrap();
    let (server, stripped) = (Server::faulty(&[]), Server::without_symbols(directory.path()));
    let other = stripped.pid().to_string();
    let observation = Observation::of(server.pid(), &["--polls", "--pid", &other]);
    for address in [server.address, stripped.address] {
        assert_eq!(Connection::open(address).get("/yields?times=1000"), "yielded\n");
    }
    observation.signal(libc::SIGINT);
    let (code, said, lines) = observation.outcome();
    assert_eq!(code, Some(0), "{said:?}");
    let header: Value = serde_json::from_str(&lines.written[0]).unwrap();
    let signals = header["signals"].as_array().unwrap();
    let poll = signals.iter().find(|signal| signal["signal"] == "poll").unwrap();
    assert!(poll["hook"].as_str().unwrap().starts_with("uprobe:"), "{poll}");
    assert_eq!(poll["note"], "not of every process");
    let found = number(&polls(&lines)["polls"]);
    assert!((1001..1100).contains(&found), "{found}");
}

#[test]
fn a_program_that_is_not_of_go_is_observed_without_goroutines() {
    let Some(_turn) = turn() else { return };
    let stderr = told_of(&Server::faulty(&[]), "--goroutines", 0);
    assert!(stderr.contains("goes on without the goroutines of"), "{stderr}");
    assert!(stderr.contains("its program is not of Go"), "{stderr}");
}
