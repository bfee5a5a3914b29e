//! `observer doctor`: what this kernel allows and what will be used.

use std::fs;
use std::io::{Error, Write};

use anyhow::{Context as _, Result};
use observer::model::id::Pid;
use observer::source::live::signals::{self, Outcome};
use observer::source::live::{KernelHalf, LoadOptions, offsets, privilege};
use observer_common::{limits, rss};

use super::exit::Ending;
use super::live::kernel_release;
use super::sinks;

/// Runs the command. Attaches every signal to no process, prints the table, and detaches.
pub(crate) fn run() -> Result<Ending> {
    let mut out = sinks::standard_output();
    writeln!(out, "kernel    {} {}", kernel_release(), std::env::consts::ARCH)?;
    writeln!(out, "lockdown  {}", lockdown())?;
    let btf = offsets::kernel_btf().and_then(|btf| offsets::resolve(&btf));
    match &btf {
        Ok(_) => writeln!(out, "types     {}, every field found", offsets::KERNEL_BTF)?,
        Err(error) => writeln!(out, "types     {error:#}")?,
    }
    if let Err(error) = privilege::require() {
        writeln!(out, "privilege {error:#}")?;
        out.flush()?;
        return Err(error.context("what this kernel allows cannot be tried"));
    }
    writeln!(out, "privilege enough")?;
    let offsets =
        btf.context("observer cannot work on this kernel; docs/kernels.md names some on which it does")?;
    if offsets.mm_rss_access == rss::NONE {
        writeln!(
            out,
            "memory    not known at a request: before Linux 6.2 that takes bpf_probe_read_kernel, which lockdown refuses"
        )?;
    }

    // No process has this id: the programs are attached for real, and record nothing.
    let options = LoadOptions {
        pids: vec![Pid(u32::MAX)],
        follow: true,
        awaited: Vec::new(),
        ports: Vec::new(),
        listeners: Vec::new(),
        ring_bytes: limits::RING_BYTES,
        probes: Vec::new(),
        sample_hz: limits::SAMPLE_HZ,
    };
    let kernel_half = KernelHalf::load(&options)?;
    writeln!(out)?;
    row(&mut out, "signal", "hook", "remarks")?;
    for outcome in &kernel_half.outcomes {
        let none = if outcome.usable { "none allowed" } else { "MISSING" };
        let hook = outcome.hook.as_deref().unwrap_or(none);
        row(&mut out, outcome.signal, hook, outcome.note.unwrap_or("exact"))?;
        for (hook, reason) in &outcome.refused {
            row(&mut out, "", &format!("refused: {hook}"), reason)?;
        }
    }
    // Those are in the code of processes.
    for (option, signal, hook) in signals::on_demand() {
        match signals::require_probes(option) {
            Ok(()) => row(&mut out, signal, &hook, &format!("on demand, with {option}"))?,
            Err(why) => row(&mut out, signal, "none allowed", &format!("{why:#}"))?,
        }
    }
    for advice in advice(&kernel_half.outcomes) {
        writeln!(out, "{:<11} {advice}", "advice")?;
    }
    out.flush()?;
    signals::require(&kernel_half.outcomes)?;
    Ok(Ending::Normal)
}

/// What is to be done about what was refused, as far as observer works without.
fn advice(outcomes: &[Outcome]) -> Vec<String> {
    let goes_without =
        |outcome: &&Outcome| outcome.usable && outcome.hook.is_none() && outcome.note.is_some();
    let without = outcomes.iter().filter(goes_without);
    let without: Vec<_> = without.map(|outcome| outcome.signal).collect();
    let forbidden = Error::from_raw_os_error(libc::EPERM).to_string();
    let mut refused = outcomes.iter().flat_map(|outcome| &outcome.refused);
    let mut advice = Vec::new();
    if !without.is_empty() {
        advice.push(format!(
            "nothing has to be done about {}: observer works without, as the remarks say",
            without.join(", ")
        ));
    }
    if refused.any(|(_, reason)| reason.contains(&forbidden)) {
        advice.push(
            "what is not permitted even with privileges can be forbidden by lockdown, by a security module or by a \
             container's seccomp filter: whoever runs this machine can allow it"
                .to_owned(),
        );
    }
    advice
}

/// A line of the table.
fn row(out: &mut impl Write, signal: &str, hook: &str, remarks: &str) -> Result<()> {
    Ok(writeln!(out, "{signal:<11} {hook:<38} {remarks}")?)
}

fn lockdown() -> String {
    fs::read_to_string("/sys/kernel/security/lockdown").map_or_else(
        |_| "unknown (securityfs is not mounted)".to_owned(),
        |text| text.trim().to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_was_refused_it_is_said_what_to_do() {
        let accept = |hook: Option<&str>, reason: String| Outcome {
            signal: "accept",
            hook: hook.map(str::to_owned),
            note: hook.is_none().then_some("an upper bound"),
            refused: vec![("fexit:f".to_owned(), reason)],
            usable: true,
            option: None,
        };
        let older = || "it has 4 parameters here".to_owned();
        assert_eq!(advice(&[accept(Some("fexit:g"), older())]), [""; 0]);
        let nothing = "nothing has to be done about accept: observer works without, as the remarks say";
        assert_eq!(advice(&[accept(None, older())]), [nothing]);
        let forbidden = Error::from_raw_os_error(libc::EPERM);
        let told = advice(&[accept(
            None,
            format!("the BPF_PROG_LOAD syscall returned {forbidden}"),
        )]);
        let [first, second] = &told[..] else {
            panic!("{told:?}")
        };
        assert_eq!(first, nothing);
        assert!(
            second.contains("lockdown, by a security module or by a container's"),
            "{second}"
        );
    }
}
