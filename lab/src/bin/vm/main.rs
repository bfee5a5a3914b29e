//! `cargo xtask vm`: observer on kernels that this machine does not run.
//!
//! Each kernel boots in QEMU with a file system in memory that holds observer, the testbed and the live tests, checks
//! them, and turns itself off. On the machine's own kernel, where `cargo xtask test` runs all of them, some are run in
//! the same way, for its row of the matrix. A kernel is judged by what it wrote to its console, and by nothing else.

mod cpio;
mod initramfs;
mod kernels;
mod matrix;
mod programs;
mod qemu;
mod report;

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use xtask::{command, privilege, setup, workspace};

use kernels::Kernel;
use matrix::Row;
use programs::Programs;
use report::Report;

const AFTER_HELP: &str = "\
Kernels, busybox and the consoles of the last run are kept in target/vm.

Examples:
  cargo xtask vm
  cargo xtask vm --kernel arch/x86/boot/bzImage";

/// Run the kernel tests on real distribution kernels in QEMU, and a few on this machine's own
///
/// Takes ten to twenty minutes after the build: the CPUs are emulated. Downloads Debian's newest cloud kernels of the
/// series 6.1 and 6.12 and installs QEMU if it is missing. On the machine's own kernel, where `cargo xtask test` runs
/// all tests, a few are run as root; without root and without a sudo that asks for no password it is left out, which
/// with CI=true in the environment is a failure.
#[derive(Parser)]
#[command(name = "cargo xtask vm", bin_name = "cargo xtask vm", max_term_width = 100)]
#[command(after_help = AFTER_HELP)]
struct Arguments {
    /// Boot this image instead of Debian's; may be given several times. It needs a serial console, BTF, and nothing
    /// from modules
    #[arg(long, value_name = "IMAGE")]
    kernel: Vec<PathBuf>,
    /// Let KVM run the virtual machines, which is faster where it works
    #[arg(long)]
    kvm: bool,
}

fn main() -> ExitCode {
    xtask::status(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { kernel, kvm } = arguments;
    if env::consts::ARCH != "x86_64" {
        bail!("the virtual machines are x86-64, and programs for them are built on x86-64 only");
    }
    let attaches_here = attaches_here()?;
    let directory = workspace::target_dir()?.join("vm");
    fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    if !qemu::is_there() {
        setup::packages(&[qemu::PACKAGE], "QEMU, which runs the virtual machines")?;
    }
    let kernels = if kernel.is_empty() {
        kernels::of_debian(&directory)?
    } else {
        kernel
            .iter()
            .map(|image| Kernel::given(image))
            .collect::<Result<_>>()?
    };
    let busybox = kernels::busybox(&directory)?;
    let programs = Programs::build()?;

    let emulated = !kvm;
    let initramfs = directory.join("initramfs");
    fs::write(&initramfs, initramfs::build(&programs, &busybox, emulated)?)
        .with_context(|| format!("cannot write {}", initramfs.display()))?;
    let mut rows = Vec::new();
    for kernel in &kernels {
        for mode in kernel.modes {
            let console = directory.join(format!("{}{}.log", kernel.name, mode.suffix));
            announce(&format!("{}{}", kernel.name, mode.suffix), &console);
            qemu::boot(kernel, mode.parameters, &initramfs, &console, emulated)?;
            let mut row = Row {
                how: if emulated { "QEMU, emulated" } else { "QEMU, KVM" },
                emulated,
                report: judge(&console)?,
            };
            row.report.expect_lockdown(mode.lockdown);
            rows.push(row);
        }
    }
    if attaches_here {
        rows.push(own_kernel(&programs, &directory)?);
    }
    matrix::print(&rows, &mut io::stdout().lock()).context("cannot write to standard output")?;
    let failed = rows.iter().filter(|row| !row.report.problems.is_empty()).count();
    if failed > 0 {
        bail!("{failed} of {} kernels failed", rows.len());
    }
    Ok(())
}

/// Whether this user can attach to processes of this machine's own kernel. Where that has to be, fails otherwise.
fn attaches_here() -> Result<bool> {
    if privilege::is_root() || privilege::sudo_without_password() {
        return Ok(true);
    }
    let needs = "this machine's own kernel needs root, or a sudo that asks for no password (sudo -v)";
    if env::var("CI").as_deref() == Ok("true") {
        bail!("{needs}");
    }
    eprintln!("SKIPPED  {needs}");
    Ok(false)
}

/// Checks this machine's own kernel.
fn own_kernel(programs: &Programs, directory: &Path) -> Result<Row> {
    let script = directory.join("check.sh");
    fs::write(&script, initramfs::CHECK).with_context(|| format!("cannot write {}", script.display()))?;
    let console = directory.join("own.log");
    announce("this machine's own kernel", &console);
    let output = File::create(&console).with_context(|| format!("cannot write {}", console.display()))?;
    // A kernel test that cannot run is a failure here, as in the virtual machines.
    let mut check = privilege::as_root("env");
    // `cargo xtask test` runs all of them here.
    check.args(["CI=true", "observer_tests=counts::"]);
    check.args(programs.check(&script, false));
    // How its steps ended stands in the output.
    check
        .stdout(output)
        .status()
        .with_context(|| format!("cannot run `{}`", command::line(&check)))?;
    Ok(Row {
        how: "this machine",
        emulated: false,
        report: judge(&console)?,
    })
}

fn announce(kernel: &str, console: &Path) {
    eprintln!("Checking {kernel}; its console: {}", console.display());
}

/// Reads a console. That of a kernel that failed is shown: in CI there is no other way to see it.
fn judge(console: &Path) -> Result<Report> {
    let bytes = fs::read(console).with_context(|| format!("cannot read {}", console.display()))?;
    let text = String::from_utf8_lossy(&bytes);
    let report = Report::of(&text);
    if !report.problems.is_empty() {
        eprintln!("{text}");
    }
    Ok(report)
}
