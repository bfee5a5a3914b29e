//! One ELF file that processes have mapped: how its functions unwind, and what they are called.
//!
//! Everything is read, not mapped: a file that is cut short while it is looked at must not end this program.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use object::elf::{FileHeader64, PF_X, SHF_COMPRESSED};
use object::read::elf::ElfFile;
use object::read::{
    Object as _, ObjectSection as _, ObjectSegment as _, ReadCache, SectionFlags, SegmentFlags,
};
use rustc_hash::FxHashMap;

use super::cell::Cell;
use super::debug::{self, Debug, FoundFunctions};
use super::layers::{self, Layer};
use super::symbols::Symbols;
use super::telling::NamedFunction;
use crate::model::full::{Full, Table};
use crate::source::code::naming;

/// What unwinding needs of one file may have this size, bytes. It is some 5 % of a program.
const MAX_UNWIND_BYTES: u64 = 64 << 20;

/// Names of one file that are remembered: some 2 MiB. What is forgotten is made again.
const MAX_NAMES: usize = 8192;

/// Functions at one address, the innermost of those that were inlined there first; none that has a name is one `None`.
pub(super) type Functions = Arc<[Option<NamedFunction<Arc<str>>>]>;

/// A section in memory.
#[derive(Clone, Debug)]
pub(super) struct LoadedSection {
    pub(super) addresses: Range<u64>,
    pub(super) bytes: Arc<[u8]>,
}

/// A file.
pub(super) struct Image {
    file: Rc<File>,
    /// Executable segments: place in the file, bytes, and address as the file states it.
    segments: Vec<(Range<u64>, u64)>,
    pub(super) eh_frame: Option<LoadedSection>,
    pub(super) eh_frame_hdr: Option<LoadedSection>,
    symbols: Symbols,
    /// The name of a library that programs stand on, whatever its functions are called. It stands for those of its
    /// functions that have no symbol: the C library has only those that it exports, as a rule.
    standard: Option<Rc<str>>,
    debug: Option<Debug>,
    names: FxHashMap<Box<str>, NamedFunction<Arc<str>>>,
}

impl Image {
    /// Reads what unwinding needs, the symbol table, and where debug information has what. What is too large is left
    /// out and counted in `full`.
    pub(super) fn read(file: File, path: &Path, full: &Full) -> io::Result<Self> {
        let cache = ReadCache::new(&file);
        let elf: ElfFile<'_, FileHeader64<object::LittleEndian>, _> =
            ElfFile::parse(&cache).map_err(io::Error::other)?;
        let executable = |flags| matches!(flags, SegmentFlags::Elf { p_flags } if p_flags & PF_X != 0);
        let segments = elf.segments().filter(|segment| executable(segment.flags()));
        let segments = segments
            .map(|segment| {
                let (offset, bytes) = segment.file_range();
                (offset..offset.saturating_add(bytes), segment.address())
            })
            .collect();
        let plain = |name: &str| {
            let section = elf.section_by_name(name)?;
            let SectionFlags::Elf { sh_flags } = section.flags() else {
                return None;
            };
            let compressed = sh_flags & u64::from(SHF_COMPRESSED) != 0;
            let (offset, bytes) = section.file_range().filter(|_| !compressed)?;
            Some((section.address(), offset..offset.checked_add(bytes)?))
        };
        let section = |name: &str| {
            let (address, place) = plain(name)?;
            if place.end - place.start > MAX_UNWIND_BYTES {
                full.count(Table::ProgramFiles, 1);
                return None;
            }
            let bytes = read_at(&file, &place).ok()?;
            Some(LoadedSection {
                addresses: address..address.saturating_add(bytes.len() as u64),
                bytes,
            })
        };
        let debug_sections: Vec<_> = debug::SECTIONS
            .iter()
            .filter_map(|id| Some((*id, plain(id.name())?.1)))
            .collect();
        let (eh_frame, eh_frame_hdr) = (section(".eh_frame"), section(".eh_frame_hdr"));
        let symbols = Symbols::read(&elf, full).unwrap_or_default();
        drop(elf);
        drop(cache);
        let file = Rc::new(file);
        Ok(Self {
            segments,
            eh_frame,
            eh_frame_hdr,
            symbols,
            standard: standard_library(path),
            debug: Debug::read(&file, &debug_sections, full).ok(),
            names: FxHashMap::default(),
            file,
        })
    }

    /// What is to be added to the file's addresses, where the process has mapped the file's `offset` at `start`.
    pub(super) fn bias(&self, start: u64, offset: u64) -> Option<u64> {
        // A segment is mapped from the page on in which it begins.
        let (place, address) = self
            .segments
            .iter()
            .find(|(place, _)| offset < place.end && offset + 4096 > place.start)?;
        Some(start.wrapping_sub(offset.wrapping_sub(place.start).wrapping_add(*address)))
    }

    /// The functions at an address of the file, and the range of code around it of which they are.
    pub(super) fn functions(&mut self, address: u64) -> (Range<u64>, Functions) {
        let mut cell = Cell::around(address);
        let found = match &mut self.debug {
            Some(debug) => debug.functions(address, &mut cell),
            None => Ok(FoundFunctions::default()),
        };
        let FoundFunctions { inlined, around } = found.unwrap_or_else(|_| {
            cell = Cell::only(address);
            FoundFunctions::default()
        });
        let mut functions: Vec<_> = inlined.iter().map(|symbol| Some(self.named(symbol))).collect();
        // The name that debug information has may be one without a path; a symbol has it.
        let symbol = self.symbols.find(address, &self.file, &mut cell).ok().flatten();
        let last = symbol.as_deref().or(around.as_deref());
        let standard = self.standard.clone();
        functions.push(last.or(standard.as_deref()).map(|symbol| self.named(symbol)));
        (cell.range(), functions.into())
    }

    fn named(&mut self, symbol: &str) -> NamedFunction<Arc<str>> {
        if let Some(known) = self.names.get(symbol) {
            return known.clone();
        }
        let naming::Readable { name, is_cplusplus } = naming::readable(symbol);
        let layer = match (&self.standard, is_cplusplus) {
            (Some(_), _) => Layer::Standard,
            (None, true) => layers::layer_of_cplusplus(&name),
            (None, false) => layers::layer(&name),
        };
        let function = NamedFunction {
            name: name.into(),
            layer,
            library: is_cplusplus.then(|| "".into()),
        };
        if self.names.len() >= MAX_NAMES {
            self.names.clear();
        }
        self.names.insert(symbol.into(), function.clone());
        function
    }
}

/// Beginnings of the names of libraries whose functions are not the program's: the C library and what comes with it,
/// what the kernel maps, and allocators.
const STANDARD_LIBRARIES: &[&str] = &[
    "[vdso]",
    "ld-",
    "ld.",
    "libc-",
    "libc.",
    "libdl",
    "libgcc_s",
    "libjemalloc",
    "libm-",
    "libm.",
    "libmimalloc",
    "libpthread",
    "librt",
    "libstdc++",
    "libtcmalloc",
];

fn standard_library(path: &Path) -> Option<Rc<str>> {
    let name = path.file_name()?.to_str()?;
    let known = STANDARD_LIBRARIES.iter().any(|known| name.starts_with(known));
    known.then(|| name.into())
}

fn read_at(mut file: &File, place: &Range<u64>) -> io::Result<Arc<[u8]>> {
    let length = usize::try_from(place.end - place.start).map_err(io::Error::other)?;
    // What the file claims to hold may be more than it holds.
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(place.start))?;
    file.take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes.into())
}
