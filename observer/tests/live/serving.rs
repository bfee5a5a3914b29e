//! Who serves where the watched process does not: children on its socket, a Unix socket, another that took over. A run
//! says so and says what to do, also when it is replayed.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{connect, get};
use crate::observation::{Lines, OBSERVER, Observation};
use crate::run::{DEADLINE, Running, run, wait_for};
use crate::server::{Server, announced, load, testbed};
use crate::{documents, kernel};

/// `serving.py` with these arguments.
pub(crate) fn server(arguments: &[&str]) -> Server {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/serving.py");
    Server::start(Command::new("python3").arg(script).args(arguments))
}

/// Children of a process, in the order of their numbers.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let file = format!("/proc/{pid}/task/{pid}/children");
    let text = fs::read_to_string(file).unwrap_or_default();
    let mut children: Vec<u32> = text
        .split_whitespace()
        .map(|child| child.parse().unwrap())
        .collect();
    children.sort_unstable();
    children
}

/// The hints of this kind in a line.
pub(crate) fn hints<'a>(line: &'a Value, kind: &str) -> Vec<&'a Value> {
    let all = line["hints"].as_array().unwrap().iter();
    all.filter(|hint| hint["kind"] == kind).collect()
}

/// What is said on standard error of this hint.
fn said(hint: &Value) -> String {
    let word = |name: &str| hint[name].as_str().unwrap();
    format!("observer: hint: {}: {}", word("text"), word("remedy"))
}

/// The last line of a process.
fn exit(lines: &Lines, pid: u32) -> &Value {
    let mut exits = lines
        .processes
        .iter()
        .filter(|line| line["event"] == "exit" && line["pid"] == pid);
    exits.next().expect("it ended")
}

#[test]
fn clients_that_find_the_queue_of_a_listener_full_are_told() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("python3") {
        return;
    }
    let server = server(&["deaf"]);
    let patience = Duration::from_millis(100);
    let fails = || TcpStream::connect_timeout(&server.address, patience).is_err();
    let _queued = connect(server.address);
    assert!(fails(), "there is room for one");
    let mut observation = Observation::of(server.pid(), &[]);
    // It is looked at when the first window is over, at the latest.
    observation.wait_for_line("a window", |line| line["type"] == "window");
    assert!(fails());
    let lines = observation.finish();
    let [hint] = hints(&lines.end, "queue_full")[..] else {
        panic!("{}", lines.end);
    };
    let port = format!(" to connect to port {} of ", server.address.port());
    assert!(hint["text"].as_str().unwrap().contains(&port), "{hint}");
}

#[test]
fn of_a_master_the_children_that_serve_are_named_live_and_in_a_replay() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("python3") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let recording = directory.path().join("live.rec");
    let recording = recording.to_str().unwrap();
    let server = server(&["prefork"]);
    let workers = children(server.pid());
    let mut observation = Observation::of(server.pid(), &["--no-follow", "--record", recording]);
    assert!(get(server.address, "/").ends_with("ok"));
    observation.wait_for_line("a window with a hint", |line| {
        line["type"] == "window" && !hints(line, "children").is_empty()
    });
    let lines = observation.finish();
    assert_eq!(lines.count(), 0);
    let found = hints(&lines.end, "children");
    assert_eq!(found.len(), 1, "{}", lines.end);
    assert_eq!(
        (&found[0]["pid"], &found[0]["pids"]),
        (&json!(server.pid()), &json!(workers))
    );
    assert_eq!(found[0]["remedy"], "without --no-follow they are watched too");
    assert_eq!(lines.hints, [said(found[0])], "it is said once");
    documents::shows("observer: hint: ", &lines.hints[0]);

    let replayed = run(Command::new(OBSERVER).args(["replay", recording]));
    let (out, err) = (
        String::from_utf8_lossy(&replayed.stdout),
        String::from_utf8_lossy(&replayed.stderr),
    );
    assert_eq!(err.lines().collect::<Vec<_>>(), lines.hints);
    let end: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!(end["hints"], lines.end["hints"]);
}

#[test]
fn at_once_it_is_said_that_nobody_listens_on_a_port_or_that_there_are_too_many() {
    let Some(_turn) = kernel::turn() else { return };
    let said = |ports: &str| {
        let observer = run(Command::new(OBSERVER).args(["attach", "--duration", "1s", "--port", ports]));
        (
            observer.status.code(),
            String::from_utf8(observer.stderr).unwrap(),
        )
    };
    let port = free_port();
    let (code, waits) = said(&port.to_string());
    let first = format!(
        "observer: nobody listens on port {port} in this network namespace: waits for the next who does"
    );
    assert_eq!((code, waits.lines().next()), (Some(0), Some(first.as_str())));
    let many: Vec<_> = (1..=65).map(|port: u16| port.to_string()).collect();
    assert_eq!(
        said(&many.join(",")),
        (
            Some(1),
            "observer: 65 ports were given: at most 64 can be watched at a time\n".to_owned()
        )
    );
}

