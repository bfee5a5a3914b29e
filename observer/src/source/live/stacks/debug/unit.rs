//! One unit of the debug information: which of its functions has an address, and what was inlined there.

use std::cell::OnceCell;
use std::sync::Arc;

use gimli::{
    Abbreviations, AttributeSpecification, AttributeValue, DW_AT_MIPS_linkage_name, DW_AT_abstract_origin,
    DW_AT_language, DW_AT_linkage_name, DW_AT_low_pc, DW_AT_name, DW_AT_ranges, DW_AT_specification,
    DW_TAG_inlined_subroutine, DW_TAG_subprogram, DebugAddrBase, DebugLocListsBase, DebugRngListsBase,
    DebugStrOffsetsBase, DwAt, DwarfFileType, Reader as _, Result, UnitHeader, UnitOffset,
};

use super::section::Piece;
use crate::source::live::stacks::cell::Cell;

pub(super) type Dwarf = gimli::Dwarf<Piece>;
type Entry = gimli::DebuggingInformationEntry<Piece>;

/// Longest name that is read, bytes.
const MAX_NAME_BYTES: usize = 4096;

/// A unit.
pub(super) struct Unit {
    unit: gimli::Unit<Piece>,
    /// Its outermost entry.
    root: Entry,
    is_rust: bool,
    /// By address, once it was asked for one.
    functions: OnceCell<Vec<FunctionRange>>,
}

/// A range of code of one function.
#[derive(Clone, Copy, Debug)]
struct FunctionRange {
    begin: u64,
    end: u64,
    /// Its entry in the unit.
    entry: usize,
}

/// An entry that another one refers to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reference {
    Here(UnitOffset),
    /// Offset in the section.
    Anywhere(usize),
}

/// What an entry is called.
pub(super) enum EntryName {
    Known(String),
    /// As the entry that it refers to.
    As(Reference),
    /// It does not say.
    Unknown,
}

impl Unit {
    /// Reads where a unit is, and not yet what is in it.
    ///
    /// This is what `gimli` does too, but for the lines: they are not needed, and are a quarter of all.
    pub(super) fn open(
        dwarf: &Dwarf,
        header: UnitHeader<Piece>,
        abbreviations: Arc<Abbreviations>,
    ) -> Result<Self> {
        let (encoding, main) = (header.encoding(), DwarfFileType::Main);
        let mut unit = gimli::Unit {
            abbreviations,
            name: None,
            comp_dir: None,
            low_pc: 0,
            str_offsets_base: DebugStrOffsetsBase::default_for_encoding_and_file(encoding, main),
            addr_base: DebugAddrBase(0),
            loclists_base: DebugLocListsBase::default_for_encoding_and_file(encoding, main),
            rnglists_base: DebugRngListsBase::default_for_encoding_and_file(encoding, main),
            line_program: None,
            dwo_id: None,
            header,
        };
        let mut root = Entry::null();
        unit.header
            .entries_raw(&unit.abbreviations, None)?
            .read_entry(&mut root)?;
        for attribute in root.attrs() {
            match attribute.value() {
                AttributeValue::DebugStrOffsetsBase(base) => unit.str_offsets_base = base,
                AttributeValue::DebugAddrBase(base) => unit.addr_base = base,
                AttributeValue::DebugRngListsBase(base) => unit.rnglists_base = base,
                _ => {}
            }
        }
        if let Some(low) = root.attr_value(DW_AT_low_pc) {
            unit.low_pc = dwarf.attr_address(&unit, low)?.unwrap_or(0);
        }
        let language = root.attr_value(DW_AT_language);
        Ok(Self {
            is_rust: matches!(language, Some(AttributeValue::Language(language)) if language == gimli::DW_LANG_Rust),
            unit,
            root,
            functions: OnceCell::new(),
        })
    }

    /// Calls `each` with the begin and the end of each range of its code.
    pub(super) fn code(&self, dwarf: &Dwarf, mut each: impl FnMut(u64, u64)) -> Result<()> {
        ranges(dwarf, &self.unit, &self.root, &mut each)
    }

    /// How many functions it has, as far as it was looked at.
    pub(super) fn functions_known(&self) -> usize {
        self.functions.get().map_or(0, Vec::len)
    }

    /// Where its functions are. Units that only name what others have inlined are never asked.
    fn functions(&self, dwarf: &Dwarf) -> Result<&[FunctionRange]> {
        if let Some(known) = self.functions.get() {
            return Ok(known);
        }
        let read = self.read_functions(dwarf)?;
        Ok(self.functions.get_or_init(|| read))
    }

