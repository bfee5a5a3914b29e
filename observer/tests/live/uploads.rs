//! Clients that do not go on sending: the rest of a request that has begun comes late.

use std::io::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client;
use crate::kernel;
use crate::laws::{largest, waited};
use crate::observation::{Lines, Observation};
use crate::server::Server;

const MS: u64 = 1_000_000;

/// What the client does between two pieces.
const PAUSE: Duration = Duration::from_millis(60);

/// Sends the pieces with pauses between them, five times on one connection, and reads an answer that ends so.
/// Gives what was observed, and how long the pauses of each request were together, ns.
fn in_pieces(server: &Server, pieces: &[&str], answer_ends: &str) -> (Lines, Vec<u64>) {
    let observation = Observation::of(server.pid(), &[]);
    let mut stream = client::connect(server.address);
    let mut withheld = Vec::new();
    for _ in 0..5 {
        let mut paused = Duration::ZERO;
        for (place, piece) in pieces.iter().enumerate() {
            if place > 0 {
                // This is the client's fault, not a wait for something.
                let begin = Instant::now();
                thread::sleep(PAUSE);
                paused += begin.elapsed();
            }
            stream.write_all(piece.as_bytes()).unwrap();
        }
        read_until(&mut stream, answer_ends);
        withheld.push(u64::try_from(paused.as_nanos()).unwrap());
    }
    let lines = observation.finish();
    lines.without_loss();
    (lines, withheld)
}

fn read_until(stream: &mut impl std::io::Read, ends: &str) {
    let mut answer = Vec::new();
    while !answer.ends_with(ends.as_bytes()) {
        let mut some = [0; 1024];
        let bytes = stream.read(&mut some).unwrap();
        assert_ne!(bytes, 0, "closed after {:?}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&some[..bytes]);
    }
}

/// Each request waited for its client for as long as that paused, within what a sleep and a wakeup take.
#[track_caller]
fn waited_for_the_client(lines: &Lines, withheld: &[u64]) {
    assert_eq!(lines.requests.len(), withheld.len(), "{:?}", lines.requests);
    for (request, paused_ns) in lines.requests.iter().zip(withheld) {
        let (cause, ns, _) = largest(request);
        assert_eq!(cause, "client", "{request}");
        // On a busy machine the server can be late for the first piece while the client pauses already.
        let late_ns: u64 = ["accept_queue", "run_queue"]
            .map(|queue| waited(request, queue))
            .iter()
            .sum();
        assert!(
            ns <= *paused_ns + 20 * MS && ns + late_ns + 20 * MS >= *paused_ns,
            "{ns} ns of {paused_ns}: {request}"
        );
        assert!(waited(request, "unexplained") < MS, "{request}");
    }
}

fn status(request: &Value) -> &Value {
    &request["http"]["status"]
}

#[test]
fn a_slow_upload_waits_for_its_client() {
    let Some(_turn) = kernel::turn() else { return };
    for framework in ["axum", "hyper", "actix"] {
        let server = Server::faulty(&["--workers", "1", "--framework", framework]);
        let head = "POST /ping HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\nfirst ";
        let (lines, withheld) = in_pieces(&server, &[head, "sec", "ond"], "pong");
        waited_for_the_client(&lines, &withheld);
        for request in &lines.requests {
            assert_eq!(status(request), 200, "{request}");
        }
    }
}

#[test]
fn a_head_in_pieces_waits_for_its_client() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&["--workers", "2"]);
    let (lines, withheld) = in_pieces(
        &server,
        &["GET /pi", "ng HTTP/1.1\r\nHo", "st: a\r\n\r\n"],
        "pong",
    );
    waited_for_the_client(&lines, &withheld);
    assert_eq!(lines.of_path("/ping").len(), 5);
}

#[test]
fn a_thread_that_is_blocked_in_its_read_waits_for_the_client() {
    let Some(_turn) = kernel::turn() else { return };
    // A thread for each connection, which reads lines.
    let server = Server::slow_peer();
    let (lines, withheld) = in_pieces(&server, &["00", "00", "0\n"], "\n");
    waited_for_the_client(&lines, &withheld);
}

#[test]
fn a_request_to_go_on_and_what_follows_it_are_one_request() {
    let Some(_turn) = kernel::turn() else { return };
    for framework in ["axum", "hyper"] {
        let server = Server::faulty(&["--workers", "1", "--framework", framework]);
        let observation = Observation::of(server.pid(), &[]);
        let mut stream = client::connect(server.address);
        let mut withheld = Vec::new();
        for _ in 0..5 {
            stream
                .write_all(
                    b"POST /timer?ms=1 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 6\r\n\r\n",
                )
                .unwrap();
            read_until(&mut stream, "HTTP/1.1 100 Continue\r\n\r\n");
            let begin = Instant::now();
            thread::sleep(PAUSE);
            withheld.push(u64::try_from(begin.elapsed().as_nanos()).unwrap());
            stream.write_all(b"upload").unwrap();
            read_until(&mut stream, "waited\n");
        }
        let lines = observation.finish();
        lines.without_loss();
        waited_for_the_client(&lines, &withheld);
        assert_eq!(lines.end["status"]["2xx"], 5, "{}", lines.end);
        for request in lines.of_path("/timer") {
            assert_eq!(status(request), 200, "{request}");
            assert!(waited(request, "timer") >= MS / 2, "{request}");
        }
    }
}

#[test]
fn bytes_that_came_while_the_request_was_served_are_not_waited_for() {
    let Some(_turn) = kernel::turn() else { return };
    // The peer sleeps for the first line when the rest is there already: what it reads then came long ago.
    let server = Server::slow_peer();
    let observation = Observation::of(server.pid(), &[]);
    let mut stream = client::connect(server.address);
    stream.write_all(b"50000\n").unwrap();
    read_until(&mut stream, "\n");
    let lines = observation.finish();
    assert_eq!(lines.without_loss().count(), 1);
    assert_eq!(waited(&lines.requests[0], "client"), 0, "{}", lines.requests[0]);
}
