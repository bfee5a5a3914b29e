//! Requests that wait behind others in programs whose runtime is not known: what their threads are is told by what they
//! do.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::laws::{largest, number, spans, waited};
use crate::observation::Observation;
use crate::queues::{most_waited_for, poll_for, slow_pings};
use crate::server::{Loading, Server, load};
use crate::{client, kernel, measured, serving};

const MS: u64 = 1_000_000;

#[test]
fn behind_an_event_loop_that_polls_for_a_peer_the_request_is_the_culprit() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("python3") {
        return;
    }
    let peer = Server::slow_peer();
    let server = serving::server(&["loop", &peer.address.to_string()]);
    let (asking, behind) = poll_for(&server, &peer);
    // Which of the requests that it has read an event loop serves, nothing tells where it reads several.
    let named: Vec<_> = behind.iter().filter(|request| !request.is_null()).collect();
    assert!(!named.is_empty(), "{behind:?}");
    assert!(named.iter().all(|request| *request == "GET /ask"), "{behind:?}");
    let (told, otherwise): (Vec<_>, Vec<_>) = asking
        .iter()
        .partition(|request| waited(request, "downstream") >= 25 * MS);
    assert!(told.len() >= 3, "{otherwise:?}");
    for request in otherwise {
        assert_eq!(largest(request).0, "unexplained", "{request}");
    }
}

#[test]
fn behind_a_loop_that_waits_for_a_child_in_another_loop_the_request_is_the_culprit() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("node") {
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/child.js");
    let server = Server::start(Command::new("node").arg(script));
    let observation = Observation::of(server.pid(), &["--no-follow"]);
    // By then it is known where its event loop is.
    load(
        &server.url("/ping"),
        &["--connections", "1", "--rate", "100", "--duration", "500ms"],
    );
    let waiting = Loading::start(
        &server.url("/child"),
        &["--connections", "1", "--rate", "5", "--duration", "2s"],
    );
    load(
        &server.url("/ping"),
        &["--connections", "2", "--rate", "100", "--duration", "2s"],
    );
    assert_eq!(waiting.ended().1, 0);
    let lines = observation.finish();
    lines.without_loss();
    let in_loop_ns = |request: &Value| -> u64 {
        let waits = spans(request, "syscall").filter(|span| span["syscall"] == "epoll_pwait");
        waits.map(|span| number(&span["dur_ns"])).sum()
    };
    let (told, otherwise): (Vec<_>, Vec<_>) = lines
        .of_path("/child")
        .into_iter()
        .partition(|request| in_loop_ns(request) >= 40 * MS);
    assert!(told.len() >= 5, "{} of them", told.len());
    measured::IN_ANOTHER_LOOP.holds_of(&otherwise);
    let victims = slow_pings(&lines);
    for span in most_waited_for(&victims, "worker_blocked", &measured::BEHIND_BLOCKED) {
        assert_eq!(span["culprit"]["syscall"], "epoll_pwait", "{span}");
        assert_eq!(span["culprit"]["request"], "GET /child", "{span}");
    }
}

#[test]
fn behind_a_full_pool_of_a_program_s_own_the_request_that_its_thread_held_is_the_culprit() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("python3") {
        return;
    }
    let server = serving::server(&["pool"]);
    let observation = Observation::of(server.pid(), &[]);
    // By then it is known that its threads answer what they read.
    load(&server.url("/ping"), &["--connections", "1", "--requests", "50"]);
    let holding = Loading::start(
        &server.url("/hold"),
        &["--connections", "5", "--duration", "2500ms"],
    );
    load(
        &server.url("/ping"),
        &["--connections", "2", "--rate", "100", "--duration", "2s"],
    );
    assert_eq!(holding.ended().1, 0);
    let lines = observation.finish();
    lines.without_loss();
    let victims = slow_pings(&lines);
    for span in most_waited_for(&victims, "worker_blocked", &measured::BEHIND_BLOCKED) {
        assert_eq!(span["culprit"]["syscall"], "futex", "{span}");
        assert_eq!(span["culprit"]["request"], "GET /hold", "{span}");
    }
    // Its own 50 ms. Where it was not seen what ended them, it is only known that the thread was in that call.
    let (held, otherwise): (Vec<&Value>, Vec<&Value>) = lines
        .of_path("/hold")
        .into_iter()
        .partition(|hold| waited(hold, "timer") + waited(hold, "syscall") >= 40 * MS);
    let (all, others) = (held.len() + otherwise.len(), otherwise.len());
    measured::HELD_IN_A_POOL.holds_percent(others as u64, all as u64, otherwise.first().copied());
}

