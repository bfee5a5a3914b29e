//! `cargo xtask lab --agree`: holds the latency that observer tells against what the client saw, on servers that people
//! use. No fault is injected; the truth is the client's time from sending a request until its answer was whole.
//!
//! The load is light: of a client that has more to read than its CPU can, the figure would be its own queue. The
//! requests are joined one by one, by the numbers that the client gives them.

mod report;
mod servers;

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use lab::child::Child;
use serde_json::Value;

use self::report::Agreement;
use self::servers::{Ready, Server};
use super::run::{Bench, EXPLAINED, PATIENCE, require_all_answered};
use super::truth::{self, Observed};

/// Of each server the small file has so many bytes, and the large one.
const SMALL: &[u8] = b"hi\n";
const LARGE_BYTES: usize = 4 << 20;

/// How long each load goes on.
const LOADED: Duration = Duration::from_secs(3);

/// Connections, and requests a second of all of them. A client that pauses for 40 ms acknowledges the next answer at
/// once: small answers come more often than that, so that Nagle's algorithm shows.
const SMALL_LOADS: [(u16, u32); 2] = [(1, 100), (8, 400)];
const LARGE_LOADS: [(u16, u32); 2] = [(1, 30), (8, 60)];

/// Before, so that connections and caches are warm, and what observer learns is learned.
const WARM_UP: u32 = 20;

/// Holds every server's answers against the client's figures, prints a table, and gives it as JSON. Fails where they do
/// not agree. `install` gets servers from package registries that this machine has not.
pub(super) fn run(bench: &Bench, install: bool) -> Result<Value> {
    let directory = bench.directory.join("agree");
    let files = directory.join("files");
    fs::create_dir_all(&files)
        .and_then(|()| fs::write(files.join("small"), SMALL))
        .and_then(|()| fs::write(files.join("large"), vec![b'x'; LARGE_BYTES]))
        .with_context(|| format!("cannot write into {}", files.display()))?;
    let mut results = Vec::new();
    for server in servers::all(bench, &directory, install) {
        let name = server.name;
        match server.start(&files, &directory) {
            Ok(Some(ready)) => {
                let found = agreements(bench, &server, ready, &directory.join(name));
                results.extend(found.with_context(|| format!("server {name}"))?);
            }
            Ok(None) => eprintln!("{name:<13} skipped: this machine has no `{}`", server.program),
            Err(error) => return Err(error.context(format!("server {name}"))),
        }
    }
    xtask::print(report::text(&results).trim_end())?;
    let apart: Vec<String> = results.iter().filter_map(Agreement::apart).collect();
    if !apart.is_empty() {
        bail!("observer and the client do not agree:\n{}", apart.join("\n"));
    }
    Ok(report::json(&results))
}

/// Loads one server in every way.
fn agreements(bench: &Bench, server: &Server, ready: Ready, directory: &Path) -> Result<Vec<Agreement>> {
    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let Ready { child, address } = ready;
    let warm_up = format!("http://{address}{}", server.small);
    load(bench, &warm_up, &["--requests", &WARM_UP.to_string()])?;
    let mut results = Vec::new();
    for (size, path, loads) in [
        ("small", &server.small, SMALL_LOADS),
        ("4 MiB", &server.large, LARGE_LOADS),
    ] {
        for (connections, rate) in loads {
            let case = directory.join(format!("{}-{connections}", size.replace(' ', "")));
            fs::create_dir_all(&case).with_context(|| format!("cannot create {}", case.display()))?;
            let url = format!("http://{address}{path}");
            let observed = observe(bench, child.pid(), &url, connections, rate, &case)?;
            let agreement = agreement(server.name, size, connections, &observed)?;
            eprintln!("{}", agreement.line());
            results.push(agreement);
        }
    }
    child.stop()?;
    Ok(results)
}

/// One load, observed.
fn observe(
    bench: &Bench,
    pid: u32,
    url: &str,
    connections: u16,
    rate: u32,
    directory: &Path,
) -> Result<Observed> {
    let (log, explained) = (directory.join("load.jsonl"), directory.join(EXPLAINED));
    let observer = bench.attach(pid, &explained, &["--requests", "all", "--with-query"])?;
    let (duration, connections, rate) = (
        format!("{}ms", LOADED.as_millis()),
        connections.to_string(),
        rate.to_string(),
    );
    let log_name = log.display().to_string();
    let arguments = [
        "--duration",
        &duration,
        "--connections",
        &connections,
        "--rate",
        &rate,
        "--log",
        &log_name,
    ];
    load(bench, url, &arguments)?;
    observer.interrupt();
    observer.finish(PATIENCE, &bench.interrupt)?;
    truth::of_client(&[log], &explained)
}

fn load(bench: &Bench, url: &str, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(bench.programs.testbed("load"));
    command
        .args(["--url", url])
        .args(arguments)
        .stdout(Stdio::piped());
    let load = Child::start("the load", &mut command)?;
    let report = load.finish(LOADED + PATIENCE, &bench.interrupt)?;
    require_all_answered(&report)
}

/// Joins what both saw.
fn agreement(
    server: &'static str,
    size: &'static str,
    connections: u16,
    observed: &Observed,
) -> Result<Agreement> {
    let explained: HashMap<u64, _> = observed
        .explained
        .iter()
        .filter_map(|request| Some((request.id?, request)))
        .collect();
    let both: Vec<_> = observed
        .sent
        .iter()
        .filter_map(|sent| {
            Some((
                sent.times.answered_ns.saturating_sub(sent.times.send_ns),
                *explained.get(&sent.id)?,
            ))
        })
        .collect();
    ensure!(!both.is_empty(), "observer told none of the requests");
    let is_to_a_tick = |line: &Value| {
        let mut spans = line["timeline"].as_array().into_iter().flatten();
        spans.any(|span| span["note"].as_str().is_some_and(|note| note.contains("tick")))
    };
    let held =
        |causes: &std::collections::BTreeMap<String, u64>| causes.get("held_back").copied().unwrap_or(0);
    let median = |mut values: Vec<u64>| {
        values.sort_unstable();
        values[values.len() / 2]
    };
    Ok(Agreement {
        server,
        size,
        connections,
        requests: observed.sent.len(),
        missing: observed.sent.len() - both.len(),
        client_ns: median(both.iter().map(|(took_ns, _)| *took_ns).collect()),
        observer_ns: median(both.iter().map(|(_, request)| request.latency_ns).collect()),
        held_ns: median(both.iter().map(|(_, request)| held(&request.budget_ns)).collect()),
        to_a_tick: both
            .iter()
            .filter(|(_, request)| is_to_a_tick(&request.line))
            .count()
            * 2
            > both.len(),
    })
}
