//! Without privileges: the message says how to get them, before anything was attached or written.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::process::{self, Command};

use tempfile::TempDir;

use crate::program::{Ended, PATH, exit};
use crate::run::run;

/// `nobody` on every Linux.
const NOBODY: u32 = 65_534;

/// Somewhere that everybody can read, with a copy of the program: the build directory may be closed.
fn open_directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let program = directory.path().join("observer");
    // By another process: a file that this one has open for writing would stay so in whatever another test starts
    // at that moment, and could not be executed.
    let copied = Command::new("cp").arg(PATH).arg(&program).status().unwrap();
    assert!(copied.success());
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

fn as_nobody(directory: &TempDir, arguments: &[&str]) -> Ended {
    let mut command = Command::new(directory.path().join("observer"));
    command.args(arguments).current_dir(directory.path());
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        // As root this also drops the other groups.
        command.gid(NOBODY).uid(NOBODY);
    }
    run(&mut command).into()
}

#[test]
fn attaching_without_privileges_fails_and_names_sudo() {
    let directory = open_directory();
    let pid = process::id().to_string();
    for arguments in [
        &["attach", "--pid", &pid, "--duration", "1ms"][..],
        &["attach", "--pid", &pid, "--record", "x.rec", "-o", "x.jsonl"],
        &["record", "--pid", &pid, "-o", "x.rec"],
    ] {
        let ended = as_nobody(&directory, arguments);
        ended
            .expect(exit::FAILURE, &["needs root", "CAP_BPF and CAP_PERFMON", "sudo"])
            .one_line();
    }
    for file in ["x.rec", "x.jsonl"] {
        assert!(
            !directory.path().join(file).exists(),
            "{file} was made before the privileges were asked for"
        );
    }
}

#[test]
fn a_wrong_pid_is_said_before_privileges_are_asked_for() {
    let ended = as_nobody(&open_directory(), &["attach", "--pid", "2147483647"]);
    ended
        .expect(exit::FAILURE, &["no process has pid 2147483647"])
        .one_line();
}

#[test]
fn the_doctor_says_what_it_can_without_privileges_and_what_it_needs() {
    let ended = as_nobody(&open_directory(), &["doctor"]);
    ended.expect(
        exit::FAILURE,
        &["cannot be tried", "needs root", "run observer with sudo"],
    );
    let lines = ended.lines();
    for (begin, word) in [
        ("kernel ", "."),
        ("lockdown ", ""),
        ("types ", ""),
        ("privilege ", "sudo"),
    ] {
        let line = lines.iter().find(|line| line.starts_with(begin)).expect(begin);
        assert!(line.contains(word), "{line}");
    }
}

#[test]
fn a_replay_needs_no_privileges() {
    let directory = open_directory();
    let recording = directory.path().join("small.rec");
    fs::write(&recording, crate::recording::bytes(3)).unwrap();
    fs::set_permissions(&recording, fs::Permissions::from_mode(0o644)).unwrap();
    as_nobody(&directory, &["replay", "small.rec"]).expect(exit::NORMAL, &[]);
}