#[test]
fn behind_a_full_pool_that_an_event_loop_feeds_the_request_that_its_thread_had_is_the_culprit() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("python3") {
        return;
    }
    let server = serving::server(&["fed"]);
    let observation = Observation::of(server.pid(), &[]);
    // By then it is known who reads and who answers, and how they wait.
    load(&server.url("/ping"), &["--connections", "4", "--requests", "100"]);
    let holding = Loading::start(
        &server.url("/hold"),
        &["--connections", "5", "--duration", "2500ms"],
    );
    load(
        &server.url("/ping"),
        &["--connections", "2", "--rate", "50", "--duration", "2s"],
    );
    assert_eq!(holding.ended().1, 0);
    let lines = observation.finish();
    lines.without_loss();
    let victims = slow_pings(&lines);
    // Where its thread waited for the interpreter's lock before it answered, whose job that was is not told.
    let spans = most_waited_for(&victims, "worker_blocked", &measured::BEHIND_A_FED_POOL);
    let named: Vec<_> = spans
        .iter()
        .filter(|span| !span["culprit"]["request"].is_null())
        .collect();
    assert!(!named.is_empty(), "{spans:?}");
    for span in named {
        assert_eq!(span["culprit"]["syscall"], "clock_nanosleep", "{span}");
        assert_eq!(span["culprit"]["request"], "GET /hold", "{span}");
    }
    // What a request does in the pool itself, nobody else is charged with, but for those whose thread was given the
    // interpreter's lock at the end by one that did the same.
    let holds = lines.of_path("/hold");
    let others: Vec<_> = holds
        .iter()
        .copied()
        .filter(|hold| {
            let waited_ns = number(&hold["latency_ns"]).saturating_sub(50 * MS);
            waited(hold, "worker_blocked") > waited_ns + MS
        })
        .collect();
    let (count, all) = (others.len() as u64, holds.len() as u64);
    measured::OF_ANOTHER_IN_A_FED_POOL.holds_percent(count, all, others.first().copied());
}

/// Two kinds of jobs in one pool, for more clients than it has threads: whose is whose the calls tell.
#[test]
fn jobs_that_a_pool_hands_back_to_its_event_loop_are_charged_to_the_request_that_they_are_for() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("python3") {
        return;
    }
    let server = serving::server(&["jobs"]);
    let observation = Observation::of(server.pid(), &[]);
    // By then it is known who hands back what.
    load(&server.url("/ping"), &["--connections", "2", "--requests", "200"]);
    let arguments = ["--connections", "3", "--duration", "2500ms"];
    let sleeping = Loading::start(&server.url("/sleep"), &arguments);
    load(&server.url("/poll"), &arguments);
    assert_eq!(sleeping.ended().1, 0);
    let lines = observation.finish();
    lines.without_loss();
    let (mut all_ns, mut unexplained_ns, mut wrong_ns, mut behind) = (0, 0, 0, 0);
    for (path, call, other) in [
        ("/sleep", "clock_nanosleep", "poll"),
        ("/poll", "poll", "clock_nanosleep"),
    ] {
        for request in lines.of_path(path) {
            all_ns += number(&request["latency_ns"]);
            unexplained_ns += waited(request, "unexplained");
            let own = spans(request, "syscall").chain(spans(request, "timer"));
            wrong_ns += own
                .filter(|span| span["syscall"] == other)
                .map(|span| number(&span["dur_ns"]))
                .sum::<u64>();
            for span in spans(request, "worker_blocked") {
                let is_named =
                    |name, call| span["culprit"]["request"] == name && span["culprit"]["syscall"] == call;
                if is_named("GET /sleep", "clock_nanosleep") || is_named("GET /poll", "poll") {
                    behind += 1;
                } else if !span["culprit"]["request"].is_null() && span["culprit"]["syscall"] != "futex" {
                    wrong_ns += number(&span["dur_ns"]);
                }
            }
            // Where it waited for a thread, what that did before is not its own.
            let own_ns: u64 = spans(request, "syscall")
                .filter(|span| span["syscall"] == call)
                .map(|span| number(&span["dur_ns"]))
                .sum();
            wrong_ns += own_ns.saturating_sub(if path == "/sleep" { 32 * MS } else { 22 * MS });
        }
    }
    assert!(behind >= 10, "{behind} waits for a thread have a name");
    measured::OF_ANOTHER_IN_JOBS.holds_percent(wrong_ns, all_ns, lines.requests.first());
    measured::NOT_TOLD_IN_JOBS.holds_percent(unexplained_ns, all_ns, lines.requests.first());
}

/// When the server computed, by its own clock: from, to, and how long it had a CPU, ns.
fn computed(server: &Server) -> Vec<[u64; 3]> {
    let told = client::Connection::open(server.address).get("/truth");
    let numbers = |line: &str| {
        let mut numbers = line.split(' ').map(|number| number.parse().unwrap());
        [(); 3].map(|()| numbers.next().unwrap())
    };
    told.lines().map(numbers).collect()
}

