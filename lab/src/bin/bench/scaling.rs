//! The cost against the number of threads, connections and watched processes.
//!
//! The server is asked for `/ping`; each round is a turn without observer and one with it.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use lab::child::Child;
use serde_json::Value;

use super::figures::Round;
use super::load::Server;
use super::{Bench, CONNECTIONS, report};

const THREADS: [u32; 3] = [10, 100, 1000];
const CLIENTS: [u32; 4] = [10, 100, 1000, 10_000];
const TARGETS: [u32; 3] = [1, 10, 50];

/// Where a dimension is not the one that is varied.
const ONE: u32 = 1;

/// One row of the table.
struct Setting {
    what: String,
    threads: u32,
    connections: u32,
    targets: u32,
}

pub(super) fn run(bench: &Bench) -> Result<()> {
    let setting = |what: String, threads, connections, targets| Setting {
        what,
        threads,
        connections,
        targets,
    };
    let threads = THREADS.map(|n| setting(format!("{n} worker threads"), n, CONNECTIONS, ONE));
    let connections = CLIENTS.map(|n| setting(format!("{n} connections"), ONE, n, ONE));
    let targets = TARGETS.map(|n| setting(format!("{n} watched processes"), ONE, CONNECTIONS, n));
    xtask::print(report::SCALING_HEADING)?;
    for setting in threads.iter().chain(&connections).chain(&targets) {
        let (alone, watched, lost) = measure(bench, setting)?;
        xtask::print(&report::scaling(&setting.what, &alone, &watched, lost))?;
    }
    xtask::print("")
}

fn measure(bench: &Bench, setting: &Setting) -> Result<(Vec<Round>, Vec<Round>, u64)> {
    let server = Server::start(&bench.programs, setting.threads)?;
    // The others have nothing to do.
    let others = (1..setting.targets)
        .map(|_| Server::start(&bench.programs, ONE))
        .collect::<Result<Vec<_>>>()?;
    let (mut alone, mut watched, mut lost) = (Vec::new(), Vec::new(), 0);
    for round in 1..=bench.rounds {
        eprint!("\r{}: round {round} of {}          ", setting.what, bench.rounds);
        let round = |beside| bench.round(&server, "/ping", setting.connections, beside);
        alone.push(round(None)?);
        let observer = attach(bench, &server, &others)?;
        watched.push(round(Some(&observer))?);
        lost += lost_of(observer)?;
    }
    eprintln!();
    Ok((alone, watched, lost))
}

fn attach(bench: &Bench, server: &Server, others: &[Server]) -> Result<Child> {
    let mut command = Command::new(&bench.programs.observer);
    command.arg("attach").stdout(Stdio::piped());
    for server in std::iter::once(server).chain(others) {
        command.args(["--pid", &server.pid().to_string()]);
    }
    let observer = Child::start("observer", &mut command)?;
    observer.line(Duration::from_secs(30))?;
    Ok(observer)
}

/// Ends observer, which then says what was lost.
fn lost_of(observer: Child) -> Result<u64> {
    let said = observer.stop()?;
    let end = said.lines().last().context("observer ended without a word")?;
    let end: Value = serde_json::from_str(end).context("observer's last line is not JSON")?;
    let lost = end["lost"]
        .as_object()
        .context("observer's last line has no losses")?;
    Ok(lost.values().filter_map(Value::as_u64).sum())
}
