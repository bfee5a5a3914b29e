//! Bytes that TCP holds after the last send has returned: latency ends when they have left, which a client sees.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::{self, Connection};
use crate::kernel;
use crate::laws::{number, spans, waited};
use crate::observation::{Lines, Observation};
use crate::run::DEADLINE;
use crate::server::Server;

const MS: u64 = 1_000_000;

/// A tick of the kernel's clock, at 100 a second, and what a busy machine adds.
const TICK_NS: u64 = 15 * MS;

/// Requests `path` so often on one connection, with a pause before each, and gives how long each took.
fn client(address: SocketAddr, path: &str, count: usize, pause: Duration) -> Vec<u64> {
    let mut connection = Connection::open(address);
    let mut took_ns = Vec::new();
    for _ in 0..count {
        thread::sleep(pause);
        let begun = Instant::now();
        connection.get(path);
        took_ns.push(u64::try_from(begun.elapsed().as_nanos()).unwrap());
    }
    took_ns
}

/// The same, observed. Gives what was told, and how long each request took for the client, in both the slowest first.
fn observe(arguments: &[&str], path: &str, count: usize) -> (Lines, Vec<u64>) {
    let server = Server::faulty(arguments);
    let observation = Observation::of(server.pid(), &[]);
    let mut took_ns = client(server.address, path, count, Duration::ZERO);
    let lines = observation.finish();
    assert_eq!(lines.without_loss().count(), count as u64);
    took_ns.sort_unstable_by_key(|ns| std::cmp::Reverse(*ns));
    (lines, took_ns)
}

/// Checks that half of the requests took about as long as for the client: a fifth or a millisecond less at most.
#[track_caller]
fn agree_at_p50(requests: &[&Value], took_ns: &[u64]) {
    let (told, client) = (
        number(&requests[requests.len() / 2]["latency_ns"]),
        took_ns[took_ns.len() / 2],
    );
    assert!(
        told.abs_diff(client) <= (client / 5).max(MS),
        "{told} ns at the p50, for the client {client} ns"
    );
}

/// The span in which TCP held the last bytes, if it is at least so long.
fn held(request: &Value, least_ns: u64) -> Option<&Value> {
    spans(request, "held_back").find(|span| number(&span["dur_ns"]) >= least_ns)
}

#[test]
fn a_body_sent_after_its_head_without_nodelay_is_held_back_by_nagle() {
    let Some(_turn) = kernel::turn() else { return };
    let (lines, took_ns) = observe(&["--nagle"], "/halves", 60);
    let requests = lines.of_path("/halves");
    agree_at_p50(&requests, &took_ns);
    // A client acknowledges the first segments of a connection at once.
    let of_client = took_ns.iter().filter(|ns| **ns >= 35 * MS).count();
    assert!(of_client >= 30, "of the client's {of_client} were slow");
    let slow: Vec<_> = requests
        .iter()
        .filter_map(|request| held(request, 30 * MS))
        .collect();
    assert!(
        slow.len().abs_diff(of_client) <= 3,
        "{} of {of_client}",
        slow.len()
    );
    for span in slow {
        assert_eq!(span["held_by"], "nagle", "{span}");
        assert_eq!(span["unsent_bytes"], "the second half\n".len(), "{span}");
    }
    let diagnosis = &lines.end["diagnosis"];
    assert_eq!(diagnosis["kind"], "held_back", "{}", lines.end);
    assert!(
        diagnosis["text"].as_str().unwrap().contains("TCP_NODELAY"),
        "{diagnosis}"
    );
}

#[test]
fn a_body_sent_after_its_head_with_nodelay_is_not_held_back() {
    let Some(_turn) = kernel::turn() else { return };
    let (lines, took_ns) = observe(&[], "/halves", 60);
    let requests = lines.of_path("/halves");
    agree_at_p50(&requests, &took_ns);
    assert!(requests.iter().all(|request| waited(request, "held_back") == 0));
    assert_eq!(lines.end["unsent"], 0);
}

