//! One ELF file that processes have mapped: how its functions unwind, and what they are called.
//!
//! Everything is read, not mapped: a file that is cut short while it is looked at must not end this program. Of the
//! debug information, which is large, only what tells functions is read, when the first address asks for it, and it is
//! given back when no new address has come for a while.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;

use addr2line::Context;
use gimli::{EndianRcSlice, LittleEndian, SectionId};
use object::elf::{FileHeader64, PF_X, SHF_COMPRESSED};
use object::read::elf::ElfFile;
use object::read::{
    Object as _, ObjectSection as _, ObjectSegment as _, ReadCache, SectionFlags, SegmentFlags,
};
use rustc_hash::FxHashMap;

use super::naming::{self, Function, Part};
use super::symbols::Symbols;

/// What unwinding needs of one file may have this size, bytes. It is some 5 % of a program.
const MAX_UNWIND_BYTES: u64 = 64 << 20;

/// Debug information of one file that is read, bytes: that of a server of some thousand functions, optimized. Where there
/// is more, the symbol table has the names, without those of inlined functions.
const MAX_DEBUG_BYTES: u64 = 24 << 20;

/// Addresses of one file whose functions are remembered.
const MAX_ADDRESSES: usize = 32_768;

/// Functions at one address, the innermost of those that were inlined there first; none that has a name is one `None`.
pub(super) type Functions = Rc<[Option<Function<Rc<str>>>]>;

type Debug = Context<EndianRcSlice<LittleEndian>>;

/// A section in memory.
#[derive(Clone, Debug)]
pub(super) struct Section {
    pub(super) addresses: Range<u64>,
    pub(super) bytes: Rc<[u8]>,
}

/// A file.
pub(super) struct Image {
    file: File,
    /// Executable segments: place in the file, bytes, and address as the file states it.
    segments: Vec<(Range<u64>, u64)>,
    pub(super) eh_frame: Option<Section>,
    pub(super) eh_frame_hdr: Option<Section>,
    symbols: Symbols,
    /// The name of a library that programs stand on, whatever its functions are called. It stands for those of its
    /// functions that have no symbol: the C library has only those that it exports, as a rule.
    standard: Option<Rc<str>>,
    /// Sections with debug information, by name: place in the file.
    debug_sections: Vec<(&'static str, Range<u64>)>,
    debug: Option<Debug>,
    debug_used: bool,
    known: FxHashMap<u64, Functions>,
    names: FxHashMap<Box<str>, Function<Rc<str>>>,
}

impl Image {
    /// Reads what unwinding needs, and the symbol table.
    pub(super) fn read(file: File, path: &Path) -> io::Result<Self> {
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
            let (address, place) =
                plain(name).filter(|(_, place)| place.end - place.start <= MAX_UNWIND_BYTES)?;
            let bytes = read_at(&file, &place).ok()?;
            Some(Section {
                addresses: address..address.saturating_add(bytes.len() as u64),
                bytes,
            })
        };
        let mut debug_sections = Vec::new();
        for id in [
            SectionId::DebugAbbrev,
            SectionId::DebugAddr,
            SectionId::DebugAranges,
            SectionId::DebugInfo,
            // Lines are not asked for, but a unit whose lines are missing is taken for damaged.
            SectionId::DebugLine,
            SectionId::DebugLineStr,
            SectionId::DebugRanges,
            SectionId::DebugRngLists,
            SectionId::DebugStr,
            SectionId::DebugStrOffsets,
            SectionId::DebugTypes,
        ] {
            debug_sections.extend(plain(id.name()).map(|(_, place)| (id.name(), place)));
        }
        let bytes: u64 = debug_sections
            .iter()
            .map(|(_, place)| place.end - place.start)
            .sum();
        let has_functions = debug_sections
            .iter()
            .any(|(name, _)| *name == SectionId::DebugInfo.name());
        if bytes > MAX_DEBUG_BYTES || !has_functions {
            debug_sections.clear();
        }
        let (eh_frame, eh_frame_hdr) = (section(".eh_frame"), section(".eh_frame_hdr"));
        let symbols = Symbols::read(&elf).unwrap_or_default();
        drop(elf);
        drop(cache);
        Ok(Self {
            segments,
            eh_frame,
            eh_frame_hdr,
            symbols,
            standard: standard_library(path),
            debug_sections,
            debug: None,
            debug_used: false,
            known: FxHashMap::default(),
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

    /// The functions at an address of the file.
    pub(super) fn functions(&mut self, address: u64) -> Functions {
        if let Some(known) = self.known.get(&address) {
            return Rc::clone(known);
        }
        let mut found: Vec<Option<String>> = self.inlined(address).into_iter().map(Some).collect();
        // The name that debug information has may be one without a path; a symbol has it.
        let symbol = self.symbols.find(address, &self.file).ok().flatten();
        found.push(symbol.or_else(|| self.standard.as_deref().map(str::to_owned)));
        let functions = found
            .into_iter()
            .map(|symbol| symbol.map(|symbol| self.named(&symbol)));
        let functions: Functions = functions.collect();
        if self.known.len() == MAX_ADDRESSES {
            self.known.clear();
            self.names.clear();
        }
        self.known.insert(address, Rc::clone(&functions));
        functions
    }

    fn named(&mut self, symbol: &str) -> Function<Rc<str>> {
        if let Some(known) = self.names.get(symbol) {
            return known.clone();
        }
        let name: Rc<str> = naming::readable(symbol).into();
        let part = if self.standard.is_some() {
            Part::Standard
        } else {
            naming::part(&name)
        };
        let function = Function { name, part };
        self.names.insert(symbol.into(), function.clone());
        function
    }

    /// The symbols of the functions that were inlined at an address, the innermost first, as far as debug information
    /// tells.
    fn inlined(&mut self, address: u64) -> Vec<String> {
        if self.debug_sections.is_empty() {
            return Vec::new();
        }
        self.debug_used = true;
        if self.debug.is_none() {
            self.debug = self.read_debug_information();
        }
        let Some(Ok(mut frames)) = self
            .debug
            .as_ref()
            .map(|debug| debug.find_frames(address).skip_all_loads())
        else {
            return Vec::new();
        };
        let mut found = Vec::new();
        while let Ok(Some(frame)) = frames.next() {
            found.push(frame.function);
        }
        // The outermost one was not inlined.
        found.pop();
        let names = found.into_iter().flatten().filter_map(|function| {
            let name = function.raw_name().ok()?;
            let has_path = function.language != Some(gimli::DW_LANG_Rust) || name.starts_with('_');
            has_path.then(|| name.into_owned())
        });
        names.collect()
    }

    fn read_debug_information(&mut self) -> Option<Debug> {
        let load = |id: SectionId| -> io::Result<EndianRcSlice<LittleEndian>> {
            let place = self.debug_sections.iter().find(|(name, _)| *name == id.name());
            let bytes = place.map(|(_, place)| read_at(&self.file, place)).transpose()?;
            Ok(EndianRcSlice::new(bytes.unwrap_or_default(), LittleEndian))
        };
        let read = gimli::Dwarf::load(load)
            .ok()
            .and_then(|dwarf| Context::from_dwarf(dwarf).ok());
        if read.is_none() {
            self.debug_sections.clear();
        }
        read
    }

    /// Gives the debug information back, if it was not asked since the last call. Tells whether it did.
    pub(super) fn give_back(&mut self) -> bool {
        let used = std::mem::take(&mut self.debug_used);
        !used && self.debug.take().is_some()
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

fn read_at(mut file: &File, place: &Range<u64>) -> io::Result<Rc<[u8]>> {
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
