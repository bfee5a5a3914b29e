//! Requests that wait behind other work: a blocked worker, a busy worker, a taken CPU, a held lock.

use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::laws::{largest, number};
use crate::observation::Observation;
use crate::run::Running;
use crate::server::{Server, example, load, load_on_cpu};
use crate::{client, kernel};

const MS: u64 = 1_000_000;

/// Loads /ping at a low rate, and in the middle of it requests `path` `times` times, one after the other.
fn disturb(server: &Server, path: &str, times: usize) {
    thread::scope(|scope| {
        let load = scope.spawn(|| {
            load(
                &server.url("/ping"),
                &["--connections", "4", "--rate", "400", "--duration", "1500ms"],
            )
        });
        let mut disturbances = 0;
        while disturbances < times && !load.is_finished() {
            let answer = client::get(server.address, path);
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            disturbances += 1;
            // Between two of them the server serves what has queued up.
            thread::sleep(Duration::from_millis(40));
        }
        assert_eq!(disturbances, times);
        load.join().unwrap();
    });
}

#[test]
fn behind_a_blocked_worker_the_call_and_the_request_that_made_it_are_the_culprit() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&["--workers", "1"]);
    let observation = Observation::of(server.pid(), &[]);
    disturb(&server, "/blocking?ms=30", 10);
    let lines = observation.finish();
    lines.without_loss();
    let pings = lines.of_path("/ping");
    let victims: Vec<_> = pings
        .iter()
        .filter(|ping| number(&ping["latency_ns"]) >= 15 * MS)
        .collect();
    assert!(victims.len() >= 10, "{} victims", victims.len());
    for victim in victims {
        let (cause, ns, span) = largest(victim);
        assert_eq!(cause, "worker_blocked", "{victim}");
        assert!(ns >= 10 * MS, "{victim}");
        assert_eq!(span["culprit"]["syscall"], "clock_nanosleep", "{victim}");
        assert_eq!(span["culprit"]["request"], "GET /blocking", "{victim}");
    }
    for blocking in lines.of_path("/blocking") {
        let (cause, _, span) = largest(blocking);
        assert_eq!(
            (cause, span["syscall"].as_str()),
            ("syscall", Some("clock_nanosleep")),
            "{blocking}"
        );
    }
}

#[test]
fn behind_a_busy_worker_the_request_that_computes_is_the_culprit() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&["--workers", "1"]);
    let observation = Observation::of(server.pid(), &[]);
    disturb(&server, "/burn?us=30000", 10);
    let lines = observation.finish();
    lines.without_loss();
    let pings = lines.of_path("/ping");
    let victims: Vec<_> = pings
        .iter()
        .filter(|ping| number(&ping["latency_ns"]) >= 15 * MS)
        .collect();
    assert!(victims.len() >= 10, "{} victims", victims.len());
    let behind_burn = |victim: &&&&serde_json::Value| {
        let (cause, _, span) = largest(victim);
        cause == "worker_busy" && span["culprit"]["request"] == "GET /burn"
    };
    // The machine's other programs take the CPU from the worker as well, and that is no fault of /burn.
    let explained = victims.iter().filter(behind_burn).count();
    assert!(
        explained * 10 >= victims.len() * 8,
        "{explained} of {}: {}",
        victims.len(),
        victims[0]
    );
}

#[test]
fn behind_a_hog_on_its_cpu_the_hog_is_the_culprit() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("taskset") {
        return;
    }
    let server = Server::faulty_on_cpu(0, &["--workers", "1"]);
    let observation = Observation::of(server.pid(), &[]);
    let hog = Command::new(example("hog"))
        .args(["--cpu", "0", "--duration", "20s"])
        .spawn();
    let hog = Running(hog.unwrap());
    load_on_cpu(
        1,
        &server.url("/burn?us=3000"),
        &["--connections", "1", "--requests", "200"],
    );
    drop(hog);
    let lines = observation.finish();
    lines.without_loss();
    for slow in &lines.of_path("/burn")[..10] {
        let (cause, _, span) = largest(slow);
        // Two that take turns share the CPU: what it waited can be a little less than what it ran.
        if cause != "on_cpu" {
            assert_eq!(cause, "run_queue", "{slow}");
            assert_eq!(span["culprit"]["comm"], "hog", "{slow}");
        }
        assert!(number(&slow["budget_ns"]["run_queue"]) >= MS, "{slow}");
    }
}

#[test]
fn behind_a_lock_the_request_that_holds_it_is_the_culprit() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&["--workers", "4"]);
    let observation = Observation::of(server.pid(), &[]);
    load(
        &server.url("/lock?ms=10"),
        &["--connections", "3", "--requests", "60"],
    );
    let lines = observation.finish();
    lines.without_loss();
    // Who waited behind two others waited longer than it slept itself.
    let locks = lines.of_path("/lock");
    let victims: Vec<_> = locks
        .iter()
        .filter(|lock| number(&lock["latency_ns"]) >= 25 * MS)
        .collect();
    assert!(victims.len() >= 10, "{} victims", victims.len());
    for victim in victims {
        let (cause, ns, span) = largest(victim);
        assert_eq!(cause, "lock", "{victim}");
        assert!(ns >= 12 * MS, "{victim}");
        assert_eq!(span["syscall"], "futex", "{victim}");
        assert_eq!(span["culprit"]["request"], "GET /lock", "{victim}");
    }
}
