//! A run of `observer attach`, from the line that says that it is attached to its `end` line.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::laws;
use crate::run::{DEADLINE, Running, read_all};

/// Path of the built program.
pub(crate) const OBSERVER: &str = env!("CARGO_BIN_EXE_observer");

/// An observer that is attached.
pub(crate) struct Observation {
    running: Running,
    lines: Receiver<String>,
    stderr: Receiver<Vec<u8>>,
    written: Vec<String>,
}

/// What a run wrote, line by line.
pub(crate) struct Lines {
    /// As they were written.
    pub(crate) written: Vec<String>,
    pub(crate) requests: Vec<Value>,
    pub(crate) processes: Vec<Value>,
    pub(crate) runtimes: Vec<Value>,
    pub(crate) end: Value,
    /// What was said on standard error.
    pub(crate) hints: Vec<String>,
}

impl Observation {
    /// Attaches to `pid` and has every request written. Gives it once it is attached.
    pub(crate) fn of(pid: u32, arguments: &[&str]) -> Self {
        Self::writing("all", pid, arguments)
    }

    /// Attaches to `pid` and has no request written: where there are so many that writing them is the load.
    pub(crate) fn counting(pid: u32) -> Self {
        Self::writing("none", pid, &[])
    }

    /// Attaches to `pid` and has the tail written, with a sample of the others.
    pub(crate) fn of_the_tail(pid: u32, arguments: &[&str]) -> Self {
        Self::writing("tail", pid, arguments)
    }

    fn writing(requests: &str, pid: u32, arguments: &[&str]) -> Self {
        let pid = pid.to_string();
        Self::with(&[&["--requests", requests, "--pid", &pid], arguments].concat())
    }

    /// Attaches as these arguments say. Gives it once it is attached.
    pub(crate) fn with(arguments: &[&str]) -> Self {
        let child = Command::new(OBSERVER)
            .arg("attach")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut running = Running(child.expect("observer can be started"));
        let stderr = read_all(running.0.stderr.take());
        let stdout = BufReader::new(running.0.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                // The test may be over.
                let _ = sender.send(line);
            }
        });
        let mut observation = Self {
            running,
            lines,
            stderr,
            written: Vec::new(),
        };
        observation.wait_for_line("header", |line| line["type"] == "header");
        observation
    }

    pub(crate) fn pid(&self) -> u32 {
        self.running.0.id()
    }

    /// Waits until a line that `condition` accepts is written.
    pub(crate) fn wait_for_line(&mut self, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + DEADLINE;
        while Instant::now() < until {
            if let Some(line) = self.line_before(until, what, &condition) {
                return line;
            }
        }
        panic!("no {what} in {DEADLINE:?}")
    }

    /// A line that `condition` accepts, if one is written before this time.
    pub(crate) fn line_before(
        &mut self,
        until: Instant,
        what: &str,
        mut condition: impl FnMut(&Value) -> bool,
    ) -> Option<Value> {
        loop {
            match self
                .lines
                .recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                Ok(line) => {
                    let value: Value = serde_json::from_str(&line).expect(&line);
                    self.written.push(line);
                    if condition(&value) {
                        return Some(value);
                    }
                }
                Err(RecvTimeoutError::Timeout) => return None,
                Err(RecvTimeoutError::Disconnected) => {
                    let stderr = self.stderr.recv_timeout(DEADLINE).unwrap_or_default();
                    panic!(
                        "observer ended without a {what}: {}",
                        String::from_utf8_lossy(&stderr)
                    )
                }
            }
        }
    }

    /// The lines that were waited for, and those before them.
    pub(crate) fn written_so_far(&self) -> &[String] {
        &self.written
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: libc::c_int) {
        let pid = libc::pid_t::try_from(self.pid()).unwrap();
        // SAFETY: kill reads and writes no memory of this process; the child was not waited for, so the
        // number is still its own.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }

    /// Ends it as Ctrl-C does, and checks what it wrote.
    pub(crate) fn finish(self) -> Lines {
        self.signal(libc::SIGINT);
        self.ended()
    }

    /// Waits until it has ended by itself, and checks what it wrote: the end is a normal one, every request
    /// line keeps the laws, and the counts fit each other.
    pub(crate) fn ended(self) -> Lines {
        let (code, said, lines) = self.outcome();
        // With --polls and --goroutines it tells the price, and with --port for whom it waits.
        let expected = [
            "observer: --polls probes ",
            "observer: --goroutines probes ",
            "observer: nobody listens on port ",
        ];
        let is_expected = |line: &String| expected.iter().any(|expected| line.starts_with(expected));
        let complaint = said.into_iter().find(|line| !is_expected(line));
        assert_eq!((code, complaint), (Some(0), None));
        lines
    }

    /// The same however it ends: its exit code, and what it said on standard error beside hints.
    pub(crate) fn outcome(mut self) -> (Option<i32>, Vec<String>, Lines) {
        let code = loop {
            match self.lines.recv_timeout(DEADLINE) {
                Ok(line) => self.written.push(line),
                Err(RecvTimeoutError::Disconnected) => break self.running.status(DEADLINE).code(),
                Err(RecvTimeoutError::Timeout) => panic!("observer has not ended in {DEADLINE:?}"),
            }
        };
        let stderr = String::from_utf8(self.stderr.recv_timeout(DEADLINE).unwrap()).unwrap();
        let (hints, others) = stderr
            .lines()
            .map(str::to_owned)
            .partition(|line| line.starts_with("observer: hint: "));
        let mut lines = Lines::new(std::mem::take(&mut self.written));
        lines.hints = hints;
        (code, others, lines)
    }

    /// Kills it, so that it can clean nothing up.
    pub(crate) fn kill(mut self) {
        self.running.0.kill().unwrap();
        self.running.status(Duration::from_secs(5));
    }
}

