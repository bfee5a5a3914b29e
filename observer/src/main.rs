//! The command line. A table of contents: each command is a module of [`cli`].

mod cli;

use std::process::ExitCode;

use clap::Parser as _;

use cli::args::{Arguments, Command};

fn main() -> ExitCode {
    cli::memory();
    let arguments = Arguments::parse();
    cli::diagnostics(arguments.verbose);
    cli::exit::code(match arguments.command {
        Command::Attach(arguments) => cli::attach::run(&arguments),
        Command::Record(arguments) => cli::record::run(&arguments),
        Command::Replay(arguments) => cli::replay::run(&arguments),
        Command::Doctor => cli::doctor::run(),
    })
}
