//! Requests that wait for something of their own: a peer, a timer, the blocking pool, a slow client.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::thread;
use std::time::Duration;

use observer::attribution::notes::STOPPED;
use serde_json::Value;

use crate::laws::{largest, number, seen, spans, waited};
use crate::measured::{self, Measured};
use crate::observation::{Lines, Observation};
use crate::run::{DEADLINE, wait_for};
use crate::server::{Server, load};
use crate::{client, kernel};

const MS: u64 = 1_000_000;

/// Runs a server with these arguments and requests `path` 20 times from so many connections.
fn observe(arguments: &[&str], path: &str, connections: &str) -> Lines {
    let server = Server::faulty(arguments);
    let observation = Observation::of(server.pid(), &[]);
    load(
        &server.url(path),
        &["--connections", connections, "--requests", "20"],
    );
    let lines = observation.finish();
    assert_eq!(lines.without_loss().count(), 20);
    lines
}

/// Checks that every request waited its 100 ms for `cause`, and gives the longest span of it in each that did. A busy
/// machine lets some run late into them: these computed, or waited for a CPU, meanwhile. Those for which no event says
/// what they waited for are `unexplained`; another cause is wrong.
#[track_caller]
fn waited_100_ms_for<'a>(lines: &'a Lines, cause: &str, unexplained: &Measured) -> Vec<&'a Value> {
    let took_most = |request: &Value, causes: &[&str]| {
        let ns: u64 = causes.iter().map(|cause| waited(request, cause)).sum();
        ns >= 75 * MS
    };
    let (named, others): (Vec<_>, Vec<_>) = lines
        .requests
        .iter()
        .partition(|request| took_most(request, &[cause]));
    let (late, others): (Vec<_>, Vec<_>) = others
        .into_iter()
        .partition(|request| took_most(request, &[cause, "on_cpu", "run_queue", "stolen"]));
    measured::LATE.holds_of(&late);
    let others = seen(others);
    let wrong = others.iter().find(|request| largest(request).0 != "unexplained");
    assert!(wrong.is_none(), "{wrong:?}");
    unexplained.holds_of(&others);
    let longest = |request| {
        spans(request, cause)
            .max_by_key(|span| number(&span["dur_ns"]))
            .expect("it has waited")
    };
    named.into_iter().map(longest).collect()
}

#[test]
fn waiting_for_a_peer_is_downstream_with_its_address() {
    let Some(_turn) = kernel::turn() else { return };
    let peer = Server::slow_peer();
    let address = peer.address.to_string();
    let lines = observe(&["--downstream", &address], "/downstream?ms=100", "2");
    for span in waited_100_ms_for(&lines, "downstream", &measured::PEER) {
        assert_eq!(span["peer"], address, "{span}");
    }
}

#[test]
fn waiting_for_a_timer_is_timer() {
    let Some(_turn) = kernel::turn() else { return };
    waited_100_ms_for(&observe(&[], "/timer?ms=100", "1"), "timer", &measured::TIMER);
}

#[test]
fn two_that_wait_for_timers_at_the_same_time_both_are_timer() {
    let Some(_turn) = kernel::turn() else { return };
    waited_100_ms_for(
        &observe(&[], "/timer?ms=100", "2"),
        "timer",
        &measured::TWO_TIMERS,
    );
}

#[test]
fn blocking_in_the_pool_is_the_call_that_the_pool_thread_was_in() {
    let Some(_turn) = kernel::turn() else { return };
    for span in waited_100_ms_for(&observe(&[], "/pool?ms=100", "1"), "syscall", &measured::POOL) {
        assert_eq!(span["syscall"], "clock_nanosleep", "{span}");
    }
}

#[test]
fn two_that_block_in_the_pool_at_the_same_time_are_the_call_or_unexplained() {
    let Some(_turn) = kernel::turn() else { return };
    for span in waited_100_ms_for(
        &observe(&[], "/pool?ms=100", "2"),
        "syscall",
        &measured::TWO_IN_THE_POOL,
    ) {
        assert_eq!(span["syscall"], "clock_nanosleep", "{span}");
    }
}

#[test]
fn blocking_on_its_own_worker_is_the_call() {
    let Some(_turn) = kernel::turn() else { return };
    for span in waited_100_ms_for(
        &observe(&[], "/blocking?ms=100", "2"),
        "syscall",
        &measured::BLOCKING,
    ) {
        assert_eq!(span["syscall"], "clock_nanosleep", "{span}");
    }
}

