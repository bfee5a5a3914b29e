//! `cargo xtask bench`: what observing costs, in pairs.
//!
//! Machines are noisy and drift, so nothing is compared across runs: in each round every subject has its turn on
//! the same server, and what is reported is the median of a subject's ratios to the round's own turn without any.
//! Not a test: it judges nothing.

mod figures;
mod load;
mod proc;
mod report;
mod subject;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::child::{Child, Interrupt};
use crate::{build, privilege, setup};
use figures::Round;
use load::Load;
use subject::{Subject, Tools};

/// Measure what observer costs a server, beside nothing, empty programs and other tools, in pairs
///
/// Needs root and `wrk`; `bpftrace`, `perf` and `strace` are measured where they are installed. Prints a table in
/// Markdown. Run it on a machine that does nothing else.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask bench
  cargo xtask bench --path /ping --rounds 15
  cargo xtask bench --subject empty --subject observer")]
pub(crate) struct Arguments {
    /// Turns of each subject
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(3..=1000))]
    rounds: u16,
    /// What the server is asked for; may be given several times [default: /ping, and handlers of 100 us and 1 ms]
    #[arg(long = "path", value_name = "PATH")]
    paths: Vec<String>,
    /// Measure only this subject, and nothing beside it; may be given several times
    #[arg(long = "subject", value_name = "NAME", value_parser = subject::names())]
    subjects: Vec<String>,
}

/// A request that costs the server about 10 us, one of 100 us and one of 1 ms.
const PATHS: [&str; 3] = ["/ping", "/burn?us=100", "/burn?us=1000"];

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Arguments {
        rounds,
        paths,
        subjects,
    } = arguments;
    setup::ensure()?;
    let observer = build::observer("release", &["faulty-server", "empty-hooks"])?;
    if !privilege::is_root() {
        bail!("attaching and tracing need root: run `sudo -E cargo xtask bench`");
    }
    let load = Load::find()?;
    let interrupt = Interrupt::listen()?;
    let tools = Tools::beside(&observer);
    let subjects = subject::chosen(subjects);

    println!("{}", report::heading()?);
    let default: Vec<String> = PATHS.map(str::to_owned).to_vec();
    for path in if paths.is_empty() { &default } else { paths } {
        // A server for each path: what the last one left in its memory is not the next one's.
        let (server, address) = start_server(&observer.with_file_name("examples").join("faulty-server"))?;
        let url = format!("http://{address}{path}");
        let mut measured: Vec<Vec<Round>> = subjects.iter().map(|_| Vec::new()).collect();
        for round in 0..*rounds {
            for (subject, rounds) in subjects.iter().zip(&mut measured) {
                eprint!(
                    "\r{path}: round {} of {rounds_total}, {:<30}",
                    round + 1,
                    subject.name,
                    rounds_total = arguments.rounds
                );
                rounds.push(turn(subject, &tools, &server, &load, &url, &interrupt)?);
            }
        }
        eprintln!();
        println!("{}", report::table(path, &subjects, &measured));
    }
    Ok(())
}

fn start_server(program: &Path) -> Result<(Child, String)> {
    let mut server = load::on_cpu(load::SERVER_CPU, program);
    server.args(["--workers", "1", "--until-stdin-closes"]);
    let server = Child::start("the server", server.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
    let line = server.line(Duration::from_secs(5))?;
    let address = line
        .strip_prefix("listening on ")
        .with_context(|| format!("the server said `{line}` and not where it listens"))?
        .to_owned();
    Ok((server, address))
}

/// One turn: the subject is started, the server is loaded, the subject is stopped.
fn turn(
    subject: &Subject,
    tools: &Tools,
    server: &Child,
    load: &Load,
    url: &str,
    interrupt: &Interrupt,
) -> Result<Round> {
    let running = subject.start(tools, server.pid())?;
    let before_ns = proc::cpu_ns(server.pid())?;
    let answered = load.run(url, interrupt)?;
    let server_ns = proc::cpu_ns(server.pid())?.saturating_sub(before_ns);
    let (own_ns, own_rss_bytes) = match &running {
        Some(child) => (proc::cpu_ns(child.pid())?, proc::rss_bytes(child.pid())?),
        None => (0, 0),
    };
    Ok(Round {
        answered,
        server_ns,
        own_ns,
        own_rss_bytes,
    })
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
