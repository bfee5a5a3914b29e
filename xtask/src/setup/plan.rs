//! Decides which commands make the missing parts of the toolchain, from facts about the machine.
//!
//! Pure: it asks the machine nothing and runs nothing. A plan is made anew after each step, so a later step may
//! rest on a guess, such as the LLVM inside a nightly that is not there yet.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::Command;

use super::machine::{Machine, Root};
use crate::command;
use crate::toolchain::{Compiler, Origin, Refusal};

/// The release of bpf-linker that this project is built and tested with.
const LINKER_VERSION: &str = "0.13.0";

/// Majors of LLVM that this release can be compiled against: it has a feature for each.
pub(super) const LINKER_LLVMS: RangeInclusive<u32> = 21..=23;

/// The nightly that is installed where none will do. Not the latest: its LLVM grows older or younger than any that
/// a distribution packages, and bpf-linker must be compiled against one at least as young.
const NIGHTLY: &str = "nightly-2026-05-20";

/// The LLVM inside [`NIGHTLY`] and inside Debian's compiler.
const EXPECTED_LLVM: u32 = 22;

/// A way to a complete toolchain, by where the compiler comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Rustup,
    Debian,
}

impl Route {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rustup => "rustup",
            Self::Debian => "debian",
        }
    }
}

/// One command that installs something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// What it installs, in words.
    pub(super) what: String,
    /// How long it takes on two slow cores.
    pub(super) duration: &'static str,
    /// Whether the package lists matter to it.
    pub(super) from_apt: bool,
    sudo: bool,
    variable: Option<(&'static str, PathBuf)>,
    words: Vec<String>,
}

impl Step {
    pub(super) fn command(&self) -> Command {
        let mut words = self
            .sudo
            .then_some("sudo")
            .into_iter()
            .chain(self.words.iter().map(String::as_str));
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        if let Some((name, value)) = &self.variable {
            command.env(name, value);
        }
        command
    }

    /// As a shell takes it.
    pub(super) fn line(&self) -> String {
        let line = command::line(&self.command());
        match &self.variable {
            Some((name, value)) => format!("{name}={} {line}", value.display()),
            None => line,
        }
    }
}

/// What is still to be done on a route, in order; or why it leads nowhere on this machine.
pub(super) fn steps(route: Route, machine: &Machine) -> Result<Vec<Step>, String> {
    let found = match route {
        Route::Rustup => &machine.rustup[..],
        Route::Debian => std::slice::from_ref(&machine.debian),
    };
    let usable: Vec<&Compiler> = found.iter().flatten().collect();
    let mut steps = Vec::new();
    let llvm = match best(&usable, machine) {
        Some(compiler) => compiler.llvm,
        None => {
            let (step, llvm) = match route {
                Route::Rustup => nightly(machine)?,
                Route::Debian => (debian_compiler(machine)?, EXPECTED_LLVM),
            };
            steps.push(step);
            llvm
        }
    };
    if !linker_reads(machine, llvm) {
        steps.extend(linker(machine, llvm)?);
    }
    Ok(steps)
}

/// A compiler that the installed linker fits, or else one that a linker can be had for.
fn best<'a>(compilers: &[&'a Compiler], machine: &Machine) -> Option<&'a Compiler> {
    let fitting = compilers
        .iter()
        .find(|compiler| linker_reads(machine, compiler.llvm));
    fitting
        .or_else(|| {
            compilers
                .iter()
                .find(|compiler| linker_can_be_had(machine, compiler.llvm))
        })
        .copied()
}

fn linker_reads(machine: &Machine, llvm: u32) -> bool {
    machine.linker.as_ref().is_some_and(|linker| linker.reads(llvm))
}

/// On a fresh machine apt's lists may be empty: that it does not know the expected LLVM means little.
fn linker_can_be_had(machine: &Machine, llvm: u32) -> bool {
    let installed = machine.llvms.iter().any(|(major, _)| *major == llvm);
    let packaged = machine.llvms_of_apt.contains(&llvm) || llvm == EXPECTED_LLVM;
    LINKER_LLVMS.contains(&llvm) && (installed || packaged)
}

