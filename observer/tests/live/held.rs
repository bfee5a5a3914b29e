//! Bytes that TCP holds after the last send has returned: latency ends when they have left, which a client sees.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client;
use crate::kernel;
use crate::laws::{number, spans, waited};
use crate::observation::{Lines, Observation};
use crate::run::{DEADLINE, wait_for};
use crate::server::Server;

const MS: u64 = 1_000_000;

/// A tick of the kernel's clock, at 100 a second, and what a busy machine adds.
const TICK_NS: u64 = 15 * MS;

/// Room for a few kilobytes at the client.
const LITTLE_ROOM: libc::c_int = 4096;

/// A client with room for a whole answer has not read it when the last byte has left, and on a busy machine not for
/// long.
const ROOM: libc::c_int = 128 << 10;

/// How long a request took for the client, and how long it waited for a CPU of its own in that, ns.
type Took = (u64, u64);

/// Requests `path` so often on one connection, observed. Gives what was told, and how long each request took, the
/// slowest first.
fn observe(arguments: &[&str], path: &str, count: usize) -> (Lines, Vec<Took>) {
    let server = Server::faulty(arguments);
    let observation = Observation::of(server.pid(), &[]);
    let mut stream = with_room(server.address, ROOM);
    let mut took: Vec<_> = (0..count).map(|_| took(&mut stream, path)).collect();
    let lines = observation.finish();
    assert_eq!(lines.without_loss().count(), count as u64);
    took.sort_unstable_by_key(|took| std::cmp::Reverse(*took));
    (lines, took)
}

/// Requests `path`, and gives how long it took until the last byte of the answer was read. What was read is thrown
/// away: to keep it takes time as well.
fn took(stream: &mut TcpStream, path: &str) -> Took {
    let mut piece = vec![0; 64 << 10];
    let (begun, waited_ns) = (Instant::now(), waited_for_cpu_ns());
    stream.write_all(client::request(path).as_bytes()).unwrap();
    let mut read = stream.read(&mut piece).unwrap();
    let head = String::from_utf8_lossy(&piece[..read]).to_ascii_lowercase();
    let (head, _) = head.split_once("\r\n\r\n").expect("the head comes whole");
    let mut lines = head.lines();
    let length = lines.find_map(|line| line.strip_prefix("content-length: "));
    let whole = head.len() + 4 + length.expect("its length is told").parse::<usize>().unwrap();
    while read < whole {
        match stream.read(&mut piece).unwrap() {
            0 => panic!("the server closed"),
            bytes => read += bytes,
        }
    }
    let took_ns = u64::try_from(begun.elapsed().as_nanos()).unwrap();
    (took_ns, waited_for_cpu_ns() - waited_ns)
}

