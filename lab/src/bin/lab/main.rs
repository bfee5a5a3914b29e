//! `cargo xtask lab`: judges observer by known truth.
//!
//! Each scenario injects one fault of known kind, size and victim into a server that writes down what it really did.
//! Observer, which never sees that, explains the requests. `score` joins the two.

mod agree;
mod injected;
mod names;
mod polls;
mod quota;
mod report;
mod run;
mod scenario;
mod scenarios;
mod score;
mod truth;
mod turns;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;
use lab::child::Interrupt;
use lab::programs::Programs;
use serde_json::Value;
use xtask::{privilege, workspace};

use run::Bench;
use scenario::{Case, Scenario};
use score::Score;

/// Judge observer by known truth: inject faults into a server, and see whether they are named
///
/// Takes about fifteen minutes. Attaching needs root: sudo is asked for it where this is not root. What every process
/// wrote is kept under target/lab, with the wrong answers of each run in failures.jsonl.
#[derive(Parser)]
#[command(name = "cargo xtask lab", bin_name = "cargo xtask lab", max_term_width = 100)]
#[command(
    after_help = "Examples:\n  cargo xtask lab --list\n  cargo xtask lab --only behind-sleep\n  \
                        cargo xtask lab --short --json lab.json\n  cargo xtask lab --polls\n  cargo xtask lab --agree"
)]
struct Arguments {
    /// One small run of each scenario; fails where too few requests are explained rightly
    #[arg(long)]
    short: bool,
    /// Only this scenario; may be given several times
    #[arg(long, value_name = "SCENARIO")]
    only: Vec<String>,
    /// Print what the scenarios inject and expect, and run nothing
    #[arg(long)]
    list: bool,
    /// Judge what observer says of polls, by a server that keeps each poll of its tasks itself, and nothing else
    #[arg(long, conflicts_with_all = ["only", "list"])]
    polls: bool,
    /// Hold the latency that observer tells against what a client sees on real servers, as far as this machine has
    /// them, and do nothing else
    #[arg(long, conflicts_with_all = ["only", "list", "polls", "short"])]
    agree: bool,
    /// Get the servers that are missing there by `cargo install` and `go install`, below target/lab
    #[arg(long, requires = "agree")]
    install: bool,
    /// Also write all figures into this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    xtask::status(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<()> {
    let Arguments {
        short,
        only,
        list,
        polls,
        agree,
        install,
        json,
    } = arguments;
    let mut scenarios = chosen(only)?;
    if *list {
        for scenario in &scenarios {
            xtask::print(&format!("{}\n    {}", scenario.name, scenario.about))?;
        }
        return Ok(());
    }
    if *polls {
        polls::require_kernel()?;
    }
    privilege::ask("Attaching to a process from the kernel, or setting a CPU quota,")?;
    let bench = Bench {
        programs: Programs::build(if *polls { &[polls::EXAMPLE] } else { &[] })?,
        directory: workspace::target_dir()?.join("lab"),
        interrupt: Interrupt::listen()?,
    };
    bench.prepare()?;
    if *agree {
        let results = agree::run(&bench, *install)?;
        return json.as_ref().map_or(Ok(()), |path| write_json(path, &results));
    }
    if *polls {
        let results = polls::run(&bench, *short)?;
        return json.as_ref().map_or(Ok(()), |path| write_json(path, &results));
    }
    require_go(&bench.programs, &mut scenarios)?;
    let results = scenarios
        .iter()
        .map(|scenario| result(&bench, scenario, *short))
        .collect::<Result<Vec<_>>>()?;
    xtask::print(report::text(&results).trim_end())?;
    if let Some(path) = json {
        write_json(path, &report::json(&results))?;
    }
    if *short { floors(&results) } else { Ok(()) }
}

fn chosen(only: &[String]) -> Result<Vec<Scenario>> {
    let mut scenarios = scenarios::all();
    for name in only {
        ensure!(
            scenarios.iter().any(|scenario| scenario.name == name),
            "there is no scenario `{name}`; `cargo xtask lab --list` lists them"
        );
    }
    scenarios.retain(|scenario| only.is_empty() || only.iter().any(|name| name == scenario.name));
    Ok(scenarios)
}

/// Builds the server in Go, where a scenario has it. Without Go these are left out, which is said.
fn require_go(programs: &Programs, scenarios: &mut Vec<Scenario>) -> Result<()> {
    if scenarios.iter().any(Scenario::is_go) && !programs.build_go_server()? {
        let (needs, others): (Vec<_>, Vec<_>) = scenarios.drain(..).partition(Scenario::is_go);
        let names: Vec<_> = needs.iter().map(|scenario| scenario.name).collect();
        let what = format!("they need the program `go` on the PATH: {}", names.join(", "));
        ensure!(
            env::var("CI").as_deref() != Ok("true"),
            "with CI=true no scenario is left out; {what}"
        );
        eprintln!("left out, {what}");
        *scenarios = others;
    }
    Ok(())
}

fn result(bench: &Bench, scenario: &Scenario, short: bool) -> Result<report::Result> {
    let cases = scenario.cases.iter().filter(|case| case.short || !short);
    let cases = cases.map(|case| {
        let score = judged(bench, scenario, case)
            .with_context(|| format!("scenario {}, case {}", scenario.name, case.name))?;
        Ok((case.name.clone(), score))
    });
    Ok(report::Result {
        scenario: scenario.name,
        about: scenario.about,
        known: scenario.known,
        causes: scenario.expected.first_causes(),
        cases: cases.collect::<Result<_>>()?,
    })
}

fn judged(bench: &Bench, scenario: &Scenario, case: &Case) -> Result<Score> {
    let (observed, names) = bench.run(scenario.name, case)?;
    let (score, examples) = score::judge(&scenario.expected, case, &names, &observed);
    let failures = bench.case_directory(scenario.name, case)?.join("failures.jsonl");
    let lines: String = examples.iter().map(|example| format!("{example}\n")).collect();
    fs::write(&failures, lines).with_context(|| format!("cannot write {}", failures.display()))?;
    eprintln!(
        "{:<22} {:<16} {:>6} requests, {:>6} judged, {:>6} right",
        scenario.name, case.name, score.requests, score.affected, score.right
    );
    Ok(score)
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    fs::write(path, format!("{value:#}\n")).with_context(|| format!("cannot write {}", path.display()))
}

/// Fails where observer did worse than it is known to.
fn floors(results: &[report::Result]) -> Result<()> {
    let under: Vec<String> = results
        .iter()
        .filter_map(report::Result::under_the_floor)
        .collect();
    if !under.is_empty() {
        bail!("under the floor:\n{}", under.join("\n"));
    }
    Ok(())
}
