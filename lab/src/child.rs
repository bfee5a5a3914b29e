//! A process that this program started, and stops by its process id when it is done with it.
//!
//! Dropping the handle stops the process, so an error or a Ctrl-C on the way leaves nothing behind.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{self, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use xtask::command;

/// How often a process is asked whether it has ended.
const POLL: Duration = Duration::from_millis(20);
/// How long a process may take to end after it was asked to. After a Ctrl-C observer still prints its totals.
const GRACE: Duration = Duration::from_secs(3);

/// Whether the user wants this to end.
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on the usual signals set a flag, where they would have ended this program before it cleans up.
    pub fn listen() -> Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&flag)).context("cannot listen for signals")?;
        }
        Ok(Self(flag))
    }

    /// Whether the user wanted this to end.
    pub fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A started process.
pub struct Child {
    name: &'static str,
    process: process::Child,
    lines: Receiver<String>,
}

impl Child {
    /// Starts a process. Its standard output, if it is a pipe, is read as it comes.
    pub fn start(name: &'static str, command: &mut Command) -> Result<Self> {
        let spawned = command.spawn();
        let mut process = spawned.with_context(|| format!("cannot run `{}`", command::line(command)))?;
        let lines = process.stdout.take().map_or_else(|| channel().1, read_lines);
        Ok(Self { name, process, lines })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Closes its standard input, if that is a pipe. Some processes end then.
    pub fn close_stdin(&mut self) {
        drop(self.process.stdin.take());
    }

    /// Asks it to end, as Ctrl-C does.
    pub fn interrupt(&self) {
        send("INT", self.pid());
    }

    /// The next line of its standard output.
    pub fn line(&self, patience: Duration) -> Result<String> {
        self.lines
            .recv_timeout(patience)
            .with_context(|| format!("{} printed nothing in {patience:?}", self.name))
    }

    /// Waits until it ends by itself, and gives the rest of its standard output.
    pub fn finish(mut self, patience: Duration, interrupt: &Interrupt) -> Result<String> {
        let start = Instant::now();
        while !self.has_ended()? {
            if interrupt.came() {
                // A Ctrl-C reaches the whole foreground group: this process is likely to be ending already.
                self.wait(GRACE);
                bail!("interrupted");
            }
            if start.elapsed() > patience {
                bail!("{} has not ended after {patience:?}", self.name);
            }
            thread::sleep(POLL);
        }
        let status = self
            .process
            .wait()
            .with_context(|| format!("cannot wait for {}", self.name))?;
        if interrupt.came() {
            bail!("interrupted");
        }
        if !status.success() {
            bail!("{} failed: {status}", self.name);
        }
        Ok(self.rest())
    }

    /// Asks it to end, as Ctrl-C does, and gives the rest of its standard output.
    pub fn stop(mut self) -> Result<String> {
        self.interrupt();
        if !self.wait(GRACE) {
            bail!("{} does not end when it is asked to", self.name);
        }
        Ok(self.rest())
    }

    /// What it wrote since the last line that was asked for; to its end.
    fn rest(&self) -> String {
        self.lines.iter().map(|line| line + "\n").collect()
    }

    fn has_ended(&mut self) -> Result<bool> {
        Ok(self
            .process
            .try_wait()
            .with_context(|| format!("cannot wait for {}", self.name))?
            .is_some())
    }

    /// Waits for at most this long; tells whether it ended.
    fn wait(&mut self, patience: Duration) -> bool {
        let start = Instant::now();
        while start.elapsed() < patience {
            // An error means that there is nothing to wait for.
            if self.has_ended().unwrap_or(true) {
                return true;
            }
            thread::sleep(POLL);
        }
        false
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.has_ended().unwrap_or(true) {
            return;
        }
        for signal in ["TERM", "KILL"] {
            send(signal, self.pid());
            if self.wait(GRACE) {
                return;
            }
        }
        eprintln!("{} (process {}) could not be stopped", self.name, self.pid());
    }
}

/// Sends a signal. A process under sudo belongs to root, so sudo is tried where the plain way fails.
fn send(signal: &str, pid: u32) {
    // `kill` is built into every shell, while the program may be missing.
    let kill = format!("kill -s {signal} {pid} 2>/dev/null || sudo -n kill -s {signal} {pid}");
    // If this fails, the process does not end, and that is reported.
    let _ = Command::new("sh").args(["-c", &kill]).status();
}

fn read_lines(stdout: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(std::io::Result::ok) {
            // Nobody may be interested any more. The pipe is emptied nevertheless, or the process would block.
            let _ = sender.send(line);
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::process::Stdio;

    fn shell(script: &str) -> Child {
        Child::start(
            "a shell",
            Command::new("sh").args(["-c", script]).stdout(Stdio::piped()),
        )
        .unwrap()
    }

    fn quiet() -> Interrupt {
        Interrupt(Arc::new(AtomicBool::new(false)))
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn the_output_of_a_finished_process_is_given() {
        let child = shell("echo one; echo two; echo three");
        assert_eq!(child.line(LONG).unwrap(), "one");
        assert_eq!(child.finish(LONG, &quiet()).unwrap(), "two\nthree\n");
    }

    #[test]
    fn a_process_that_fails_is_an_error() {
        let error = shell("exit 3").finish(LONG, &quiet()).unwrap_err();
        assert!(error.to_string().contains('3'), "{error}");
    }

    #[test]
    fn a_process_that_does_not_end_is_stopped_after_the_patience() {
        let child = shell("echo up; exec sleep 1000");
        child.line(LONG).unwrap();
        let process = format!("/proc/{}", child.pid());
        assert!(child.finish(Duration::from_millis(1), &quiet()).is_err());
        assert!(!Path::new(&process).exists());
    }

    #[test]
    fn a_process_that_ignores_the_first_signal_is_killed() {
        let child = shell("trap '' TERM; echo up; while :; do sleep 0.1; done");
        child.line(LONG).unwrap();
        let process = format!("/proc/{}", child.pid());
        drop(child);
        assert!(!Path::new(&process).exists());
    }

    #[test]
    fn an_interrupt_ends_the_wait() {
        let interrupt = Interrupt(Arc::new(AtomicBool::new(true)));
        let error = shell("echo up; exec sleep 0.1")
            .finish(LONG, &interrupt)
            .unwrap_err();
        assert_eq!(error.to_string(), "interrupted");
    }
}
