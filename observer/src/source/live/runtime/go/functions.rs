//! Where in a program the functions are with which Go's runtime makes goroutines ready and runs them: by its symbols,
//! and where these are gone by the table that it has of its functions. Only their beginning is probed: the kernel would
//! put the return of a probe onto a stack that Go moves.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use anyhow::{Context as _, Result, bail};
use object::read::elf::ElfFile64;
use object::{Endianness, Object as _, ObjectSymbol as _, ReadCache, ReadRef};
use observer_common::names::program;

use super::super::elf;
use super::pclntab::Table;
use super::program::{GoImage, TOO_OLD};
use crate::model::id::Pid;
use crate::runtime::go::names::{EXECUTE, READY};
use crate::source::live::signals::Probes;

/// `cmp 0x10(%r14),%rsp`: a function begins by looking whether there is room on its stack.
const LOOKS_FOR_ROOM: [u8; 4] = *b"\x49\x3b\x66\x10";

/// Where programs of the kernel half are to run in the program of process `pid`.
///
/// # Errors
/// When its file cannot be read, is no Go program that is known, or does not tell.
pub fn find(pid: Pid) -> Result<Probes> {
    let path = format!("/proc/{pid}/exe");
    let file = File::open(&path).with_context(|| format!("cannot open {path}"))?;
    let cache = ReadCache::new(&file);
    let elf: ElfFile64<'_, Endianness, _> =
        ElfFile64::parse(&cache).with_context(|| format!("{path} is no 64-bit ELF file"))?;
    let Some(image) = GoImage::of(&file, &elf) else {
        bail!("its program is not of Go");
    };
    if image.known_version().is_none() {
        bail!("{TOO_OLD}");
    }
    let begins = by_symbols(&elf).or_else(|| by_table(&elf, &image));
    let Some(begins) = begins else {
        bail!("its program has neither symbols nor a table of functions that tell where {READY} is");
    };
    let [ready, execute] = begins.map(|begin| vec![probed_at(&file, begin)]);
    Ok(Probes {
        pid,
        places: vec![
            (program::GOROUTINE_READY, ready),
            (program::GOROUTINE_EXECUTE, execute),
        ],
    })
}

/// Where in the file both functions begin, by the symbols of the program.
fn by_symbols<'data, R: ReadRef<'data>>(elf: &ElfFile64<'data, Endianness, R>) -> Option<[u64; 2]> {
    let mut found = [None; 2];
    for symbol in elf.symbols() {
        let place = match symbol.name() {
            Ok(READY) => &mut found[0],
            Ok(EXECUTE) => &mut found[1],
            _ => continue,
        };
        *place = elf::offset_of(elf, symbol.address());
    }
    found[0].zip(found[1]).map(Into::into)
}

/// The same by its table of functions.
fn by_table<'data, R: ReadRef<'data>>(
    elf: &ElfFile64<'data, Endianness, R>,
    image: &GoImage,
) -> Option<[u64; 2]> {
    let table = Table::of(elf, &image.stackcheck?)?;
    let begin = |name| elf::offset_of(elf, table.begin(name)?);
    Some([begin(READY)?, begin(EXECUTE)?])
}

/// Where a function that begins here is probed. The jump that follows the look for room on the stack is carried out by
/// the kernel when it comes by the probe, where any other instruction takes the thread a second trap; and the
/// function's argument is where it was.
fn probed_at(file: &File, begin: u64) -> u64 {
    let mut first = [0; LOOKS_FOR_ROOM.len()];
    match file.read_exact_at(&mut first, begin) {
        Ok(()) if first == LOOKS_FOR_ROOM => begin + LOOKS_FOR_ROOM.len() as u64,
        _ => begin,
    }
}
