//! `cargo xtask lab --polls`: holds what observer says of polls against a server that keeps each poll of its tasks
//! itself.
//!
//! The tasks' futures and wakers tell, by the clock that observer uses, too: inside the function that observer probes,
//! and without a system call. hyper on one runtime is the server, whose tasks are then all known. Each case is run with
//! observer's `--polls` and without: what is said of a long poll where nobody asked for polls is told beside it.

mod agreement;
mod named;
mod report;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use testbed::lines;
use testbed::truth::Polled;
use xtask::command;

use self::agreement::{Agreement, Seen};
use self::named::Named;
use super::run::{Bench, EXPLAINED};
use super::scenario::{Case, Load, Server};
use super::truth::lost;

/// The first kernel on which observer records polls, major and minor version.
const KERNEL: (u32, u32) = (6, 10);

/// The example of observer's that prints what a recording has of polls.
pub(super) const EXAMPLE: &str = "recorded-polls";

/// A name, what loads the server, and whether it is part of the short form.
struct Mix {
    name: &'static str,
    short: bool,
    loads: fn() -> Vec<Load>,
}

const MIXES: &[Mix] = &[
    Mix {
        name: "light",
        short: true,
        loads: light,
    },
    Mix {
        name: "heavy",
        short: false,
        loads: heavy,
    },
];

/// Polls of every length, and tasks that are woken by sockets, timers, other tasks, the blocking pool, and themselves.
fn light() -> Vec<Load> {
    vec![
        Load::rate("/ping", 4, 300),
        Load::rate("/burn?us=3000", 2, 20),
        Load::rate("/blocking?us=5000", 2, 10),
        Load::rate("/timer?us=2000", 2, 40),
        Load::rate("/pool?us=2000", 2, 20),
        Load::rate("/channel?us=1500", 2, 20),
        Load::rate("/join?us=2000", 2, 10),
        Load::rate("/yields?times=20", 2, 20),
    ]
}

/// Most of what two CPUs can do with a client beside the server: short polls, and long ones between them.
fn heavy() -> Vec<Load> {
    vec![
        Load::rate("/ping", 16, 15_000),
        Load::rate("/burn?us=2000", 4, 120),
        Load::rate("/blocking?us=5000", 4, 40),
    ]
}

/// Runs all mixes, prints what was found, and gives it as JSON. The short form fails where too little agrees.
pub(super) fn run(bench: &Bench, short: bool) -> Result<Value> {
    let mixes = MIXES.iter().filter(|mix| mix.short || !short);
    let results = mixes
        .map(|mix| judged(bench, mix).with_context(|| format!("polls, case {}", mix.name)))
        .collect::<Result<Vec<_>>>()?;
    xtask::print(report::text(&results).trim_end())?;
    let under: Vec<String> = results
        .iter()
        .filter_map(report::Result::under_the_floor)
        .collect();
    if short && !under.is_empty() {
        bail!("under the floor:\n{}", under.join("\n"));
    }
    Ok(report::json(&results))
}

/// Fails where observer can record no polls.
pub(super) fn require_kernel() -> Result<()> {
    let path = "/proc/sys/kernel/osrelease";
    let release = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    if !has_polls(&release) {
        bail!(
            "--polls needs Linux {}.{} or later, and this is {}",
            KERNEL.0,
            KERNEL.1,
            release.trim()
        );
    }
    Ok(())
}

/// Whether observer can record polls on this release of the kernel.
fn has_polls(release: &str) -> bool {
    let mut numbers = release.split('.').map_while(|number| number.parse().ok());
    (numbers.next(), numbers.next()) >= (Some(KERNEL.0), Some(KERNEL.1))
}

/// What one run left behind.
struct Run {
    directory: PathBuf,
    inside: Vec<Polled>,
    lines: Vec<Value>,
}

fn judged(bench: &Bench, mix: &Mix) -> Result<report::Result> {
    let with = observed(bench, mix, "with", true, &[])?;
    let without = observed(bench, mix, "without", false, &[])?;
    let all = observed(bench, mix, "without-all", false, &["--requests", "all"])?;
    let seen: Vec<Seen> = recorded(bench, &with.directory)?;
    let end = with.lines.last().context("observer wrote nothing")?;
    let number = |pointer: &str| end.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let runs = [
        ("--polls", &with),
        ("no options", &without),
        ("--requests all", &all),
    ];
    Ok(report::Result {
        case: mix.name,
        agreement: Agreement::of(&with.inside, &seen),
        counted: number("/polls/polls").saturating_sub(number("/polls/unqueued")),
        lost: lost(end),
        named: runs
            .map(|(options, run)| Named::of(options, &run.inside, &run.lines))
            .into(),
    })
}

/// Runs a mix in a directory of this name, with observer at its defaults but for these options, and with polls recorded
/// or not.
fn observed(bench: &Bench, mix: &Mix, name: &str, polls: bool, options: &[&str]) -> Result<Run> {
    let directory = bench.directory.join("polls").join(mix.name).join(name);
    fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let truth = directory.join("polls.jsonl");
    let stack = ["--framework", "hyper", "--runtime", "multi", "--polls"];
    let server = Server::workers(2).with(&stack).with(&[text(&truth)?]);
    let case = Case::new(mix.name, server, (mix.loads)());
    let recording = recording(&directory);
    let mut arguments = options.to_vec();
    if polls {
        // The run before has left its own, and observer overwrites none.
        let _ = fs::remove_file(&recording);
        arguments.extend(["--polls", "--record", text(&recording)?]);
    }
    bench.observe(&case, &directory, &arguments)?;
    eprintln!("polls, {} {name}", mix.name);
    Ok(Run {
        inside: lines::read(&truth)?,
        lines: lines::read(&directory.join(EXPLAINED))?,
        directory,
    })
}

/// Each poll that observer recorded in the run that left this directory.
fn recorded(bench: &Bench, directory: &Path) -> Result<Vec<Seen>> {
    let mut print = Command::new(bench.programs.example(EXAMPLE));
    let polls = command::text(print.arg(recording(directory)))?;
    let parsed = polls.lines().map(serde_json::from_str);
    parsed
        .collect::<serde_json::Result<_>>()
        .context("a recorded poll is not what it should be")
}

fn recording(directory: &Path) -> PathBuf {
    directory.join("recording")
}

fn text(path: &Path) -> Result<&str> {
    path.to_str()
        .with_context(|| format!("{} is no text", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polls_are_there_from_linux_6_10_on() {
        for release in ["6.10.0", "6.18.44-x", "7.0.0-rc1\n", "6.12.0+deb13-cloud-amd64"] {
            assert!(has_polls(release), "{release}");
        }
        for release in ["6.1.0-56-cloud-amd64", "6.9.12", "5.15.0", ""] {
            assert!(!has_polls(release), "{release}");
        }
    }
}
