//! The cargo commands that compile the kernel half.
//!
//! It takes a toolchain as found and does not look for one. Like `toolchain.rs` it is also part of
//! `observer/build.rs`, where cargo runs inside cargo.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::command;
use crate::toolchain::{self, Origin, SYSTEM_RUSTC, Toolchain};

/// The target triple of the kernel half. Little-endian, as every machine observer supports.
const TARGET: &str = "bpfel-unknown-none";

/// Package of the kernel half, and name of its object.
pub(crate) const PACKAGE: &str = "observer-ebpf";

/// The objects that it is compiled to: the kernel half itself, and programs that do nothing, for benchmarks.
pub(crate) const OBJECTS: [&str; 2] = [PACKAGE, "observer-ebpf-empty"];

/// Clippy of the distribution's compiler.
pub(crate) const SYSTEM_CLIPPY: &str = "/usr/bin/cargo-clippy";

impl Toolchain {
    /// Builds the kernel half of the workspace for a machine of architecture `arch` (as `std::env::consts::ARCH`
    /// names it). Gives the directory of its objects; on failure the compiler's own words are the error.
    pub(crate) fn build(&self, workspace: &Path, target_dir: &Path, arch: &str) -> Result<PathBuf> {
        let mut build = self.cargo("build", workspace, target_dir, arch);
        command::output(build.args(["--release", "--bins"]))?;
        Ok(target_dir.join(TARGET).join("release"))
    }

    /// Lints the kernel half; warnings are errors.
    pub(crate) fn clippy(&self, workspace: &Path, target_dir: &Path, arch: &str) -> Command {
        let mut clippy = self.cargo("clippy", workspace, target_dir, arch);
        clippy.args(["--release", "--bins", "--", "--deny", "warnings"]);
        clippy
    }

    /// A cargo of its own for the kernel half: nothing that the cargo around it has set reaches it.
    fn cargo(&self, subcommand: &str, workspace: &Path, target_dir: &Path, arch: &str) -> Command {
        let mut cargo = self.program(subcommand);
        cargo.args([
            "-Z",
            "build-std=core",
            "--target",
            TARGET,
            "--package",
            PACKAGE,
            "--target-dir",
        ]);
        cargo.arg(target_dir).current_dir(workspace);
        cargo.env("CARGO_ENCODED_RUSTFLAGS", self.rustflags(arch));
        cargo
    }

    fn program(&self, subcommand: &str) -> Command {
        let outer = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut program = match &self.compiler.origin {
            Origin::Rustup(_) => toolchain::rustup(),
            // The clippy of the outer cargo belongs to another compiler.
            Origin::Debian if subcommand == "clippy" => Command::new(SYSTEM_CLIPPY),
            Origin::Debian => Command::new(&outer),
        };
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(leaks) {
                program.env_remove(name);
            }
        }
        match &self.compiler.origin {
            Origin::Rustup(name) => program.args(["run", name, "cargo"]),
            Origin::Debian => program
                .env("CARGO", outer)
                .env("RUSTC", SYSTEM_RUSTC)
                .env("RUSTC_BOOTSTRAP", "1"),
        };
        program.arg(subcommand);
        program
    }

    /// Flags in cargo's encoding, which allows for spaces in the linker's path.
    fn rustflags(&self, arch: &str) -> OsString {
        let mut flags = OsString::from("-Clinker=");
        flags.push(&self.linker.path);
        // The kernel wants BTF, which bpf-linker makes from debug information. aya-ebpf has the registers of
        // each architecture behind `bpf_target_arch`.
        for flag in [
            "-Cdebuginfo=2",
            "-Clink-arg=--btf",
            &format!("--cfg=bpf_target_arch=\"{arch}\""),
        ] {
            flags.push("\x1f");
            flags.push(flag);
        }
        flags
    }
}

/// Whether an environment variable is the outer cargo's, rustup's or clippy's word on how to compile. The inner
/// cargo must not hear it: it would compile for the wrong target, with the wrong compiler, or through clippy.
/// Where cargo finds its home, network and job server stays.
fn leaks(name: &str) -> bool {
    const KEPT: &[&str] = &["CARGO_HOME", "CARGO_MAKEFLAGS"];
    const KEPT_FAMILIES: &[&str] = &[
        "CARGO_HTTP_",
        "CARGO_NET_",
        "CARGO_REGISTR",
        "CARGO_SOURCE_",
        "CARGO_TERM_",
    ];
    const DROPPED: &[&str] = &[
        "CARGO",
        "__CARGO",
        "RUSTC",
        "RUSTDOC",
        "RUSTFLAGS",
        "RUSTUP_TOOLCHAIN",
        "CLIPPY",
    ];
    let kept = KEPT.contains(&name) || KEPT_FAMILIES.iter().any(|family| name.starts_with(family));
    !kept && DROPPED.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toolchain::{Compiler, Linker};

    #[test]
    fn the_outer_build_does_not_reach_the_inner_one() {
        for name in [
            "RUSTC",
            "RUSTC_WORKSPACE_WRAPPER",
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_TARGET_DIR",
        ] {
            assert!(leaks(name), "{name}");
        }
        for name in [
            "CLIPPY_ARGS",
            "CARGO_BUILD_TARGET",
            "RUSTUP_TOOLCHAIN",
            "CARGO_PROFILE_RELEASE_DEBUG",
        ] {
            assert!(leaks(name), "{name}");
        }
        for name in [
            "PATH",
            "CARGO_HOME",
            "CARGO_MAKEFLAGS",
            "CARGO_NET_OFFLINE",
            "RUSTUP_HOME",
            "RUST_BACKTRACE",
        ] {
            assert!(!leaks(name), "{name}");
        }
    }

    #[test]
    fn flags_keep_a_linker_path_with_spaces_in_one_piece() {
        let compiler = Compiler {
            origin: Origin::Debian,
            release: "1.96.0".to_owned(),
            llvm: 22,
        };
        let linker = Linker {
            path: PathBuf::from("/a b/bpf-linker"),
            llvm: None,
        };
        let flags = Toolchain { compiler, linker }
            .rustflags("x86_64")
            .into_string()
            .unwrap();
        let flags: Vec<&str> = flags.split('\x1f').collect();
        assert_eq!(flags[0], "-Clinker=/a b/bpf-linker");
        assert!(flags.contains(&"--cfg=bpf_target_arch=\"x86_64\""));
    }
}
