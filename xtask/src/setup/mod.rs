//! `cargo xtask setup`: gets what building the kernel half needs, and says what it does.
//!
//! `machine` looks at what is there, `plan` decides without touching anything what to install, and this file
//! does it, one step at a time, looking again after each. Only the kernel half's toolchain is set up here: a
//! machine that runs this has cargo and a C linker already.

mod machine;
mod plan;

use std::time::Instant;

use anyhow::{Result, bail};

use crate::command;
use crate::toolchain::{self, Choice, Toolchain};
use machine::Machine;
use plan::{Route, Step};

const AFTER_HELP: &str = "\
Two compilers will do; the first that can be had is used:
  rustup   a nightly with the rust-src component
  debian   the packages rustc-web and rust-web-src
OBSERVER_EBPF_TOOLCHAIN=rustup or =debian allows only that one, here and in every build.

Examples:
  cargo xtask setup
  cargo xtask setup --check
  OBSERVER_EBPF_TOOLCHAIN=debian cargo xtask setup";

/// Install what building the kernel half needs: a compiler with unstable features, and bpf-linker
///
/// Changes nothing when everything is there. Uses sudo for apt packages only.
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// Print what is missing and fail, without installing anything
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { check } = *arguments;
    if check && toolchain::find().is_err() {
        let machine = Machine::look();
        describe(&machine);
        bail!("something is missing.\n{}", by_hand(&machine, &routes()?));
    }
    let toolchain = found()?;
    eprintln!("compiler: {}", toolchain.compiler);
    eprintln!("linker:   {}", toolchain.linker);
    eprintln!("Everything that building needs is there.");
    Ok(())
}

/// Installs the toolchain if it is not there.
pub fn ensure() -> Result<()> {
    found().map(drop)
}

/// The toolchain, installed if it is not there.
pub(crate) fn found() -> Result<Toolchain> {
    toolchain::find().or_else(|_| install())
}

/// Installs packages of the distribution that a command needs beside the toolchain.
pub fn packages(packages: &[&str], what: &str) -> Result<()> {
    let step = plan::apt_install(&Machine::look(), packages, what).map_err(anyhow::Error::msg)?;
    take(&step)
}

/// The routes that the user allows, the preferred one first.
fn routes() -> Result<Vec<Route>> {
    Ok(match toolchain::choice()? {
        None => vec![Route::Rustup, Route::Debian],
        Some(Choice::Rustup) => vec![Route::Rustup],
        Some(Choice::Debian) => vec![Route::Debian],
    })
}

fn install() -> Result<Toolchain> {
    let routes = routes()?;
    describe(&Machine::look());
    for route in &routes {
        match follow(*route) {
            Ok(()) => return toolchain::find(),
            Err(error) => eprintln!("{}: {error:#}", route.name()),
        }
    }
    bail!(
        "setup could not get everything.\n{}",
        by_hand(&Machine::look(), &routes)
    )
}

fn describe(machine: &Machine) {
    eprintln!("Building observer's kernel half needs a compiler with unstable features, and bpf-linker.");
    for found in machine.rustup.iter().chain([&machine.debian]) {
        match found {
            Ok(compiler) => eprintln!("  compiler: {compiler}"),
            Err(refusal) => eprintln!("  compiler: missing: {refusal}"),
        }
    }
    match &machine.linker {
        Some(linker) => eprintln!("  linker:   {linker}"),
        None => eprintln!("  linker:   missing: bpf-linker"),
    }
}

/// Takes the steps of one route until none is left. A step that changed nothing is not tried twice.
fn follow(route: Route) -> Result<()> {
    let mut taken: Vec<Step> = Vec::new();
    loop {
        let steps = plan::steps(route, &Machine::look()).map_err(anyhow::Error::msg)?;
        let Some(step) = steps.into_iter().next() else {
            return Ok(());
        };
        if taken.contains(&step) {
            bail!("`{}` ended well and did not help", step.line());
        }
        take(&step)?;
        taken.push(step);
    }
}

fn take(step: &Step) -> Result<()> {
    eprintln!("Installing {} ({}):", step.what, step.duration);
    let start = Instant::now();
    if step.from_apt {
        // Package lists are often missing or stale. A mirror that fails here may still have what is needed.
        let mut update = plan::apt_update(step);
        eprintln!("  {}", command::line(&update));
        command::run(&mut update).unwrap_or_else(|error| eprintln!("  {error:#}: going on without"));
    }
    eprintln!("  {}", step.line());
    command::run(&mut step.command())?;
    eprintln!("Done after {} s.", start.elapsed().as_secs());
    Ok(())
}

/// The commands that would do what this program could not, by route.
fn by_hand(machine: &Machine, routes: &[Route]) -> String {
    let mut text = String::from("By hand, whichever suits:");
    for route in routes {
        let steps = match plan::steps(*route, machine) {
            Ok(steps) => steps
                .iter()
                .map(|step| format!("\n    {}", step.line()))
                .collect(),
            Err(reason) => format!("\n    not here: {reason}"),
        };
        // Where only the linker is missing, all routes are the same.
        if !text.ends_with(&steps) {
            text.push_str(&format!("\n  {}:{steps}", route.name()));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_the_variable_that_forces_a_compiler() {
        assert!(AFTER_HELP.contains(toolchain::CHOICE_VARIABLE));
    }

    #[test]
    fn where_nothing_can_be_installed_the_reasons_are_told() {
        let text = by_hand(&Machine::bare(), &[Route::Rustup, Route::Debian]);
        assert!(text.contains("rustup:\n    not here: "), "{text}");
        assert!(text.contains("debian:\n    not here: "), "{text}");
    }
}
