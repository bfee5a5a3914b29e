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

/// Files that are kept open at once.
const MAX_IMAGES: usize = 256;

/// An address as the file states it that is mapped there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: FileId,
    pub(super) address: u64,
}

/// Every file that is mapped by a watched process. `None` is one that could not be read.
#[derive(Default)]
pub(super) struct Images(FxHashMap<FileId, Option<Image>>);

impl Images {
    pub(super) fn get(&mut self, pid: u32, map: &MemoryMap) -> Option<&Image> {
        let id = FileId::of(map);
        // What belongs to no file all has the same id.
        if !matches!(map.pathname, MMapPath::Path(_) | MMapPath::Vdso) {
            return None;
        }
        if !self.0.contains_key(&id) {
            if self.0.len() >= MAX_IMAGES {
                return None;
            }
            let image = match &map.pathname {
                MMapPath::Path(path) => open(pid, map, path).and_then(|file| Image::read(file, path)),
                _ => vdso().and_then(|file| Image::read(file, Path::new("[vdso]"))),
            };
            self.0.insert(id, image.ok());
        }
        self.0.get(&id)?.as_ref()
    }

    /// The functions at a place, and the stretch of code around it of which they are.
    pub(super) fn functions(&mut self, place: Place) -> (Range<u64>, Functions) {
        match self.0.get_mut(&place.file) {
            Some(Some(image)) => image.functions(place.address),
            _ => (Cell::only(place.address).range(), [None].into()),
        }
    }

    /// Forgets all files but these.
    pub(super) fn retain(&mut self, is_used: impl Fn(FileId) -> bool) {
        self.0.retain(|id, image| image.is_some() && is_used(*id));
    }
}

/// Opens the file that is mapped, also where another has its path by now.
fn open(pid: u32, map: &MemoryMap, path: &Path) -> io::Result<File> {
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