#[test]
fn a_client_that_does_not_read_blocks_the_send() {
    const PAUSE: Duration = Duration::from_millis(300);
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&[]);
    let observation = Observation::of(server.pid(), &[]);
    let mut stream = client::connect(server.address);
    stream
        .write_all(client::request("/large?kib=32768").as_bytes())
        .unwrap();
    let mut first = [0];
    stream.read_exact(&mut first).unwrap();
    // This is the client's fault, not a wait for something: the buffers hold much less than the answer.
    thread::sleep(PAUSE);
    let mut rest = vec![0; 32 << 20];
    stream.read_exact(&mut rest).unwrap();
    let lines = observation.finish();
    assert_eq!(lines.without_loss().count(), 1);
    let request = &lines.requests[0];
    assert!(number(&request["bytes_out"]) > 32 << 20, "{request}");
    let (cause, ns, _) = largest(request);
    assert_eq!(cause, "send_blocked", "{request}");
    assert!(ns >= 250 * MS, "{request}");
}

/// A peer whose queue of connections is full: the kernel drops what asks for another, which asks again a second
/// later.
pub(crate) fn full_peer() -> (TcpListener, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // SAFETY: listen reads and writes no memory of this process; the descriptor is open.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    // A queue of length 0 holds one.
    let waiting = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener, waiting)
}

/// Whether somebody on this machine asks for a connection to this port.
fn asks_for(port: u16) -> bool {
    const SYN_SENT: &str = "02";
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let remote = format!(":{port:04X}");
    table.lines().any(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        fields.len() > 3 && fields[2].ends_with(&remote) && fields[3] == SYN_SENT
    })
}

/// Takes whoever waits, until one has sent a line, which is answered.
fn serve_one(listener: &TcpListener) {
    for stream in listener.incoming().flatten() {
        let mut line = String::new();
        if BufReader::new(&stream)
            .read_line(&mut line)
            .is_ok_and(|bytes| bytes > 0)
        {
            (&stream).write_all(b"served at 0\n").unwrap();
            return;
        }
    }
}

#[test]
fn waiting_for_a_connection_to_a_peer_is_downstream_with_its_address() {
    let Some(_turn) = kernel::turn() else { return };
    let (listener, waiting) = full_peer();
    let address = listener.local_addr().unwrap().to_string();
    let server = Server::faulty(&["--downstream", &address]);
    let observation = Observation::of(server.pid(), &[]);
    let client = thread::spawn({
        let server = server.address;
        move || client::get(server, "/downstream?ms=0")
    });
    // It was not heard: the queue is full until then.
    wait_for("the server to ask for a connection", DEADLINE, || {
        asks_for(listener.local_addr().unwrap().port()).then_some(())
    });
    drop(waiting);
    serve_one(&listener);
    let answer = client.join().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let lines = observation.finish();
    let request = &lines.of_path("/downstream")[0];
    let (cause, ns, span) = largest(request);
    assert_eq!(
        (cause, span["peer"].as_str()),
        ("downstream", Some(&*address)),
        "{request}"
    );
    assert!(ns > 500 * MS, "{request}");
}

#[test]
fn while_a_signal_has_stopped_its_process_a_request_says_so() {
    const STOP: Duration = Duration::from_millis(100);
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&[]);
    let observation = Observation::of(server.pid(), &[]);
    let mut connection = client::Connection::open(server.address);
    connection.get("/ping");
    server.signal(libc::SIGSTOP);
    wait_for("a stopped process", DEADLINE, || {
        let tasks = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
        let mut states = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("stat")).unwrap());
        states.all(|stat| stat.contains(") T ")).then_some(())
    });
    connection.send(&client::request("/ping"));
    thread::sleep(STOP);
    server.signal(libc::SIGCONT);
    connection.answer();
    let lines = observation.finish();
    let request = lines.without_loss().requests.last().expect("it was answered");
    let stopped = spans(request, "unexplained").filter(|span| span["note"] == STOPPED);
    let stopped_ns: u64 = stopped.map(|span| number(&span["dur_ns"])).sum();
    assert!(u128::from(stopped_ns) >= STOP.as_nanos(), "{request}");
}
