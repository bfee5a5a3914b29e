//! What was typed. Nothing here asks the system anything.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PathBufValueParser, PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use observer::model::header::Requests;
use observer_common::limits;

/// Explains each slow request of a running server, from the kernel, without a rebuild or restart.
#[derive(Debug, Parser)]
#[command(version, about, long_about = None, after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// More diagnostics on standard error (-v, -vv)
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "Examples:
  sudo observer attach --pid $(pgrep -o my-server)
  sudo observer attach --pid 4120 --duration 10s | jq 'select(.type==\"request\") | .budget_ns'
  sudo observer record --pid 4120 --duration 30s -o slow.rec && observer replay slow.rec

Exit codes: 0 normal end (also when the reader of the output went away), 1 failure (also where
--record failed and the rest went on), 2 wrong arguments, 3 the recording breaks off (what it holds was replayed).";

/// Commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Observe running processes until Ctrl-C, the duration is over, or they end
    Attach(Attach),
    /// Write the raw events of running processes to a file
    Record(Record),
    /// Explain the requests in a recording, without privileges
    Replay(Replay),
    /// Show what this kernel allows and what will be used
    Doctor,
}

/// `attach`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sudo observer attach --pid 4120
  sudo observer attach --port 8080 --duration 1m
  sudo observer attach --pid $(pgrep -o nginx) --duration 10s
  sudo observer attach --pid 4120 --duration 10s --requests all -o slow.jsonl
  sudo observer attach --pid 4120 | scripts/where_p99_goes.py")]
pub(crate) struct Attach {
    #[command(flatten)]
    pub(crate) watch: Watch,
    #[command(flatten)]
    pub(crate) print: Print,
    /// Also write the raw events to this file, for `replay`; one that is there already is not overwritten
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
}

/// `record`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  sudo observer record --pid 4120 --duration 30s -o slow.rec")]
pub(crate) struct Record {
    #[command(flatten)]
    pub(crate) watch: Watch,
    /// File to write; one that is there already is not overwritten
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

/// `replay`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  observer replay slow.rec --format table
  observer replay slow.rec --requests all | jq 'select(.type==\"request\")'")]
pub(crate) struct Replay {
    /// File that `record` or `attach --record` wrote
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) print: Print,
}

/// What to observe and for how long.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("targets").args(["pids", "ports"]).required(true).multiple(true)))]
pub(crate) struct Watch {
    /// Process to watch, with all its threads, its children and theirs; several: --pid 17,42
    #[arg(short, long = "pid", value_name = "PID", value_delimiter = ',', value_parser = pid)]
    pub(crate) pids: Vec<u32>,
    /// Watch whoever listens on this TCP port in observer's network namespace, now or later; several: --port 80,443
    #[arg(long = "port", value_name = "PORT", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) ports: Vec<u16>,
    /// Watch no children, but those that hold the socket of a given port at the attach or begin to listen there
    #[arg(long)]
    pub(crate) no_follow: bool,
    /// Stop after this long: 500ms, 10s, 1m30s, 1.5h
    #[arg(short, long, value_name = "TIME", value_parser = duration)]
    pub(crate) duration: Option<Duration>,
    /// Also record each poll of a tokio task, but those of children: how long polls take, and how long tasks are queued
    /// before. The probes for it take about 12 us of the processes' time a poll; a request takes one poll or more
    #[arg(long)]
    pub(crate) polls: bool,
    /// Also record which goroutine of Go makes which ready and when each begins to run, but those of children: what
    /// requests wait for that are handed on inside the program. The probes for it take about 3 us of the
    /// processes' time each time that a goroutine waits; a request of net/http takes two such times or more
    #[arg(long)]
    pub(crate) goroutines: bool,
    /// Size of each CPU's ring buffer: a power of two, from 64KiB
    #[arg(long, value_name = "KIB", default_value_t = limits::RING_BYTES / 1024, value_parser = ring_kib)]
    pub(crate) ring_kib: u32,
    /// How often a second each CPU is looked at, to see in which task watched threads are, and up to each tenth time in
    /// which function: 0 (never) to 10000
    #[arg(long, value_name = "HZ", default_value_t = limits::SAMPLE_HZ, value_parser = clap::value_parser!(u32).range(..=i64::from(limits::MAX_SAMPLE_HZ)))]
    pub(crate) sample_hz: u32,
}

