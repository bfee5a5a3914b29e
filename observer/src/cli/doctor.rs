//! `observer doctor`: what this kernel allows and what will be used.

use std::fs;
use std::io::{self, Write as _};

use anyhow::{Context as _, Result, bail};
use observer::model::id::Pid;
use observer::source::live::runtime::go::goroutines;
use observer::source::live::runtime::tokio::polls;
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
    for (what, option, required) in [
        ("polls", "--polls", polls::require()),
        ("goroutine", "--goroutines", goroutines::require()),
    ] {
        let told = required.map_or_else(|why| why.to_string(), |()| format!("on demand, with {option}"));
        writeln!(out, "{what:<9} {told}")?;
    }
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
        polls: Vec::new(),
        goroutines: Vec::new(),
        sample_hz: limits::SAMPLE_HZ,
    };
    let kernel_half = KernelHalf::load(&options)?;
    writeln!(out, "\n{:<11} {:<34} remarks", "signal", "hook")?;
    for outcome in &kernel_half.outcomes {
        let hook = outcome
            .hook
            .as_deref()
            .unwrap_or(if outcome.usable { "none allowed" } else { "MISSING" });
        writeln!(
            out,
            "{:<11} {:<34} {}",
            outcome.signal,
            hook,
            outcome.note.unwrap_or("exact")
        )?;
        for (hook, reason) in &outcome.refused {
            writeln!(out, "{:<11} {:<34} {reason}", "", format!("refused: {hook}"))?;
        }
    }
    out.flush()?;
    signals::require(&kernel_half.outcomes)?;
    Ok(Ending::Normal)
}

fn lockdown() -> String {
    fs::read_to_string("/sys/kernel/security/lockdown").map_or_else(
        |_| "unknown (securityfs is not mounted)".to_owned(),
        |text| text.trim().to_owned(),
    )
}
