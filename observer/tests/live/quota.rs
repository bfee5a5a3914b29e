//! A server whose control group has a CPU quota.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::kernel;
use crate::laws::{largest, seen, waited};
use crate::observation::Observation;
use crate::server::{Server, load};

const MS: u64 = 1_000_000;

/// A control group of its own, which is removed when its processes are gone.
struct Group(PathBuf);

impl Group {
    /// One with 20 ms of CPU time in each 100 ms; nothing where this machine has no `cpu` controller to give.
    fn with_quota() -> io::Result<Self> {
        let name = format!("observer-test-{}", std::process::id());
        // Version 1 has a hierarchy for each controller, version 2 one for all.
        let (first, second) = (Path::new("/sys/fs/cgroup/cpu"), Path::new("/sys/fs/cgroup"));
        if first.join("cpu.cfs_quota_us").exists() {
            let group = Self::make(first.join(name))?;
            fs::write(group.0.join("cpu.cfs_period_us"), "100000")?;
            fs::write(group.0.join("cpu.cfs_quota_us"), "20000")?;
            return Ok(group);
        }
        fs::write(second.join("cgroup.subtree_control"), "+cpu")?;
        let group = Self::make(second.join(name))?;
        fs::write(group.0.join("cpu.max"), "20000 100000")?;
        Ok(group)
    }

    fn make(path: PathBuf) -> io::Result<Self> {
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    fn add(&self, pid: u32) {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // It can be removed once the kernel has forgotten the processes that were in it.
        for _ in 0..500 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
}

#[test]
fn a_used_up_cpu_quota_is_throttled() {
    let Some(_turn) = kernel::turn() else { return };
    let group = match Group::with_quota() {
        Ok(group) => group,
        Err(error) => return kernel::skip(&format!("a control group with a CPU quota ({error})")),
    };
    let server = Server::faulty(&["--workers", "1"]);
    group.add(server.pid());
    let observation = Observation::of(server.pid(), &[]);
    load(&server.url("/burn?us=5000"), &["--requests", "60"]);
    let lines = observation.finish();
    lines.without_loss();
    let slow = lines
        .requests
        .iter()
        .filter(|request| largest(request).1 > 40 * MS);
    let slow = seen(slow);
    assert!(slow.len() >= 8, "{} slow requests", slow.len());
    for request in slow {
        assert_eq!(largest(request).0, "throttled", "{request}");
        assert!(waited(request, "run_queue") < 40 * MS, "{request}");
    }
}
