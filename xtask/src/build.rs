//! `cargo xtask build`: the `observer` program, kernel half included.

use std::path::PathBuf;

use anyhow::Result;

use crate::{command, setup, workspace};

/// Build observer (release unless told otherwise), installing missing toolchain parts first
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask build\n  cargo xtask build --debug")]
pub(crate) struct Arguments {
    /// Optimized build; this is the default
    #[arg(long, conflicts_with = "debug")]
    release: bool,
    /// Unoptimized build of the user half; the kernel half is always optimized
    #[arg(long)]
    debug: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { release: _, debug } = *arguments;
    setup::ensure()?;
    let program = observer(if debug { "dev" } else { "release" }, &[])?;
    eprintln!("Built {}", program.display());
    eprintln!("Next: sudo {} attach --pid N", program.display());
    Ok(())
}

/// Builds the program and some of its examples with a cargo profile; gives the program's path.
pub fn observer(profile: &str, examples: &[&str]) -> Result<PathBuf> {
    let mut cargo = workspace::cargo("build");
    cargo.args(["--profile", profile, "--package", "observer", "--bin", "observer"]);
    for example in examples {
        cargo.args(["--example", example]);
    }
    command::run(&mut cargo)?;
    let directory = if profile == "dev" { "debug" } else { profile };
    Ok(workspace::target_dir()?.join(directory).join("observer"))
}
