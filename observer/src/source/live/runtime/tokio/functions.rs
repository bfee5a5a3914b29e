//! Where in a program the functions are that poll and queue tasks, by the names in its symbol table.
//!
//! Every future has a copy of the function that polls it, and copies that are the same stand at one address.
//!
//! USDT probes are not looked for: nothing published puts tokio's into a Linux program (docs/tokio.md).

use std::collections::BTreeSet;
use std::fs::File;

use anyhow::{Context as _, Result, bail};
use object::read::elf::ElfFile64;
use object::{Endianness, Object as _, ObjectSymbol as _, ReadCache, SymbolKind};
use observer_common::names::program;

use super::super::elf;
use crate::model::id::Pid;
use crate::runtime::tokio::names::{Does, POLL};
use crate::source::live::signals::Probes;

/// Functions that are probed in one process, at most. More than some hundred futures are spawned by no program that
/// was seen.
const MAX_FUNCTIONS: usize = 4_096;

/// Where programs of the kernel half are to run in the program of process `pid`.
///
/// # Errors
/// When its file cannot be read, has no symbols, or has none of tokio's.
pub fn find(pid: Pid) -> Result<Probes> {
    let path = format!("/proc/{pid}/exe");
    let file = File::open(&path).with_context(|| format!("cannot open {path}"))?;
    let cache = ReadCache::new(file);
    let elf: ElfFile64<'_, Endianness, _> =
        ElfFile64::parse(&cache).with_context(|| format!("{path} is no 64-bit ELF file"))?;
    if elf.symbols().next().is_none() {
        bail!("its program has no symbols: build it without `strip`");
    }
    let mut found = [(); 3].map(|()| BTreeSet::new());
    for symbol in elf.symbols() {
        if symbol.kind() != SymbolKind::Text || symbol.is_undefined() {
            continue;
        }
        if let Ok(name) = symbol.name()
            && let Some(does) = Does::of(name)
            && let Some(offset) = elf::offset_of(&elf, symbol.address())
        {
            found[does as usize].insert(offset);
        }
    }
    let [poll, queue_first, queue_second] = found.map(|offsets| offsets.into_iter().collect::<Vec<_>>());
    if poll.is_empty() {
        bail!("its program has no function {POLL}: it has no tokio, or it was linked so that names are gone");
    }
    let places = vec![
        (program::POLL_START, poll.clone()),
        (program::POLL_END, poll),
        (program::QUEUE_FIRST, queue_first),
        (program::QUEUE_SECOND, queue_second),
    ];
    let probes = Probes { pid, places };
    let functions = probes.functions();
    if functions > MAX_FUNCTIONS {
        bail!("its program has {functions} functions to be probed, and no more than {MAX_FUNCTIONS} are");
    }
    Ok(probes)
}
