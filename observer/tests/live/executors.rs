//! Pools of threads as runtimes that people use have them: Node's, to which its event loop gives jobs, and Java's,
//! which reads and answers what one thread finds readable.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::laws::{largest, number, spans, waited};
use crate::observation::{Lines, Observation};
use crate::queues::{most_waited_for, slow_pings};
use crate::server::{Loading, Server, load};
use crate::{kernel, measured};

const MS: u64 = 1_000_000;

fn node(threads: &str) -> Server {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/jobs.js");
    Server::start(
        Command::new("node")
            .arg(script)
            .env("UV_THREADPOOL_SIZE", threads),
    )
}

/// Of requests for `path` all time, what has no cause, and what has none of these, ns.
fn told_ns(lines: &Lines, path: &str, right: &[&str]) -> [u64; 3] {
    let mut sums = [0; 3];
    for request in lines.of_path(path) {
        let [all_ns, unexplained_ns, wrong_ns] = &mut sums;
        let ns = number(&request["latency_ns"]);
        let not_told_ns = waited(request, "unexplained");
        let right_ns: u64 = right.iter().map(|cause| waited(request, cause)).sum();
        *all_ns += ns;
        *unexplained_ns += not_told_ns;
        *wrong_ns += ns.saturating_sub(not_told_ns + right_ns);
    }
    sums
}

#[test]
fn what_node_has_its_pool_compute_for_a_request_is_on_cpu() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("node") {
        return;
    }
    let server = node("4");
    let observation = Observation::of(server.pid(), &[]);
    // By then it is known who hands back what.
    load(&server.url("/hash"), &["--connections", "1", "--requests", "30"]);
    load(
        &server.url("/hash"),
        &["--connections", "2", "--rate", "30", "--duration", "2s"],
    );
    let lines = observation.finish();
    lines.without_loss();
    let right = ["on_cpu", "run_queue", "stolen"];
    let [all_ns, unexplained_ns, wrong_ns] = told_ns(&lines, "/hash", &right);
    measured::NOT_TOLD_IN_NODE.holds_percent(unexplained_ns, all_ns, lines.requests.first());
    measured::WRONG_IN_NODE.holds_percent(wrong_ns, all_ns, lines.requests.first());
}

#[test]
fn behind_the_one_thread_of_node_s_pool_the_request_for_which_it_computes_is_the_culprit() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("node") {
        return;
    }
    let server = node("1");
    let observation = Observation::of(server.pid(), &[]);
    load(&server.url("/hash"), &["--connections", "1", "--requests", "30"]);
    let hashing = Loading::start(
        &server.url("/hash"),
        &["--connections", "1", "--rate", "20", "--duration", "5500ms"],
    );
    load(
        &server.url("/file"),
        &["--connections", "2", "--rate", "50", "--duration", "5s"],
    );
    assert_eq!(hashing.ended().1, 0);
    let lines = observation.finish();
    lines.without_loss();
    let files = lines.of_path("/file");
    let waits = files.iter().flat_map(|file| spans(file, "worker_busy"));
    let behind = waits
        .filter(|span| span["culprit"]["request"] == "GET /hash" && number(&span["dur_ns"]) >= 5 * MS)
        .count();
    // Where the thread goes on with the next job at once, nothing tells whose the last one was.
    println!("{behind} waits for the thread have a name");
    assert!(behind > 0, "{:?}", files.first());
    let right = ["on_cpu", "run_queue", "stolen", "worker_busy"];
    let [all_ns, unexplained_ns, wrong_ns] = told_ns(&lines, "/file", &right);
    measured::NOT_TOLD_BEHIND_NODE.holds_percent(unexplained_ns, all_ns, lines.requests.first());
    measured::WRONG_IN_NODE.holds_percent(wrong_ns, all_ns, lines.requests.first());
}

#[test]
fn behind_a_full_executor_of_java_the_request_that_its_thread_has_is_the_culprit() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("java") {
        return;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/Pool.java");
    let server = Server::start(Command::new("java").arg(source));
    // What runs often is compiled by then.
    let connections = ["--connections", "2"];
    load(
        &server.url("/ping"),
        &[connections, ["--requests", "2000"]].concat(),
    );
    let observation = Observation::of(server.pid(), &[]);
    // By then it is known that its threads answer what they read.
    load(
        &server.url("/ping"),
        &[connections, ["--requests", "50"]].concat(),
    );
    let holding = Loading::start(
        &server.url("/hold"),
        &["--connections", "3", "--duration", "2500ms"],
    );
    load(
        &server.url("/ping"),
        &["--connections", "2", "--rate", "50", "--duration", "2s"],
    );
    assert_eq!(holding.ended().1, 0);
    let lines = observation.finish();
    lines.without_loss();
    let victims = slow_pings(&lines);
    for span in most_waited_for(&victims, "worker_blocked", &measured::BEHIND_AN_EXECUTOR) {
        assert_eq!(span["culprit"]["syscall"], "futex", "{span}");
        assert_eq!(span["culprit"]["request"], "GET /hold", "{span}");
    }
    // What it waits for in its own thread is nobody else's.
    let holds = lines.of_path("/hold");
    let own = |hold: &&&Value| matches!(largest(hold).0, "timer" | "syscall" | "worker_blocked");
    let others: Vec<_> = holds.iter().filter(|hold| !own(hold)).copied().collect();
    let (count, all) = (others.len() as u64, holds.len() as u64);
    measured::HELD_IN_AN_EXECUTOR.holds_percent(count, all, others.first().copied());
}
