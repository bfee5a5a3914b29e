//! What the kernel says of a process: CPU time to the nanosecond, memory, and how often it wrote.

use std::fs;

use anyhow::{Context as _, Result};

/// CPU time of a process's living threads, ns (`/proc/PID/task/*/schedstat`, first field).
pub(super) fn cpu_ns(pid: u32) -> Result<u64> {
    let directory = format!("/proc/{pid}/task");
    let mut total = 0;
    for thread in fs::read_dir(&directory).with_context(|| format!("cannot list {directory}"))? {
        let path = thread
            .with_context(|| format!("cannot list {directory}"))?
            .path()
            .join("schedstat");
        // A thread may have ended since it was listed.
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        let first = text.split_whitespace().next();
        let ns: u64 = first
            .and_then(|field| field.parse().ok())
            .with_context(|| format!("{} does not begin with a number", path.display()))?;
        total += ns;
    }
    Ok(total)
}

/// Resident memory of a process, bytes.
pub(super) fn rss_bytes(pid: u32) -> Result<u64> {
    let kib = number(&format!("/proc/{pid}/status"), "VmRSS:", "kB")?;
    Ok(kib * 1024)
}

/// How often a process wrote, to whatever it was.
pub(super) fn writes(pid: u32) -> Result<u64> {
    number(&format!("/proc/{pid}/io"), "syscw:", "")
}

/// The number between two words of a line.
fn number(path: &str, before: &str, after: &str) -> Result<u64> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    text.lines()
        .find_map(|line| line.strip_prefix(before))
        .and_then(|line| line.trim().strip_suffix(after)?.trim().parse().ok())
        .with_context(|| format!("{path} has no number after {before}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_run_has_memory_and_writes() {
        let pid = std::process::id();
        assert!(cpu_ns(pid).unwrap() > 0);
        assert!(rss_bytes(pid).unwrap() > 4096);
        let before = writes(pid).unwrap();
        fs::write("/dev/null", "a").unwrap();
        assert!(writes(pid).unwrap() > before);
    }
}
