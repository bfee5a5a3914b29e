//! `cargo xtask test`: every check of the project, in one command.
//!
//! Each check is an ordinary command, printed before it runs, so that one that fails can be repeated alone. The
//! live kernel tests are integration tests of `observer` that skip without root; here they get it where possible.

use std::env;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::toolchain::{Origin, Toolchain};
use crate::{command, kernel_half, privilege, setup, tidy, workspace};

/// Run every test: formatting, lints of both halves, unit and kernel tests, scripts, tidiness
///
/// The kernel tests need root. Without it they run through sudo if that asks for no password, and are skipped
/// otherwise; with CI=true in the environment a skipped kernel test is a failure.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask test\n  sudo -v && cargo xtask test")]
pub(crate) struct Arguments {}

type Check = fn(&Toolchain) -> Result<Outcome>;

enum Outcome {
    Passed,
    /// Not run, and what it would have needed.
    Skipped(String),
}

const CHECKS: &[(&str, Check)] = &[
    ("formatting", formatting),
    ("lints of the user half", user_lints),
    ("lints of the kernel half", kernel_lints),
    ("tests", unit_and_integration_tests),
    ("kernel tests as root", kernel_tests),
    ("tests of the scripts", scripts),
    ("tidiness", tidiness),
];

pub(crate) fn run(_: &Arguments) -> Result<()> {
    let toolchain = setup::found()?;
    let mut results = Vec::new();
    for (name, check) in CHECKS {
        eprintln!("\n== {name}");
        let start = Instant::now();
        let result = check(&toolchain);
        if let Err(error) = &result {
            eprintln!("{name}: {error:#}");
        }
        results.push((*name, result, start.elapsed()));
    }
    eprintln!();
    for (name, result, took) in &results {
        let seconds = took.as_secs_f32();
        match result {
            Ok(Outcome::Passed) => eprintln!("ok       {name} ({seconds:.1} s)"),
            Ok(Outcome::Skipped(needs)) => eprintln!("SKIPPED  {name}: {needs}"),
            Err(_) => eprintln!("FAILED   {name} ({seconds:.1} s)"),
        }
    }
    all_passed(results.iter().map(|(name, result, _)| (*name, result)))
}

/// An error if one failed. Checks go on to the end whatever fails, so that one run shows everything that is wrong.
fn all_passed<'a>(results: impl Iterator<Item = (&'a str, &'a Result<Outcome>)>) -> Result<()> {
    let failed: Vec<&str> = results
        .filter(|(_, result)| result.is_err())
        .map(|(name, _)| name)
        .collect();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

/// Live tests say how much stays unexplained, also where that is no more than is allowed.
const SHOWS_WHAT_TESTS_SAY: [&str; 2] = ["--", "--show-output"];

fn show(command: &mut Command) -> Result<Outcome> {
    eprintln!("$ {}", command::line(command));
    command::run(command)?;
    Ok(Outcome::Passed)
}

fn formatting(_: &Toolchain) -> Result<Outcome> {
    let fuzz = workspace::root().join("fuzz/Cargo.toml");
    show(
        workspace::cargo("fmt")
            .args(["--check", "--manifest-path"])
            .arg(fuzz),
    )?;
    show(workspace::cargo("fmt").args(["--all", "--check"]))
}

fn user_lints(_: &Toolchain) -> Result<Outcome> {
    let mut clippy = workspace::cargo("clippy");
    clippy.args(["--workspace", "--exclude", kernel_half::PACKAGE, "--all-targets"]);
    show(clippy.args(["--", "--deny", "warnings"]))
}

fn kernel_lints(toolchain: &Toolchain) -> Result<Outcome> {
    let target_dir = workspace::target_dir()?.join("kernel-half");
    let mut clippy = toolchain.clippy(workspace::root(), &target_dir, env::consts::ARCH);
    show(&mut clippy).with_context(|| match &toolchain.compiler.origin {
        Origin::Rustup(name) => {
            format!("if clippy is missing: rustup component add clippy --toolchain {name}")
        }
        Origin::Debian => format!(
            "if {} is missing: apt-get install rust-web-clippy",
            kernel_half::SYSTEM_CLIPPY
        ),
    })
}

fn unit_and_integration_tests(_: &Toolchain) -> Result<Outcome> {
    // By itself, as the live tests build it: its crates are compiled once.
    show(workspace::cargo("test").args(["--package", "testbed"]))?;
    let mut cargo = workspace::cargo("test");
    if kernel_tests_use_sudo() {
        // Here a kernel test may skip, because it runs again as root.
        cargo.env_remove("CI");
    }
    show(cargo.args(SHOWS_WHAT_TESTS_SAY))
}

fn kernel_tests_use_sudo() -> bool {
    !privilege::is_root() && privilege::sudo_without_password()
}

fn kernel_tests(_: &Toolchain) -> Result<Outcome> {
    if privilege::is_root() {
        eprintln!("This is root: they ran with the other tests.");
        return Ok(Outcome::Passed);
    }
    if !kernel_tests_use_sudo() {
        return Ok(Outcome::Skipped(
            "needs root, or a sudo that asks for no password (sudo -v)".to_owned(),
        ));
    }
    // cargo itself stays unprivileged, and only the test programs go through sudo: they build nothing. sudo cleans the
    // environment, and the tests look for other programs on the PATH.
    let mut runner = vec!["sudo".to_owned(), "-n".to_owned(), "env".to_owned()];
    for name in ["PATH", "CI", "RUST_BACKTRACE"] {
        runner.extend(env::var(name).ok().map(|value| format!("{name}={value}")));
    }
    show(workspace::cargo("build").args(["--package", "testbed"]))?;
    let mut cargo = workspace::cargo("test");
    cargo.args(["--package", "observer", "--test", "*"]);
    cargo
        .arg("--config")
        .arg(format!("target.{}.runner={runner:?}", workspace::host()?));
    show(cargo.args(SHOWS_WHAT_TESTS_SAY))
}

fn scripts(_: &Toolchain) -> Result<Outcome> {
    let directory = workspace::root().join("scripts");
    let mut python = Command::new("python3");
    python
        .args(["-m", "unittest", "discover", "--start-directory"])
        .arg(directory);
    show(&mut python)
}

fn tidiness(_: &Toolchain) -> Result<Outcome> {
    tidy::run(&tidy::Arguments {})?;
    Ok(Outcome::Passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_fails_the_run_and_a_skip_does_not() {
        let skipped = Ok(Outcome::Skipped("root".to_owned()));
        let (passed, failed) = (Ok(Outcome::Passed), Err(anyhow::anyhow!("no")));
        assert!(all_passed([("a", &skipped), ("b", &passed)].into_iter()).is_ok());
        let error = all_passed([("a", &skipped), ("c", &failed)].into_iter()).unwrap_err();
        assert_eq!(error.to_string(), "failed: c");
    }
}
