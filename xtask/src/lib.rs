//! The project's own tasks, and what the programs that run observer share with them: how it is built, and how other
//! programs are called.
//!
//! One module per command; what several of them need is beside them. Nothing here is part of the `observer`
//! program, and nothing of `observer` is linked in: this must build where the kernel half does not, yet.

pub mod build;
pub mod command;
mod fuzz;
mod install;
#[expect(dead_code, reason = "only observer/build.rs builds the kernel half")]
mod kernel_half;
mod lab;
pub mod privilege;
pub mod setup;
mod test;
mod tidy;
mod toolchain;
pub mod workspace;

use std::io::{ErrorKind, Write as _, stdout};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

/// Sets up, builds, tests and shows observer.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
#[command(
    after_help = "On a fresh machine:\n  cargo xtask demo   see it explain a slow server\n  cargo xtask test   run every test"
)]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    Setup(setup::Arguments),
    Build(build::Arguments),
    Install(install::Arguments),
    Test(test::Arguments),
    Tidy(tidy::Arguments),
    Fuzz(fuzz::Arguments),
    /// Show observer at work: start a server with known faults and a load, attach, explain, stop everything
    Demo(lab::Arguments),
    /// Measure what observer costs a server, beside nothing, empty programs and other tools, in pairs
    Bench(lab::Arguments),
    /// Judge observer by known truth: inject faults into a server, and see whether they are named
    Lab(lab::Arguments),
    /// Run the kernel tests on real distribution kernels in QEMU, and a few on this machine's own
    Vm(lab::Arguments),
}

/// Runs the task that the command line names.
pub fn run() -> ExitCode {
    status(match Arguments::parse().command {
        Task::Setup(arguments) => setup::run(&arguments),
        Task::Build(arguments) => build::run(&arguments),
        Task::Install(arguments) => install::run(&arguments),
        Task::Test(arguments) => test::run(&arguments),
        Task::Tidy(arguments) => tidy::run(&arguments),
        Task::Fuzz(arguments) => fuzz::run(&arguments),
        Task::Demo(arguments) => lab::run("demo", &arguments),
        Task::Bench(arguments) => lab::run("bench", &arguments),
        Task::Lab(arguments) => lab::run("lab", &arguments),
        Task::Vm(arguments) => lab::run("vm", &arguments),
    })
}

/// Writes lines to standard output. Whoever reads may have read enough and be gone: that is no failure.
pub fn print(lines: &str) -> Result<()> {
    let mut out = stdout().lock();
    match writeln!(out, "{lines}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}

/// How a program ends whose work came to this; tells the error.
pub fn status(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_does() {
        for command in Arguments::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
        }
    }
}
