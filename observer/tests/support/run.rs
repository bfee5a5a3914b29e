//! Runs a program to its end, with a deadline: a program that hangs fails its test and is ended.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than any program of these tests takes on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A child process that does not outlive its test.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    /// Waits for the end of a process that is known to be ending: its outputs are closed.
    pub(crate) fn status(&mut self, deadline: Duration) -> ExitStatus {
        let what = format!("process {} to end", self.0.id());
        wait_for(&what, deadline, || {
            self.0.try_wait().expect("a child can be waited for")
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs `command` without input and gives what it wrote and how it ended.
pub(crate) fn run(command: &mut Command) -> Output {
    let until = Instant::now() + DEADLINE;
    let shown = format!("{command:?}");
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut running = Running(child.unwrap_or_else(|error| panic!("cannot start {shown}: {error}")));
    let stdout = read_all(running.0.stdout.take());
    let stderr = read_all(running.0.stderr.take());
    let receive = |output: &Receiver<Vec<u8>>| {
        let left = until.saturating_duration_since(Instant::now());
        output
            .recv_timeout(left)
            .unwrap_or_else(|_| panic!("{shown} has not ended in {DEADLINE:?}"))
    };
    let (stdout, stderr) = (receive(&stdout), receive(&stderr));
    Output {
        status: running.status(DEADLINE),
        stdout,
        stderr,
    }
}

/// Reads to the end on a thread of its own.
pub(crate) fn read_all(from: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut from) = from {
            // What could be read is shown either way.
            let _ = from.read_to_end(&mut bytes);
        }
        // The test may be over.
        let _ = sender.send(bytes);
    });
    receiver
}

/// Waits until `condition` gives something.
pub(crate) fn wait_for<T>(what: &str, deadline: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + deadline;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < until, "waited {deadline:?} for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}
