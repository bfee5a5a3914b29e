//! The sampling clocks tick where watched threads run, and leave others alone.

use std::process::Command;
use std::thread;

use serde_json::Value;

use crate::kernel;
use crate::laws::number;
use crate::observation::Observation;
use crate::run::Running;
use crate::server::{Server, example, load};

/// Ticks a second of a clock that does not rest.
const FULL: u64 = 990;

/// Has each CPU compute, until they are dropped.
fn strangers() -> Vec<Running> {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let hog = |cpu: usize| {
        let mut hog = Command::new(example("hog"));
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
    let ticks = |line: &Value| number(&line["cost"]["ticks_on_others"]);
    // The clocks run at first, until it is known who is not there.
    observation.wait_for_line("window", |line| line["type"] == "window");
    let second = observation.wait_for_line("window", |line| line["type"] == "window");
    let third = observation.wait_for_line("window", |line| line["type"] == "window");
    assert!(ticks(&second) + ticks(&third) < FULL / 20, "{second} {third}");
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
    let lines = observation.finish();
    let cost = &lines.without_loss().end["cost"];
    // A stack is taken of each tenth tick. Whether there was time to name it is another question.
    let samples = number(&cost["samples"]) + number(&cost["samples_lost"]);
    assert!(samples >= FULL / 10 / 2 / 2, "{}", lines.end);
}
