//! What was under way when observer attached: connections of both directions, of every kind, in the middle of a turn.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use observer::source::live::LiveSource;
use serde_json::Value;

use crate::client::{self, Connection};
use crate::observation::{Lines, Observation};
use crate::server::{Server, finished, testbed};
use crate::{kernel, laws};

const ROUNDS: u64 = 5;

/// Checks that nothing of the run was left without being told.
#[track_caller]
fn counts(lines: &Lines, requests: u64, begun_before: u64) {
    let end = &lines.without_loss().end;
    let count = |name: &str| laws::number(&end[name]);
    let names = [
        "requests",
        "begun_before",
        "unknown_direction",
        "late_sends",
        "unanswered",
    ];
    assert_eq!(names.map(count), [requests, begun_before, 0, 0, 0], "{end}");
}

/// Requests by the client's address.
fn by_client(lines: &Lines) -> BTreeMap<&str, u64> {
    let mut clients = BTreeMap::new();
    for request in &lines.requests {
        let peer = request["conn"]["peer"].as_str().expect("its address is known");
        *clients.entry(peer).or_default() += 1;
    }
    clients
}

/// How long a peer takes for an answer.
const ANSWERS_AFTER: Duration = Duration::from_millis(20);
const ANSWERS_AFTER_NS: u64 = 20_000_000;

/// The peer's side of one connection. Takes a question, and answers when it is told.
struct Peer(BufReader<TcpStream>);

impl Peer {
    fn is_asked(&mut self) {
        let mut question = String::new();
        self.0.read_line(&mut question).expect("the server asks");
        assert!(question.ends_with('\n'), "the server closed");
    }

    fn answers(&mut self) {
        self.0.get_mut().write_all(b"now until 1\n").unwrap();
    }

    /// Answers until the server closes.
    fn goes_on(mut self) -> JoinHandle<()> {
        thread::spawn(move || {
            let mut question = String::new();
            while self.0.read_line(&mut question).is_ok_and(|bytes| bytes > 0) {
                thread::sleep(ANSWERS_AFTER);
                self.answers();
                question.clear();
            }
        })
    }
}

#[test]
fn connections_in_the_middle_of_a_request_and_of_a_question_to_a_peer_go_on_as_what_they_are() {
    const CLIENTS: usize = 6;
    let Some(_turn) = kernel::turn() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer_address = listener.local_addr().unwrap().to_string();
    let server = Server::faulty(&["--workers", "1", "--downstream", &peer_address]);
    let mut clients = [(); CLIENTS].map(|()| Connection::open(server.address));
    for client in &mut clients {
        client.send(&client::request("/downstream?us=1"));
    }
    let mut peers = [(); CLIENTS].map(|()| Peer(BufReader::new(listener.accept().unwrap().0)));
    peers.iter_mut().for_each(Peer::is_asked);

    let observation = Observation::of(server.pid(), &[]);
    peers.iter_mut().for_each(Peer::answers);
    for client in &mut clients {
        client.answer();
    }
    let peers = peers.map(Peer::goes_on);
    for _ in 0..ROUNDS {
        for client in &mut clients {
            client.get("/downstream?us=1");
        }
    }
    let lines = observation.finish();
    drop(server);
    for peer in peers {
        peer.join().unwrap();
    }

    counts(&lines, CLIENTS as u64 * ROUNDS, CLIENTS as u64);
    let clients = by_client(&lines);
    assert_eq!(
        clients.values().collect::<Vec<_>>(),
        [&ROUNDS; CLIENTS],
        "{clients:?}"
    );
    for request in laws::seen(&lines.requests) {
        let asked_ns = laws::waited(request, "downstream");
        assert!(asked_ns >= ANSWERS_AFTER_NS / 2, "{request}");
        for span in laws::spans(request, "downstream") {
            assert_eq!(span["peer"], peer_address.as_str(), "{request}");
        }
    }
}

