//! Whether this process may load eBPF programs, asked before the kernel refuses with a bare number.

use std::fs;

use anyhow::{Result, bail};

use crate::model::privilege::Missing;

const CAP_DAC_OVERRIDE: u32 = 1;
const CAP_DAC_READ_SEARCH: u32 = 2;
const CAP_SYS_PTRACE: u32 = 19;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// What the machine's own PID namespace is called, in which the kernel's records number processes: `PROC_PID_INIT_INO`
/// of `include/linux/proc_ns.h`.
const PIDS_OF_MACHINE: &str = "pid:[4026531836]";

/// Fails when the capabilities that loading and attaching need are missing, or processes have other numbers here than
/// in the kernel's records.
///
/// # Errors
/// Says which, and how to get them.
pub fn require() -> Result<()> {
    let effective = effective_capabilities().unwrap_or(0);
    let has = |capability| has(effective, capability);
    let can_attach = has(CAP_SYS_ADMIN) || has(CAP_BPF) && has(CAP_PERFMON);
    if !can_attach {
        bail!(
            "attaching to the kernel needs root, or the capabilities CAP_BPF and CAP_PERFMON; \
             run observer with sudo"
        );
    }
    if fs::read_link("/proc/self/ns/pid").is_ok_and(|pids| pids.as_os_str() != PIDS_OF_MACHINE) {
        bail!(
            "processes have other numbers in this PID namespace than in the kernel; \
             run observer in the machine's, in a container with `--pid host`"
        );
    }
    Ok(())
}

/// Which capabilities are missing to see what the descriptors of another user's process are: their directory is its
/// owner's, and what they lead to is told to who may trace it.
#[must_use]
pub fn missing_for_descriptors() -> Missing {
    missing(effective_capabilities().unwrap_or(0))
}

fn missing(effective: u64) -> Missing {
    Missing {
        dac_read_search: ![CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE]
            .into_iter()
            .any(|capability| has(effective, capability)),
        sys_ptrace: !has(effective, CAP_SYS_PTRACE),
    }
}

const fn has(effective: u64, capability: u32) -> bool {
    effective & (1 << capability) != 0
}

fn effective_capabilities() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_of_others_take_two_capabilities() {
        let of = |capabilities: &[u32]| {
            let effective = capabilities
                .iter()
                .fold(0, |all, capability| all | 1 << capability);
            missing(effective).to_string()
        };
        let usual = [CAP_BPF, CAP_PERFMON];
        assert_eq!(of(&usual), "CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE");
        assert_eq!(of(&[CAP_SYS_PTRACE]), "CAP_DAC_READ_SEARCH");
        for both in [CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE] {
            assert_eq!(of(&[both]), "CAP_SYS_PTRACE");
            assert_eq!(of(&[both, CAP_SYS_PTRACE]), "");
        }
    }
}
