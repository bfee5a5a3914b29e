//! The symbol table of one ELF file: which function covers an address.
//!
//! Only where the functions are is kept; a name is read from the file when it is asked for.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use object::LittleEndian;
use object::elf::{FileHeader64, SHT_DYNSYM, SHT_SYMTAB, STT_FUNC, STT_GNU_IFUNC};
use object::read::ReadRef;
use object::read::elf::{ElfFile, FileHeader as _, SectionHeader as _, Sym as _};

use super::cell::Cell;
use crate::model::full::{Full, Table};

/// Functions of one file that are kept: 16 MiB. The largest servers have some hundred thousand.
const MAX_FUNCTIONS: usize = 1 << 20;

/// Longest symbol that is read, bytes. Those of Rust's older scheme reach a few hundred; what is cut has no name.
const MAX_SYMBOL_BYTES: usize = 4096;

/// Where the functions of a file are.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    functions: Vec<FunctionSymbol>,
    /// Offset of the table of names in the file, bytes.
    names: u64,
}

#[derive(Clone, Copy, Debug)]
struct FunctionSymbol {
    address: u64,
    size: u32,
    /// Place of its name in the table of names.
    name: u32,
}

impl Symbols {
    /// Reads the symbol table, or, where that was stripped, the one of exported functions.
    /// What there is no room for is left out, and that is counted in `full`.
    pub(super) fn read<'data, R: ReadRef<'data>>(
        elf: &ElfFile<'data, FileHeader64<LittleEndian>, R>,
        full: &Full,
    ) -> object::Result<Self> {
        let (endian, data) = (elf.endian(), elf.data());
        let sections = elf.elf_header().sections(endian, data)?;
        let mut table = sections.symbols(endian, data, SHT_SYMTAB)?;
        if table.is_empty() {
            table = sections.symbols(endian, data, SHT_DYNSYM)?;
        }
        if table.is_empty() {
            return Ok(Self::default());
        }
        let names = sections.section(table.string_section())?.sh_offset(endian);
        let mut found = table.iter().filter(|symbol| {
            let kind = symbol.st_type();
            (kind == STT_FUNC || kind == STT_GNU_IFUNC)
                && symbol.st_shndx(endian) != 0
                && symbol.st_size(endian) > 0
        });
        let mut functions: Vec<FunctionSymbol> = found
            .by_ref()
            .take(MAX_FUNCTIONS)
            .map(|symbol| FunctionSymbol {
                address: symbol.st_value(endian),
                size: u32::try_from(symbol.st_size(endian)).unwrap_or(u32::MAX),
                name: symbol.st_name(endian),
            })
            .collect();
        if found.next().is_some() {
            full.count(Table::ProgramFiles, 1);
        }
        functions.sort_by_key(|function| function.address);
        functions.shrink_to_fit();
        Ok(Self { functions, names })
    }

    /// The symbol of the function that covers `address`; none, where only one before it is known. `cell` is cut where
    /// it is another.
    pub(super) fn find(&self, address: u64, file: &File, cell: &mut Cell) -> io::Result<Option<String>> {
        let after = self
            .functions
            .partition_point(|function| function.address <= address);
        if let Some(next) = self.functions.get(after) {
            cell.cut(next.address);
        }
        let Some(function) = after.checked_sub(1).map(|last| self.functions[last]) else {
            return Ok(None);
        };
        let end = function.address.saturating_add(function.size.into());
        cell.cut(function.address);
        cell.cut(end);
        if address >= end {
            return Ok(None);
        }
        let mut bytes = vec![0; MAX_SYMBOL_BYTES];
        let read = file.read_at(&mut bytes, self.names.saturating_add(function.name.into()))?;
        let name = bytes[..read]
            .iter()
            .position(|&byte| byte == 0)
            .map(|end| &bytes[..end]);
        Ok(name
            .and_then(|name| std::str::from_utf8(name).ok())
            .map(str::to_owned))
    }
}
