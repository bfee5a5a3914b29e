//! `cargo xtask bench`: what observing costs, in pairs.
//!
//! Machines are noisy and drift, so nothing is compared across runs: in each round every subject has its turn on
//! the same server, and what is reported is the median of a subject's ratios to the round's own turn without any.
//! Not a test: it judges nothing.

mod figures;
mod load;
mod pairs;
mod proc;
mod report;
mod samples;
mod scaling;
mod subject;
mod userspace;

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Result, bail};
use clap::{Parser, ValueEnum};
use lab::child::{Child, Interrupt};
use lab::programs::Programs;
use xtask::privilege;

use figures::{Cpu, Round, Spent};
use load::{Load, Server};

/// Measure what observer costs a server, beside nothing, empty programs and other tools, in pairs
///
/// Needs root and `wrk`; `bpftrace`, `perf` and `strace` are measured where they are installed. Prints tables in
/// Markdown; all parts together take some 40 minutes. Run it on a machine that does nothing else.
#[derive(Parser)]
#[command(
    name = "cargo xtask bench",
    bin_name = "cargo xtask bench",
    max_term_width = 100
)]
#[command(after_help = "Examples:
  cargo xtask bench
  cargo xtask bench --part pairs --path /ping --rounds 15
  cargo xtask bench --part pairs --subject empty --subject observer
  cargo xtask bench --part pairs --path /ping --subject observer --against ../before/target/release/observer")]
struct Arguments {
    /// Measure only this; may be given several times
    #[arg(long = "part", value_name = "PART", value_enum)]
    parts: Vec<Measurement>,
    /// Turns of each subject
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(3..=1000))]
    rounds: u16,
    /// Pairs and samples: what the server is asked for; may be given several times [default: /ping, and 100 us and 1 ms
    /// of work]
    #[arg(long = "path", value_name = "PATH")]
    paths: Vec<String>,
    /// Pairs: only this subject, and nothing beside it; may be given several times
    #[arg(long = "subject", value_name = "NAME", value_parser = subject::names())]
    subjects: Vec<String>,
    /// Pairs: compare with this other build of observer, in place of nothing
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
}

/// A request that costs the server some microseconds, one of 100 us and one of 1 ms.
const PATHS: [&str; 3] = ["/ping", "/burn?us=100", "/burn?us=1000"];

/// The client's, where their number is not what is varied.
const CONNECTIONS: u32 = 50;

/// What can be measured.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Measurement {
    /// A server alone, with empty programs, with observer in each mode, with other tools
    Pairs,
    /// Observer with its samples and without them
    Samples,
    /// The cost against the number of threads, connections and watched processes
    Scaling,
    /// What userspace takes for an event, from a recording
    Userspace,
}

/// What every part needs.
struct Bench {
    programs: Programs,
    against: Option<PathBuf>,
    load: Load,
    interrupt: Interrupt,
    rounds: u16,
}

impl Bench {
    /// Loads the server while `beside` is attached to it, and measures both when they are used to it: what who watches
    /// it takes to start, and what the first requests have it read of the program, is not the price of watching.
    fn round(&self, server: &Server, path: &str, connections: u32, beside: Option<&Child>) -> Result<Round> {
        let url = server.url(path);
        self.load.warm_up(&url, connections, &self.interrupt)?;
        let load = || self.load.run(&url, connections, &self.interrupt);
        let (cpu, answered) = Cpu::during(server.pid(), beside, load)?;
        Ok(Round {
            spent: Spent {
                requests: answered.requests,
                duration: answered.duration,
                cpu,
            },
            latency: answered.latency,
            own_rss_bytes: beside.map_or(Ok(0), |child| proc::rss_bytes(child.pid()))?,
        })
    }
}

fn main() -> ExitCode {
    xtask::status(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<()> {
    let Arguments {
        parts,
        rounds,
        paths,
        subjects,
        against,
    } = arguments;
    if let Some(against) = against.as_ref().filter(|against| !against.is_file()) {
        bail!(
            "--against {}: no such file: give the program of the other build",
            against.display()
        );
    }
    if !privilege::is_root() {
        bail!("attaching and tracing need root: run `sudo -E cargo xtask bench`");
    }
    let load = Load::find()?;
    let bench = Bench {
        programs: Programs::build(&["empty-hooks"])?,
        against: against.clone(),
        load,
        interrupt: Interrupt::listen()?,
        rounds: *rounds,
    };
    xtask::print(&report::heading()?)?;
    let default = PATHS.map(str::to_owned);
    let paths = if paths.is_empty() { &default[..] } else { paths };
    let wanted = |part| parts.is_empty() || parts.contains(&part);
    if wanted(Measurement::Pairs) {
        pairs::run(&bench, paths, subjects)?;
    }
    if wanted(Measurement::Samples) {
        samples::run(&bench, paths)?;
    }
    if wanted(Measurement::Scaling) {
        scaling::run(&bench)?;
    }
    if wanted(Measurement::Userspace) {
        userspace::run(&bench)?;
    }
    Ok(())
}

/// A program that is not on the PATH.
fn is_missing(program: &str) -> bool {
    let mut version = Command::new(program);
    version
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    version.status().is_err()
}
