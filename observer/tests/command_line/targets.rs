//! Processes that cannot be watched: the message says what the number is, and what to give instead.

use std::fmt::Display;
use std::fs;
use std::path::Path;
use std::process::{self, Command};

use crate::program::{Ended, exit, observer};
use crate::run::{DEADLINE, Running, wait_for};

fn attach(pid: impl Display) -> Ended {
    observer(["attach", "--pid", &format!("{pid}"), "--duration", "1ms"])
}

#[test]
fn no_such_process_is_answered_with_a_way_to_find_one() {
    // The kernel gives out numbers below this one only.
    let most = fs::read_to_string("/proc/sys/kernel/pid_max").unwrap();
    for pid in [most.trim(), "2147483647", "2147483648", "4294967295"] {
        let ended = attach(pid);
        ended.expect(exit::FAILURE, &[]).one_line();
        let words = "`pgrep -o NAME` finds one by name, and --port whoever listens";
        assert_eq!(
            ended.stderr,
            format!("observer: no process has pid {pid}: {words}\n")
        );
    }
    let ended = observer(["record", "--pid", most.trim(), "-o", "/nonexistent/x.rec"]);
    ended.expect(exit::FAILURE, &["no process has pid"]).one_line();
}

#[test]
fn one_bad_pid_among_good_ones_fails_before_anything_is_attached() {
    let own = process::id().to_string();
    let ended = observer([
        "attach",
        "--pid",
        &own,
        "--pid",
        "2147483647",
        "--duration",
        "1ms",
    ]);
    ended.expect(exit::FAILURE, &["2147483647"]).one_line();
}

#[test]
fn a_kernel_thread_is_no_server() {
    if fs::read_to_string("/proc/2/comm").ok().as_deref() != Some("kthreadd\n") {
        return crate::skipped("the kernel's threads are not seen here: it needs the first PID namespace");
    }
    attach(2)
        .expect(exit::FAILURE, &["2 (kthreadd) is a kernel thread"])
        .one_line();
}

#[test]
fn for_a_thread_the_process_is_named() {
    let own = process::id();
    // A test runs on a thread of its own, beside the main thread.
    let threads = fs::read_dir("/proc/self/task").unwrap().flatten();
    let tid = threads
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .find(|tid| *tid != own);
    let tid = tid.expect("there is a second thread");
    let words = [
        &format!("{tid} is a thread of process {own}")[..],
        &format!("--pid {own}"),
    ];
    attach(tid).expect(exit::FAILURE, &words).one_line();
}

/// Runs `program` until it has ended, without collecting it.
fn ended(program: &Path) -> Running {
    let child = Running(Command::new(program).spawn().unwrap());
    wait_for("the child to end", DEADLINE, || {
        let stat = fs::read(format!("/proc/{}/stat", child.0.id())).ok()?;
        String::from_utf8_lossy(&stat).contains(") Z ").then_some(())
    });
    child
}

#[test]
fn a_process_that_has_ended_and_was_not_collected_is_said_to_have_ended() {
    let child = ended(Path::new("true"));
    let pid = child.0.id();
    attach(pid)
        .expect(exit::FAILURE, &[&format!("process {pid} (true) has ended")])
        .one_line();
}

#[test]
fn the_name_of_a_process_does_not_steer_the_terminal() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a\u{1b}[2Jb\u{9b}");
    // A program is called what it was called by.
    std::os::unix::fs::symlink("/bin/true", &path).unwrap();
    let child = ended(&path);
    let refused = attach(child.0.id());
    refused
        .expect(exit::FAILURE, &[r"(a\u{1b}[2Jb\u{9b}) has ended"])
        .one_line();
    assert!(!refused.stderr.contains(['\u{1b}', '\u{9b}']), "{refused:?}");
}
