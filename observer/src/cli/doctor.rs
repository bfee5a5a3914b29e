//! `observer doctor`: what this kernel allows and what will be used.

use std::fs;
use std::io::{self, Write};

use anyhow::{Context as _, Result, bail};
use observer::model::id::Pid;
use observer::source::live::{KernelHalf, LoadOptions, offsets, privilege, signals};
use observer_common::{limits, rss};

use super::exit::Ending;
use super::live::kernel_release;

/// Runs the command. Attaches every signal to no process, prints the table, and detaches.
pub(crate) fn run() -> Result<Ending> {
    let mut out = io::stdout().lock();
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
        bail!("the signals can be tried only with privileges");
    }
    writeln!(out, "privilege enough")?;
    let offsets = btf.context("this kernel cannot be used")?;
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
    out.flush()?;
    signals::require(&kernel_half.outcomes)?;
    Ok(Ending::Normal)
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