/// What to print and how.
#[derive(Debug, Args)]
pub(crate) struct Print {
    /// Which requests become lines; summaries count every one
    #[arg(long, value_name = "WHICH", default_value = "tail", value_parser = requests())]
    pub(crate) requests: Requests,
    /// Form of the output [default: table on a terminal, jsonl elsewhere]
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    /// Write the output to this file instead of standard output; a terminal shows the table meanwhile
    #[arg(short, long, value_name = "FILE", value_parser = output())]
    pub(crate) output: Option<PathBuf>,
    /// Keep query strings in paths
    #[arg(long)]
    pub(crate) with_query: bool,
    /// Figures of each process by itself, and not of a process with its children
    #[arg(long)]
    pub(crate) apart: bool,
}

/// Forms of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table for people
    Table,
    /// JSON Lines for programs (docs/schema.md)
    Jsonl,
}

fn requests() -> impl TypedValueParser<Value = Requests> {
    let values = [
        (
            "tail",
            "The first hundred, then the slow ones (at or above the p99 so far of their target) and a sample of the others",
        ),
        ("all", "Every one"),
        ("none", "None: only totals"),
    ];
    let values = values.map(|(name, help)| PossibleValue::new(name).help(help));
    PossibleValuesParser::new(values).try_map(|text| text.parse::<Requests>())
}

/// The longest duration, seconds: who means more leaves it out.
const YEAR_SECONDS: u64 = 366 * 24 * 3600;

/// A number alone is seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let duration = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => humantime::parse_duration(text)
            .map_err(|why| format!("`{text}` is not a time such as 500ms, 10s, 1m30s or 1.5h: {why}"))?,
    };
    if duration.is_zero() {
        return Err("a duration of nothing observes nothing".to_owned());
    }
    if duration > Duration::from_secs(YEAR_SECONDS) {
        return Err(format!("`{text}` is longer than a year"));
    }
    Ok(duration)
}

fn output() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| {
        if path.as_os_str() == "-" {
            return Err("without this option the output goes to standard output");
        }
        Ok(path)
    })
}

fn pid(text: &str) -> Result<u32, String> {
    let number: NonZeroU32 = text.parse().map_err(|_| {
        "a process is given by its number, from 1 on; `pgrep -o NAME` finds that of a name".to_owned()
    })?;
    Ok(number.get())
}

fn ring_kib(text: &str) -> Result<u32, String> {
    let kib: u32 = text
        .parse()
        .map_err(|_| format!("`{text}` is not a number of KiB"))?;
    if !(64..=1 << 20).contains(&kib) || !kib.is_power_of_two() {
        return Err("must be a power of two between 64 and 1048576".to_owned());
    }
    Ok(kib)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn processes_and_ports_are_given_apart_or_with_commas() {
        let words = "observer attach --pid 1,2 --pid 3 --port 80,443";
        let Arguments { command, .. } = Arguments::parse_from(words.split(' '));
        let Command::Attach(Attach { watch, .. }) = command else {
            panic!("{command:?}");
        };
        assert_eq!((watch.pids, watch.ports), (vec![1, 2, 3], vec![80, 443]));
    }

    #[test]
    fn durations_have_units() {
        for (text, milliseconds) in [
            ("500ms", 500),
            ("2m", 120_000),
            ("1m30s", 90_000),
            ("1.5s", 1500),
            ("10", 10_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for wrong in [
            "",
            "0s",
            "1x",
            "-1s",
            "s",
            "1.s",
            "99999999999999999999s",
            "9000h0",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
