//! A control group with a CPU quota, version 1 or 2, that is gone when it is dropped.

use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use xtask::{command, privilege};

/// How long the kernel may take to let a group go whose last process has ended.
const PATIENCE: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(20);

/// The group.
pub(super) struct Quota(PathBuf);

impl Quota {
    /// Makes the group and moves a process with all its threads into it.
    pub(super) fn on(pid: u32, quota_us: u64, period_us: u64) -> Result<Self> {
        let name = format!("observer-lab-{}", process::id());
        let (first, second) = (Path::new("/sys/fs/cgroup/cpu"), Path::new("/sys/fs/cgroup"));
        let (group, limit) = if first.join("cgroup.procs").exists() {
            let limit = format!("echo {period_us} > cpu.cfs_period_us && echo {quota_us} > cpu.cfs_quota_us");
            (first.join(name), limit)
        } else if second.join("cgroup.controllers").exists() {
            (
                second.join(name),
                format!("echo +cpu > ../cgroup.subtree_control && echo {quota_us} {period_us} > cpu.max"),
            )
        } else {
            bail!(
                "there are no control groups at {} to set a CPU quota with",
                second.display()
            );
        };
        let quota = Self(group);
        let group = quota.0.display();
        let script = format!("mkdir -p {group} && cd {group} && {limit} && echo {pid} > cgroup.procs");
        command::output(&mut as_root(&script)).context("cannot set a CPU quota")?;
        Ok(quota)
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        let start = Instant::now();
        let group = self.0.display();
        // A group with processes stays. After an error the server may still be there.
        let script = format!(
            "while read pid; do echo $pid > {group}/../cgroup.procs; done < {group}/cgroup.procs; rmdir {group}"
        );
        while self.0.exists() {
            let removed = command::output(&mut as_root(&script));
            if removed.is_err() && start.elapsed() > PATIENCE {
                eprintln!("the control group {group} could not be removed");
                return;
            }
            thread::sleep(POLL);
        }
    }
}

fn as_root(script: &str) -> Command {
    let mut shell = privilege::as_root("sh");
    shell.args(["-c", script]);
    shell
}
