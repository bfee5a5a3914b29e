//! `cargo xtask fuzz`: runs the fuzz targets of `fuzz/` for a fixed number of executions.
//!
//! libFuzzer asks the compiler for coverage counters only, which a stable compiler gives: the code under test has no
//! `unsafe` for a sanitizer to look at. So neither a nightly nor cargo-fuzz is needed, though `fuzz/` is laid out for
//! cargo-fuzz too. What was reached is kept in the target directory and taken up again by the next run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{command, workspace};

/// The targets, and the longest input of each, bytes.
const TARGETS: &[(&str, u32)] = &[("recording", 16_384), ("head", 192), ("code", 1024)];

/// What makes the compiler count which edges of the code an input reaches and which values it compares: the flags of
/// cargo-fuzz 0.13 without a sanitizer. `fuzzing` leaves the kernel half out.
const FLAGS: &[&str] = &[
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "-Ccodegen-units=1",
];

/// Slower inputs than this are findings: a stranger could keep observer busy with them.
const SLOWEST_S: u32 = 10;

/// Feed what reads bytes from strangers with inputs made to break it
///
/// Needs a C++ compiler, for libFuzzer. The same seed each time: the same inputs, as long as nothing changed and
/// nothing was kept from a run before.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask fuzz
  cargo xtask fuzz --runs 1000000

With cargo-fuzz (cargo install cargo-fuzz), without an end:
  cargo fuzz run --sanitizer none recording fuzz/corpus/recording fuzz/seeds/recording")]
pub(crate) struct Arguments {
    /// Executions of each target
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { runs } = *arguments;
    let target_dir = workspace::target_dir()?.join("fuzz");
    let programs = build(&target_dir)?;
    for (name, longest_bytes) in TARGETS {
        let [corpus, findings] = ["corpus", "findings"].map(|kind| target_dir.join(kind).join(name));
        for directory in [&corpus, &findings] {
            fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        }
        let program = programs.join(name);
        let mut fuzz = Command::new(&program);
        fuzz.args([
            format!("-runs={runs}"),
            "-seed=1".to_owned(),
            format!("-max_len={longest_bytes}"),
            format!("-timeout={SLOWEST_S}"),
            format!("-artifact_prefix={}/", findings.display()),
            "-verbosity=0".to_owned(),
        ]);
        // What is found anew is kept in the first.
        fuzz.args([&corpus, &seeds(name)]);
        eprintln!("$ {}", command::line(&fuzz));
        if let Err(error) = command::run(&mut fuzz) {
            bail!(
                "{error:#}\nThe input is the newest file in {}; with it alone: {} FILE",
                findings.display(),
                program.display()
            );
        }
        eprintln!("{name}: {runs} runs without a finding");
    }
    Ok(())
}

/// Builds the targets; gives the directory that they are in.
fn build(target_dir: &Path) -> Result<PathBuf> {
    let host = workspace::host()?;
    let mut cargo = workspace::cargo("build");
    cargo
        .args(["--locked", "--release", "--bins", "--manifest-path"])
        .arg(workspace::root().join("fuzz/Cargo.toml"))
        // With a target named, the flags reach neither build scripts nor macros.
        .args(["--target", &host, "--target-dir"])
        .arg(target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f"));
    command::run(&mut cargo)
        .context("if a C++ compiler is missing, which libFuzzer is built with: apt-get install g++")?;
    Ok(target_dir.join(host).join("release"))
}

/// Inputs to begin with.
fn seeds(target: &str) -> PathBuf {
    workspace::root().join("fuzz/seeds").join(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_its_source_and_seeds_that_are_short_enough() {
        for (name, longest_bytes) in TARGETS {
            let source = format!("fuzz/fuzz_targets/{name}.rs");
            assert!(workspace::root().join(&source).is_file(), "{source}");
            let seeds: Vec<_> = fs::read_dir(seeds(name)).unwrap().flatten().collect();
            assert!(!seeds.is_empty(), "{name} has no seeds");
            for seed in seeds {
                assert!(
                    seed.metadata().unwrap().len() <= u64::from(*longest_bytes),
                    "{seed:?}"
                );
            }
        }
    }
}
