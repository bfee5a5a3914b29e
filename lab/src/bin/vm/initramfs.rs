//! What a virtual machine has for a file system: the programs at the paths that they have here, the libraries that
//! they name, busybox, and the script that runs first.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use xtask::command;

use super::cpio::Archive;
use super::programs::Programs;

const INIT: &str = include_str!("init.sh");
pub(super) const CHECK: &str = include_str!("check.sh");

/// Where [`CHECK`] is in the virtual machine.
const CHECK_PATH: &str = "/check.sh";

/// Builds the archive. The tests know where the programs are by absolute paths that were compiled in, so every
/// program is where it is on this machine.
pub(super) fn build(programs: &Programs, busybox: &Path, emulated: bool) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for directory in ["/proc", "/sys", "/dev", "/tmp"] {
        archive.directory(Path::new(directory));
    }
    archive.file(Path::new("/init"), INIT.as_bytes());
    archive.file(Path::new(CHECK_PATH), CHECK.as_bytes());
    let words = programs.check(Path::new(CHECK_PATH), emulated);
    let call = command::line(Command::new(&words[0]).args(&words[1..]));
    archive.file(Path::new("/call.sh"), call.as_bytes());
    add(&mut archive, busybox, Path::new("/bin/busybox"))?;

    let mut files: BTreeSet<PathBuf> = BTreeSet::new();
    for program in programs.files() {
        files.extend(libraries(&program)?);
        files.insert(program);
    }
    // busybox has a taskset too, without the long options that the tests use.
    let taskset = Path::new("/usr/bin/taskset");
    files.extend(libraries(taskset)?);
    add(&mut archive, taskset, Path::new("/bin/taskset"))?;
    for file in &files {
        add(&mut archive, file, file)?;
    }
    Ok(archive.finish())
}

fn add(archive: &mut Archive, from: &Path, to: &Path) -> Result<()> {
    let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    archive.file(to, &content);
    Ok(())
}

/// The shared libraries of a program, the loader among them.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let text = command::text(Command::new("ldd").arg(program))?;
    Ok(paths(&text))
}

/// Absolute paths in the output of `ldd`: `libc.so.6 => /lib/libc.so.6 (0x…)`, `/lib64/ld-linux-x86-64.so.2 (0x…)`.
fn paths(text: &str) -> Vec<PathBuf> {
    text.split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_the_paths_that_ldd_prints() {
        let text = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f0)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f1)\n";
        let expected = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from);
        assert_eq!(paths(text), expected);
    }
}
