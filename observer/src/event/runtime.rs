//! The fact about the language runtime of a process.

use bytemuck::{Pod, Zeroable};
use observer_common::Header;

use super::fact::{FactKind, TEXT_BYTES, header, text_field};
use crate::model::id::Pid;

/// Whether the runtime of a process tells the ids of its tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Runtime {
    /// `tid`: the process.
    pub header: Header,
    /// Name of the runtime, NUL-padded.
    pub name: [u8; 16],
    /// Its version, NUL-padded; empty where it is not known.
    pub version: [u8; 32],
    /// 1 when the task ids of the records from now on are proved, 0 when there are none.
    pub task_ids: u32,
    /// 1 when they tell too which tasks no scheduler runs ([`observer_common::flags::NO_SCHEDULER`]).
    pub schedulers: u32,
    /// How that is known, NUL-padded.
    pub evidence: [u8; TEXT_BYTES],
}

impl Runtime {
    /// The runtime of process `pid`, of which nothing is told by its records yet.
    #[must_use]
    pub fn new(at_ns: u64, pid: Pid, name: &str, version: &str, evidence: &str) -> Self {
        Self {
            header: header(FactKind::Runtime, at_ns, pid.0),
            name: text_field(name),
            version: text_field(version),
            task_ids: 0,
            schedulers: 0,
            evidence: text_field(evidence),
        }
    }
}
