//! What was recorded live gives the same offline.

use std::fs;
use std::process::{Command, Output, Stdio};

use crate::kernel;
use crate::observation::{Lines, OBSERVER, Observation};
use crate::run::{Running, run, wait_for};
use crate::server::{Server, load};

fn replay(path: &str) -> Output {
    let output = run(Command::new(OBSERVER).args(["replay", "--requests", "all", path]));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn lines(output: &[u8]) -> Lines {
    let text = std::str::from_utf8(output).expect("the output is UTF-8");
    Lines::new(text.lines().map(str::to_owned).collect())
}

#[test]
fn a_replay_writes_the_same_requests_as_the_live_run_and_the_same_bytes_each_time() {
    let Some(_turn) = kernel::turn() else { return };
    let directory = tempfile::tempdir().unwrap();
    let recording = directory.path().join("live.rec");
    let recording = recording.to_str().unwrap();
    let server = Server::faulty(&[]);
    let observation = Observation::of(server.pid(), &["--record", recording]);
    for path in ["/ping", "/timer?ms=3", "/pool?ms=3", "/blocking?ms=3"] {
        load(&server.url(path), &["--requests", "50", "--connections", "3"]);
    }
    let live = observation.finish();
    let first = replay(recording);
    let replayed = lines(&first.stdout);
    assert_eq!(live.count(), 200);
    assert_eq!(replayed.request_lines(), live.request_lines());
    for total in [
        "requests",
        "incomplete",
        "confidence",
        "status",
        "latency_ns",
        "at",
        "paths",
        "lost",
    ] {
        assert_eq!(replayed.end[total], live.end[total], "{total}");
    }
    assert!(first.stdout == replay(recording).stdout, "two replays differ");
}

#[test]
fn record_keeps_every_request_for_a_replay() {
    let Some(_turn) = kernel::turn() else { return };
    let directory = tempfile::tempdir().unwrap();
    let recording = directory.path().join("live.rec");
    let mut server = Server::faulty(&[]);
    let child = Command::new(OBSERVER)
        .args(["record", "--pid", &server.pid().to_string(), "-o"])
        .arg(&recording)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut recorder = Running(child.unwrap());
    wait_for("the recording to begin", crate::run::DEADLINE, || {
        recording.is_file().then_some(())
    });
    assert_eq!(load(&server.url("/ping"), &["--requests", "300"]), 300);
    server.kill();
    // Nothing is left to watch: it ends by itself.
    assert!(recorder.status(crate::run::DEADLINE).success());
    let replayed = lines(&replay(recording.to_str().unwrap()).stdout);
    assert_eq!(replayed.without_loss().count(), 300);
    assert!(fs::metadata(&recording).unwrap().len() > 0);
}

#[test]
fn a_recording_of_an_observer_that_was_killed_is_replayed_up_to_there() {
    let Some(_turn) = kernel::turn() else { return };
    let directory = tempfile::tempdir().unwrap();
    let recording = directory.path().join("live.rec");
    let server = Server::faulty(&[]);
    let mut observation = Observation::of(server.pid(), &["--record", recording.to_str().unwrap()]);
    load(&server.url("/ping"), &["--requests", "3000"]);
    observation.wait_for_line("request", |line| line["type"] == "request");
    wait_for("events in the file", crate::run::DEADLINE, || {
        (fs::metadata(&recording).ok()?.len() > 100_000).then_some(())
    });
    observation.kill();
    let output = run(Command::new(OBSERVER)
        .args(["replay", "--requests", "all"])
        .arg(&recording));
    assert_eq!(
        output.status.code(),
        Some(3),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(lines(&output.stdout).count() > 100);
}