/// Tells who asks to stop when the test is over, however that ends.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Asks without a pause until it is told to stop. Gives when it sent each request.
fn asks(address: SocketAddr, client: usize, goes_on: &AtomicBool) -> Vec<u64> {
    let mut connection = Connection::open(address);
    let mut sent_ns = Vec::new();
    while goes_on.load(Ordering::Relaxed) {
        sent_ns.push(LiveSource::now_ns());
        connection.get(&format!("/timer?us=60000&client={client}&n={}", sent_ns.len()));
    }
    sent_ns
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one run, and all that has to hold of its lines"
)]
fn under_load_all_requests_that_begin_after_the_attach_are_there() {
    const CLIENTS: usize = 8;
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&["--workers", "1"]);
    let goes_on = AtomicBool::new(true);
    let (lines, sent_ns) = thread::scope(|scope| {
        let stop = Stop(&goes_on);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                scope.spawn({
                    let goes_on = &goes_on;
                    let address = server.address;
                    move || asks(address, client, goes_on)
                })
            })
            .collect();
        let mut observation = Observation::of(server.pid(), &["--with-query"]);
        for _ in 0..ROUNDS as usize * CLIENTS {
            observation.wait_for_line("request", |line| line["type"] == "request");
        }
        drop(stop);
        let sent_ns: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        (observation.finish(), sent_ns)
    });

    let header: Value = serde_json::from_str(&lines.without_loss().written[0]).unwrap();
    let started_ns = laws::number(&header["started_unix_ns"]);
    let attached_ns = started_ns - laws::number(&header["unix_offset_ns"]);
    for request in &lines.requests {
        assert!(laws::number(&request["start_unix_ns"]) >= started_ns, "{request}");
    }
    let seen: BTreeSet<_> = lines
        .requests
        .iter()
        .map(|request| request["http"]["path"].as_str())
        .collect();
    for (client, sent_ns) in sent_ns.iter().enumerate() {
        for (n, _) in (1..).zip(sent_ns).filter(|(_, sent_ns)| **sent_ns > attached_ns) {
            let path = format!("/timer?us=60000&client={client}&n={n}");
            assert!(
                seen.contains(&Some(path.as_str())),
                "{path} is missing: {}",
                lines.end
            );
        }
    }
    assert!(
        laws::number(&lines.end["begun_before"]) <= CLIENTS as u64,
        "{}",
        lines.end
    );
    assert_eq!(lines.end["unknown_direction"], 0);
    for request in &lines.requests {
        assert!(laws::spans(request, "downstream").next().is_none(), "{request}");
        let path = request["http"]["path"].as_str().unwrap();
        assert_eq!(
            request["bytes_in"],
            client::request(path).len(),
            "one request: {request}"
        );
        let started_ns = laws::number(&header["started_unix_ns"]);
        assert!(
            laws::number(&request["start_unix_ns"]) + 60_000_000 >= started_ns,
            "{request}"
        );
    }
}

/// Where a listener can be, and how a client reaches it.
const ADDRESSES: [(&str, &str); 3] = [
    ("127.0.0.1:0", "127.0.0.1"),
    ("[::1]:0", "::1"),
    ("[::]:0", "127.0.0.1"),
];

/// Both ends of a connection whose listener is gone. The request was read.
fn without_listener(listener: TcpListener, host: &str) -> (BufReader<TcpStream>, Connection) {
    let address = SocketAddr::new(host.parse().unwrap(), listener.local_addr().unwrap().port());
    let mut client = Connection::open(address);
    client.send(&client::request("/before"));
    let mut server = BufReader::new(listener.accept().unwrap().0);
    read_request(&mut server);
    drop(listener);
    (server, client)
}

fn read_request(stream: &mut BufReader<TcpStream>) {
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        assert!(stream.read_line(&mut line).unwrap() > 0, "the client closed");
    }
}

fn answer(stream: &mut BufReader<TcpStream>) {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    stream.get_mut().write_all(answer).unwrap();
}

#[test]
fn who_opened_a_connection_is_known_without_its_listener_and_in_every_family() {
    let Some(_turn) = kernel::turn() else { return };
    // This process is the server, and the client, whose own connections are no server's.
    let mut connections = Vec::new();
    for (listen, host) in ADDRESSES {
        let Ok(listener) = TcpListener::bind(listen) else {
            return kernel::skip(&format!("to listen on {listen}: IPv6"));
        };
        connections.push(without_listener(listener, host));
    }
    let mut observation = Observation::of(std::process::id(), &[]);
    for (server, client) in &mut connections {
        answer(server);
        client.answer();
        for _ in 0..ROUNDS {
            client.send(&client::request("/after"));
            read_request(server);
            answer(server);
            client.answer();
        }
    }
    observation.wait_for_line("request", |line| line["type"] == "request");
    let lines = observation.finish();
    let connections = ADDRESSES.len() as u64;
    counts(&lines, connections * ROUNDS, connections);
    assert_eq!(lines.of_path("/after").len() as u64, connections * ROUNDS);
    for request in &lines.requests {
        assert_eq!(laws::waited(request, "accept_queue"), 0, "{request}");
    }
}

#[test]
fn a_port_is_that_of_the_server_s_own_network() {
    let Some(_turn) = kernel::turn() else { return };
    if !["unshare", "nsenter", "ip"].into_iter().all(kernel::has_program) {
        return;
    }
    let script = r#"ip link set lo up && exec "$0" "$@""#;
    let mut command = Command::new("unshare");
    command
        .args(["--net", "sh", "-c", script])
        .arg(testbed("faulty-server"));
    let server = Server::start(&mut command);
    let other = Server::faulty(&["--port", &server.address.port().to_string()]);
    let observation = Observation::of(server.pid(), &[]);
    let (watched, unwatched) = (server.url("/ping?watched"), other.url("/ping"));
    let arguments = ["--requests", "1000", "--reconnect"];
    let mut load = Command::new(testbed("load"));
    assert_eq!(finished(load.args(["--url", &unwatched]).args(arguments)), 1_000);
    let mut load = Command::new("nsenter");
    load.args(["--target", &server.pid().to_string(), "--net"])
        .arg(testbed("load"));
    assert_eq!(finished(load.args(["--url", &watched, "--requests", "20"])), 20);
    let lines = observation.finish();
    counts(&lines, 20, 0);
    // Each of the other's connections would have been two records at least.
    let records = laws::number(&lines.end["cost"]["records"]);
    assert!(records < 1_000, "{records} records");
}
