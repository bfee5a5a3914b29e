//! The project's own tasks, run as `cargo xtask <command>`.
//!
//! One module per command; what several of them need is beside them. Nothing here is part of the `observer`
//! program, and nothing of `observer` is linked in: this must build where the kernel half does not, yet.

mod bench;
mod build;
mod child;
mod command;
mod demo;
mod fuzz;
mod install;
#[expect(dead_code, reason = "only observer/build.rs builds the kernel half")]
mod kernel_half;
mod lab;
mod privilege;
mod setup;
mod test;
mod tidy;
mod toolchain;
mod vm;
mod workspace;

use std::process::ExitCode;

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
    Demo(demo::Arguments),
    Bench(bench::Arguments),
    Lab(lab::Arguments),
    Vm(vm::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Task::Setup(arguments) => setup::run(&arguments),
        Task::Build(arguments) => build::run(&arguments),
        Task::Install(arguments) => install::run(&arguments),
        Task::Test(arguments) => test::run(&arguments),
        Task::Tidy(arguments) => tidy::run(&arguments),
        Task::Fuzz(arguments) => fuzz::run(&arguments),
        Task::Demo(arguments) => demo::run(&arguments),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Lab(arguments) => lab::run(&arguments),
        Task::Vm(arguments) => vm::run(&arguments),
    };
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