#[test]
fn behind_a_lock_that_is_no_mutex_the_request_that_let_go_of_it_is_the_culprit() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("python3") {
        return;
    }
    let server = serving::server(&["lock"]);
    let observation = Observation::of(server.pid(), &[]);
    let holding = |requests| {
        let arguments = ["--connections", "4", "--requests", requests];
        load(&server.url("/hold"), &arguments);
    };
    // By then it is known that threads keep their requests.
    holding("40");
    let known_ns = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    holding("80");
    let lines = observation.finish();
    lines.without_loss();
    let since = |request: &&Value| number(&request["start_unix_ns"]) >= known_ns;
    let held: Vec<_> = lines.of_path("/hold").into_iter().filter(since).collect();
    let behind = |span: &&Value| span["culprit"]["request"] == "GET /hold";
    let locks = || held.iter().flat_map(|request| spans(request, "lock"));
    let sum =
        |spans: &mut dyn Iterator<Item = &Value>| -> u64 { spans.map(|span| number(&span["dur_ns"])).sum() };
    let (told_ns, all_ns) = (sum(&mut locks().filter(behind)), sum(&mut locks()));
    // Each of the four waits while three others sleep for 20 ms.
    assert!(all_ns >= 80 * 30 * MS, "{all_ns} ns: {}", held[0]);
    assert!(
        told_ns >= all_ns - all_ns / 10,
        "{told_ns} of {all_ns} ns: {}",
        held[0]
    );
}

#[test]
fn behind_the_lock_of_an_interpreter_the_request_that_has_it_is_the_culprit() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("python3") {
        return;
    }
    let server = serving::server(&["interpreter"]);
    let observation = Observation::of(server.pid(), &[]);
    let computing = Loading::start(
        &server.url("/compute"),
        &["--connections", "2", "--duration", "3500ms"],
    );
    let ping = |duration| {
        let arguments = ["--connections", "3", "--rate", "150", "--duration", duration];
        load(&server.url("/ping"), &arguments)
    };
    // By then it is known that this is a lock.
    ping("1s");
    let known_ns = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    ping("2s");
    assert_eq!(computing.ended().1, 0);
    let truth = computed(&server);
    let lines = observation.finish();
    lines.without_loss();
    let since = |request: &&Value| number(&request["start_unix_ns"]) >= known_ns;
    let pings = lines.of_path("/ping").into_iter().filter(since);
    let pings: Vec<_> = pings
        .filter(|ping| number(&ping["latency_ns"]) >= 2 * MS)
        .collect();
    assert!(pings.len() >= 50, "{} waited", pings.len());
    let (mut all_ns, mut told_ns, mut wrong_ns) = (0, 0, 0);
    for ping in &pings {
        // Nothing of it is a fault of the lock: who has it wants a CPU, too.
        let excused = ["on_cpu", "run_queue", "accept_queue"].map(|cause| waited(ping, cause));
        all_ns += number(&ping["latency_ns"]) - excused.iter().sum::<u64>();
        for span in spans(ping, "lock") {
            let from_ns = number(&ping["start_unix_ns"]) + number(&span["at_ns"]);
            let to_ns = from_ns + number(&span["dur_ns"]);
            let computes =
                |&[since_ns, until_ns, _]: &[u64; 3]| since_ns < to_ns + MS && from_ns < until_ns + MS;
            match &span["culprit"]["request"] {
                Value::Null => {}
                request if request == "GET /compute" && !truth.iter().any(computes) => {
                    wrong_ns += number(&span["dur_ns"]);
                }
                _ => told_ns += number(&span["dur_ns"]),
            }
        }
        // It sleeps for nothing, asks nobody, and no other request has its thread.
        let others = ["timer", "downstream", "worker_busy", "worker_blocked", "syscall"];
        wrong_ns += others.map(|cause| waited(ping, cause)).iter().sum::<u64>();
    }
    let first = pings.first().copied();
    measured::OTHERWISE_THAN_LOCK.holds_percent(all_ns.saturating_sub(told_ns), all_ns, first);
    measured::WRONG_FOR_LOCK.holds_percent(wrong_ns, all_ns, first);
    // Who waits for the lock is charged no time of those who have it.
    let ran_ns: u64 = truth.iter().map(|[.., ran_ns]| ran_ns).sum();
    let charged = lines
        .of_path("/compute")
        .into_iter()
        .map(|request| waited(request, "on_cpu"));
    let charged_ns: u64 = charged.sum();
    let off_ns = charged_ns.abs_diff(ran_ns);
    measured::RAN_WITH_LOCK.holds_percent(off_ns, ran_ns, None);
}

#[test]
fn a_send_that_blocks_for_longer_than_a_second_is_part_of_its_request() {
    const PAUSE: Duration = Duration::from_millis(1_600);
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("python3") {
        return;
    }
    let server = serving::server(&["pool"]);
    let observation = Observation::of(server.pid(), &[]);
    let mut stream = client::connect(server.address);
    stream.write_all(client::request("/large").as_bytes()).unwrap();
    let mut first = [0];
    stream.read_exact(&mut first).unwrap();
    // This is the client's fault, not a wait for something: the buffers hold much less than the answer.
    thread::sleep(PAUSE);
    stream.read_exact(&mut vec![0; 32 << 20]).unwrap();
    let lines = observation.finish();
    assert_eq!(lines.without_loss().count(), 1);
    let request = &lines.requests[0];
    assert!(number(&request["bytes_out"]) > 32 << 20, "{request}");
    assert!(waited(request, "send_blocked") >= 1_500 * MS, "{request}");
}
