//! Which runtime a running process has: in its program, or else in one of the shared libraries that it has loaded.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use procfs::process::{MMPermissions, MMapPath, MemoryMap, Process};
use rustc_hash::FxHashMap;

use super::elf::{self, RuntimeImage};
use super::tokio::SearchPlace;
use crate::model::id::Pid;

/// Files of which it is remembered what they say, at most.
const MOST_FILES: usize = 1024;

/// Most shared libraries that are looked into.
const MOST_LIBRARIES: usize = 64;

/// A runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuntimeName {
    /// Of Rust.
    Tokio,
    /// Of Go.
    Go,
}

/// How a runtime was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundBy {
    /// By the symbol of its context.
    Symbols,
    /// By the names of its source files, in the messages of panics.
    Strings,
    /// By the build information that Go leaves in its programs.
    BuildInfo,
}

/// The runtime of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which.
    pub name: RuntimeName,
    /// Its version, where the program tells.
    pub version: Option<String>,
    /// How it was found.
    pub found_by: FoundBy,
    /// Where the ids of its tasks can be sought.
    pub(super) tasks: TaskIdPlace,
}

/// Where the ids of tasks can be sought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TaskIdPlace {
    /// Not sought for this runtime.
    Unknown,
    /// Here.
    Within(SearchPlace),
    /// Nowhere, for this reason.
    Nowhere(String),
}

impl RuntimeName {
    /// As users see it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tokio => "tokio",
            Self::Go => "go",
        }
    }
}

impl FoundBy {
    /// As users see it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Symbols => "symbols",
            Self::Strings => "strings",
            Self::BuildInfo => "buildinfo",
        }
    }
}

/// Looks for a runtime in process `pid`. Where its files cannot be read, none is found.
#[must_use]
pub fn look_at(pid: Pid) -> Option<Found> {
    Files::default().look_at(pid)
}

/// What files say, by device, number and time of the last change: processes of the same program are many, and a large one
/// takes a second to read.
#[derive(Default)]
pub(super) struct Files(FxHashMap<(u64, u64, i64), Option<RuntimeImage>>);

impl Files {
    /// As [`look_at`].
    pub(super) fn look_at(&mut self, pid: Pid) -> Option<Found> {
        look(pid, &mut |file| self.look_into(file))
    }

    /// What this one says; `None` where there is no runtime in it, or it cannot be read.
    fn look_into(&mut self, file: &File) -> Option<RuntimeImage> {
        let metadata = file.metadata().ok()?;
        let key = (metadata.dev(), metadata.ino(), metadata.ctime());
        if self.0.len() >= MOST_FILES {
            self.0.clear();
        }
        let look = || elf::look_into(file).ok().flatten();
        self.0.entry(key).or_insert_with(look).clone()
    }
}

fn look(pid: Pid, look_into: &mut impl FnMut(&File) -> Option<RuntimeImage>) -> Option<Found> {
    let program = File::open(format!("/proc/{pid}/exe")).ok()?;
    let path = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let maps = Process::new(i32::try_from(pid.0).ok()?).ok()?.maps().ok()?.0;
    match look_into(&program) {
        Some(RuntimeImage::Tokio(image)) => return Some(image.of_program(start_of(&maps, &path))),
        Some(RuntimeImage::Go(image)) => return Some(image.found()),
        None => {}
    }
    let mut libraries: Vec<&Path> = maps
        .iter()
        .filter_map(library)
        .filter(|&other| other != path)
        .collect();
    libraries.dedup();
    libraries.truncate(MOST_LIBRARIES);
    libraries.into_iter().find_map(|library| {
        let inside = format!("/proc/{pid}/root{}", library.display());
        match look_into(&File::open(inside).ok()?)? {
            RuntimeImage::Tokio(image) => Some(image.of_library(library)),
            RuntimeImage::Go(_) => None,
        }
    })
}

/// Where the beginning of a file was mapped.
fn start_of(maps: &[MemoryMap], path: &Path) -> Option<u64> {
    maps.iter()
        .find(|map| map.offset == 0 && matches!(&map.pathname, MMapPath::Path(mapped) if mapped == path))
        .map(|map| map.address.0)
}

fn library(map: &MemoryMap) -> Option<&Path> {
    match &map.pathname {
        MMapPath::Path(path) if map.perms.contains(MMPermissions::EXECUTE) => Some(path),
        _ => None,
    }
}
