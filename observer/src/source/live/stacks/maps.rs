//! What processes have mapped to be executed, as procfs tells it.

use procfs::FromRead as _;
use procfs::process::{MMPermissions, MemoryMap, MemoryMaps};

use crate::model::id::Pid;

/// A file that is mapped: its device and its inode. What belongs to no file is `0` for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FileId((i32, i32), u64);

impl FileId {
    pub(super) fn of(map: &MemoryMap) -> Self {
        Self(map.dev, map.inode)
    }

    /// Stands for the code that a process makes at run time: no device has this number.
    pub(super) fn made_by(pid: Pid) -> Self {
        Self((-1, -1), pid.0.into())
    }
}

/// What is executable in a process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Mapped {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) offset: u64,
    pub(super) file: FileId,
}

impl Mapped {
    pub(super) fn of(map: &MemoryMap) -> Self {
        Self {
            start: map.address.0,
            end: map.address.1,
            offset: map.offset,
            file: FileId::of(map),
        }
    }
}

/// What process `pid` has mapped to be executed; `None` where it has ended.
pub(super) fn executable(pid: &str) -> Option<Vec<MemoryMap>> {
    let maps: MemoryMaps = MemoryMaps::from_file(format!("/proc/{pid}/maps")).ok()?;
    let maps: Vec<MemoryMap> = maps
        .into_iter()
        .filter(|map| map.perms.contains(MMPermissions::EXECUTE))
        .collect();
    // Of a process that has ended the file is empty.
    (!maps.is_empty()).then_some(maps)
}
