//! Where the output goes, and places that do not take it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::program::{Ended, PATH, exit, observer};
use crate::recording;
use crate::run::{DEADLINE, Running, read_all};

/// More lines than a pipe holds.
const MANY: u64 = 2_000;

/// A directory with `some.rec`, a recording of so many requests.
fn recorded(requests: u64) -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("some.rec");
    fs::write(&path, recording::bytes(requests)).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (directory, path)
}

#[test]
fn an_output_file_holds_what_standard_output_would() {
    let (directory, path) = recorded(20);
    let output = directory.path().join("out.jsonl");
    let to_file = observer([
        "replay",
        &path,
        "--requests",
        "all",
        "-o",
        output.to_str().unwrap(),
    ]);
    to_file.expect(exit::NORMAL, &[]);
    assert!(to_file.stdout.is_empty());
    assert_eq!(
        fs::read(output).unwrap(),
        observer(["replay", &path, "--requests", "all"]).stdout
    );
}

#[test]
fn a_recording_is_not_overwritten_by_its_own_replay() {
    let (directory, path) = recorded(20);
    let before = fs::read(&path).unwrap();
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    for output in [path.as_str(), link.to_str().unwrap()] {
        observer(["replay", &path, "-o", output]).expect(
            exit::FAILURE,
            &["is a recording, and nothing overwrites one", "--output"],
        );
    }
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_recording_is_not_overwritten_by_the_next_one() {
    let (_directory, path) = recorded(20);
    let before = fs::read(&path).unwrap();
    let pid = std::process::id().to_string();
    for arguments in [["record", "-o", &path], ["attach", "--record", &path]] {
        let ended = observer(arguments.into_iter().chain(["--duration", "1ms", "--pid", &pid]));
        let words = [
            &*path,
            "is there already",
            "give another file, or remove that one",
        ];
        ended.expect(exit::FAILURE, &words).one_line();
    }
    assert!(fs::read(&path).unwrap() == before);
}

/// Of a run that would fail at once, for want of such a process.
fn attaches(arguments: &[&str]) -> Ended {
    observer(["attach", "--pid", "2147483647"].iter().chain(arguments).copied())
}

#[test]
fn where_its_files_would_overwrite_a_recording_or_each_other_nothing_is_attached() {
    let (directory, path) = recorded(20);
    attaches(&["-o", &path])
        .expect(
            exit::FAILURE,
            &[&path, "is a recording, and nothing overwrites one"],
        )
        .one_line();
    let new = directory.path().join("new.rec");
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(directory.path(), &link).unwrap();
    let again = link.join("new.rec");
    attaches(&["--record", new.to_str().unwrap(), "-o", again.to_str().unwrap()])
        .expect(exit::FAILURE, &["--record and --output name the same file"])
        .one_line();
    assert!(!new.exists());
}

#[test]
fn a_recording_begins_no_file_behind_a_link() {
    let (directory, path) = recorded(20);
    let missing = directory.path().join("missing").to_str().unwrap().to_owned();
    for (to, words) in [
        (
            &path,
            "leads to a file, and a recording overwrites nothing: give another file",
        ),
        (
            &missing,
            "is a link that leads nowhere, and a recording begins no file behind a link",
        ),
    ] {
        let link = format!("{to}.link");
        std::os::unix::fs::symlink(to, &link).unwrap();
        attaches(&["--record", &link])
            .expect(exit::FAILURE, &[&link, words])
            .one_line();
    }
    assert!(!Path::new(&missing).exists());
}

#[test]
fn a_full_disk_is_an_error_with_its_name() {
    let (_directory, path) = recorded(MANY);
    for requests in ["all", "none"] {
        let ended = observer(["replay", &path, "--requests", requests, "-o", "/dev/full"]);
        ended
            .expect(
                exit::FAILURE,
                &["cannot write to /dev/full", "No space left on device"],
            )
            .one_line();
        finds_standard_output_full(&["replay", &path, "--requests", requests]);
    }
    finds_standard_output_full(&["doctor"]);
}

fn finds_standard_output_full(arguments: &[&str]) {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let child = Command::new(PATH)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(full)
        .stderr(Stdio::piped())
        .spawn();
    let mut running = Running(child.unwrap());
    let stderr = read_all(running.0.stderr.take()).recv_timeout(DEADLINE).unwrap();
    let code = running.status(DEADLINE).code();
    let ended = Ended {
        code,
        stdout: Vec::new(),
        stderr: String::from_utf8(stderr).unwrap(),
    };
    ended
        .expect(
            exit::FAILURE,
            &["cannot write to standard output", "No space left on device"],
        )
        .one_line();
}

#[test]
fn a_directory_takes_no_output() {
    let (directory, path) = recorded(1);
    let directory = directory.path().to_str().unwrap();
    let ended = observer(["replay", &path, "-o", directory]);
    ended
        .expect(exit::FAILURE, &["cannot write to", directory, "Is a directory"])
        .one_line();
    let missing = format!("{directory}/missing/out.jsonl");
    observer(["replay", &path, "-o", &missing])
        .expect(exit::FAILURE, &["cannot write to", &missing])
        .one_line();
}

#[test]
fn a_reader_that_has_enough_is_a_normal_end() {
    let (_directory, path) = recorded(MANY);
    for lines in [0, 1, 3] {
        let child = Command::new(PATH)
            .args(["replay", &path, "--requests", "all"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut running = Running(child.unwrap());
        let stdout = BufReader::new(running.0.stdout.take().unwrap());
        for line in stdout.lines().take(lines) {
            let line: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
            assert_eq!(line["v"], 1);
        }
        // The end of the pipe is closed here.
        let stderr = read_all(running.0.stderr.take()).recv_timeout(DEADLINE).unwrap();
        assert_eq!(running.status(DEADLINE).code(), Some(exit::NORMAL));
        assert_eq!(String::from_utf8_lossy(&stderr), "", "after {lines} lines");
    }
}

#[test]
fn who_is_told_nothing_on_standard_error_any_more_changes_no_exit_code() {
    let (_directory, path) = recorded(MANY);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    for (path, code) in [(&*path, exit::TRUNCATED), ("/nowhere", exit::FAILURE)] {
        let child = Command::new(PATH)
            .args(["replay", path])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut running = Running(child.unwrap());
        drop(running.0.stderr.take());
        assert_eq!(running.status(DEADLINE).code(), Some(code), "{path}");
    }
}

#[test]
fn the_doctor_also_takes_a_closed_pipe_for_a_normal_end() {
    let mut command = Command::new(PATH);
    command
        .arg("doctor")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut running = Running(command.spawn().unwrap());
    drop(running.0.stdout.take());
    let stderr = read_all(running.0.stderr.take()).recv_timeout(DEADLINE).unwrap();
    let code = running.status(DEADLINE).code();
    assert_eq!(
        (code, &*String::from_utf8_lossy(&stderr)),
        (Some(exit::NORMAL), "")
    );
}

#[test]
fn a_table_can_be_asked_for_without_a_terminal() {
    let (_directory, path) = recorded(MANY);
    let ended = observer(["replay", &path, "--format", "table"]);
    ended.expect(exit::NORMAL, &[]);
    assert!(
        !ended.stdout.contains(&0x1b),
        "no terminal, no control characters"
    );
    assert!(!ended.stdout.starts_with(b"{"), "not JSON");
}

#[test]
fn where_no_terminal_is_no_line_of_a_table_is_cut() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/example.rec");
    let ended = observer([
        OsStr::new("replay"),
        example.as_os_str(),
        "--format".as_ref(),
        "table".as_ref(),
    ]);
    ended.expect(exit::NORMAL, &[]);
    let table = String::from_utf8(ended.stdout).unwrap();
    assert!(table.lines().any(|line| line.chars().count() > 120), "{table}");
    let cut = table.lines().find(|line| line.ends_with('…'));
    assert_eq!(cut, None, "{table}");
}
