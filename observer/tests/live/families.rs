//! Targets that come and go: children, those that are there at the attach and those that are forked later, and whoever
//! listens on a port. What is counted of each is what its clients count.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::client::get;
use crate::observation::{Lines, Observation};
use crate::run::{DEADLINE, Running, wait_for};
use crate::server::{Server, load, testbed};
use crate::serving::{children, free_port, hints, server};
use crate::{kernel, laws};

/// Asks so many times, on a connection each, and counts the answers by the process that gave them.
fn ask(address: SocketAddr, times: usize, answers: &mut BTreeMap<u32, u64>) {
    for _ in 0..times {
        let answer = get(address, "/");
        let by = answer
            .lines()
            .find_map(|line| line.strip_prefix("Served-By: "))
            .expect("it names itself");
        *answers.entry(by.parse().unwrap()).or_default() += 1;
    }
}

/// Has a pre-forking server replace its two workers, and waits until it has.
fn replace(server: &Server, workers: &[u32]) {
    server.signal(libc::SIGHUP);
    wait_for("the children to be replaced", DEADLINE, || {
        let now = children(server.pid());
        (now.len() == 2 && !now.iter().any(|pid| workers.contains(pid))).then_some(())
    });
}

/// Requests by the process that answered.
fn by_process(lines: &Lines) -> BTreeMap<u32, u64> {
    let mut counts = BTreeMap::new();
    for request in &lines.requests {
        let pid = u32::try_from(laws::number(&request["pid"])).unwrap();
        *counts.entry(pid).or_default() += 1;
    }
    counts
}

/// What happened to a process, in order.
fn history(lines: &Lines, pid: u32) -> Vec<&str> {
    let of_process = lines.processes.iter().filter(|line| line["pid"] == pid);
    of_process.map(|line| line["event"].as_str().unwrap()).collect()
}

#[test]
fn of_a_pre_forking_server_each_child_s_requests_are_counted_and_those_of_its_next_children() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("python3") {
        return;
    }
    let server = server(&["prefork"]);
    let workers = children(server.pid());
    let observation = Observation::of(server.pid(), &["--apart"]);
    let mut answers = BTreeMap::new();
    ask(server.address, 30, &mut answers);
    replace(&server, &workers);
    ask(server.address, 30, &mut answers);
    let lines = observation.finish();
    assert_eq!(lines.without_loss().count(), 60);
    assert_eq!(by_process(&lines), answers);
    let targets = lines.end["targets"].as_array().unwrap().iter();
    let apart = targets.map(|target| {
        (
            target["pid"].as_u64().unwrap() as u32,
            target["requests"].as_u64().unwrap(),
        )
    });
    let apart: BTreeMap<u32, u64> = apart.filter(|&(_, requests)| requests > 0).collect();
    assert_eq!(apart, answers);
    assert_eq!(lines.end["hints"], json!([]));
    for worker in workers {
        assert_eq!(
            history(&lines, worker),
            ["start", "exit"],
            "{:?}",
            lines.processes
        );
        let start = lines.processes.iter().find(|line| line["pid"] == worker);
        assert_eq!(start.unwrap()["parent"], server.pid());
    }
    for worker in children(server.pid()) {
        assert_eq!(history(&lines, worker), ["fork"], "{:?}", lines.processes);
    }
}

#[test]
fn a_child_is_watched_from_its_first_instruction() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("python3") {
        return;
    }
    let server = server(&["forking"]);
    let observation = Observation::of(server.pid(), &[]);
    let mut answers = BTreeMap::new();
    ask(server.address, 50, &mut answers);
    let lines = observation.finish();
    assert_eq!(lines.without_loss().count(), 50);
    assert_eq!((by_process(&lines), answers.len()), (answers, 50));
    for request in laws::seen(&lines.requests) {
        assert_ne!(request["confidence"], "partial", "{request}");
        assert_eq!(request["comm"], "python3", "{request}");
    }
}

#[test]
fn a_number_that_is_used_again_at_once_is_another_process() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("python3") {
        return;
    }
    let server = server(&["again"]);
    let observation = Observation::of(server.pid(), &[]);
    let mut answers = BTreeMap::new();
    ask(server.address, 5, &mut answers);
    let lines = observation.finish();
    let (&pid, &times) = answers.first_key_value().unwrap();
    assert_eq!((answers.len(), times), (1, 5), "{answers:?}");
    assert_eq!(lines.without_loss().count(), 5);
    assert_eq!(by_process(&lines), answers);
    let history = history(&lines, pid);
    assert!(
        history.chunks(2).all(|life| life == ["fork", "exit"]),
        "{history:?}"
    );
    assert!(history.len() >= 10, "{history:?}");
}

