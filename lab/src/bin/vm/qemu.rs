//! Boots a kernel in QEMU and gives what it wrote to its console.
//!
//! CPUs are emulated unless the user asks for KVM. `/dev/kvm` promises little: inside a virtual machine it can be
//! there while its guests hang, and only a wait that has to be long would tell. Emulation gives every machine the
//! same result.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use xtask::command;

use super::kernels::{Kernel, Time};

pub(super) const PROGRAM: &str = "qemu-system-x86_64";

/// The Debian package of [`PROGRAM`].
pub(super) const PACKAGE: &str = "qemu-system-x86";

/// A run takes three to six minutes on two slow cores, and has taken more than ten. One that hangs is ended after this.
const PATIENCE: Duration = Duration::from_secs(1200);

/// How often the machine is asked whether it has turned itself off.
const POLL: Duration = Duration::from_millis(100);

/// Whether QEMU is installed.
pub(super) fn is_there() -> bool {
    command::succeeds(Command::new(PROGRAM).arg("--version"))
}

/// Boots `kernel` with these parameters and `initramfs`, and waits until it turns itself off or the patience is over.
/// The console is written to the file `console` meanwhile.
pub(super) fn boot(
    kernel: &Kernel,
    parameters: &str,
    initramfs: &Path,
    console: &Path,
    emulated: bool,
) -> Result<()> {
    // An old one must not be taken for this run's.
    fs::write(console, "").with_context(|| format!("cannot write {}", console.display()))?;
    let mut qemu = Command::new(PROGRAM);
    if emulated {
        // One thread for both CPUs. With a thread for each (QEMU 7.2), a CPU of a 6.1 guest was found in an endless
        // int3 while another patched its code to attach a program, after some dozens of attachments.
        qemu.args(["-accel", "tcg,thread=single", "-cpu", "max"]);
        if kernel.time == Time::InInstructions {
            // A nanosecond each. While no CPU has any, time goes to the next timer at once.
            qemu.args(["-icount", "shift=0,sleep=off"]);
        }
    } else {
        qemu.args(["-accel", "kvm", "-cpu", "host"]);
    }
    // A kernel that panics reboots, and a reboot ends QEMU.
    qemu.args([
        "-smp",
        "2",
        "-m",
        "1536",
        "-nodefaults",
        "-no-reboot",
        "-display",
        "none",
    ])
    .arg("-append")
    .arg(format!("console=ttyS0 quiet loglevel=3 panic=-1 {parameters}"))
    .arg("-serial")
    .arg(format!("file:{}", console.display()))
    .arg("-kernel")
    .arg(&kernel.image)
    .arg("-initrd")
    .arg(initramfs)
    .stdin(Stdio::null());
    let child = qemu
        .spawn()
        .with_context(|| format!("cannot run `{}`", command::line(&qemu)))?;
    let mut machine = Machine(child);
    let start = Instant::now();
    while machine.0.try_wait().context("cannot wait for QEMU")?.is_none() {
        if start.elapsed() > PATIENCE {
            eprintln!("  still running after {} s: ended", PATIENCE.as_secs());
            break;
        }
        thread::sleep(POLL);
    }
    Ok(())
}

/// A virtual machine that does not outlive its run.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
