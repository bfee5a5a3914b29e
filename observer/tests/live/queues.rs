//! Requests that wait behind other work: a blocked worker, a busy worker, a taken CPU, a held lock.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::thread;

use serde_json::Value;

use crate::client::{self, Connection};
use crate::kernel;
use crate::laws::{largest, number, seen, spans, waited};
use crate::measured::{self, Measured};
use crate::observation::{Lines, Observation};
use crate::run::Running;
use crate::server::{Server, load, load_on_cpu, testbed};

const MS: u64 = 1_000_000;

/// What the requests do that hold up the others.
struct Disturbance {
    path: &'static str,
    /// Each on a connection of its own, which closes then.
    closing: bool,
}

fn one_worker() -> Server {
    Server::faulty(&["--workers", "1"])
}

/// Loads /ping at a low rate on a server with one worker, and in the middle of it requests something else ten times.
/// Gives all, and the pings that went on for long beside one of those. Others are slow as well where a CPU is emulated,
/// and for reasons of their own.
fn disturb(server: &Server, disturbance: &Disturbance) -> (Lines, Vec<Value>) {
    let mut observation = Observation::of(server.pid(), &[]);
    thread::scope(|scope| {
        let load = scope.spawn(|| {
            load(
                &server.url("/ping"),
                &["--connections", "4", "--rate", "400", "--duration", "1500ms"],
            )
        });
        // Its connections are open.
        observation.wait_for_line("request", |line| line["type"] == "request");
        let mut kept = Connection::open(server.address);
        let mut beside = Connection::open(server.address);
        for _ in 0..10 {
            if disturbance.closing {
                let answer = client::get(server.address, disturbance.path);
                assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            } else {
                kept.get(disturbance.path);
            }
            // Before these those are answered that waited, and what their connections had to send meanwhile: the next
            // one disturbs requests of its own, and is not read together with them.
            for _ in 0..8 {
                beside.get("/ping");
            }
        }
        load.join().unwrap();
    });
    let lines = observation.finish();
    lines.without_loss();
    let path = disturbance.path.split('?').next().unwrap();
    let disturbing: Vec<_> = lines.of_path(path).into_iter().map(window).collect();
    let is_victim = |ping: &&Value| {
        let (begin, end) = window(ping);
        let beside = |(from, to): &(u64, u64)| end.min(*to).saturating_sub(begin.max(*from)) >= 20 * MS;
        disturbing.iter().any(beside)
    };
    let victims: Vec<_> = lines
        .of_path("/ping")
        .into_iter()
        .filter(is_victim)
        .cloned()
        .collect();
    // An emulated CPU does not come to one for each of the ten.
    assert!(victims.len() >= 5, "{} victims", victims.len());
    (lines, victims)
}

/// When a request arrived and when it was answered, ns.
fn window(request: &Value) -> (u64, u64) {
    let begin = number(&request["start_unix_ns"]);
    (begin, begin + number(&request["latency_ns"]))
}

/// The requests for /ping that took 20 ms and more, of which there must be some.
#[track_caller]
pub(crate) fn slow_pings(lines: &Lines) -> Vec<Value> {
    let pings = lines.of_path("/ping").into_iter();
    let slow: Vec<Value> = pings
        .filter(|ping| number(&ping["latency_ns"]) >= 20 * MS)
        .cloned()
        .collect();
    assert!(slow.len() >= 5, "{} of them", slow.len());
    slow
}

/// Checks that most of the victims waited mostly for `cause`, and gives the longest span of it in each.
///
/// Not all of them must: other programs of the machine take the CPU from the server as well.
#[track_caller]
pub(crate) fn most_waited_for<'a>(victims: &'a [Value], cause: &str, others: &Measured) -> Vec<&'a Value> {
    let (waited, otherwise): (Vec<_>, Vec<_>) = victims.iter().partition(|victim| largest(victim).0 == cause);
    let (count, all) = (otherwise.len() as u64, victims.len() as u64);
    others.holds_percent(count, all, otherwise.first().copied());
    waited.into_iter().map(|victim| largest(victim).2).collect()
}

#[test]
fn behind_a_blocked_worker_the_call_and_the_request_that_made_it_are_the_culprit() {
    let Some(_turn) = kernel::turn() else { return };
    let (_, victims) = disturb(
        &one_worker(),
        &Disturbance {
            path: "/blocking?ms=30",
            closing: false,
        },
    );
    for span in most_waited_for(&victims, "worker_blocked", &measured::BEHIND_BLOCKED) {
        assert_eq!(span["culprit"]["syscall"], "clock_nanosleep", "{span}");
        assert_eq!(span["culprit"]["request"], "GET /blocking", "{span}");
    }
}