#[test]
fn children_are_not_followed_where_that_is_asked_for() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("python3") {
        return;
    }
    let server = server(&["prefork"]);
    let workers = children(server.pid());
    let observation = Observation::of(server.pid(), &["--no-follow"]);
    replace(&server, &workers);
    ask(server.address, 10, &mut BTreeMap::new());
    let lines = observation.finish();
    assert_eq!(lines.count(), 0);
    let forks: Vec<&Value> = lines
        .processes
        .iter()
        .filter(|line| line["event"] == "fork")
        .collect();
    assert_eq!(forks.len(), 2);
    assert!(forks.iter().all(|fork| fork["watched"] == false), "{forks:?}");
    assert_eq!(hints(&lines.end, "children").len(), 1, "{}", lines.end);
}

#[test]
fn without_children_those_that_hold_the_socket_of_a_port_are_watched_and_none_that_is_forked_later() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("python3") {
        return;
    }
    let server = server(&["prefork"]);
    let workers = children(server.pid());
    let port = server.address.port().to_string();
    let observation = Observation::with(&["--requests", "all", "--no-follow", "--port", &port]);
    let mut answers = BTreeMap::new();
    ask(server.address, 10, &mut answers);
    replace(&server, &workers);
    ask(server.address, 10, &mut BTreeMap::new());
    let lines = observation.finish();
    assert_eq!(lines.without_loss().count(), 10);
    assert_eq!(by_process(&lines), answers);
    let header: Value = serde_json::from_str(&lines.written[0]).unwrap();
    let targets = header["targets"].as_array().unwrap().iter();
    let targets: Vec<&Value> = targets.map(|target| &target["pid"]).collect();
    assert_eq!(json!(targets), json!([vec![server.pid()], workers].concat()));
}

#[test]
fn a_run_goes_on_until_the_last_of_a_family_has_ended() {
    let Some(_turn) = kernel::turn() else { return };
    // The first of the family starts the server and ends.
    let script = r#"read -r go; "$0" --until-stdin-closes --port "$1" <&3 >/dev/null & "#;
    let port = free_port();
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("exec 3<&0; {script}")])
        .arg(testbed("faulty-server"))
        .arg(port.to_string());
    let mut launcher = Running(command.stdin(Stdio::piped()).spawn().unwrap());
    let mut stdin = launcher.0.stdin.take().unwrap();
    let mut observation = Observation::of(launcher.0.id(), &[]);
    stdin.write_all(b"go\n").unwrap();
    observation.wait_for_line("exit", |line| {
        line["event"] == "exit" && line["pid"] == launcher.0.id()
    });
    let url = format!("http://127.0.0.1:{port}/ping");
    listening(port);
    assert_eq!(load(&url, &["--requests", "100"]), 100);
    drop(stdin);
    let lines = observation.ended();
    assert_eq!(lines.without_loss().count(), 100);
    assert_eq!(lines.end["hints"], json!([]));
    // An emulated CPU takes so long until somebody asks that this is said.
    let no_silence = |hint: &&String| !hint.contains("no request ");
    assert_eq!(lines.hints.iter().find(no_silence), None);
}

/// Waits until somebody listens on a port.
fn listening(port: u16) {
    let wanted = format!(":{port:04X} 00000000:0000 0A ");
    wait_for("somebody to listen", DEADLINE, || {
        fs::read_to_string("/proc/net/tcp")
            .ok()?
            .contains(&wanted)
            .then_some(())
    });
}

#[test]
fn of_more_processes_than_there_is_room_for_the_others_are_counted() {
    const CHILDREN: usize = 1_100;
    const ROOM: usize = observer_common::limits::MAX_TARGETS as usize - 1;
    let Some(_turn) = kernel::turn() else { return };
    let script = format!(
        "exec 3<&0; read -r go; i=0; while [ $i -lt {CHILDREN} ]; do (read -r x <&3) & i=$((i+1)); done; wait"
    );
    let shell = Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .spawn();
    let mut shell = Running(shell.unwrap());
    let mut stdin = shell.0.stdin.take().unwrap();
    let mut observation = Observation::of(shell.0.id(), &[]);
    stdin.write_all(b"go\n").unwrap();
    let forks = std::cell::Cell::new(0);
    observation.wait_for_line("last fork", |line| {
        forks.set(forks.get() + usize::from(line["event"] == "fork"));
        forks.get() == CHILDREN
    });
    drop(stdin);
    let lines = observation.ended();
    let refused = (CHILDREN - ROOM) as u64;
    lines.without_loss_but(&[("refused_processes", refused)]);
    let watched = |watched: bool| {
        let forks = lines.processes.iter().filter(|line| line["event"] == "fork");
        forks.filter(|line| line["watched"] == watched).count()
    };
    assert_eq!((watched(true), watched(false)), (ROOM, CHILDREN - ROOM));
    let exits = lines.processes.iter().filter(|line| line["event"] == "exit");
    assert_eq!(exits.count(), ROOM + 1, "all that are watched, and their parent");
}

