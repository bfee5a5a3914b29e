//! The `process` line: what happened to a watched process.
//!
//! It knows nothing of how that was found out.

use super::id::Pid;

/// Something that happened to a watched process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessLine {
    /// When, ns since the Unix epoch.
    pub unix_ns: u64,
    /// What.
    pub event: ProcessEvent,
    /// To which process.
    pub pid: Pid,
    /// Its name in the kernel, where known.
    pub comm: Option<String>,
    /// The process that it was forked from.
    pub parent: Option<Pid>,
    /// Of one that was forked: whether it is watched.
    pub watched: Option<bool>,
    /// Its executable, where known.
    pub exe: Option<String>,
    /// Of one that ended: who listens where it did.
    pub successors: Vec<Successor>,
}

/// A process that listens where one did that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Successor {
    /// Process.
    pub pid: Pid,
    /// Its name in the kernel.
    pub comm: String,
    /// The port.
    pub port: u16,
    /// It holds the same socket; otherwise another one on the same port.
    pub same_socket: bool,
}

/// What happened to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessEvent {
    /// It began to be watched.
    Start,
    /// A watched process forked it.
    Fork,
    /// It runs another program now.
    Exec,
    /// It ended.
    Exit,
}

impl ProcessEvent {
    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Fork => "fork",
            Self::Exec => "exec",
            Self::Exit => "exit",
        }
    }
}
