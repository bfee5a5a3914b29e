//! Whether this program is root, and running single commands as root.
//!
//! The task runner itself never changes user: cargo as root would leave root's files in the target directory.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::command;

/// The owner of `/proc/self` is the effective user of this process.
pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// A command run as root. Where this program is not root, sudo may ask for a password on the terminal.
pub fn as_root(program: impl AsRef<OsStr>) -> Command {
    if is_root() {
        return Command::new(program);
    }
    let mut sudo = Command::new("sudo");
    sudo.arg(program);
    sudo
}

/// Where this program is not root, has sudo ask for its password now: what comes after takes long, and would be in vain
/// without.
pub fn ask(why: &str) -> Result<()> {
    if is_root() {
        return Ok(());
    }
    eprintln!("{why} takes root: sudo is asked for it now.");
    command::run(Command::new("sudo").arg("-v")).with_context(|| format!("{why} takes root, or sudo"))
}

/// Whether sudo is there and works without asking.
pub fn sudo_without_password() -> bool {
    command::succeeds(Command::new("sudo").args(["-n", "true"]))
}

/// Whether there is a sudo at all.
pub(crate) fn has_sudo() -> bool {
    command::succeeds(Command::new("sudo").arg("--version"))
}
