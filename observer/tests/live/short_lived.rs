//! Targets that fork, become other programs and die, all the time and at the worst time.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::observation::{OBSERVER, Observation};
use crate::run::{Running, run};
use crate::server::{Loading, Server};
use crate::{kernel, laws};

/// A shell that runs `script` once it is observed.
fn observe_script(script: &str) -> (Running, Observation) {
    let script = format!("read -r go; {script}");
    let child = Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .spawn();
    let mut running = Running(child.unwrap());
    let observation = Observation::of(running.0.id(), &[]);
    running.0.stdin.take().unwrap().write_all(b"go\n").unwrap();
    (running, observation)
}

#[test]
fn each_child_of_many_is_told_and_the_end_of_their_parent_ends_the_run() {
    let Some(_turn) = kernel::turn() else { return };
    let (_running, observation) = observe_script("i=0; while [ $i -lt 300 ]; do (exit 0); i=$((i+1)); done");
    let lines = observation.ended();
    let forks = lines.processes.iter().filter(|line| line["event"] == "fork");
    assert_eq!(forks.count(), 300);
    assert_eq!(lines.without_loss().count(), 0);
}

#[test]
fn of_thousands_of_children_that_end_at_once_each_is_told_and_nothing_is_kept() {
    const CHILDREN: usize = 10_000;
    let Some(_turn) = kernel::turn() else { return };
    let script = format!("i=0; while [ $i -lt {CHILDREN} ]; do (exit 0); i=$((i+1)); done");
    let (running, observation) = observe_script(&script);
    let lines = observation.ended();
    lines.without_loss();
    let shell = running.0.id();
    let of = |event: &'static str| {
        lines
            .processes
            .iter()
            .filter(move |line| line["event"] == event && line["pid"] != shell)
    };
    assert_eq!((of("fork").count(), of("exit").count()), (CHILDREN, CHILDREN));
    assert!(of("fork").all(|line| line["watched"] == true));
    let rss_bytes = laws::number(&lines.end["cost"]["rss_bytes"]);
    assert!(rss_bytes < 128 << 20, "{rss_bytes}");
}

#[test]
fn a_process_that_becomes_others_all_the_time_is_the_same_target() {
    let Some(_turn) = kernel::turn() else { return };
    let again = r#"[ $1 -eq 0 ] || exec sh -c "$0" "$0" $(($1-1))"#;
    let (running, observation) =
        observe_script(&format!("set -- '{again}' 200; exec sh -c \"$1\" \"$1\" 200"));
    let lines = observation.ended();
    let execs: Vec<_> = lines
        .processes
        .iter()
        .filter(|line| line["event"] == "exec")
        .collect();
    assert_eq!(execs.len(), 201);
    assert!(execs.iter().all(|line| line["pid"] == running.0.id()));
    lines.without_loss();
}

#[test]
fn targets_that_die_while_they_are_attached_to_are_not_waited_for() {
    let Some(_turn) = kernel::turn() else { return };
    for delay in ["0", "0.002", "0.01", "0.03", "0.06", "0.1", "0.2", "0.4"] {
        let mut dying = Running(Command::new("sleep").arg(delay).spawn().unwrap());
        let pid = dying.0.id().to_string();
        // Collected as soon as it ends, as a shell does.
        let collector = std::thread::spawn(move || dying.0.wait());
        // Without an end of its own: it would go on for longer than this waits.
        let output = run(Command::new(OBSERVER).args(["attach", "--pid", &pid]));
        collector.join().unwrap().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            Some(0) => assert!(
                stderr.lines().all(|line| line.starts_with("observer: hint: ")),
                "{stderr}"
            ),
            Some(1) => assert!(
                stderr.contains("no process has pid") || stderr.contains("has ended"),
                "{stderr}"
            ),
            other => panic!("{other:?}: {stderr}"),
        }
    }
}

#[test]
fn a_target_that_dies_under_load_takes_nothing_from_the_other() {
    let Some(_turn) = kernel::turn() else { return };
    let (mut dies, stays) = (Server::faulty(&[]), Server::faulty(&[]));
    let mut observation = Observation::of(dies.pid(), &["--pid", &stays.pid().to_string()]);
    let load = |server: &Server| {
        let arguments = ["--connections", "4", "--rate", "2000", "--duration", "1s"];
        Loading::start(&server.url("/ping"), &arguments)
    };
    let (lost, kept) = (load(&dies), load(&stays));
    let died = dies.pid();
    observation.wait_for_line("request", |line| line["type"] == "request" && line["pid"] == died);
    dies.kill();
    let (sent, failed) = kept.ended();
    assert_eq!(failed, 0);
    assert!(lost.ended().1 > 0, "it died too late");
    let lines = observation.finish();
    lines.without_loss();
    let of = |pid: u32| lines.requests.iter().filter(move |request| request["pid"] == pid);
    assert_eq!(of(stays.pid()).count() as u64, sent);
    assert!(of(died).count() > 0);
    let exits = lines.processes.iter().filter(|line| line["event"] == "exit");
    assert_eq!(
        exits.map(|line| laws::number(&line["pid"])).collect::<Vec<_>>(),
        [u64::from(died)]
    );
}