/// Turns that a line counts, of all protocols.
fn turns(line: &Value) -> u64 {
    let others = line["other_protocols"].as_array().unwrap().iter();
    laws::number(&line["requests"]) + others.map(|other| laws::number(&other["turns"])).sum::<u64>()
}

impl Lines {
    /// Reads and checks the output of a run.
    pub(crate) fn new(written: Vec<String>) -> Self {
        let mut lines = Self {
            requests: Vec::new(),
            processes: Vec::new(),
            runtimes: Vec::new(),
            end: Value::Null,
            written: Vec::new(),
            hints: Vec::new(),
        };
        let (mut windows, mut asked_for) = (0, Value::Null);
        for (index, text) in written.iter().enumerate() {
            let line: Value = serde_json::from_str(text).expect(text);
            assert_eq!(line["v"], 1, "{text}");
            let kind = line["type"].as_str().expect(text);
            assert_eq!(kind == "header", index == 0, "{text}");
            assert_eq!(kind == "end", index + 1 == written.len(), "{text}");
            match kind {
                "header" => asked_for = line["options"]["requests"].clone(),
                "request" => lines.requests.push(line),
                "process" => lines.processes.push(line),
                "runtime" => lines.runtimes.push(line),
                "window" => windows += turns(&line),
                "end" => lines.end = line,
                other => panic!("a line of type {other}"),
            }
        }
        lines.written = written;
        lines.requests.iter().for_each(laws::check_request);
        match asked_for.as_str() {
            Some("all") => laws::check_end(&lines.end, &lines.requests),
            Some("none") => assert_eq!(lines.requests.len(), 0),
            _ => assert!(lines.requests.len() as u64 <= turns(&lines.end)),
        }
        assert!(
            windows <= turns(&lines.end),
            "the windows count {windows} turns, the run {}",
            turns(&lines.end)
        );
        lines
    }

    /// Requests of the run.
    pub(crate) fn count(&self) -> u64 {
        laws::number(&self.end["requests"])
    }

    /// Checks that nothing was lost and no request is incomplete.
    #[track_caller]
    pub(crate) fn without_loss(&self) -> &Self {
        self.without_loss_but(&[])
    }

    /// Checks that nothing but this was lost, and no request is incomplete.
    #[track_caller]
    pub(crate) fn without_loss_but(&self, expected: &[(&str, u64)]) -> &Self {
        let expected: serde_json::Map<_, _> = expected
            .iter()
            .map(|(reason, count)| ((*reason).to_owned(), (*count).into()))
            .collect();
        assert_eq!(self.end["lost"].as_object(), Some(&expected), "{}", self.end);
        assert_eq!(self.end["incomplete"], 0, "{}", self.end);
        self
    }

    /// The requests of this path, slowest first.
    pub(crate) fn of_path(&self, path: &str) -> Vec<&Value> {
        let mut requests: Vec<_> = self
            .requests
            .iter()
            .filter(|request| request["http"]["path"] == path)
            .collect();
        requests.sort_by_key(|request| std::cmp::Reverse(laws::number(&request["latency_ns"])));
        requests
    }

    /// The request lines, as they were written.
    pub(crate) fn request_lines(&self) -> Vec<&str> {
        let is_request = |line: &&str| line.starts_with(r#"{"v":1,"type":"request","#);
        self.written
            .iter()
            .map(String::as_str)
            .filter(is_request)
            .collect()
    }
}
