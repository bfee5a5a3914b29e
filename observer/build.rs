//! Compiles the kernel half and leaves its objects in `$OUT_DIR`, where the loader includes `observer-ebpf`.
//!
//! Which compiler and linker are used, and how, is decided in files that `cargo xtask` shares. This script
//! installs nothing. In a build for fuzzing (`--cfg fuzzing`) there is nothing to do.

#[path = "../xtask/src/command.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "what a build script runs is never the user's to watch; who else runs programs does it by this file, too"
)]
mod command;
#[path = "../xtask/src/kernel_half.rs"]
#[expect(dead_code, reason = "a build script lints nothing")]
mod kernel_half;
#[path = "../xtask/src/toolchain.rs"]
mod toolchain;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};

fn main() -> ExitCode {
    // A fuzz target has no live source, which alone wants the object.
    if env::var_os("CARGO_CFG_FUZZING").is_some() {
        return ExitCode::SUCCESS;
    }
    // Found apart from the compilation: here one line says everything, and cargo prints it as an error of its
    // own only if this script ends well. There the compiler's whole text must be seen, which takes a failure.
    let toolchain = match toolchain::find() {
        Ok(toolchain) => toolchain,
        Err(error) => {
            println!("cargo::error={error:#}");
            return ExitCode::SUCCESS;
        }
    };
    match build(&toolchain) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn build(toolchain: &toolchain::Toolchain) -> Result<()> {
    let manifest = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let workspace = manifest
        .parent()
        .context("CARGO_MANIFEST_DIR has no parent directory")?;
    rerun_if_changed(workspace);

    let out = PathBuf::from(variable("OUT_DIR")?);
    // Not OUT_DIR itself: cargo would wait for its own lock on it, and the object needs the name.
    let built = toolchain.build(
        workspace,
        &out.join("ebpf-target"),
        &variable("CARGO_CFG_TARGET_ARCH")?,
    )?;
    for object in kernel_half::OBJECTS {
        let (from, to) = (built.join(object), out.join(object));
        fs::copy(&from, &to)
            .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    }
    Ok(())
}

fn rerun_if_changed(workspace: &Path) {
    for path in [
        kernel_half::PACKAGE,
        "observer-common",
        "Cargo.toml",
        "Cargo.lock",
        "observer/build.rs",
    ] {
        println!("cargo::rerun-if-changed={}", workspace.join(path).display());
    }
    println!("cargo::rerun-if-env-changed={}", toolchain::CHOICE_VARIABLE);
}

fn variable(name: &str) -> Result<String> {
    env::var(name).with_context(|| format!("cargo did not set {name}"))
}
