//! Which runtime a running process has: in its program, or else in one of the shared libraries that it has loaded.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use procfs::process::{MMPermissions, MMapPath, MemoryMap, Process};
use rustc_hash::FxHashMap;

use super::elf::{self, RuntimeImage};
use super::go::GPlace;
use super::tokio::SearchPlace;
use crate::model::full::{Full, Table};
use crate::model::id::Pid;
use crate::runtime::RuntimeName;

/// Files of which it is remembered what they say, at most. With one more all are read again.
const MOST_FILES: usize = 1024;

/// Most shared libraries that are looked into.
const MOST_LIBRARIES: usize = 64;

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
pub struct DetectedRuntime {
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
    /// Here, in one of these words.
    Within(SearchPlace),
    /// Here, where Go's threads have their goroutine.
    OfGo(GPlace),
    /// Nowhere, for this reason.
    Nowhere(String),
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

/// Looks for a runtime in process `pid`. Where its files cannot be read, none is found; what of them is not read
/// because there is too much is counted in `full`.
#[must_use]
pub fn look_at(pid: Pid, full: &Full) -> Option<DetectedRuntime> {
    Files::default().look_at(pid, full)
}

/// What files say, by device, number and time of the last change: processes of the same program are many, and a large
/// one takes a second to read.
#[derive(Default)]
pub(super) struct Files(FxHashMap<(u64, u64, i64), Option<RuntimeImage>>);

impl Files {
    /// As [`look_at`].
    pub(super) fn look_at(&mut self, pid: Pid, full: &Full) -> Option<DetectedRuntime> {
        look(pid, full, &mut |file| self.look_into(file, full))
    }

    /// What this one says; `None` where there is no runtime in it, or it cannot be read.
    fn look_into(&mut self, file: &File, full: &Full) -> Option<RuntimeImage> {
        let metadata = file.metadata().ok()?;
        let key = (metadata.dev(), metadata.ino(), metadata.ctime());
        if self.0.len() >= MOST_FILES {
            self.0.clear();
        }
        let look = || elf::look_into(file, full).ok().flatten();
        self.0.entry(key).or_insert_with(look).clone()
    }
}

fn look(
    pid: Pid,
    full: &Full,
    look_into: &mut impl FnMut(&File) -> Option<RuntimeImage>,
) -> Option<DetectedRuntime> {
    let program = File::open(format!("/proc/{pid}/exe")).ok()?;
    let path = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let maps = Process::new(i32::try_from(pid.0).ok()?).ok()?.maps().ok()?.0;
    match look_into(&program) {
        Some(RuntimeImage::Tokio(image)) => return Some(image.of_program(start_of(&maps, &path))),
        Some(RuntimeImage::Go(image)) => return Some(image.of_program(start_of(&maps, &path))),
        None => {}
    }
    let mut libraries: Vec<&Path> = maps
        .iter()
        .filter_map(library)
        .filter(|&other| other != path)
        .collect();
    libraries.dedup();
    first_that_tells(&libraries, full, |library| {
        let inside = format!("/proc/{pid}/root{}", library.display());
        match look_into(&File::open(inside).ok()?)? {
            RuntimeImage::Tokio(image) => Some(image.of_library(library)),
            RuntimeImage::Go(_) => None,
        }
    })
}

/// What the first of these libraries tells that tells something. Where none of those does that are looked into, the
/// others are counted in `full`.
fn first_that_tells<'a, T>(
    libraries: &[&'a Path],
    full: &Full,
    look_into: impl FnMut(&'a Path) -> Option<T>,
) -> Option<T> {
    let (looked_into, others) = libraries.split_at(libraries.len().min(MOST_LIBRARIES));
    let told = looked_into.iter().copied().find_map(look_into);
    if told.is_none() {
        full.count(Table::RuntimeFiles, others.len() as u64);
    }
    told
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_that_are_not_looked_into_are_counted_where_none_before_them_tells() {
        let full = Full::default();
        let libraries = vec![Path::new("/lib/a.so"); MOST_LIBRARIES + 3];
        assert_eq!(first_that_tells(&libraries, &full, |_| Some(7)), Some(7));
        assert_eq!(first_that_tells(&libraries[3..], &full, |_| None::<()>), None);
        assert_eq!(full, Full::default());
        let mut looked_into = 0;
        let nothing = first_that_tells(&libraries, &full, |_| {
            looked_into += 1;
            None::<()>
        });
        assert_eq!((nothing, looked_into), (None, MOST_LIBRARIES));
        assert_eq!(full.counts().collect::<Vec<_>>(), [(Table::RuntimeFiles, 3)]);
    }
}
