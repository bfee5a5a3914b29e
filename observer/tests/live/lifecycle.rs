//! Servers that end, fork or become another program; an observer that is killed.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::observation::Observation;
use crate::run::{DEADLINE, Running, wait_for};
use crate::server::{Server, announced, load, not_yet_a_server};
use crate::{kernel, laws};

fn happened(lines: &[Value], event: &str, pid: u32) -> bool {
    lines
        .iter()
        .any(|line| line["event"] == event && line["pid"] == pid)
}

#[test]
fn when_the_server_dies_observer_ends_by_itself_and_says_so() {
    let Some(_turn) = kernel::turn() else { return };
    let mut server = Server::faulty(&[]);
    let observation = Observation::of(server.pid(), &[]);
    let pid = server.pid();
    assert_eq!(load(&server.url("/ping"), &["--requests", "100"]), 100);
    server.kill();
    let lines = observation.ended();
    assert_eq!(lines.without_loss().count(), 100);
    assert!(happened(&lines.processes, "exit", pid), "{:?}", lines.processes);
}

#[test]
fn with_two_servers_it_goes_on_until_both_are_gone() {
    let Some(_turn) = kernel::turn() else { return };
    let (mut first, mut second) = (Server::faulty(&[]), Server::faulty(&[]));
    let (one, two) = (first.pid(), second.pid());
    let mut observation = Observation::of(one, &["--pid", &two.to_string()]);
    first.kill();
    observation.wait_for_line("exit", |line| line["event"] == "exit" && line["pid"] == one);
    assert_eq!(load(&second.url("/ping"), &["--requests", "100"]), 100);
    second.kill();
    let lines = observation.ended();
    assert_eq!(lines.without_loss().count(), 100);
    assert!(happened(&lines.processes, "exit", two), "{:?}", lines.processes);
}

#[test]
fn after_the_duration_it_ends_by_itself() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&[]);
    let observation = Observation::of(server.pid(), &["--duration", "500ms"]);
    let lines = observation.ended();
    assert_eq!(lines.count(), 0);
    assert_eq!(lines.end.get("latency_ns"), None, "nothing was measured");
}

#[test]
fn a_process_that_becomes_a_server_is_watched_as_one() {
    let Some(_turn) = kernel::turn() else { return };
    let mut running = not_yet_a_server();
    let mut observation = Observation::of(running.0.id(), &[]);
    let mut stdin = running.0.stdin.take().unwrap();
    stdin.write_all(b"go\n").unwrap();
    let address = announced(&mut running.0);
    let exec = observation.wait_for_line("exec", |line| line["event"] == "exec");
    assert_eq!(
        (&exec["pid"], &exec["comm"]),
        (&running.0.id().into(), &"faulty-server".into())
    );
    assert_eq!(
        load(&format!("http://{address}/ping"), &["--requests", "100"]),
        100
    );
    let lines = observation.finish();
    assert_eq!(lines.without_loss().count(), 100);
    assert!(
        lines
            .requests
            .iter()
            .all(|request| request["comm"] == "faulty-server"),
        "{}",
        lines.requests[0]
    );
    drop(stdin);
}

#[test]
fn a_child_process_is_named_with_its_parent_and_its_end_is_told() {
    let Some(_turn) = kernel::turn() else { return };
    let child = Command::new("sh")
        .args(["-c", r#"read -r go; sh -c 'exit 0' & wait; read -r go"#])
        .stdin(Stdio::piped())
        .spawn();
    let mut running = Running(child.unwrap());
    let parent = running.0.id();
    let mut observation = Observation::of(parent, &[]);
    let mut stdin = running.0.stdin.take().unwrap();
    stdin.write_all(b"go\n").unwrap();
    let fork = observation.wait_for_line("fork", |line| line["event"] == "fork");
    assert_eq!(fork["parent"], parent);
    assert_ne!(fork["pid"], parent);
    let child = u32::try_from(laws::number(&fork["pid"])).unwrap();
    stdin.write_all(b"go\n").unwrap();
    let lines = observation.ended();
    let exits = lines.processes.iter().filter(|line| line["event"] == "exit");
    assert_eq!(
        exits.map(|line| &line["pid"]).collect::<Vec<_>>(),
        [&Value::from(child), &Value::from(parent)]
    );
}

/// Ids of the eBPF programs that a process holds.
fn programs_of(pid: u32) -> BTreeSet<u32> {
    let files = fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap().flatten();
    let infos = files.filter_map(|file| fs::read_to_string(file.path()).ok());
    let id = |line: &str| line.strip_prefix("prog_id:")?.trim().parse().ok();
    infos
        .flat_map(|info| info.lines().filter_map(id).collect::<Vec<_>>())
        .collect()
}

/// Ids of the eBPF programs that the kernel holds.
fn programs() -> BTreeSet<u32> {
    aya::programs::loaded_programs()
        .map(|program| program.expect("programs can be listed").id())
        .collect()
}

#[test]
fn an_observer_that_is_killed_leaves_nothing_in_the_kernel_and_the_server_goes_on() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&[]);
    let observation = Observation::of(server.pid(), &[]);
    load(&server.url("/ping"), &["--requests", "100"]);
    let held = programs_of(observation.pid());
    assert!(held.len() >= 9 && held.is_subset(&programs()), "{held:?}");
    observation.kill();
    assert_eq!(load(&server.url("/ping"), &["--requests", "100"]), 100);
    wait_for("the kernel to forget the programs", DEADLINE, || {
        held.is_disjoint(&programs()).then_some(())
    });

    let again = Observation::of(server.pid(), &[]);
    assert_eq!(load(&server.url("/ping"), &["--requests", "100"]), 100);
    assert_eq!(again.finish().without_loss().count(), 100);
}
