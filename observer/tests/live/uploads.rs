//! Clients that do not go on sending: the rest of a request that has begun comes late.

use std::io::Write as _;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::{self, Connection};
use crate::laws::{is_unseen, largest, seen, waited};
use crate::observation::{Lines, Observation};
use crate::run::{DEADLINE, wait_for};
use crate::server::Server;
use crate::{kernel, measured};

const MS: u64 = 1_000_000;

/// What the client does between two pieces.
const PAUSE: Duration = Duration::from_millis(60);

/// How long the pauses of a request were together, ns: at least and at most, because a piece arrives somewhere in the
/// call that writes it.
#[derive(Clone, Copy, Debug, Default)]
struct Paused {
    least_ns: u64,
    most_ns: u64,
}

impl Paused {
    /// Writes the next piece after a pause, which is the client's fault and no wait for something. The piece before was
    /// written from `begun` on. Gives from when on this one was.
    fn then_writes(&mut self, begun: Instant, stream: &mut TcpStream, piece: &[u8]) -> Instant {
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap();
        let written = Instant::now();
        thread::sleep(PAUSE);
        let next = Instant::now();
        stream.write_all(piece).unwrap();
        self.least_ns += ns(next - written);
        self.most_ns += ns(begun.elapsed());
        next
    }
}

/// Sends the pieces with pauses between them, five times on one connection, and reads an answer that ends so.
/// Gives what was observed, and how long the pauses of each request were together.
fn in_pieces(server: &Server, pieces: &[&str], answer_ends: &str) -> (Lines, Vec<Paused>) {
    let observation = Observation::of(server.pid(), &[]);
    let mut stream = client::connect(server.address);
    let mut withheld = Vec::new();
    for _ in 0..5 {
        let mut paused = Paused::default();
        let mut begun = Instant::now();
        stream.write_all(pieces[0].as_bytes()).unwrap();
        for piece in &pieces[1..] {
            begun = paused.then_writes(begun, &mut stream, piece.as_bytes());
        }
        read_until(&mut stream, answer_ends);
        withheld.push(paused);
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
fn waited_for_the_client(lines: &Lines, withheld: &[Paused]) {
    assert_eq!(lines.requests.len(), withheld.len(), "{:?}", lines.requests);
    measured::UPLOAD.holds_of_each(seen(&lines.requests));
    let paused = lines.requests.iter().zip(withheld);
    for (request, paused) in paused.filter(|(request, _)| !is_unseen(request)) {
        let (cause, ns, _) = largest(request);
        assert_eq!(cause, "client", "{request}");
        // On a busy machine the server can be late for the first piece while the client pauses already.
        let late_ns: u64 = ["accept_queue", "run_queue"]
            .map(|queue| waited(request, queue))
            .iter()
            .sum();
        assert!(
            ns <= paused.most_ns && ns + late_ns + 20 * MS >= paused.least_ns,
            "{ns} ns of {paused:?}: {request}"
        );
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
            let begun = Instant::now();
            stream
                .write_all(
                    b"POST /timer?ms=20 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 6\r\n\r\n",
                )
                .unwrap();
            read_until(&mut stream, "HTTP/1.1 100 Continue\r\n\r\n");
            let mut paused = Paused::default();
            paused.then_writes(begun, &mut stream, b"upload");
            withheld.push(paused);
            read_until(&mut stream, "waited\n");
        }
        let lines = observation.finish();
        lines.without_loss();
        waited_for_the_client(&lines, &withheld);
        assert_eq!(lines.end["status"]["2xx"], 5, "{}", lines.end);
        for request in lines.of_path("/timer") {
            assert_eq!(status(request), 200, "{request}");
            assert!(waited(request, "timer") >= 10 * MS, "{request}");
        }
    }
}

#[test]
fn bytes_that_came_while_the_worker_was_blocked_are_not_waited_for() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&["--workers", "1"]);
    let observation = Observation::of(server.pid(), &[]);
    let mut other = Connection::open(server.address);
    other.get("/ping");
    let mut stream = client::connect(server.address);
    let begun = Instant::now();
    stream
        .write_all(b"POST /timer?ms=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\nfirst ")
        .unwrap();
    wait_for("the first piece to be read", DEADLINE, || {
        (unread(stream.local_addr().unwrap().port()) == 0).then_some(())
    });
    // Long enough for this client to be late itself.
    other.send(&client::request("/blocking?ms=500"));
    server.wait_until_in(libc::SYS_clock_nanosleep);
    stream.write_all(b"second").unwrap();
    let withheld_ns = u64::try_from(begun.elapsed().as_nanos()).unwrap();
    read_until(&mut stream, "waited\n");
    other.answer();
    let lines = observation.finish();
    lines.without_loss();
    let request = lines.of_path("/timer")[0];
    assert!(waited(request, "client") <= withheld_ns, "{request}");
    assert!(waited(request, "worker_blocked") >= 100 * MS, "{request}");
}

/// Bytes that were sent to a server on this machine, from this port, and not read by it.
fn unread(client_port: u16) -> u64 {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let of = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let is_server = fields.get(2)?.ends_with(&format!(":{client_port:04X}"));
        let (_, received) = fields.get(4)?.split_once(':')?;
        u64::from_str_radix(received, 16).ok().filter(|_| is_server)
    };
    table.lines().find_map(of).unwrap_or(u64::MAX)
}