#[test]
fn requests_that_block_their_worker_are_in_that_call_the_last_of_a_connection_too() {
    let Some(_turn) = kernel::turn() else { return };
    let (lines, _) = disturb(
        &one_worker(),
        &Disturbance {
            path: "/blocking?ms=30",
            closing: false,
        },
    );
    // That the last one has ended is known a second later, after the worker has served hundreds of others.
    let blocking = lines.of_path("/blocking");
    assert_eq!(blocking.len(), 10);
    for request in seen(blocking) {
        let (cause, _, span) = largest(request);
        assert_eq!(
            (cause, span["syscall"].as_str()),
            ("syscall", Some("clock_nanosleep")),
            "{request}"
        );
    }
}

#[test]
fn a_culprit_is_named_also_when_its_connection_has_closed_since() {
    let Some(_turn) = kernel::turn() else { return };
    let (_, victims) = disturb(
        &one_worker(),
        &Disturbance {
            path: "/blocking?ms=30",
            closing: true,
        },
    );
    for span in most_waited_for(&victims, "worker_blocked", &measured::BEHIND_BLOCKED) {
        assert_eq!(span["culprit"]["syscall"], "clock_nanosleep", "{span}");
        assert_eq!(span["culprit"]["request"], "GET /blocking", "{span}");
    }
}

/// Has requests wait in `poll` for this peer, ten times, and others for them. Gives the first, and behind which request
/// the others are said to wait.
pub(crate) fn poll_for(server: &Server, peer: &Server) -> (Vec<Value>, Vec<Value>) {
    let (lines, victims) = disturb(
        server,
        &Disturbance {
            path: "/ask?us=30000",
            closing: false,
        },
    );
    let asking: Vec<_> = lines.of_path("/ask").into_iter().cloned().collect();
    assert_eq!(asking.len(), 10);
    for span in asking.iter().flat_map(|request| spans(request, "downstream")) {
        assert_eq!(span["peer"], peer.address.to_string(), "{span}");
    }
    let waits = most_waited_for(&victims, "worker_blocked", &measured::BEHIND_BLOCKED);
    for span in &waits {
        let syscall = span["culprit"]["syscall"].as_str();
        assert!(matches!(syscall, Some("poll" | "ppoll")), "{span}");
    }
    let behind = waits.into_iter().map(|span| span["culprit"]["request"].clone());
    (asking, behind.collect())
}

#[test]
fn behind_a_task_that_polls_for_a_peer_its_request_is_the_culprit() {
    let Some(_turn) = kernel::turn() else { return };
    let peer = Server::slow_peer();
    let address = peer.address.to_string();
    let server = Server::faulty(&["--workers", "1", "--downstream", &address]);
    let (asking, behind) = poll_for(&server, &peer);
    for request in seen(&asking) {
        assert!(waited(request, "downstream") >= 25 * MS, "{request}");
    }
    assert!(behind.iter().all(|request| request == "GET /ask"), "{behind:?}");
}

#[test]
fn behind_a_busy_worker_the_request_that_computes_is_the_culprit() {
    let Some(_turn) = kernel::turn() else { return };
    let (_, victims) = disturb(
        &one_worker(),
        &Disturbance {
            path: "/burn?us=30000",
            closing: false,
        },
    );
    let victims: Vec<_> = victims
        .into_iter()
        .filter(|victim| waited(victim, "run_queue") < 10 * MS)
        .collect();
    most_waited_for(&victims, "worker_busy", &measured::BEHIND_BUSY);
    // A hypervisor that takes the CPU away makes a ping look as if it ran for long, and an emulated one takes long for
    // it.
    let waited_ns = |is_behind: fn(&Value) -> bool| -> u64 {
        let spans = victims.iter().flat_map(|victim| spans(victim, "worker_busy"));
        spans
            .filter(|span| is_behind(span))
            .map(|span| number(&span["dur_ns"]))
            .sum()
    };
    let all_ns = waited_ns(|_| true);
    let burn_ns = waited_ns(|span| span["culprit"]["request"] == "GET /burn");
    measured::BEHIND_BURN.holds_percent(all_ns - burn_ns, all_ns, victims.first());
}

#[test]
fn behind_a_blocked_worker_no_parked_one_is_the_culprit() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&["--workers", "4"]);
    let observation = Observation::of(server.pid(), &[]);
    // While the worker that watches the sockets is blocked, tokio's other workers sleep on: they are idle.
    load(
        &server.url("/blocking?ms=10"),
        &["--connections", "2", "--requests", "300"],
    );
    let lines = observation.finish();
    assert_eq!(lines.without_loss().count(), 300);
    for request in &lines.requests {
        for span in spans(request, "worker_blocked").filter(|span| number(&span["dur_ns"]) >= MS) {
            assert_eq!(span["culprit"]["syscall"], "clock_nanosleep", "{request}");
        }
    }
}