/// How to get a nightly, and the LLVM in it.
fn nightly(machine: &Machine) -> Result<(Step, u32), String> {
    if !machine.has_rustup {
        return Err("rustup is not installed".to_owned());
    }
    let incomplete = machine.rustup.iter().filter_map(|found| match found {
        Err(Refusal::NoSources(compiler)) => Some(compiler),
        _ => None,
    });
    let incomplete: Vec<&Compiler> = incomplete.collect();
    let (what, words, llvm) = match best(&incomplete, machine) {
        // Only what is missing: an update would replace a nightly that others on this machine rely on.
        Some(Compiler {
            origin: Origin::Rustup(name),
            llvm,
            ..
        }) => (
            format!("the library sources of {name}"),
            format!("rustup component add rust-src clippy --toolchain {name}"),
            *llvm,
        ),
        _ => (
            "a nightly Rust with its library sources".to_owned(),
            format!(
                "rustup toolchain install {NIGHTLY} --profile minimal --component rust-src --component clippy"
            ),
            EXPECTED_LLVM,
        ),
    };
    let words = words.split(' ').map(str::to_owned).collect();
    let step = Step {
        what,
        duration: "about a minute",
        from_apt: false,
        sudo: false,
        variable: None,
        words,
    };
    Ok((step, llvm))
}

fn debian_compiler(machine: &Machine) -> Result<Step, String> {
    apt_install(
        machine,
        &["rustc-web", "rust-web-src", "rust-web-clippy"],
        "the distribution's Rust compiler",
    )
}

/// Compiling the linker needs the headers and the shared library of LLVM, and libstdc++ to link it.
fn linker(machine: &Machine, llvm: u32) -> Result<Vec<Step>, String> {
    if !LINKER_LLVMS.contains(&llvm) {
        let (first, last) = (LINKER_LLVMS.start(), LINKER_LLVMS.end());
        return Err(format!(
            "the compiler has LLVM {llvm}; bpf-linker {LINKER_VERSION} takes LLVM {first} to {last}"
        ));
    }
    let mut steps = Vec::new();
    let installed = machine.llvms.iter().find(|(major, _)| *major == llvm);
    let prefix = match installed {
        Some((_, prefix)) => prefix.clone(),
        None => {
            let package = format!("llvm-{llvm}-dev");
            steps.push(apt_install(
                machine,
                &[&package, "g++"],
                &format!("LLVM {llvm}, for bpf-linker"),
            )?);
            PathBuf::from(format!("/usr/lib/llvm-{llvm}"))
        }
    };
    let words = format!(
        "cargo install bpf-linker --version {LINKER_VERSION} --no-default-features --features llvm-{llvm} --locked --force"
    );
    steps.push(Step {
        what: format!("bpf-linker {LINKER_VERSION}, compiled from source"),
        duration: "one to two minutes",
        from_apt: false,
        sudo: false,
        variable: Some(("LLVM_PREFIX", prefix)),
        words: words.split(' ').map(str::to_owned).collect(),
    });
    Ok(steps)
}

/// Installs packages of the distribution.
pub(super) fn apt_install(machine: &Machine, packages: &[&str], what: &str) -> Result<Step, String> {
    let list = packages.join(" ");
    if !machine.apt {
        return Err(format!("there is no apt-get to install {list}"));
    }
    let words = ["apt-get", "install", "--yes", "--no-install-recommends"];
    // A fresh machine upgrades itself, and only one may install at a time.
    let patient = ["--option", "DPkg::Lock::Timeout=300"];
    let words = words.iter().chain(&patient).chain(packages);
    let step = Step {
        what: what.to_owned(),
        duration: "about a minute",
        from_apt: true,
        sudo: machine.root == Root::Sudo,
        variable: None,
        words: words.map(|word| (*word).to_owned()).collect(),
    };
    if machine.root == Root::No {
        return Err(format!(
            "it takes root, and there is no sudo; as root: {}",
            command::line(&step.command())
        ));
    }
    Ok(step)
}

/// Fetches apt's package lists.
pub(super) fn apt_update(step: &Step) -> Command {
    Step {
        words: vec!["apt-get".to_owned(), "update".to_owned(), "--quiet".to_owned()],
        ..step.clone()
    }
    .command()
}

#[cfg(test)]
mod tests;