#[test]
fn of_a_port_on_which_nobody_listens_it_is_told_at_the_end() {
    let Some(_turn) = kernel::turn() else { return };
    let port = free_port();
    let mut observation = Observation::with(&["--port", &port.to_string()]);
    observation.wait_for_line("a window", |line| line["type"] == "window");
    let lines = observation.finish();
    let found = hints(&lines.end, "nobody_listened");
    assert_eq!(found.len(), 1, "{}", lines.end);
    assert!(found[0].get("pid").is_none(), "{}", found[0]);
    let begins = format!("on port {port} nobody who can be watched was seen to listen ");
    assert!(
        found[0]["text"].as_str().unwrap().starts_with(&begins),
        "{}",
        found[0]
    );
    assert_eq!(lines.hints, [said(found[0])]);
}

#[test]
fn a_unix_socket_is_named_by_its_path() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("python3") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.sock");
    let server = server(&["unix", path.to_str().unwrap()]);
    let observation = Observation::of(server.pid(), &[]);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let lines = observation.finish();
    assert_eq!(lines.count(), 0);
    let found = hints(&lines.end, "unix_socket");
    assert_eq!(found.len(), 1, "{}", lines.end);
    assert!(
        found[0]["text"]
            .as_str()
            .unwrap()
            .contains(path.to_str().unwrap()),
        "{}",
        found[0]
    );
    assert_eq!(lines.hints, [said(found[0])]);
}

#[test]
fn a_server_that_nobody_asks_says_where_it_listens() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&[]);
    let _idle = connect(server.address);
    let lines = Observation::of(server.pid(), &["--duration", "500ms"]).ended();
    let [hint] = &hints(&lines.end, "no_traffic")[..] else {
        panic!("{}", lines.end)
    };
    let place = format!(
        "it listens on port {} and has one TCP connection",
        server.address.port()
    );
    assert!(hint["text"].as_str().unwrap().contains(&place), "{hint}");
}

#[test]
fn with_requests_there_is_no_hint() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&[]);
    let observation = Observation::of(server.pid(), &[]);
    load(&server.url("/ping"), &["--requests", "100"]);
    let lines = observation.finish();
    assert_eq!((lines.count(), &lines.end["hints"]), (100, &json!([])));
    assert_eq!(lines.hints, [""; 0]);
}

#[test]
fn of_a_worker_that_is_replaced_the_new_ones_are_named() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("python3") {
        return;
    }
    let server = server(&["prefork"]);
    let workers = children(server.pid());
    let observation = Observation::of(workers[0], &["--pid", &workers[1].to_string()]);
    assert!(get(server.address, "/").ends_with("ok"));
    server.signal(libc::SIGHUP);
    let lines = observation.ended();
    assert_eq!(lines.without_loss().count(), 1);
    // The old ones are children until the master has waited for them.
    let new = wait_for("two new workers", DEADLINE, || {
        let new = children(server.pid());
        (new.len() == 2 && !new.iter().any(|pid| workers.contains(pid))).then_some(new)
    });
    for worker in workers {
        let successors = exit(&lines, worker)["successors"].as_array().unwrap();
        let pids: Vec<&Value> = successors.iter().map(|successor| &successor["pid"]).collect();
        assert_eq!(json!(pids), json!(new), "{successors:?}");
        assert!(
            successors
                .iter()
                .all(|successor| successor["same_socket"] == true
                    && successor["port"] == server.address.port()),
            "{successors:?}"
        );
        let found = hints(&lines.end, "successor");
        let found = found
            .iter()
            .find(|hint| hint["pid"] == worker)
            .expect("it is told of each");
        let command = format!("sudo observer attach --pid {} --pid {}", new[0], new[1]);
        assert_eq!(found["remedy"], command);
        assert!(lines.hints.contains(&said(found)), "{:?}", lines.hints);
    }
}

#[test]
fn of_a_server_that_is_started_again_the_new_one_is_named() {
    let Some(_turn) = kernel::turn() else { return };
    // It starts the next one when the last one ends, on the same port; each ends with its input.
    let script = r#"exec 3<&0; while :; do "$0" --until-stdin-closes --port "$1" <&3; done"#;
    let port = free_port();
    let child = Command::new("sh")
        .args(["-c", script])
        .arg(testbed("faulty-server"))
        .arg(port.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut supervisor = Running(child.unwrap());
    let stdin = supervisor.0.stdin.take();
    announced(&mut supervisor.0);
    let supervisor_pid = supervisor.0.id();
    let [first] = children(supervisor_pid)[..] else {
        panic!("it has one child")
    };
    let observation = Observation::of(first, &[]);
    // SAFETY: kill reads and writes no memory of this process; that child was not waited for by its parent yet.
    assert_eq!(unsafe { libc::kill(first.cast_signed(), libc::SIGKILL) }, 0);
    let lines = observation.ended();
    let [second] = children(supervisor_pid)[..] else {
        panic!("it has one child")
    };
    let [successor] = &exit(&lines, first)["successors"].as_array().unwrap()[..] else {
        panic!("{:?}", lines.processes)
    };
    assert_eq!(
        *successor,
        json!({"pid": second, "comm": "faulty-server", "port": port, "same_socket": false})
    );
    // The loop ends before the server that it would start again.
    supervisor.0.kill().unwrap();
    supervisor.status(DEADLINE);
    drop(stdin);
    wait_for("the server to end", DEADLINE, || {
        (!Path::new(&format!("/proc/{second}")).exists()).then_some(())
    });
}

/// A port on which nobody listens.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
