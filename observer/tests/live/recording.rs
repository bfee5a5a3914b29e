//! What was recorded live gives the same offline.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::observation::{Lines, OBSERVER, Observation};
use crate::run::{DEADLINE, Running, read_all, run, wait_for};
use crate::server::{Server, load};
use crate::{kernel, laws};

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
        .envs([("SUDO_UID", "65534"), ("SUDO_GID", "65534")])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut recorder = Running(child.unwrap());
    let stderr = read_all(recorder.0.stderr.take());
    wait_for("the recording to begin", crate::run::DEADLINE, || {
        recording.is_file().then_some(())
    });
    assert_eq!(load(&server.url("/ping"), &["--requests", "300"]), 300);
    server.kill();
    // Nothing is left to watch: it ends by itself.
    assert!(recorder.status(crate::run::DEADLINE).success());
    let replayed = lines(&replay(recording.to_str().unwrap()).stdout);
    assert_eq!(replayed.without_loss().count(), 300);
    let file = fs::metadata(&recording).unwrap();
    assert_eq!(
        (file.uid(), file.gid(), file.mode() & 0o777),
        (65_534, 65_534, 0o600)
    );
    let said = String::from_utf8(stderr.recv_timeout(DEADLINE).unwrap()).unwrap();
    let (path, last) = (recording.display(), said.lines().last().unwrap());
    let ends = format!("iB: `observer replay {path}` explains the requests in it");
    assert!(
        last.starts_with(&format!("observer: {path} has ")) && last.ends_with(&ends),
        "{said}"
    );
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

/// Requests by connection and time, with their latency, and whether anything of them was lost.
fn by_time(lines: &Lines) -> BTreeMap<(u64, u64), (u64, bool)> {
    let one = |line: &Value| {
        let key = (&line["conn"]["id"], &line["start_unix_ns"]);
        let told = (&line["latency_ns"], &line["complete"]);
        (
            (laws::number(key.0), laws::number(key.1)),
            (laws::number(told.0), told.1 == true),
        )
    };
    lines.requests.iter().map(one).collect()
}

#[test]
fn a_recording_that_is_read_slowly_tells_its_gaps_and_the_lines_have_none() {
    let Some(_turn) = kernel::turn() else { return };
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    assert!(run(Command::new("mkfifo").arg(&fifo)).status.success());
    let server = Server::faulty(&[]);
    let path = fifo.to_str().unwrap().to_owned();
    // Who writes into it waits until somebody reads.
    let reader = thread::spawn(move || File::open(fifo).unwrap());
    let mut observation = Observation::of(server.pid(), &["--record", &path, "--ring-kib", "256"]);
    let reader = reader.join().unwrap();
    let some = |requests| {
        let arguments = ["--requests", requests, "--connections", "4", "--rate", "1000"];
        load(&server.url("/ping"), &arguments)
    };
    let (mut sent, until) = (0, Instant::now() + 3 * DEADLINE);
    let has_gap = |line: &Value| line["type"] == "window" && line["lost"]["not_recorded"].is_u64();
    loop {
        sent += some("1000");
        let window = Instant::now() + Duration::from_secs(2);
        if observation.line_before(window, "window", has_gap).is_some() {
            break;
        }
        assert!(Instant::now() < until, "{sent} requests were all recorded");
    }
    let recording = read_all(Some(reader));
    // What was told since the reader went on has room again.
    observation.wait_for_line("window", |line| line["type"] == "window" && !has_gap(line));
    sent += some("200");
    let live = observation.finish();
    let missing = laws::number(&live.end["lost"]["not_recorded"]);
    assert_eq!(live.without_loss_but(&[("not_recorded", missing)]).count(), sent);

    let path = directory.path().join("live.rec");
    fs::write(&path, recording.recv_timeout(DEADLINE).unwrap()).unwrap();
    let replayed = lines(&replay(path.to_str().unwrap()).stdout);
    assert_eq!(replayed.end["lost"], live.end["lost"]);
    let (live, replayed) = (by_time(&live), by_time(&replayed));
    assert!(replayed.len() < live.len());
    let whole: Vec<_> = replayed.iter().filter(|(_, (_, complete))| *complete).collect();
    for (request, (latency_ns, _)) in &whole {
        assert_eq!(
            live.get(request).map(|live| live.0),
            Some(*latency_ns),
            "{request:?}"
        );
    }
    assert!(whole.len() >= 200, "{} are whole", whole.len());
}