/// How long this thread has waited for a CPU so far.
fn waited_for_cpu_ns() -> u64 {
    let counted = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    counted.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Checks that half of the requests took about as long as for the client, to a fifth or a millisecond. Where it waited
/// for a CPU, the last byte can have left before.
#[track_caller]
fn agree_at_p50(requests: &[&Value], took: &[Took]) {
    let told = number(&requests[requests.len() / 2]["latency_ns"]);
    let (client, waited) = took[took.len() / 2];
    let near = (client / 5).max(MS);
    assert!(
        (client.saturating_sub(waited + near)..=client + near).contains(&told),
        "{told} ns at the p50, for the client {client} ns, {waited} ns of it waiting for a CPU"
    );
}

/// The span in which TCP held the last bytes, if it is at least so long.
fn held(request: &Value, least_ns: u64) -> Option<&Value> {
    spans(request, "held_back").find(|span| number(&span["dur_ns"]) >= least_ns)
}

#[test]
fn a_body_sent_after_its_head_without_nodelay_is_held_back_by_nagle() {
    let Some(_turn) = kernel::turn() else { return };
    let (lines, took) = observe(&["--nagle"], "/halves", 80);
    let requests = lines.of_path("/halves");
    agree_at_p50(&requests, &took);
    // A client acknowledges the first segments of a connection at once.
    let of_client = took.iter().filter(|(ns, waited_ns)| ns - waited_ns >= 35 * MS);
    let of_client = of_client.count();
    assert!(of_client >= 50, "of the client's {of_client} were slow");
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
    let half = &lines.end["at"]["p50"];
    assert!(
        number(&half["budget_ns"]["held_back"]) >= 20 * MS,
        "{}",
        lines.end
    );
    assert_eq!(half["waited_for"][0]["held_by"], "nagle", "{}", lines.end);
}

#[test]
fn a_body_sent_after_its_head_with_nodelay_is_not_held_back() {
    let Some(_turn) = kernel::turn() else { return };
    let (lines, took) = observe(&[], "/halves", 60);
    let requests = lines.of_path("/halves");
    agree_at_p50(&requests, &took);
    assert!(requests.iter().all(|request| waited(request, "held_back") == 0));
    assert_eq!(lines.end["unsent"], 0);
}

#[test]
fn a_large_answer_takes_until_its_last_byte_has_left() {
    let Some(_turn) = kernel::turn() else { return };
    let (lines, took) = observe(&[], "/large?kib=4096", 30);
    agree_at_p50(&lines.of_path("/large"), &took);
}

#[test]
fn a_client_without_room_holds_the_last_bytes_back() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&[]);
    let observation = Observation::of(server.pid(), &[]);
    let begun = Instant::now();
    let mut stream = with_room(server.address, LITTLE_ROOM);
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
    let mut stream = with_room(server.address, LITTLE_ROOM);
    let (begun, waited_ns) = (Instant::now(), waited_for_cpu_ns());
    stream
        .write_all(client::request("/large?kib=64").as_bytes())
        .unwrap();
    stream.read_exact(&mut [0]).unwrap();
    thread::sleep(Duration::from_millis(100));
    stream.read_exact(&mut vec![0; 64 << 10]).unwrap();
    let took_ns = u64::try_from(begun.elapsed().as_nanos()).unwrap();
    let waited_ns = waited_for_cpu_ns() - waited_ns;
    let request = observation.wait_for_line("request", |line| line["type"] == "request");
    drop(stream);
    observation.finish();
    let span = held(&request, 50 * MS).unwrap_or_else(|| panic!("{request}"));
    assert!(span["note"].as_str().unwrap().contains("tick"), "{request}");
    // Where the client waited for a CPU, the last byte can have left before.
    assert!(
        (took_ns - waited_ns - TICK_NS..=took_ns + TICK_NS).contains(&number(&request["latency_ns"])),
        "for the client {took_ns} ns, {waited_ns} ns of it waiting for a CPU: {request}"
    );
}

#[test]
fn bytes_that_never_left_are_told() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&[]);
    let mut observation = Observation::of(server.pid(), &[]);
    let mut stream = with_room(server.address, LITTLE_ROOM);
    stream
        .write_all(client::request("/large?kib=64").as_bytes())
        .unwrap();
    stream.read_exact(&mut [0]).unwrap();
    wait_for("the server to have sent all", DEADLINE, || {
        (queued(stream.local_addr().unwrap().port()) >= 64 << 10).then_some(())
    });
    // With bytes that were not read, the client's end is a reset.
    drop(stream);
    observation.wait_for_line("request", |line| line["type"] == "request");
    let lines = observation.finish();
    let request = &lines.requests[0];
    assert!(number(&request["unsent_bytes"]) > 16 << 10, "{request}");
    assert_eq!(lines.end["unsent"], 1, "{}", lines.end);
}

/// Bytes that TCP has of a connection between a client on this port and a server on the same machine: not acknowledged,
/// or not read.
fn queued(client_port: u16) -> u64 {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let ends_in = |address: &str| address.ends_with(&format!(":{client_port:04X}"));
    let of = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (local, remote, queues) = (*fields.get(1)?, *fields.get(2)?, fields.get(4)?);
        let (sending, received) = queues.split_once(':')?;
        let bytes = if ends_in(local) {
            received
        } else if ends_in(remote) {
            sending
        } else {
            return None;
        };
        u64::from_str_radix(bytes, 16).ok()
    };
    table.lines().filter_map(of).sum()
}

/// A connection whose client has room for about so many bytes.
fn with_room(address: SocketAddr, bytes: libc::c_int) -> TcpStream {
    // SAFETY: takes no pointers.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    assert!(socket >= 0);
    // SAFETY: a new descriptor, which nobody else owns.
    let stream = TcpStream::from(unsafe { OwnedFd::from_raw_fd(socket) });
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
    stream.set_nodelay(true).unwrap();
    stream
}
