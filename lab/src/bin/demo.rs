//! `cargo xtask demo`: observer explaining a server whose faults are known.
//!
//! It is a script of what a user would do in three terminals: start a server, load it, attach. It measures and
//! judges nothing itself, and everything it starts is gone when it ends, however it ends.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use lab::child::{Child, Interrupt};
use lab::programs::Programs;
use lab::server;
use xtask::{command, privilege};

/// Show observer at work: start a server with known faults and a load, attach, explain, stop everything
///
/// Takes half a minute after the build. Attaching needs root: sudo is asked for it where this is not root.
#[derive(Parser)]
#[command(
    name = "cargo xtask demo",
    bin_name = "cargo xtask demo",
    max_term_width = 100
)]
#[command(after_help = "Example:\n  cargo xtask demo")]
struct Arguments {}

/// How long observer watches.
const WATCHED: &str = "10s";
/// How long the load runs: it begins before observer attaches and goes on until after it has ended.
const LOADED: &str = "14s";
/// After this long, something that should have ended by itself has not.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    xtask::status(run(&Arguments::parse()))
}

fn run(_: &Arguments) -> Result<()> {
    privilege::ask("Attaching to a process from the kernel")?;
    let programs = Programs::build(&[])?;
    let observer = &programs.observer;
    let interrupt = Interrupt::listen()?;
    let mut server = Command::new(programs.testbed("faulty-server"));
    let (server, address) = server::start("the server", server.args(["--workers", "1"]))?;
    introduce(server.pid(), &address);

    let ping = load(
        &programs,
        &format!("http://{address}/ping"),
        &["--connections", "16", "--rate", "2000"],
    )?;
    let now_and_then = ["--connections", "1", "--rate", "2"];
    let blocking = format!("http://{address}/blocking?ms=40");
    let _blocking = load(&programs, &blocking, &now_and_then)?;
    // In the middle between two of the others: each is to be seen for itself.
    thread::sleep(Duration::from_millis(250));
    let computing = format!("http://{address}/burn?us=40000");
    let _computing = load(&programs, &computing, &now_and_then)?;

    attach(observer, server.pid(), &interrupt)?;
    let seen_by_client = ping.finish(PATIENCE, &interrupt)?;
    conclude(&seen_by_client, observer);
    Ok(())
}

fn load(programs: &Programs, url: &str, more: &[&str]) -> Result<Child> {
    let mut load = Command::new(programs.testbed("load"));
    load.args(["--url", url, "--duration", LOADED]).args(more);
    Child::start("the load", load.stdout(Stdio::piped()))
}

fn attach(observer: &Path, pid: u32, interrupt: &Interrupt) -> Result<()> {
    let mut attach = privilege::as_root(observer);
    attach.args([
        "attach",
        "--pid",
        &pid.to_string(),
        "--duration",
        WATCHED,
        "--format",
        "table",
    ]);
    eprintln!("$ {}\n", command::line(&attach));
    let attach = Child::start("observer", &mut attach)?;
    attach.finish(PATIENCE, interrupt).map(drop)
}

fn introduce(pid: u32, address: &str) {
    eprintln!(
        "
A tokio server with one worker thread runs as process {pid} at {address}.
16 connections ask it for /ping 2,000 times a second, which takes microseconds. Now and then somebody
asks for /blocking?ms=40, whose handler calls std::thread::sleep, or for /burn?us=40000, whose handler
computes that long. These are the faults: the worker is gone for 40 ms, and every /ping that comes
meanwhile waits.
observer now attaches for {WATCHED}. The server is not rebuilt, restarted or told.
"
    );
}

fn conclude(seen_by_client: &str, observer: &Path) {
    if !seen_by_client.trim().is_empty() {
        eprintln!(
            "
The client of /ping, of all {LOADED} that it ran, of which observer watched {WATCHED}. It counts each request from
when that was due, and observer from when its first byte had arrived: while all 16 connections wait for
answers, what is due next waits in the client, and that is in the client's quantiles only.
{}",
            seen_by_client.trim_end()
        );
    }
    eprintln!(
        "
What to look at: the budget at p50 beside the budget at p99. Most requests only run for a few
microseconds. The slow ones were ready to be served and waited for the worker. In `worker_blocked` the
culprit is the system call that held it, made by the handler of /blocking; in `worker_busy` it is the
function that it was seen running for /burn.

Everything the demo started is stopped. On a server of your own:
  sudo {} attach --pid N
`cargo xtask install` puts it where `sudo observer` finds it.",
        observer.display()
    );
}
