//! New connections that nobody accepts, because who accepts does something else.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::ops::Range;
use std::process::Command;
use std::thread;

use serde_json::Value;

use crate::client::{self, Connection};
use crate::laws::{number, spans};
use crate::observation::{Lines, Observation};
use crate::server::{Server, load, testbed};
use crate::{kernel, measured};

const MS: u64 = 1_000_000;

/// Each on a connection of its own.
const PINGS: [&str; 7] = [
    "--connections",
    "16",
    "--rate",
    "200",
    "--reconnect",
    "--duration",
    "1500ms",
];

/// Requests `path` ten times from so many connections at once on a server with as many workers, beside pings that each
/// come on a new connection. Gives the pings, and when every worker was in a handler of `path`.
fn beside(path: &str, workers: usize) -> (Vec<Value>, Vec<Range<u64>>) {
    let server = Server::faulty(&["--workers", &workers.to_string()]);
    let mut observation = Observation::of(server.pid(), &[]);
    thread::scope(|scope| {
        let load = scope.spawn(|| load(&server.url("/ping"), &PINGS));
        observation.wait_for_line("request", |line| line["type"] == "request");
        let mut kept: Vec<_> = (0..workers).map(|_| Connection::open(server.address)).collect();
        for _ in 0..10 {
            kept.iter_mut().for_each(|one| one.send(&client::request(path)));
            kept.iter_mut().for_each(|one| _ = one.answer());
        }
        load.join().unwrap();
    });
    let lines = observation.finish();
    lines.without_loss();
    let pings = lines.of_path("/ping").into_iter().cloned().collect();
    let busy = at_once(&lines, path.split('?').next().unwrap(), workers);
    assert!(!busy.is_empty(), "never were {workers} in {path} at once");
    (pings, busy)
}

/// When at least `count` requests for `path` were in their handlers at the same time, ns since 1970.
fn at_once(lines: &Lines, path: &str, count: usize) -> Vec<Range<u64>> {
    let mut changes = Vec::new();
    for request in lines.of_path(path) {
        let start = number(&request["start_unix_ns"]);
        changes.push((start + number(&request["receive_queue_ns"]), true));
        changes.push((start + number(&request["latency_ns"]), false));
    }
    changes.sort_unstable();
    let (mut handled, mut periods) = (0, Vec::new());
    for pair in changes.windows(2) {
        let ((from, begins), (to, _)) = (pair[0], pair[1]);
        handled = if begins { handled + 1 } else { handled - 1 };
        if handled >= count {
            periods.push(from..to);
        }
    }
    periods
}

/// How long requests waited to be accepted, ns.
#[derive(Debug, Default)]
struct Waited {
    total_ns: u64,
    /// Of this, behind somebody who is named, or in the crowd of those that waited behind many.
    explained_ns: u64,
    /// Of this, behind whom is asked for.
    behind_ns: u64,
}

/// Of all that `requests` waited to be accepted.
fn behind(requests: &[Value], is_asked_for: impl Fn(&Value) -> bool) -> Waited {
    behind_during(requests, std::slice::from_ref(&(0..u64::MAX)), is_asked_for)
}

/// Of what they waited in these periods, which do not overlap.
fn behind_during(
    requests: &[Value],
    periods: &[Range<u64>],
    is_asked_for: impl Fn(&Value) -> bool,
) -> Waited {
    let mut waited = Waited::default();
    for request in requests {
        for span in spans(request, "accept_queue") {
            let from = number(&request["start_unix_ns"]) + number(&span["at_ns"]);
            let to = from + number(&span["dur_ns"]);
            let common = |period: &Range<u64>| to.min(period.end).saturating_sub(from.max(period.start));
            let ns: u64 = periods.iter().map(common).sum();
            let culprit = &span["culprit"];
            let note = span["note"].as_str().unwrap_or_default();
            waited.total_ns += ns;
            if culprit.is_object() || note.starts_with("behind many others") {
                waited.explained_ns += ns;
            }
            if is_asked_for(culprit) {
                waited.behind_ns += ns;
            }
        }
    }
    waited
}

impl Waited {
    /// Most of it is explained, and behind whom was asked for.
    #[track_caller]
    fn mostly(&self, requests: &[Value]) {
        self.is_explained(requests);
        let otherwise_ns = self.total_ns - self.behind_ns;
        measured::ACCEPT_BEHIND.holds_percent(otherwise_ns, self.total_ns, requests.first());
    }

