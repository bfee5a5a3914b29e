//! What requests of a Go server wait for that is handed from goroutine to goroutine, with `--goroutines`.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::client::{self, Connection};
use crate::go::{built, until_told};
use crate::kernel::{self, Turn};
use crate::laws::{number, spans, waited};
use crate::measured::{self, Measured};
use crate::observation::{Lines, Observation};
use crate::server::{Server, load};

const CONNECTIONS: usize = 4;

/// Waits for the turn. `None`: there is no Go, or this kernel is too old for probes, of which `polls` tests what is
/// said.
fn turn() -> Option<Turn> {
    let turn = kernel::turn()?;
    (kernel::has_probes_of_many_places() && kernel::has_program("go")).then_some(turn)
}

/// A server that is watched, and connections to it whose goroutines are known.
struct Watched {
    server: Server,
    observation: Observation,
    connections: Vec<Connection>,
    /// Goroutines that serve the connections, as the server tells.
    served_by: BTreeSet<u64>,
}

impl Watched {
    /// Of a program that is built with these arguments.
    fn begin(arguments: &[&str]) -> Self {
        let directory = env!("CARGO_TARGET_TMPDIR");
        let server = Server::start(Command::new(built("handing", arguments)).args(["-directory", directory]));
        let mut observation = Observation::of(server.pid(), &["--goroutines"]);
        let mut connections: Vec<_> = (0..CONNECTIONS)
            .map(|_| Connection::open(server.address))
            .collect();
        until_told(&mut observation, &mut connections, "/ping", |line| {
            line["task_ids"] == true
        });
        let tasks = connections.iter_mut().map(|connection| connection.get("/task"));
        let served_by = tasks.map(|task| task.parse().unwrap()).collect();
        Self {
            server,
            observation,
            connections,
            served_by,
        }
    }

    /// Asks for this path on all connections at once.
    fn ask_all(&mut self, path: &str) {
        for connection in &mut self.connections {
            connection.send(&client::request(path));
        }
        for connection in &mut self.connections {
            connection.answer();
        }
    }

    fn finish(self) -> (Lines, BTreeSet<u64>) {
        let lines = self.observation.finish();
        lines.without_loss();
        let header: Value = serde_json::from_str(&lines.written[0]).unwrap();
        let is_there = |signal: &Value| signal["signal"] == "goroutine" && signal["hook"].is_string();
        assert!(
            header["signals"].as_array().unwrap().iter().any(is_there),
            "{header}"
        );
        assert!(number(&lines.end["cost"]["probes"]["hits"]) > 0, "{}", lines.end);
        (lines, self.served_by)
    }
}

/// Of what these requests took together, how much is unexplained.
fn holds(measured: &Measured, requests: &[&Value]) {
    let sum = |of: &dyn Fn(&Value) -> u64| requests.iter().map(|request| of(request)).sum();
    let unexplained_ns = sum(&|request| waited(request, "unexplained"));
    let most = requests
        .iter()
        .max_by_key(|request| waited(request, "unexplained"));
    measured.holds_percent(
        unexplained_ns,
        sum(&|request| number(&request["latency_ns"])),
        most.copied(),
    );
}

/// Culprits of a cause that are of this path, each with its goroutine and how long they were waited for, ns. Before it
/// is read a request waits for a moment behind those that serve the other connections.
fn behind<'a>(request: &'a Value, cause: &'a str, path: &'a str) -> impl Iterator<Item = (u64, u64)> + 'a {
    let its = spans(request, cause).filter(move |span| span["culprit"]["request"] == path);
    its.filter_map(|span| {
        let dur_ns = number(&span["dur_ns"]);
        Some((span["culprit"]["task"].as_u64()?, dur_ns)).filter(|_| dur_ns > 1_000_000)
    })
}

