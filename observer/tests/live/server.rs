//! The watched servers and what loads them: child processes that end with their test.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Once;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::Value;

use crate::observation::OBSERVER;
use crate::run::{DEADLINE, Running, read_all, run, wait_for};

/// A running server.
pub(crate) struct Server {
    running: Running,
    /// Open for as long as it should run: `--until-stdin-closes` ends it also where the test is killed.
    _stdin: ChildStdin,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// `faulty-server` with these arguments.
    pub(crate) fn faulty(arguments: &[&str]) -> Self {
        Self::start(Command::new(testbed("faulty-server")).args(arguments))
    }

    /// `faulty-server` with these arguments, on one CPU only.
    pub(crate) fn faulty_on_cpu(cpu: u16, arguments: &[&str]) -> Self {
        Self::start(on_cpu(cpu, &testbed("faulty-server")).args(arguments))
    }

    /// `slow-peer`.
    pub(crate) fn slow_peer() -> Self {
        Self::start(&mut Command::new(testbed("slow-peer")))
    }

    /// `faulty-server` without its symbols, a copy in `directory` by the name of `stripped`.
    pub(crate) fn without_symbols(directory: &Path) -> Self {
        let stripped = directory.join("stripped");
        fs::copy(testbed("faulty-server"), &stripped).unwrap();
        let mut program = fs::read(&stripped).unwrap();
        // `e_shoff`, `e_shnum` and `e_shstrndx` of the ELF header: without sections there is no symbol table.
        program[0x28..0x30].fill(0);
        program[0x3c..0x40].fill(0);
        fs::write(&stripped, program).unwrap();
        Self::start(&mut Command::new(&stripped))
    }

    /// Any server that says where it listens, as those of the testbed do.
    pub(crate) fn start(command: &mut Command) -> Self {
        command
            .arg("--until-stdin-closes")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let shown = format!("{command:?}");
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {shown}: {error}"));
        let mut running = Running(child);
        let stdin = running.0.stdin.take().unwrap();
        let address = announced(&mut running.0);
        Self {
            running,
            _stdin: stdin,
            address,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.running.0.id()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Waits until one of its threads is in this system call.
    pub(crate) fn wait_until_in(&self, syscall: libc::c_long) {
        let tasks = format!("/proc/{}/task", self.pid());
        let is_in = |task: &Path| {
            // One that ended meanwhile is in none.
            let now = fs::read_to_string(task.join("syscall")).unwrap_or_default();
            now.split(' ').next() == Some(syscall.to_string().as_str())
        };
        wait_for(&format!("a thread in system call {syscall}"), DEADLINE, || {
            let mut tasks = fs::read_dir(&tasks).unwrap().flatten();
            tasks.any(|task| is_in(&task.path())).then_some(())
        });
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: libc::c_int) {
        // SAFETY: kill reads and writes no memory of this process; the child was not waited for, so the number is still
        // its own.
        assert_eq!(unsafe { libc::kill(self.pid().cast_signed(), signal) }, 0);
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) {
        self.running.0.kill().unwrap();
        self.running.status(DEADLINE);
    }
}

/// Waits for the line in which a server says where it listens.
pub(crate) fn announced(child: &mut Child) -> SocketAddr {
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            if let Some(address) = line
                .strip_prefix("listening on ")
                .and_then(|text| text.parse().ok())
            {
                // The test may be over. Reading goes on, so that the server can write.
                let _ = sender.send(address);
            }
        }
    });
    receiver
        .recv_timeout(DEADLINE)
        .expect("the server says where it listens")
}

/// Path of a program of the testbed, which is built first.
///
/// Cargo builds only the programs of the package that is tested. So the cargo that runs these tests is asked for these,
/// once, which takes no time where nothing changed. Where none runs them (as root through sudo, or in a virtual
/// machine), whoever started them has built the programs.
pub(crate) fn testbed(name: &str) -> PathBuf {
    static BUILT: Once = Once::new();
    if let Some(cargo) = env::var_os("CARGO") {
        BUILT.call_once(|| build_testbed(&cargo));
    }
    let path = Path::new(OBSERVER).with_file_name(name);
    assert!(
        path.is_file(),
        "{} is missing: cargo build --package testbed",
        path.display()
    );
    path
}

/// Builds the testbed beside observer, and in the same way.
fn build_testbed(cargo: &OsStr) {
    let directory = Path::new(OBSERVER).parent().unwrap();
    let profile = match directory.file_name().and_then(OsStr::to_str) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let mut build = Command::new(cargo);
    build
        .args([
            "build",
            "--package",
            "testbed",
            "--bins",
            "--profile",
            profile,
            "--target-dir",
        ])
        .arg(directory.parent().unwrap())
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    // What it says would stand in the middle of the test's own line.
    let built = build.output().unwrap();
    assert!(
        built.status.success(),
        "{build:?}: {}",
        String::from_utf8_lossy(&built.stderr)
    );
}

/// Runs `program` on one CPU only; it is the same process.
pub(crate) fn on_cpu(cpu: u16, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &cpu.to_string()]).arg(program);
    command
}

/// Runs `load` to its end, and checks that every request was answered. Gives how many.
pub(crate) fn load(url: &str, arguments: &[&str]) -> u64 {
    finished(Command::new(testbed("load")).args(["--url", url]).args(arguments))
}

/// A command that runs `program` with room for this many open files; it is the same process.
pub(crate) fn with_files(files: u32, program: &Path) -> Command {
    let mut command = Command::new("sh");
    let script = format!(r#"ulimit -n {files} && exec "$0" "$@""#);
    command.args(["-c", &script]).arg(program);
    command
}

/// A `load` that goes on while the test does something.
pub(crate) struct Loading(Running, Receiver<Vec<u8>>);

impl Loading {
    /// Starts `load`.
    pub(crate) fn start(url: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(testbed("load"));
        let child = command
            .args(["--url", url])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut running = Running(child.expect("load can be started"));
        let report = read_all(running.0.stdout.take());
        Self(running, report)
    }

    /// Waits for its end. Gives how many requests there were, and how many of them failed.
    pub(crate) fn ended(mut self) -> (u64, u64) {
        let report = self.1.recv_timeout(DEADLINE).expect("load ends");
        assert!(self.0.status(DEADLINE).success());
        let report: Value = serde_json::from_slice(&report).expect("the report is JSON");
        let number = |name: &str| report[name].as_u64().unwrap();
        (number("requests"), number("errors"))
    }
}

/// Runs `load` as [`load`] does, on one CPU only.
pub(crate) fn load_on_cpu(cpu: u16, url: &str, arguments: &[&str]) -> u64 {
    finished(on_cpu(cpu, &testbed("load")).args(["--url", url]).args(arguments))
}

/// Runs a `load` to its end, and checks that every request was answered. Gives how many.
pub(crate) fn finished(command: &mut Command) -> u64 {
    let output = run(command);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("the report is JSON");
    assert_eq!(report["errors"], 0, "{command:?}: {stderr}");
    report["requests"].as_u64().unwrap()
}

/// A shell that becomes `faulty-server` when it reads a line. It reads byte by byte, so that the rest of the input is
/// still there for the server.
pub(crate) fn not_yet_a_server() -> Running {
    let script = r#"read -r go; exec "$0" --until-stdin-closes"#;
    let child = Command::new("sh")
        .args(["-c", script])
        .arg(testbed("faulty-server"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    Running(child.unwrap())
}
