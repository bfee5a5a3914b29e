//! The tables, in Markdown.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use anyhow::Result;
use xtask::command;

use super::CONNECTIONS;
use super::figures::{Round, Spent, Spread, ratios};
use super::subject::{AGAINST, NOTHING, Subject};

/// When and on what this was measured.
pub(super) fn heading() -> Result<String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cpus = cpuinfo
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let date = command::text(Command::new("date").args(["-u", "+%F"]))?;
    Ok(format!(
        "Measured on {}, Linux {}, {cpus} CPUs ({}).",
        date.trim(),
        read("/proc/sys/kernel/osrelease"),
        model.map_or("unknown", |(_, name)| name),
    ))
}

/// One path's table. Ratios are to the same round's turn of the other build, where there is one, else to that without
/// anything: median, and quartiles.
pub(super) fn pairs(path: &str, subjects: &[Subject], measured: &[Vec<Round>]) -> String {
    let mut text = format!(
        "\n`{path}`, {CONNECTIONS} connections, {} rounds\n\n\
         | with | server CPU a request | ratio | requests/s, ratio | client p50 | p99 | p99.9 | own CPU a request | own RSS |\n\
         |---|---|---|---|---|---|---|---|---|\n",
        measured.first().map_or(0, Vec::len),
    );
    let turns_of = |name| {
        let place = subjects.iter().position(|subject| subject.name == name);
        place.map(|place| &measured[place])
    };
    let Some(base) = turns_of(AGAINST).or_else(|| turns_of(NOTHING)) else {
        return text;
    };
    for (subject, rounds) in subjects.iter().zip(measured) {
        let median = |figure: &dyn Fn(&Round) -> f64| Spread::of(rounds.iter().map(figure)).median;
        let cpu = ratios(rounds, base, |round| round.spent.cpu_us());
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "| {} | {:.2} us | {} | {} | {:.0} us | {:.0} us | {:.0} us | {:.2} us | {:.1} MiB |",
            subject.what,
            median(&|round| round.spent.cpu_us()),
            ratio(cpu),
            ratio(ratios(rounds, base, |round| round.spent.rate())),
            median(&|round| round.latency.p50_us as f64),
            median(&|round| round.latency.p99_us as f64),
            median(&|round| round.latency.p999_us as f64),
            median(&|round| round.spent.own_us()),
            median(&|round| round.own_rss_bytes as f64) / f64::from(1 << 20),
        );
    }
    text
}

/// Above the rows of [`samples`].
pub(super) const SAMPLES_HEADING: &str = "
One observer with its samples against itself without

| path | requests written | pairs | server CPU a request, ratio | requests/s, ratio | own CPU a request, without | ratio |
|---|---|---|---|---|---|---|";

/// One path's and one observer's row.
pub(super) fn samples(path: &str, subject: &Subject, with: &[Spent], without: &[Spent]) -> String {
    format!(
        "| `{path}` | {} | {} | {} | {} | {:.2} us | {} |",
        subject.what,
        with.len(),
        ratio(ratios(with, without, Spent::cpu_us)),
        ratio(ratios(with, without, Spent::rate)),
        Spread::of(without.iter().map(Spent::own_us)).median,
        ratio(ratios(with, without, Spent::own_us)),
    )
}

/// Above the rows of [`scaling`].
pub(super) const SCALING_HEADING: &str = "
`/ping`, with observer against without

| with | server CPU a request, ratio | requests/s, ratio | own CPU a request | own RSS | records lost |
|---|---|---|---|---|---|";

/// One setting's row.
pub(super) fn scaling(what: &str, alone: &[Round], watched: &[Round], lost: u64) -> String {
    let median = |figure: &dyn Fn(&Round) -> f64| Spread::of(watched.iter().map(figure)).median;
    format!(
        "| {what} | {} | {} | {:.2} us | {:.1} MiB | {lost} |",
        ratio(ratios(watched, alone, |round| round.spent.cpu_us())),
        ratio(ratios(watched, alone, |round| round.spent.rate())),
        median(&|round| round.spent.own_us()),
        median(&|round| round.own_rss_bytes as f64) / f64::from(1 << 20),
    )
}

/// Above the rows of [`userspace`].
pub(super) const USERSPACE_HEADING: &str = "
Replay of a saturated server's `/ping`

| requests written | events | time an event | events/s |
|---|---|---|---|";

/// One choice of requests.
pub(super) fn userspace(requests: &str, events: u64, ns: Spread) -> String {
    format!(
        "| {requests} | {events} | {:.0} ns ({:.0} to {:.0}) | {:.2} million |",
        ns.median,
        ns.low,
        ns.high,
        1000.0 / ns.median
    )
}

fn ratio(spread: Spread) -> String {
    format!("{:.3} ({:.3} to {:.3})", spread.median, spread.low, spread.high)
}
