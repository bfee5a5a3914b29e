//! The first line of an output and of a recording: what was observed, how, with which options.
//!
//! Plain values that survive a trip through a recording. Who finds them out is not known here.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::id::Pid;

/// What a run is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Version of this program.
    pub observer_version: String,
    /// Kernel release, as `uname -r` has it.
    pub kernel: String,
    /// Machine architecture, as `uname -m` has it.
    pub machine: String,
    /// Size of a page of memory, bytes.
    pub page_bytes: u64,
    /// When the observation began, ns since the Unix epoch.
    pub started_unix_ns: u64,
    /// What to add to `CLOCK_MONOTONIC` for ns since the Unix epoch.
    pub unix_offset_ns: u64,
    /// Processes that are watched from the start, without children that are followed.
    pub targets: Vec<TargetInfo>,
    /// Where each signal comes from.
    pub signals: Vec<SignalInfo>,
    /// What was asked for.
    pub options: Options,
    /// These lines were made from a recording.
    pub replay: bool,
}

/// A watched process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetInfo {
    /// Process.
    pub pid: Pid,
    /// Its name in the kernel.
    pub comm: String,
    /// Its executable, where it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exe: Option<String>,
    /// Threads that it had.
    pub threads: u32,
    /// The language runtime in it, where one was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<RuntimeInfo>,
}

/// A language runtime in a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeInfo {
    /// Which.
    pub name: String,
    /// Its version, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How it was found.
    pub found_by: String,
}

/// Where a signal comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalInfo {
    /// Signal.
    pub signal: String,
    /// Hook that was chosen; absent when the kernel allowed none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<String>,
    /// What the choice costs in exactness, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The options that change what the lines say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// Which requests are written.
    pub requests: Requests,
    /// One request in this many is a `sample`, below the tail.
    pub sample_one_in: u64,
    /// Query strings are kept.
    pub with_query: bool,
    /// Each process is a target of its own.
    #[serde(default)]
    pub apart: bool,
    /// Size of each CPU's ring buffer, bytes.
    pub ring_bytes: u64,
    /// Polls of runtime tasks are recorded.
    #[serde(default)]
    pub polls: bool,
    /// It is recorded which goroutine makes which ready, and which threads run.
    #[serde(default)]
    pub goroutines: bool,
    /// How often a second what threads run is sampled, on each CPU; 0 for never.
    #[serde(default)]
    pub sample_hz: u32,
    /// Children of watched processes are watched too.
    #[serde(default)]
    pub follow: bool,
    /// Whoever listens on these ports is watched.
    #[serde(default)]
    pub ports: Vec<u16>,
}

/// What `--requests` asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Requests {
    /// The first of each target, those at or above its live p99, and a sample of the others.
    #[default]
    Tail,
    /// Every one.
    All,
    /// None.
    None,
}

impl FromStr for Requests {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "tail" => Ok(Self::Tail),
            "all" => Ok(Self::All),
            "none" => Ok(Self::None),
            _ => Err(format!("`{text}` is not one of tail, all, none")),
        }
    }
}