    /// Most of it is explained.
    #[track_caller]
    fn is_explained(&self, requests: &[Value]) {
        assert!(self.total_ns > 0, "nobody waited: {}", requests[0]);
        let unnamed = |span: &Value| span["culprit"].is_null() && number(&span["dur_ns"]) >= MS;
        let unnamed = requests
            .iter()
            .find(|request| spans(request, "accept_queue").any(unnamed));
        measured::ACCEPT.holds_percent(self.total_ns - self.explained_ns, self.total_ns, unnamed);
    }
}

#[test]
fn a_connection_that_a_blocked_worker_does_not_accept_waits_behind_its_call_and_request() {
    let Some(_turn) = kernel::turn() else { return };
    let (pings, busy) = beside("/blocking?ms=30", 1);
    let waited = behind_during(&pings, &busy, |culprit| {
        culprit["request"] == "GET /blocking" && culprit["syscall"] == "clock_nanosleep"
    });
    waited.mostly(&pings);
    assert!(waited.total_ns > 10 * 30 * MS, "{waited:?}");
}

#[test]
fn with_every_worker_in_a_handler_a_connection_waits_behind_one_of_them() {
    let Some(_turn) = kernel::turn() else { return };
    let (pings, busy) = beside("/blocking?ms=30", 2);
    behind_during(&pings, &busy, |culprit| culprit["request"] == "GET /blocking").mostly(&pings);
}

#[test]
fn behind_a_worker_that_computes_the_request_that_it_computes_for_is_the_culprit() {
    let Some(_turn) = kernel::turn() else { return };
    let (pings, busy) = beside("/burn?us=30000", 1);
    behind_during(&pings, &busy, |culprit| culprit["request"] == "GET /burn").mostly(&pings);
}

#[test]
fn of_connections_that_come_at_once_each_waits_behind_those_before_it() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&["--workers", "1"]);
    let mut observation = Observation::of(server.pid(), &[]);
    client::get(server.address, "/ping");
    observation.wait_for_line("request", |line| line["type"] == "request");
    let mut busy = Connection::open(server.address);
    busy.get("/ping");
    busy.send(&client::request("/blocking?ms=100"));
    server.wait_until_in(libc::SYS_clock_nanosleep);
    let begin = |_| {
        let mut stream = client::connect(server.address);
        let request = b"GET /burn?us=200 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        stream.write_all(request).unwrap();
        stream
    };
    let mut crowd: Vec<_> = (0..300).map(begin).collect();
    for stream in &mut crowd {
        stream.read_to_end(&mut Vec::new()).unwrap();
    }
    busy.answer();
    let lines = observation.finish();
    lines.without_loss();
    let crowd: Vec<_> = lines.of_path("/burn").into_iter().cloned().collect();
    assert_eq!(crowd.len(), 300);
    let sleep = behind(&crowd, |culprit| culprit["request"] == "GET /blocking");
    let others = behind(&crowd, |culprit| culprit["request"] == "GET /burn");
    sleep.is_explained(&crowd);
    for behind in [&sleep, &others] {
        assert!(
            behind.behind_ns * 100 >= behind.total_ns,
            "{behind:?}: {}",
            crowd[0]
        );
    }
}

#[test]
fn behind_a_thread_that_only_accepts_what_that_thread_was_in_is_the_culprit() {
    let Some(_turn) = kernel::turn() else { return };
    // It sleeps after each accept, and another thread reads.
    let server = Server::start(Command::new(testbed("slow-peer")).args(["--accept-pause", "30ms"]));
    let observation = Observation::of(server.pid(), &[]);
    for _ in 0..5 {
        // The first is accepted at once, the others one by one.
        let mut crowd: Vec<_> = (0..4).map(|_| client::connect(server.address)).collect();
        let mut write = |stream: &mut TcpStream| stream.write_all(b"0\n").unwrap();
        crowd.iter_mut().for_each(&mut write);
        for stream in &mut crowd {
            assert_ne!(stream.read(&mut [0; 64]).unwrap(), 0);
        }
    }
    let lines = observation.finish();
    assert_eq!(lines.without_loss().count(), 20);
    let waited = behind(&lines.requests, |culprit| {
        culprit["syscall"] == "clock_nanosleep" && culprit["tid"] == server.pid()
    });
    waited.mostly(&lines.requests);
    // The second 30 ms, the third 60 ms and the fourth 90 ms, less what its client was late itself.
    assert!(waited.total_ns > 5 * 100 * MS, "{waited:?}");
}
