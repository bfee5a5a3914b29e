//! Who reads the lines of a live run, and when.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::kernel;
use crate::observation::{OBSERVER, Observation};
use crate::run::{DEADLINE, Running, read_all};
use crate::server::{Server, load};

#[test]
fn a_reader_that_has_enough_ends_the_run() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&[]);
    let child = Command::new(OBSERVER)
        .args(["attach", "--requests", "all", "--pid", &server.pid().to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut running = Running(child.unwrap());
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
