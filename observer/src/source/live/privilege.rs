//! Whether this process may load eBPF programs, asked before the kernel refuses with a bare number.

use std::fs;

use anyhow::{Result, bail};

const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// Fails when the capabilities that loading and attaching need are missing.
///
/// # Errors
/// Says which, and how to get them.
pub fn require() -> Result<()> {
    let effective = effective_capabilities().unwrap_or(0);
    let has = |capability: u32| effective & (1 << capability) != 0;
    if has(CAP_SYS_ADMIN) || (has(CAP_BPF) && has(CAP_PERFMON)) {
        return Ok(());
    }
    bail!(
        "observer needs root, or the capabilities CAP_BPF and CAP_PERFMON, to attach to the kernel; \
         run it with sudo"
    )
}

fn effective_capabilities() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}
