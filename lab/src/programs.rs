//! What is run: observer and the testbed, built for release.

use std::path::PathBuf;

use anyhow::Result;
use xtask::{build, command, setup, workspace};

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

    /// The path of a program of the testbed.
    pub fn testbed(&self, name: &str) -> PathBuf {
        self.observer.with_file_name(name)
    }

    /// The path of an example of observer's.
    pub fn example(&self, name: &str) -> PathBuf {
        self.observer.with_file_name("examples").join(name)
    }
}
