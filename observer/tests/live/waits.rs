//! Requests that wait for something of their own: a peer, a timer, the blocking pool, a slow client.

use std::io::{Read as _, Write as _};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::laws::{largest, number};
use crate::observation::{Lines, Observation};
use crate::server::{Server, load};
use crate::{client, kernel};

const MS: u64 = 1_000_000;

/// Runs a server with these arguments and requests `path` 20 times from two connections.
fn observe(arguments: &[&str], path: &str) -> Lines {
    let server = Server::faulty(arguments);
    let observation = Observation::of(server.pid(), &[]);
    load(&server.url(path), &["--connections", "2", "--requests", "20"]);
    let lines = observation.finish();
    assert_eq!(lines.without_loss().count(), 20);
    lines
}

/// Checks that every request waited about 20 ms for `cause`, and gives the spans of it.
#[track_caller]
fn all_waited_20_ms_for<'a>(lines: &'a Lines, cause: &str) -> Vec<&'a Value> {
    let spans = lines.requests.iter().map(|request| {
        let (largest, ns, span) = largest(request);
        assert_eq!(largest, cause, "{request}");
        assert!(ns >= 18 * MS, "{request}");
        span
    });
    spans.collect()
}

#[test]
fn waiting_for_a_peer_is_downstream_with_its_address() {
    let Some(_turn) = kernel::turn() else { return };
    let peer = Server::slow_peer();
    let address = peer.address.to_string();
    let lines = observe(&["--downstream", &address], "/downstream?ms=20");
    for span in all_waited_20_ms_for(&lines, "downstream") {
        assert_eq!(span["peer"], address, "{span}");
    }
}

#[test]
fn waiting_for_a_timer_is_timer() {
    let Some(_turn) = kernel::turn() else { return };
    let lines = observe(&[], "/timer?ms=20");
    all_waited_20_ms_for(&lines, "timer");
}

#[test]
fn blocking_in_the_pool_is_the_call_that_the_pool_thread_was_in() {
    let Some(_turn) = kernel::turn() else { return };
    let lines = observe(&[], "/pool?ms=20");
    for span in all_waited_20_ms_for(&lines, "syscall") {
        assert_eq!(span["syscall"], "clock_nanosleep", "{span}");
    }
}

#[test]
fn blocking_on_its_own_worker_is_the_call() {
    let Some(_turn) = kernel::turn() else { return };
    let lines = observe(&["--workers", "4"], "/blocking?ms=20");
    for span in all_waited_20_ms_for(&lines, "syscall") {
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
