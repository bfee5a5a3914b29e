//! Where in a program the functions are that poll and queue tasks, by the names in its symbol table.
//!
//! Every future has a copy of the function that polls it, and copies that are the same stand at one address.

use std::collections::BTreeSet;
use std::fs::File;

use anyhow::{Context as _, Result, bail};
use object::read::elf::ElfFile64;
use object::{Endianness, Object as _, ObjectSymbol as _, ReadCache, SymbolKind};

use super::super::elf;
use crate::model::id::Pid;
use crate::runtime::tokio::names::{Does, POLL};

/// Functions that are probed in one process, at most. More than some hundred futures are spawned by no program that
/// was seen.
const MAX_FUNCTIONS: usize = 4_096;

/// Offsets of functions in a program's file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Functions {
    /// A process that runs the program.
    pub pid: Pid,
    /// Poll the task that their first parameter points to.
    pub poll: Vec<u64>,
    /// Queue the task that their first parameter points to.
    pub queue_first: Vec<u64>,
    /// Queue the task that their second parameter points to.
    pub queue_second: Vec<u64>,
}

impl Functions {
    /// Those of the program that process `pid` runs.
    ///
    /// # Errors
    /// When its file cannot be read, has no symbols, or has none of tokio's.
    pub fn find(pid: Pid) -> Result<Self> {
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
        let [poll, queue_first, queue_second] = found.map(|offsets| offsets.into_iter().collect());
        let functions = Self {
            pid,
            poll,
            queue_first,
            queue_second,
        };
        if functions.poll.is_empty() {
            bail!(
                "its program has no function {POLL}: it has no tokio, or it was linked so that names are gone"
            );
        }
        if functions.count() > MAX_FUNCTIONS {
            bail!(
                "its program has {} functions to be probed, and no more than {MAX_FUNCTIONS} are",
                functions.count()
            );
        }
        Ok(functions)
    }

    /// How many they are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.poll.len() + self.queue_first.len() + self.queue_second.len()
    }
}
