//! What is run: observer and the testbed, built for release.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use xtask::{build, command, setup, workspace};

/// The program of the testbed that is not Rust.
pub const GO_SERVER: &str = "go-server";
/// Go's own that prints execution traces.
pub const GO_TRACE: &str = "go-trace";

/// Where the programs are.
pub struct Programs {
    /// observer.
    pub observer: PathBuf,
}

impl Programs {
    /// Builds them, with examples of observer's, and installs first what is missing for that.
    pub fn build(examples: &[&str]) -> Result<Self> {
        setup::ensure()?;
        let observer = build::observer("release", examples)?;
        // By itself, so that its crates are compiled in one way, whoever builds it.
        command::run(workspace::cargo("build").args(["--release", "--package", "testbed", "--bins"]))?;
        Ok(Self { observer })
    }

    /// Builds the server in Go and what reads its traces, if there is Go, which is told. Go itself knows what is up to
    /// date.
    pub fn build_go_server(&self) -> Result<bool> {
        let path = env::var_os("PATH").unwrap_or_default();
        if !env::split_paths(&path).any(|directory| directory.join("go").is_file()) {
            return Ok(false);
        }
        for (program, package) in [(GO_SERVER, "."), (GO_TRACE, "cmd/trace")] {
            let mut build = Command::new("go");
            build.args(["build", "-o"]).arg(self.testbed(program)).arg(package);
            // It is the same wherever it is built: with this Go, and nothing of C.
            build.env("GOTOOLCHAIN", "local").env("CGO_ENABLED", "0");
            command::run(build.current_dir(workspace::root().join("testbed/go")))?;
        }
        Ok(true)
    }

    /// The path of a program of the testbed.
    pub fn testbed(&self, name: &str) -> PathBuf {
        self.observer.with_file_name(name)
    }

    /// The path of an example of observer's.
    pub fn example(&self, name: &str) -> PathBuf {
        self.observer.with_file_name("examples").join(name)
    }
}