/// Each of four hands a job of 50 ms to the one goroutine that does them.
#[test]
fn who_hands_a_job_to_a_goroutine_waits_behind_the_requests_whose_jobs_that_does_before() {
    let Some(_turn) = turn() else { return };
    let mut watched = Watched::begin(&[]);
    watched.ask_all("/job?ms=50");
    let (lines, served_by) = watched.finish();
    let jobs = lines.of_path("/job");
    assert_eq!(jobs.len(), CONNECTIONS);
    let last = jobs
        .iter()
        .max_by_key(|request| number(&request["latency_ns"]))
        .unwrap();
    let (doers, waited_ns): (BTreeSet<u64>, Vec<u64>) = behind(last, "worker_busy", "GET /job").unzip();
    // Where others have the CPUs, it waits through that.
    let before_ns = waited_ns.iter().sum::<u64>() + waited(last, "run_queue");
    assert!(before_ns > 100_000_000, "{last}");
    assert_eq!(doers.len(), 1, "one goroutine does them all: {last}");
    assert!(doers.is_disjoint(&served_by), "{doers:?} serves a connection");
    let own_ns = waited(last, "on_cpu");
    // It waits for a CPU where others have it.
    assert!(own_ns < 100_000_000, "{last}");
    holds(&measured::JOB_HANDED_ON, &jobs);
}

/// Each of four lets the others run every millisecond.
#[test]
fn a_goroutine_that_lets_others_run_waits_behind_what_its_thread_does() {
    let Some(_turn) = turn() else { return };
    let mut watched = Watched::begin(&[]);
    // One that is made ready tells where those go on that have waited.
    watched.ask_all("/job?ms=1");
    watched.ask_all("/turns?ms=50");
    let (lines, _) = watched.finish();
    let turns = lines.of_path("/turns");
    assert_eq!(turns.len(), CONNECTIONS);
    holds(&measured::TURN_LOST, &turns);
}

#[test]
fn what_a_goroutine_writes_to_the_disk_is_what_the_requests_waited_for_that_gave_it_that_to_do() {
    let Some(_turn) = turn() else { return };
    let watched = Watched::begin(&[]);
    load(
        &watched.server.url("/write"),
        &["--requests", "400", "--connections", "8"],
    );
    let (lines, _) = watched.finish();
    let writes = lines.of_path("/write");
    assert_eq!(writes.len(), 400);
    let named = |cause: &str, of: fn(&Value) -> &Value| {
        let all = writes.iter().flat_map(|request| spans(request, cause));
        let its = all.filter(|span| {
            let (call, path) = (&of(span)["syscall"], of(span)["object"].as_str());
            call == "fsync" && path.is_some_and(|path| path.ends_with("/handing.log"))
        });
        its.map(|span| number(&span["dur_ns"])).sum::<u64>()
    };
    let (own_ns, of_others_ns) = (
        named("syscall", |span| span),
        named("worker_blocked", |span| &span["culprit"]),
    );
    // Eight at a time: most of what one waits for is done for others.
    assert!(
        0 < own_ns && own_ns < of_others_ns,
        "{own_ns} and {of_others_ns} ns"
    );
    holds(&measured::WRITE_HANDED_ON, &writes);
}

/// Each of four computes for 40 ms with a mutex.
fn who_waits_for_a_mutex_is_behind_the_request_that_lets_go_of_it(arguments: &[&str]) {
    let Some(_turn) = turn() else { return };
    let mut watched = Watched::begin(arguments);
    watched.ask_all("/lock?ms=40");
    let (lines, served_by) = watched.finish();
    let locks = lines.of_path("/lock");
    let last = locks
        .iter()
        .max_by_key(|request| number(&request["latency_ns"]))
        .unwrap();
    let (holders, waited_ns): (BTreeSet<u64>, Vec<u64>) = behind(last, "lock", "GET /lock").unzip();
    assert!(waited_ns.iter().sum::<u64>() > 80_000_000, "{last}");
    assert!(holders.is_subset(&served_by), "{holders:?} of {served_by:?}");
    assert!(!holders.contains(&number(&last["task"])), "{last}");
    holds(&measured::MUTEX_OF_GO, &locks);
}

#[test]
fn behind_a_mutex_the_request_that_lets_go_of_it_is_the_culprit() {
    who_waits_for_a_mutex_is_behind_the_request_that_lets_go_of_it(&[]);
}

#[test]
fn the_same_is_told_of_a_program_without_symbols() {
    who_waits_for_a_mutex_is_behind_the_request_that_lets_go_of_it(&["-ldflags=-s -w"]);
}

#[test]
fn the_same_is_told_of_a_program_without_symbols_that_is_loaded_anywhere() {
    who_waits_for_a_mutex_is_behind_the_request_that_lets_go_of_it(&["-ldflags=-s -w", "-buildmode=pie"]);
}
