//! Outputs and recordings that take no more: observer says which, and the server does not notice.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::observation::{OBSERVER, Observation};
use crate::run::{DEADLINE, Running, read_all, run};
use crate::server::{Loading, Server, load};
use crate::{kernel, laws};

/// Runs observer under load until it fails, and reads nothing of its output. Gives what it said, in one line, and that
/// the server answered all.
fn fails(server: &Server, command: &mut Command) -> String {
    let loading = Loading::start(&server.url("/ping"), &["--connections", "4", "--duration", "6s"]);
    let child = command
        .args(["--pid", &server.pid().to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut running = Running(child.unwrap());
    drop(running.0.stdout.take());
    let stderr = read_all(running.0.stderr.take()).recv_timeout(DEADLINE);
    let stderr = String::from_utf8(stderr.expect("observer ends")).unwrap();
    assert_eq!(running.status(DEADLINE).code(), Some(1), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert_eq!(loading.ended().1, 0, "requests failed");
    assert_eq!(load(&server.url("/ping"), &["--requests", "50"]), 50);
    stderr
}

#[test]
fn lines_that_find_no_room_end_the_run() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&[]);
    for format in ["jsonl", "table"] {
        let mut command = Command::new(OBSERVER);
        command.args([
            "attach",
            "--duration",
            "1s",
            "--format",
            format,
            "-o",
            "/dev/full",
        ]);
        let said = fails(&server, &mut command);
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(
            said.starts_with("observer: cannot write to /dev/full: No space left"),
            "{said}"
        );
    }
}

/// A file system of this many KiB, for as long as it is held. `None`: skip, which has been said.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount(kib: u32) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let size = format!("size={kib}k");
        let mounted = run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "observer-test"])
            .arg(directory.path()));
        if !mounted.status.success() {
            kernel::skip("a user who may mount a file system");
            return None;
        }
        Some(Self(directory))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Its files may be open for an instant yet: it goes with the last of them.
        let _ = run(Command::new("umount").arg("--lazy").arg(self.path()));
    }
}

fn replay(recording: &Path) -> Output {
    run(Command::new(OBSERVER)
        .args(["replay", "--requests", "all"])
        .arg(recording))
}

#[test]
fn a_recording_that_finds_no_room_ends_the_run_and_can_be_replayed() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&[]);
    let Some(disk) = SmallDisk::mount(2048) else {
        return;
    };
    let recording = disk.path().join("live.rec");
    let mut observer = Command::new(OBSERVER);
    let said = fails(&server, observer.args(["record", "-o"]).arg(&recording));
    let expected = format!("observer: cannot write to {}: No space left", recording.display());
    let last = said.lines().last().unwrap_or_default();
    assert!(last.starts_with(&expected), "{said}");

    assert!(fs::metadata(&recording).unwrap().len() > 500_000);
    let replayed = replay(&recording);
    assert_eq!(replayed.status.code(), Some(3));
    let requests = String::from_utf8_lossy(&replayed.stdout)
        .matches(r#""type":"request""#)
        .count();
    // The first part is what threads did while observer was still attaching to their sockets.
    assert!(requests > 100, "{requests} requests in 2 MiB");
}

#[test]
fn a_recording_that_fails_is_told_also_where_the_reader_of_the_output_went_away() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&[]);
    let mut command = Command::new(OBSERVER);
    command.args(["attach", "--record", "/dev/full"]);
    let said = fails(&server, command.stdout(Stdio::piped()));
    let expected = "observer: goes on without the recording: cannot write to /dev/full: No space left";
    assert!(said.starts_with(expected) && said.lines().count() == 1, "{said}");
}

#[test]
fn a_recording_beside_outputs_that_finds_no_room_ends_none_of_them() {
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&[]);
    let mut observation = Observation::of(server.pid(), &["--record", "/dev/full"]);
    assert_eq!(load(&server.url("/ping"), &["--requests", "200"]), 200);
    observation.wait_for_line("what is not recorded", |line| {
        line["type"] == "window" && line["lost"]["not_recorded"].is_u64()
    });
    assert_eq!(load(&server.url("/ping"), &["--requests", "200"]), 200);
    observation.signal(libc::SIGINT);
    let (code, said, lines) = observation.outcome();
    assert_eq!((code, said.len()), (Some(1), 1), "{said:?}");
    let expected = "observer: goes on without the recording: cannot write to /dev/full: No space left";
    assert!(said[0].starts_with(expected), "{said:?}");
    // A request is two records and more.
    let missing = laws::number(&lines.end["lost"]["not_recorded"]);
    assert!(missing > 800, "{missing}");
    assert_eq!(
        lines.end["lost"].as_object().unwrap().len(),
        1,
        "{}",
        lines.end["lost"]
    );
    assert_eq!((lines.count(), laws::number(&lines.end["incomplete"])), (400, 0));
}
