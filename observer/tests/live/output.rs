//! Who reads the lines of a live run, and when.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::kernel;
use crate::observation::{OBSERVER, Observation};
use crate::run::{DEADLINE, Running, read_all};
use crate::server::{Server, load};

/// An observer that writes every request of this server into pipes.
fn writing_all(server: &Server) -> Running {
    let child = Command::new(OBSERVER)
        .args(["attach", "--requests", "all", "--pid", &server.pid().to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    Running(child.unwrap())
}

#[test]
fn a_reader_that_has_enough_ends_the_run() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&[]);
    let mut running = writing_all(&server);
    let mut lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(next()["type"], "header");
    load(&server.url("/ping"), &["--requests", "2000"]);
    for _ in 0..2 {
        assert_eq!(next()["v"], 1);
    }
    drop(lines);
    // Without further requests too: each second has its line.
    let stderr = read_all(running.0.stderr.take()).recv_timeout(DEADLINE).unwrap();
    let code = running.status(DEADLINE).code();
    assert_eq!((code, &*String::from_utf8_lossy(&stderr)), (Some(0), ""));
}

#[test]
fn lines_are_handed_on_while_the_run_goes_on() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&[]);
    let mut observation = Observation::of(server.pid(), &[]);
    load(&server.url("/ping"), &["--requests", "10"]);
    observation.wait_for_line("request", |line| line["type"] == "request");
    observation.wait_for_line("window", |line| line["type"] == "window");
    observation.finish();
}

fn interrupt(running: &Running) {
    // SAFETY: kill reads and writes no memory of this process; the child was not waited for.
    let sent = unsafe { libc::kill(running.0.id().cast_signed(), libc::SIGINT) };
    assert_eq!(sent, 0);
}

#[test]
fn a_reader_that_pauses_loses_lines_and_the_run_loses_nothing() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&[]);
    let mut running = writing_all(&server);
    let mut lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["type"], "header");
    // More than the pipe and the queue hold. The reader does not read meanwhile.
    let requests = load(
        &server.url("/ping"),
        &["--requests", "20000", "--connections", "8"],
    );
    let mut written = 0;
    let mut signalled = false;
    let end = loop {
        let line = next();
        match line["type"].as_str() {
            Some("request") => written += 1,
            Some("window") if !signalled => {
                interrupt(&running);
                signalled = true;
            }
            Some("end") => break line,
            _ => {}
        }
    };
    assert!(running.status(DEADLINE).success());
    assert_eq!(end["requests"], requests);
    let not_written = end["lost"]["output_full"].as_u64().expect("it is told");
    assert!(
        not_written >= requests - written,
        "{not_written} of {requests}, {written} written"
    );
    assert_eq!(end["lost"].as_object().unwrap().len(), 1, "{}", end["lost"]);
}
