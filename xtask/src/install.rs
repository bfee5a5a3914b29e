//! `cargo xtask install`: puts the program where `sudo observer` finds it.
//!
//! sudo looks in its own list of directories, not in the caller's PATH, so `cargo install` would not do.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::{build, command, privilege, setup};

/// Build observer and put it where sudo finds it
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask install\n  cargo xtask install --prefix ~/.local")]
pub(crate) struct Arguments {
    /// The program becomes PREFIX/bin/observer
    #[arg(long, default_value = "/usr/local")]
    prefix: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    setup::ensure()?;
    let program = build::observer("release", &[])?;
    let destination = arguments.prefix.join("bin/observer");
    match copy(&program, &destination) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && !privilege::is_root() => {
            eprintln!("{} is not yours to write: using sudo", destination.display());
            let mut install = privilege::as_root("install");
            install.args(["-D", "-m", "0755"]).arg(&program).arg(&destination);
            command::run(&mut install)?;
        }
        result => result.with_context(|| format!("cannot write {}", destination.display()))?,
    }
    eprintln!("Installed {}", destination.display());
    eprintln!("Next: sudo observer attach --pid N");
    Ok(())
}

/// Replaces the destination in one step: a running observer keeps the file it was started from.
fn copy(program: &Path, destination: &Path) -> io::Result<()> {
    if let Some(directory) = destination.parent() {
        fs::create_dir_all(directory)?;
    }
    let new = destination.with_extension("new");
    fs::copy(program, &new)?;
    fs::rename(&new, destination)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_replaces_what_was_there_and_creates_directories() {
        let directory = std::env::temp_dir().join(format!("xtask-install-{}", std::process::id()));
        let destination = directory.join("bin/observer");
        let program = directory.join("built");
        fs::create_dir_all(&directory).unwrap();
        for content in ["first", "second"] {
            fs::write(&program, content).unwrap();
            copy(&program, &destination).unwrap();
            assert_eq!(fs::read_to_string(&destination).unwrap(), content);
        }
        assert!(!destination.with_extension("new").exists());
        fs::remove_dir_all(&directory).unwrap();
    }
}
