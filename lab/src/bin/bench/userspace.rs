//! What userspace takes for an event: a recording of a saturated server, replayed.
//!
//! A replay runs on one thread and reads from memory, so its time is its CPU time. The live run puts the events in
//! order besides.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use lab::child::Child;
use serde_json::Value;
use xtask::{command, workspace};

use super::figures::Spread;
use super::load::Server;
use super::{Bench, CONNECTIONS, report};

pub(super) fn run(bench: &Bench) -> Result<()> {
    let recording = workspace::target_dir()?.join("bench/ping.rec");
    // A run that broke off has left its own, and observer overwrites none.
    let _ = std::fs::remove_file(&recording);
    let server = Server::start(&bench.programs, 1)?;
    let mut record = Command::new(&bench.programs.observer);
    record
        .args(["record", "--pid", &server.pid().to_string(), "--output"])
        .arg(&recording)
        .stdout(Stdio::piped());
    let record = Child::start("observer", &mut record)?;
    // It says that it is attached on standard error, for people; until then the load is not recorded, which does
    // not matter here.
    bench
        .load
        .run(&server.url("/ping"), CONNECTIONS, &bench.interrupt)?;
    bench
        .load
        .run(&server.url("/ping"), CONNECTIONS, &bench.interrupt)?;
    record.stop()?;

    xtask::print(report::USERSPACE_HEADING)?;
    for requests in ["none", "tail", "all"] {
        let mut replay = Command::new(&bench.programs.observer);
        replay
            .arg("replay")
            .arg(&recording)
            .args(["--requests", requests]);
        let events = events(&mut replay)?;
        let mut taken = Vec::new();
        for _ in 0..bench.rounds {
            taken.push(time(&mut replay)?.as_nanos() as f64 / events as f64);
        }
        xtask::print(&report::userspace(requests, events, Spread::of(taken)))?;
    }
    xtask::print("")?;
    std::fs::remove_file(&recording).with_context(|| format!("cannot remove {}", recording.display()))
}

/// Events of the recording that the kernel half wrote.
fn events(replay: &mut Command) -> Result<u64> {
    let said = command::text(replay)?;
    let end = said.lines().last().context("the replay says nothing")?;
    let end: Value = serde_json::from_str(end).context("the replay's last line is not JSON")?;
    end["cost"]["records"]
        .as_u64()
        .context("the replay does not say how many records there were")
}

fn time(replay: &mut Command) -> Result<Duration> {
    replay.stdout(Stdio::null());
    let start = Instant::now();
    command::run(replay)?;
    Ok(start.elapsed())
}
