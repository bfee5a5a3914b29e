//! Which runtime a running process has: in its program, or else in one of the shared libraries that it has loaded.

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use procfs::process::{MMPermissions, MMapPath, MemoryMap, Process};
use rustc_hash::FxHashMap;

use super::elf::{self, FoundBy, Image, Name};

/// Files of which it is remembered what they say, at most.
const MOST_FILES: usize = 1024;

/// Most shared libraries that are looked into.
const MOST_LIBRARIES: usize = 64;

/// The runtime of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which.
    pub name: Name,
    /// Its version, where the program tells.
    pub version: Option<String>,
    /// How it was found.
    pub found_by: FoundBy,
    /// Where the ids of its tasks can be sought.
    pub(super) tasks: Tasks,
}

/// Where the ids of tasks can be sought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tasks {
    /// Nobody knows how, for this runtime.
    Unknown,
    /// Here.
    Within(Place),
    /// Nowhere, for this reason.
    Nowhere(String),
}

/// Where to seek.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Bytes from a thread's `fsbase`.
    pub(super) variables: Range<i64>,
    /// They are the runtime's context and nothing else.
    pub(super) is_context: bool,
    /// Address of the count of task ids that were given out.
    pub(super) issued_at: Option<u64>,
}

/// Looks for a runtime in process `pid`. Where its files cannot be read, none is found.
#[must_use]
pub fn look_at(pid: u32) -> Option<Found> {
    Files::default().look_at(pid)
}

/// What files say, by device, number and time of the last change: processes of the same program are many, and a large one
/// takes a second to read.
#[derive(Default)]
pub(super) struct Files(FxHashMap<(u64, u64, i64), Option<Image>>);

impl Files {
    /// As [`look_at`].
    pub(super) fn look_at(&mut self, pid: u32) -> Option<Found> {
        look(pid, &mut |file| self.look_into(file))
    }

    /// What this one says; `None` where there is no runtime in it, or it cannot be read.
    fn look_into(&mut self, file: &File) -> Option<Image> {
        let metadata = file.metadata().ok()?;
        let key = (metadata.dev(), metadata.ino(), metadata.ctime());
        if self.0.len() >= MOST_FILES {
            self.0.clear();
        }
        let look = || elf::look_into(file).ok().flatten();
        self.0.entry(key).or_insert_with(look).clone()
    }
}

fn look(pid: u32, look_into: &mut impl FnMut(&File) -> Option<Image>) -> Option<Found> {
    let program = File::open(format!("/proc/{pid}/exe")).ok()?;
    let path = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let maps = Process::new(i32::try_from(pid).ok()?).ok()?.maps().ok()?.0;
    if let Some(image) = look_into(&program) {
        return Some(of_program(image, start_of(&maps, &path)));
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
        let image = look_into(&File::open(inside).ok()?)?;
        (image.name == Name::Tokio).then(|| of_library(image, library))
    })
}

fn of_program(image: Image, start: Option<u64>) -> Found {
    let tasks = match (image.name, image.tls) {
        (Name::Tokio, Some(tls)) => Tasks::Within(Place {
            is_context: image.context.is_some(),
            variables: image.context.unwrap_or(tls),
            issued_at: image
                .issued_at
                .zip(start)
                .map(|(address, start)| start.wrapping_sub(image.base).wrapping_add(address)),
        }),
        (Name::Tokio, None) => Tasks::Nowhere("the program has no thread-local variables".to_owned()),
        (Name::Go, _) => Tasks::Unknown,
    };
    Found {
        name: image.name,
        version: image.version,
        found_by: image.found_by,
        tasks,
    }
}

fn of_library(image: Image, library: &Path) -> Found {
    Found {
        name: image.name,
        version: image.version,
        found_by: image.found_by,
        tasks: Tasks::Nowhere(format!(
            "the runtime is in the shared library {}, whose variables have no fixed place",
            library.display()
        )),
    }
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
    fn this_test_is_a_process_with_tokio_and_its_count_of_tasks_is_read() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let id: u64 = runtime
            .block_on(async { tokio::spawn(async {}).id() })
            .to_string()
            .parse()
            .unwrap();
        let found = look_at(std::process::id()).unwrap();
        assert_eq!((found.name, found.found_by), (Name::Tokio, FoundBy::Symbols));
        let Tasks::Within(place) = found.tasks else {
            panic!("{found:?}")
        };
        assert!(place.is_context && !place.variables.is_empty());
        let address = place.issued_at.unwrap() as usize;
        // SAFETY: the runtime's own counter, an aligned word that lives as long as the program.
        let issued = unsafe { std::ptr::with_exposed_provenance::<u64>(address).read_volatile() };
        assert!(issued > id, "{issued} {id}");
    }
}