#[test]
fn behind_a_hog_on_its_cpu_the_hog_is_the_culprit() {
    let Some(_turn) = kernel::turn() else { return };
    if thread::available_parallelism().is_ok_and(|cpus| cpus.get() < 2) {
        return kernel::skip("two CPUs, one of them for the load");
    }
    if !kernel::has_program("taskset") {
        return;
    }
    let server = Server::faulty_on_cpu(0, &["--workers", "1"]);
    let observation = Observation::of(server.pid(), &[]);
    // Two of them: whatever else runs on this machine, most of the CPU is theirs.
    let hog = || {
        Command::new(testbed("hog"))
            .args(["--cpu", "0", "--duration", "20s"])
            .spawn()
    };
    let hogs = [(); 2].map(|()| Running(hog().unwrap()));
    load_on_cpu(
        1,
        &server.url("/burn?us=5000"),
        &["--connections", "1", "--requests", "100"],
    );
    drop(hogs);
    let lines = observation.finish();
    lines.without_loss();
    // All together: a hypervisor that takes the CPU away makes single requests look as if they ran.
    let slowest = &lines.of_path("/burn")[..20];
    let total = |cause| slowest.iter().map(|slow| waited(slow, cause)).sum::<u64>();
    let queued_ns = total("run_queue");
    let all_ns = slowest.iter().map(|slow| number(&slow["latency_ns"])).sum();
    measured::BEHIND_HOG.holds_percent(total("unexplained"), all_ns, slowest.first().copied());
    for cause in ["on_cpu", "worker_busy"] {
        assert!(
            queued_ns > total(cause),
            "{cause}: {} ns, run_queue: {queued_ns} ns",
            total(cause)
        );
    }
    let mut waited_behind = BTreeMap::new();
    for slow in slowest {
        for span in spans(slow, "run_queue") {
            *waited_behind.entry(span["culprit"]["comm"].as_str()).or_default() += number(&span["dur_ns"]);
        }
    }
    // Not every stretch has a culprit: of several that ran in between, the first and the last are seen.
    let named = waited_behind.iter().filter(|(culprit, _)| culprit.is_some());
    let most: Option<(&Option<&str>, &u64)> = named.max_by_key(|(_, ns)| **ns);
    assert_eq!(
        most.map(|(culprit, _)| *culprit),
        Some(Some("hog")),
        "{waited_behind:?}"
    );
}

#[test]
fn what_a_real_time_thread_ran_in_its_life_is_not_what_was_waited_for() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("taskset") || !kernel::has_program("chrt") {
        return;
    }
    let server = Server::faulty_on_cpu(0, &["--workers", "1"]);
    let observation = Observation::of(server.pid(), &[]);
    // It computes for a while, says so, and then has the CPU for a moment again and again.
    let script = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo; while :; do sleep 0.005; done";
    let mut thread = Running(
        Command::new("chrt")
            .args(["--fifo", "1", "taskset", "-c", "0", "sh", "-c", script])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    thread.0.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
    let (url, one) = (
        server.url("/burn?us=5000"),
        ["--connections", "1", "--requests", "100"],
    );
    load(&url, &one);
    drop(thread);
    let lines = observation.finish();
    lines.without_loss();
    let waits = || {
        lines
            .requests
            .iter()
            .flat_map(|request| spans(request, "run_queue"))
    };
    assert!(waits().count() > 0, "it had the CPU");
    for wait in waits() {
        assert_ne!(wait["culprit"]["comm"], "sh", "{wait}");
    }
}

#[test]
fn behind_a_lock_the_request_that_holds_it_is_the_culprit() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&["--workers", "4"]);
    let observation = Observation::of(server.pid(), &[]);
    load(
        &server.url("/lock?ms=10"),
        &["--connections", "3", "--requests", "90"],
    );
    let lines = observation.finish();
    assert_eq!(lines.without_loss().count(), 90);
    // One can also wait for a worker, and then for the lock: what counts is the time behind the lock itself.
    let (seen, partial): (Vec<_>, Vec<_>) = lines
        .requests
        .iter()
        .partition(|request| request["confidence"] != "partial");
    measured::LOCK_PARTIAL.holds_of(&partial);
    let waited_for_it = |request: &&Value| waited(request, "lock") >= 8 * MS;
    let victims: Vec<_> = seen.iter().copied().filter(waited_for_it).collect();
    // An emulated CPU does not come to one for each of the ten.
    assert!(victims.len() >= 5, "{} victims", victims.len());
    for victim in victims {
        for span in spans(victim, "lock").filter(|span| number(&span["dur_ns"]) >= 5 * MS) {
            assert_eq!(span["syscall"], "futex", "{victim}");
            assert_eq!(span["culprit"]["request"], "GET /lock", "{victim}");
        }
    }
    measured::LOCK.holds_of_each(seen.iter().copied());
    for request in seen {
        let own_sleep = waited(request, "syscall");
        assert!(
            (9 * MS..60 * MS).contains(&own_sleep),
            "it sleeps 10 ms itself: {request}"
        );
    }
}
