//! The files that watched processes have mapped, each read once.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use procfs::process::{MMapPath, MemoryMap};
use rustc_hash::FxHashMap;

use super::cell::Cell;
use super::image::{Functions, Image};
use super::maps::{FileId, executable};
use crate::model::full::{Full, Table};
use crate::model::id::Pid;

/// Files that are kept open at once. In others no function is named, and no stack is followed through them.
const MAX_IMAGES: usize = 256;

/// An address as the file states it that is mapped there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileAddress {
    pub(super) file: FileId,
    pub(super) address: u64,
}

/// Every file that is mapped by a watched process.
#[derive(Default)]
pub(super) struct Images {
    /// `None` is one that could not be read.
    files: FxHashMap<FileId, Option<Image>>,
    /// Files, and parts of them, for which there was no room.
    pub(super) full: Full,
}

impl Images {
    pub(super) fn get(&mut self, pid: Pid, map: &MemoryMap) -> Option<&Image> {
        let id = FileId::of(map);
        // What belongs to no file all has the same id.
        if !matches!(map.pathname, MMapPath::Path(_) | MMapPath::Vdso) {
            return None;
        }
        if !self.files.contains_key(&id) {
            if self.files.len() >= MAX_IMAGES {
                self.full.count(Table::ProgramFiles, 1);
                return None;
            }
            let (file, path) = match &map.pathname {
                MMapPath::Path(path) => (open(pid, map, path), path.as_path()),
                _ => (vdso(), Path::new("[vdso]")),
            };
            let image = file.and_then(|file| Image::read(file, path, &self.full));
            self.files.insert(id, image.ok());
        }
        self.files.get(&id)?.as_ref()
    }

    /// The functions at a place, and the range of code around it of which they are.
    pub(super) fn functions(&mut self, place: FileAddress) -> (Range<u64>, Functions) {
        match self.files.get_mut(&place.file) {
            Some(Some(image)) => image.functions(place.address),
            _ => (Cell::only(place.address).range(), [None].into()),
        }
    }

    /// Forgets all files but these.
    pub(super) fn retain(&mut self, is_used: impl Fn(FileId) -> bool) {
        self.files.retain(|id, image| image.is_some() && is_used(*id));
    }
}

/// Opens the file that is mapped, also where another has its path by now.
fn open(pid: Pid, map: &MemoryMap, path: &Path) -> io::Result<File> {
    let (start, end) = map.address;
    if let Ok(file) = File::open(format!("/proc/{pid}/map_files/{start:x}-{end:x}")) {
        return Ok(file);
    }
    // That takes a capability which attaching does not.
    let file = File::open(format!("/proc/{pid}/root{}", path.display()))?;
    if file.metadata()?.ino() != map.inode {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(file)
}

/// What the kernel maps into every process of this architecture, as a file. This process has it too.
fn vdso() -> io::Result<File> {
    let maps = executable("self").ok_or(io::ErrorKind::NotFound)?;
    let vdso = maps.iter().find(|map| map.pathname == MMapPath::Vdso);
    let (start, end) = vdso.ok_or(io::ErrorKind::NotFound)?.address;
    let mut bytes = vec![0; usize::try_from(end - start).map_err(io::Error::other)?];
    File::open("/proc/self/mem")?.read_exact_at(&mut bytes, start)?;
    // SAFETY: reads a name that ends with a NUL, and nothing else.
    let descriptor = unsafe { libc::memfd_create(c"vdso".as_ptr(), libc::MFD_CLOEXEC) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor, which nobody else owns.
    let file = File::from(unsafe { OwnedFd::from_raw_fd(descriptor) });
    file.write_all_at(&bytes, 0)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_for_which_there_is_no_room_is_counted_until_another_is_not_used_any_more() {
        let mut maps = executable("self").unwrap().into_iter();
        let program = maps
            .find(|map| matches!(map.pathname, MMapPath::Path(_)))
            .unwrap();
        let mut images = Images::default();
        for inode in 0..MAX_IMAGES as u64 {
            let mut other = program.clone();
            other.inode = u64::MAX - inode;
            images.files.insert(FileId::of(&other), None);
        }
        let me = Pid(std::process::id());
        assert!(images.get(me, &program).is_none());
        assert_eq!(
            images.full.take().counts().collect::<Vec<_>>(),
            [(Table::ProgramFiles, 1)]
        );
        images.retain(|_| false);
        assert!(images.get(me, &program).is_some());
        assert_eq!(images.full, Full::default());
    }
}
