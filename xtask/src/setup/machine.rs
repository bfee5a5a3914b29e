//! What is installed on this machine, as far as setting up is concerned.
//!
//! Everything that asks the machine is here, so that `plan` can be tested with machines that do not exist.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::plan::LINKER_LLVMS;
use crate::command;
use crate::privilege;
use crate::toolchain::{self, Found, Linker};

/// The facts that a plan depends on.
pub(super) struct Machine {
    pub(super) has_rustup: bool,
    /// rustup's nightlies, in order of preference.
    pub(super) rustup: Vec<Found>,
    pub(super) debian: Found,
    pub(super) linker: Option<Linker>,
    /// LLVMs installed with what compiling `bpf-linker` needs of them: major version and prefix.
    pub(super) llvms: Vec<(u32, PathBuf)>,
    /// LLVMs that apt knows, by its lists as they are.
    pub(super) llvms_of_apt: Vec<u32>,
    /// Whether `apt-get` is there.
    pub(super) apt: bool,
    /// Whether commands as root need no sudo, need it, or are out of reach.
    pub(super) root: Root,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Root {
    Yes,
    Sudo,
    No,
}

impl Machine {
    pub(super) fn look() -> Self {
        Self {
            has_rustup: toolchain::rustup_nightlies().is_some(),
            rustup: toolchain::rustup_compilers(),
            debian: toolchain::debian_compiler(),
            linker: toolchain::find_linker(),
            llvms: LINKER_LLVMS
                .filter_map(|major| Some((major, llvm_prefix(major)?)))
                .collect(),
            llvms_of_apt: LINKER_LLVMS.filter(|major| apt_has(*major)).collect(),
            apt: command::succeeds(Command::new("apt-get").arg("--version")),
            root: match (privilege::is_root(), privilege::has_sudo()) {
                (true, _) => Root::Yes,
                (false, true) => Root::Sudo,
                (false, false) => Root::No,
            },
        }
    }

    /// A machine with nothing on it.
    #[cfg(test)]
    pub(super) fn bare() -> Self {
        let absent = || Err(toolchain::Refusal::Absent("nothing there".to_owned()));
        Self {
            has_rustup: false,
            rustup: vec![absent()],
            debian: absent(),
            linker: None,
            llvms: Vec::new(),
            llvms_of_apt: Vec::new(),
            apt: false,
            root: Root::No,
        }
    }
}

/// Where an LLVM with its headers and its shared library is: in the place that Debian gives each version, or where
/// the `llvm-config` on the PATH says, if that one has this version.
fn llvm_prefix(major: u32) -> Option<PathBuf> {
    let asked = || {
        let config = |flag| command::text(Command::new("llvm-config").arg(flag)).ok();
        let version = config("--version")?;
        (version.split('.').next() == Some(&major.to_string())).then_some(())?;
        Some(PathBuf::from(config("--prefix")?.trim()))
    };
    let usual = PathBuf::from(format!("/usr/lib/llvm-{major}"));
    std::iter::once(usual)
        .chain(asked())
        .find(|prefix| is_complete(prefix))
}

fn apt_has(major: u32) -> bool {
    let policy = command::text(Command::new("apt-cache").args(["policy", &format!("llvm-{major}-dev")]));
    policy.is_ok_and(|policy| policy.lines().any(is_candidate))
}

/// Whether a line of `apt-cache policy` names a version that can be installed.
fn is_candidate(line: &str) -> bool {
    line.trim()
        .strip_prefix("Candidate: ")
        .is_some_and(|version| version != "(none)")
}

fn is_complete(prefix: &Path) -> bool {
    let shared = |name: &str| name.starts_with("libLLVM") && name.ends_with(".so");
    let names = fs::read_dir(prefix.join("lib"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name());
    prefix.join("include/llvm-c/Core.h").is_file()
        && names.into_iter().any(|name| name.to_str().is_some_and(shared))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apt_has_what_it_names_a_candidate_of() {
        assert!(is_candidate("  Candidate: 1:22.1.8-1~deb12u1"));
        assert!(!is_candidate("  Candidate: (none)"));
        assert!(!is_candidate("  Installed: 1:22.1.8-1~deb12u1"));
    }
}