    fn read_functions(&self, dwarf: &Dwarf) -> Result<Vec<FunctionRange>> {
        let mut entries = self.unit.entries_raw(None)?;
        let mut entry = Entry::null();
        let mut functions = Vec::new();
        while !entries.is_empty() {
            let UnitOffset(at) = entries.next_offset();
            let Some(abbreviation) = entries.read_abbreviation()? else {
                continue;
            };
            let has_code = || {
                let mut attributes = abbreviation.attributes().iter().map(AttributeSpecification::name);
                attributes.any(|name| name == DW_AT_low_pc || name == DW_AT_ranges)
            };
            if abbreviation.tag() != DW_TAG_subprogram || !has_code() {
                entries.skip_attributes(abbreviation.attributes())?;
                continue;
            }
            entries.read_attributes(abbreviation.attributes(), &mut entry.attrs)?;
            ranges(dwarf, &self.unit, &entry, &mut |begin, end| {
                functions.push(FunctionRange {
                    begin,
                    end,
                    entry: at,
                });
            })?;
        }
        functions.sort_unstable_by_key(|function| function.begin);
        functions.shrink_to_fit();
        Ok(functions)
    }

    /// The entry of the function that has an address. `cell` is cut where another has it.
    pub(super) fn function(
        &self,
        dwarf: &Dwarf,
        address: u64,
        cell: &mut Cell,
    ) -> Result<Option<UnitOffset>> {
        let functions = self.functions(dwarf)?;
        let after = functions.partition_point(|function| function.begin <= address);
        if let Some(next) = functions.get(after) {
            cell.cut(next.begin);
        }
        let Some(function) = after.checked_sub(1).map(|last| functions[last]) else {
            return Ok(None);
        };
        cell.cut(function.begin);
        cell.cut(function.end);
        Ok((address < function.end).then_some(UnitOffset(function.entry)))
    }

    /// Calls `each` with what was inlined in the function with this entry, one after what it was itself inlined in: the
    /// begin and the end of its code, and what it is.
    pub(super) fn inlined(
        &self,
        dwarf: &Dwarf,
        function: UnitOffset,
        mut each: impl FnMut(u64, u64, Reference),
    ) -> Result<()> {
        let mut entries = self.unit.entries_raw(Some(function))?;
        let mut entry = Entry::null();
        entries.read_entry(&mut entry)?;
        // Up to the end of what is inside of it.
        while entries.next_depth() > 0 && !entries.is_empty() {
            let Some(abbreviation) = entries.read_abbreviation()? else {
                continue;
            };
            if abbreviation.tag() != DW_TAG_inlined_subroutine {
                entries.skip_attributes(abbreviation.attributes())?;
                continue;
            }
            entries.read_attributes(abbreviation.attributes(), &mut entry.attrs)?;
            let Some(origin) = reference(&entry, DW_AT_abstract_origin) else {
                continue;
            };
            ranges(dwarf, &self.unit, &entry, &mut |begin, end| {
                each(begin, end, origin);
            })?;
        }
        Ok(())
    }

    /// What its entry at `offset` is called.
    ///
    /// A name without a path says nothing in Rust, where any crate may have a function `read`: there it has to be the
    /// linker's. Where only lines are described (`debug = "line-tables-only"`), functions have no other.
    pub(super) fn name(&self, dwarf: &Dwarf, offset: UnitOffset) -> Result<EntryName> {
        let mut entry = Entry::null();
        self.unit.entries_raw(Some(offset))?.read_entry(&mut entry)?;
        let linker = [DW_AT_linkage_name, DW_AT_MIPS_linkage_name]
            .iter()
            .find_map(|name| entry.attr_value(*name));
        let origin = || {
            let mut refers = [DW_AT_abstract_origin, DW_AT_specification].into_iter();
            refers.find_map(|name| reference(&entry, name))
        };
        let name = match (linker, origin()) {
            (Some(name), _) => name,
            (None, Some(origin)) => return Ok(EntryName::As(origin)),
            (None, None) => match entry.attr_value(DW_AT_name).filter(|_| !self.is_rust) {
                Some(name) => name,
                None => return Ok(EntryName::Unknown),
            },
        };
        let name = dwarf.attr_string(&self.unit, name)?;
        if name.len() > MAX_NAME_BYTES {
            return Ok(EntryName::Unknown);
        }
        Ok(EntryName::Known(name.to_string()?.into_owned()))
    }
}

fn reference(entry: &Entry, name: DwAt) -> Option<Reference> {
    match entry.attr_value(name)? {
        AttributeValue::UnitRef(offset) => Some(Reference::Here(offset)),
        AttributeValue::DebugInfoRef(offset) => Some(Reference::Anywhere(offset.0)),
        _ => None,
    }
}

/// Calls `each` with the begin and the end of each range of code of an entry. What the linker left out begins at 0.
fn ranges(
    dwarf: &Dwarf,
    unit: &gimli::Unit<Piece>,
    entry: &Entry,
    each: &mut impl FnMut(u64, u64),
) -> Result<()> {
    let mut ranges = dwarf.die_ranges(unit, entry)?;
    while let Some(range) = ranges.next()? {
        if range.begin != 0 && range.begin < range.end {
            each(range.begin, range.end);
        }
    }
    Ok(())
}
