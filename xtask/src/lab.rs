//! `cargo xtask lab`, `demo`, `bench` and `vm`: programs of the package `lab`, which are compiled only when they are
//! asked for.
//!
//! This program becomes theirs, by way of cargo. So a Ctrl-C reaches who cleans up after it, and how they end is how
//! this ends.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;

use anyhow::{Context as _, Result};

use crate::{command, workspace};

/// What the program takes, `--help` too.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// What `--help` after the command's name lists
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Becomes the program; comes back only with an error.
pub(crate) fn run(program: &str, arguments: &Arguments) -> Result<()> {
    let mut cargo = workspace::cargo_here("run");
    cargo
        .arg("--manifest-path")
        .arg(workspace::root().join("Cargo.toml"));
    cargo.args(["--package", "lab", "--bin", program, "--"]);
    cargo.args(&arguments.arguments);
    Err(cargo.exec()).with_context(|| format!("cannot run `{}`", command::line(&cargo)))
}
