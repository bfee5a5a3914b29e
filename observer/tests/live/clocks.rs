//! The sampling clocks tick where watched threads run, and leave others alone.

use std::cell::Cell;
use std::process::Command;
use std::thread;

use serde_json::Value;

use crate::kernel;
use crate::laws::number;
use crate::observation::Observation;
use crate::run::Running;
use crate::server::{Server, load, testbed};

/// Ticks a second of a clock that does not rest.
const FULL: u64 = 990;

/// Has each CPU compute, until they are dropped.
fn strangers() -> Vec<Running> {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let hog = |cpu: usize| {
        let mut hog = Command::new(testbed("hog"));
        hog.args(["--cpu", &cpu.to_string(), "--duration", "60s"]);
        Running(hog.spawn().unwrap())
    };
    (0..cpus).map(hog).collect()
}

#[test]
fn who_is_not_watched_is_hardly_interrupted_while_the_watched_process_is_idle() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&["--workers", "1"]);
    let _strangers = strangers();
    let mut observation = Observation::of(server.pid(), &[]);
    let mut ticks_of_a_second = || {
        let told = |line: &Value| line["type"] == "window" && line["cost"]["ticks_on_others"].is_u64();
        let window = observation.wait_for_line("window that tells of ticks", told);
        number(&window["cost"]["ticks_on_others"])
    };
    // The clocks run at first, until it is known who is not there.
    let ticks = [(); 5].map(|()| ticks_of_a_second());
    assert!(ticks[2..].iter().sum::<u64>() < FULL / 20, "{ticks:?}");
}

#[test]
fn a_clock_that_rested_ticks_again_when_a_watched_thread_computes() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&["--workers", "1"]);
    let mut observation = Observation::of(server.pid(), &[]);
    for _ in 0..2 {
        observation.wait_for_line("window", |line| line["type"] == "window");
    }
    load(
        &server.url("/burn?us=500000"),
        &["--requests", "1", "--connections", "1"],
    );
    // A stack is taken of each tenth tick, and counted once it is named or given up.
    let samples = Cell::new(0);
    observation.wait_for_line("sample of most of it", |line| {
        let cost = &line["cost"];
        samples.set(
            samples.get()
                + cost["samples"].as_u64().unwrap_or(0)
                + cost["samples_lost"].as_u64().unwrap_or(0),
        );
        samples.get() >= FULL / 10 / 2 / 2
    });
    observation.finish().without_loss();
}