#[test]
fn whoever_listens_on_a_port_is_watched_from_then_on_and_who_comes_after_it_too() {
    let Some(_turn) = kernel::turn() else { return };
    let port = free_port();
    let arguments = ["--requests", "all", "--port", &port.to_string()];
    let mut observation = Observation::with(&arguments);
    let mut pids = Vec::new();
    for _ in 0..2 {
        let mut server = Server::faulty(&["--port", &port.to_string()]);
        assert_eq!(load(&server.url("/ping"), &["--requests", "100"]), 100);
        let pid = server.pid();
        pids.push(pid);
        // What it runs is read while it is there.
        observation.wait_for_line("start", |line| line["event"] == "start" && line["pid"] == pid);
        server.kill();
        observation.wait_for_line("exit", |line| line["event"] == "exit" && line["pid"] == pid);
    }
    let lines = observation.finish();
    assert_eq!(lines.without_loss().count(), 200);
    assert_eq!(
        by_process(&lines),
        BTreeMap::from_iter(pids.iter().map(|&pid| (pid, 100)))
    );
    assert!(hints(&lines.end, "nobody_listened").is_empty(), "{}", lines.end);
    let program = testbed("faulty-server").canonicalize().unwrap();
    for pid in pids {
        assert_eq!(history(&lines, pid), ["start", "exit"], "{:?}", lines.processes);
        let start = lines.processes.iter().find(|line| line["pid"] == pid).unwrap();
        assert_eq!(start["exe"], program.to_str().unwrap());
    }
    let header: Value = serde_json::from_str(&lines.written[0]).unwrap();
    assert_eq!(
        (&header["targets"], &header["options"]["ports"]),
        (&json!([]), &json!([port]))
    );
}

#[test]
fn of_more_servers_than_there_is_room_for_each_that_comes_after_the_end_of_others_has_its_own_figures() {
    // Targets that are told apart, which the library keeps to itself.
    const ROOM: usize = 64;
    let Some(_turn) = kernel::turn() else { return };
    let port = free_port();
    let arguments = ["--requests", "all", "--port", &port.to_string()];
    let mut observation = Observation::with(&arguments);
    let serve = |observation: &mut Observation| {
        let mut server = Server::faulty(&["--port", &port.to_string()]);
        assert_eq!(load(&server.url("/ping"), &["--requests", "2"]), 2);
        let pid = server.pid();
        server.kill();
        observation.wait_for_line("exit", |line| line["event"] == "exit" && line["pid"] == pid);
        pid
    };
    let mut pids: Vec<u32> = (0..ROOM).map(|_| serve(&mut observation)).collect();
    // The last of what they did is told by then.
    for _ in 0..6 {
        observation.wait_for_line("window", |line| line["type"] == "window");
    }
    let others: Vec<u32> = (0..6).map(|_| serve(&mut observation)).collect();
    pids.extend(&others);
    let lines = observation.finish();
    let sent = 2 * pids.len() as u64;
    assert_eq!(lines.without_loss().count(), sent);
    assert_eq!(lines.end["full"], json!({}), "{}", lines.end);
    assert_eq!(
        by_process(&lines),
        BTreeMap::from_iter(pids.iter().map(|&pid| (pid, 2)))
    );
    let targets = lines.end["targets"].as_array().unwrap();
    assert_eq!(targets.len(), ROOM);
    for pid in others {
        let own = targets.iter().find(|target| target["pid"] == pid);
        assert_eq!(own.map(|own| &own["requests"]), Some(&json!(2)), "{pid}");
    }
    assert_eq!(lines.end["targets_other"], sent - 2 * ROOM as u64);
}

#[test]
fn whoever_listens_on_a_port_already_is_watched_with_its_children() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("python3") {
        return;
    }
    let server = server(&["prefork"]);
    let port = server.address.port().to_string();
    let observation = Observation::with(&["--requests", "all", "--port", &port]);
    let mut answers = BTreeMap::new();
    ask(server.address, 20, &mut answers);
    let lines = observation.finish();
    assert_eq!(lines.without_loss().count(), 20);
    assert_eq!(by_process(&lines), answers);
    let header: Value = serde_json::from_str(&lines.written[0]).unwrap();
    let targets = header["targets"].as_array().unwrap();
    assert_eq!(targets.len(), 1, "{targets:?}");
    assert_eq!(targets[0]["pid"], server.pid());
}
