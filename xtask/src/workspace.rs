//! Where the workspace and its build products are, and cargo for the user half.
//!
//! The kernel half has a cargo of its own: see `kernel_half`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::command;

/// The root of the workspace.
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// The target directory in use. This program was built into its `debug`, whatever variable or file set it.
pub fn target_dir() -> Result<PathBuf> {
    let program = env::current_exe().context("cannot tell where this program is")?;
    let directory = program.parent().and_then(Path::parent);
    directory
        .map(Path::to_owned)
        .with_context(|| format!("{} is in no target directory", program.display()))
}

/// The target triple of this machine.
pub(crate) fn host() -> Result<String> {
    let version = command::text(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("`rustc -vV` names no host")
}

/// A cargo command in the workspace, by the same cargo that runs this program.
pub fn cargo(subcommand: &str) -> Command {
    let mut cargo = cargo_here(subcommand);
    cargo.current_dir(root());
    cargo
}

/// A cargo command that leaves this program's own directory the current one: paths that the user gave are from there.
pub(crate) fn cargo_here(subcommand: &str) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.arg(subcommand);
    cargo
}
