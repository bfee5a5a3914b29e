//! Facts about which processes are watched, where no record of the kernel half tells.

use bytemuck::{Pod, Zeroable};
use observer_common::Header;

use super::fact::{FactKind, TEXT_BYTES, header, text_field};
use crate::model::id::Pid;

/// A process is watched from now on: one that was a watched one's child when observing began, or whose record was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct TargetAdded {
    /// `tid`: the process.
    pub header: Header,
    /// The watched process that it is a child of; 0 for none.
    pub parent: u32,
    /// Zero.
    pub reserved: u32,
    /// Its name, NUL-padded.
    pub comm: [u8; observer_common::limits::COMM_BYTES],
}

impl TargetAdded {
    /// Process `pid` is watched.
    #[must_use]
    pub fn new(at_ns: u64, pid: Pid, parent: Option<Pid>, comm: &str) -> Self {
        Self {
            header: header(FactKind::TargetAdded, at_ns, pid.0),
            parent: parent.unwrap_or(Pid::NONE).0,
            reserved: 0,
            comm: text_field(comm),
        }
    }
}

/// A watched process has ended, and the record of that was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct TargetGone {
    /// `tid`: the process.
    pub header: Header,
}

impl TargetGone {
    /// Process `pid` had ended by then.
    #[must_use]
    pub const fn new(at_ns: u64, pid: Pid) -> Self {
        Self {
            header: header(FactKind::TargetGone, at_ns, pid.0),
        }
    }
}

/// The program of a process that is watched from now on. It stands right before what says that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Executable {
    /// `tid`: the process.
    pub header: Header,
    /// Path of the file, NUL-padded.
    pub path: [u8; TEXT_BYTES],
}

impl Executable {
    /// Process `pid` runs the program at `path`.
    #[must_use]
    pub fn new(at_ns: u64, pid: Pid, path: &str) -> Self {
        Self {
            header: header(FactKind::Executable, at_ns, pid.0),
            path: text_field(path),
        }
    }
}