#[test]
fn a_large_answer_takes_until_its_last_byte_has_left() {
    let Some(_turn) = kernel::turn() else { return };
    let (lines, took_ns) = observe(&[], "/large?kib=4096", 30);
    agree_at_p50(&lines.of_path("/large"), &took_ns);
}

#[test]
fn a_client_without_room_holds_the_last_bytes_back() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&[]);
    let observation = Observation::of(server.pid(), &[]);
    let begun = Instant::now();
    let mut stream = with_little_room(server.address);
    stream
        .write_all(client::request("/large?kib=64").as_bytes())
        .unwrap();
    stream.read_exact(&mut [0]).unwrap();
    // The server has sent all of it: to its own socket.
    thread::sleep(Duration::from_millis(300));
    stream.read_exact(&mut vec![0; 64 << 10]).unwrap();
    let took_ns = u64::try_from(begun.elapsed().as_nanos()).unwrap();
    drop(stream);
    let lines = observation.finish();
    let request = &lines.requests[0];
    let span = held(request, 200 * MS).unwrap_or_else(|| panic!("{request}"));
    assert_eq!(span["held_by"], "client_window", "{request}");
    assert!(number(&span["unsent_bytes"]) > 16 << 10, "{request}");
    assert!(number(&request["latency_ns"]) <= took_ns, "{request}");
}

#[test]
fn of_a_client_that_is_silent_afterwards_the_end_is_known_to_a_tick() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&[]);
    let mut observation = Observation::of(server.pid(), &[]);
    let mut stream = with_little_room(server.address);
    let begun = Instant::now();
    stream
        .write_all(client::request("/large?kib=64").as_bytes())
        .unwrap();
    stream.read_exact(&mut [0]).unwrap();
    thread::sleep(Duration::from_millis(100));
    stream.read_exact(&mut vec![0; 64 << 10]).unwrap();
    let took_ns = u64::try_from(begun.elapsed().as_nanos()).unwrap();
    let request = observation.wait_for_line("request", |line| line["type"] == "request");
    drop(stream);
    observation.finish();
    let span = held(&request, 50 * MS).unwrap_or_else(|| panic!("{request}"));
    assert!(span["note"].as_str().unwrap().contains("tick"), "{request}");
    assert!(
        number(&request["latency_ns"]).abs_diff(took_ns) <= TICK_NS,
        "for the client {took_ns} ns: {request}"
    );
}

#[test]
fn bytes_that_never_left_are_told() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&[]);
    let mut observation = Observation::of(server.pid(), &[]);
    let mut stream = with_little_room(server.address);
    stream
        .write_all(client::request("/large?kib=64").as_bytes())
        .unwrap();
    stream.read_exact(&mut [0]).unwrap();
    thread::sleep(Duration::from_millis(100));
    // With bytes that were not read, the client's end is a reset.
    drop(stream);
    observation.wait_for_line("request", |line| line["type"] == "request");
    let lines = observation.finish();
    let request = &lines.requests[0];
    assert!(number(&request["unsent_bytes"]) > 16 << 10, "{request}");
    assert_eq!(lines.end["unsent"], 1, "{}", lines.end);
}

/// A connection whose client has room for a few kilobytes only.
fn with_little_room(address: SocketAddr) -> TcpStream {
    // SAFETY: takes no pointers.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    assert!(socket >= 0);
    // SAFETY: a new descriptor, which nobody else owns.
    let stream = TcpStream::from(unsafe { OwnedFd::from_raw_fd(socket) });
    let bytes: libc::c_int = 4096;
    let SocketAddr::V4(v4) = address else {
        panic!("{address} is not of IPv4")
    };
    let address = libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: v4.port().to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from_ne_bytes(v4.ip().octets()),
        },
        sin_zero: [0; 8],
    };
    // SAFETY: an `int` that lives as long as the call.
    let set = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVBUF,
            (&raw const bytes).cast(),
            size_of_val(&bytes) as libc::socklen_t,
        )
    };
    // SAFETY: an address that lives as long as the call.
    let connected = unsafe {
        libc::connect(
            stream.as_raw_fd(),
            (&raw const address).cast(),
            size_of_val(&address) as libc::socklen_t,
        )
    };
    assert_eq!((set, connected), (0, 0));
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}
