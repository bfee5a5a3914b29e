//! Debug information of one file: which functions were inlined at an address.
//!
//! It is up to a hundred times what a program itself is, and a few functions of it are asked for. So it is left in its
//! file: kept is which unit has which code, and of the units that were asked for where their functions are. Lines are
//! not read at all.
//!
//! `addr2line` finds the same over the same reader, but keeps what it has read, lines too, and does not tell for which
//! range of code an answer is true (docs/cost.md has both side by side).

mod section;
mod unit;

use std::fs::File;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use gimli::{Abbreviations, DebugInfoOffset, Error, Result, SectionId, UnitHeader, UnitOffset};
use rustc_hash::FxHashMap;

use self::section::Piece;
use self::unit::{Dwarf, EntryName, Reference, Unit};
use super::cell::Cell;
use crate::model::full::{Full, Table};

/// The sections that are read.
pub(super) const SECTIONS: [SectionId; 8] = [
    SectionId::DebugAbbrev,
    SectionId::DebugAddr,
    SectionId::DebugInfo,
    SectionId::DebugLineStr,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
    SectionId::DebugStr,
    SectionId::DebugStrOffsets,
];

/// Ranges of code of units that are kept: 6 MiB. Those of a server of ten thousand functions are some thousand.
const MAX_RANGES: usize = 1 << 18;

/// Functions of units that are kept, all together: 3 MiB. Of these and what follows all are read again with one more.
const MAX_FUNCTIONS: usize = 1 << 17;

/// What was inlined in functions and is kept, all together: 2 MiB.
const MAX_INLINED: usize = 1 << 16;

/// Units that are kept open.
const MAX_UNITS: usize = 256;

/// Lists of kinds of entries that are kept. One takes some 10 KiB.
const MAX_ABBREVIATIONS: usize = 64;

/// What is read at once, bytes: the entries of most units fit in. It takes some two microseconds.
const WINDOW_BYTES: usize = 16 << 10;

/// The same of texts, of which one is read here and the next one far away.
const TEXT_WINDOW_BYTES: usize = 512;

/// Names of entries that are kept: 2 MiB, at a hundred bytes each.
const MAX_NAMES: usize = 1 << 14;

/// Entries that are followed to find out what a function is called.
const MAX_REFERENCES: usize = 8;

/// The debug information of a file.
pub(super) struct Debug {
    dwarf: Dwarf,
    /// Offsets of units in their section.
    units: Vec<usize>,
    /// By address. Linkers let no two overlap.
    ranges: Vec<UnitRange>,
    abbreviations: AbbreviationLists,
    opened: FxHashMap<usize, Rc<Unit>>,
    /// How many functions are known of these.
    functions: usize,
    /// What was inlined in functions, by the place of their entries.
    inlined: FxHashMap<usize, Rc<[Inlined]>>,
    /// How many all of these are, and one more for each function.
    inlined_together: usize,
    /// What entries are called, by their place. Small functions are inlined in many others.
    names: FxHashMap<usize, Option<Rc<str>>>,
}

/// Code of one unit.
#[derive(Clone, Copy, Debug)]
struct UnitRange {
    begin: u64,
    end: u64,
    unit: usize,
}

/// A range of code of a function that was inlined.
struct Inlined {
    begin: u64,
    end: u64,
    name: Rc<str>,
}

/// Lists of the kinds of entries that there are, by their place. Units that were compiled together share one, and to
/// read it takes longer than all else that opening a unit does.
#[derive(Default)]
struct AbbreviationLists(FxHashMap<usize, Arc<Abbreviations>>);

impl AbbreviationLists {
    fn of(&mut self, dwarf: &Dwarf, header: &UnitHeader<Piece>) -> Result<Arc<Abbreviations>> {
        let place = header.debug_abbrev_offset().0;
        if let Some(known) = self.0.get(&place) {
            return Ok(Arc::clone(known));
        }
        if self.0.len() >= MAX_ABBREVIATIONS {
            self.0.clear();
        }
        let read = Arc::new(header.abbreviations(&dwarf.debug_abbrev)?);
        self.0.insert(place, Arc::clone(&read));
        Ok(read)
    }
}

/// The functions at an address.
#[derive(Debug, Default)]
pub(super) struct FoundFunctions {
    /// Those that were inlined there, the innermost first.
    pub(super) inlined: Vec<Rc<str>>,
    /// The one that they were inlined in.
    pub(super) around: Option<Rc<str>>,
}

impl Debug {
    /// Looks where the units of a file are, with these sections. If these are too many, nothing is kept and that is
    /// counted in `full`.
    pub(super) fn read(file: &Rc<File>, sections: &[(SectionId, Range<u64>)], full: &Full) -> Result<Self> {
        let dwarf = Dwarf::load(|id| {
            let place = sections.iter().find(|(known, _)| *known == id);
            let window_bytes = match id {
                SectionId::DebugStr | SectionId::DebugLineStr => TEXT_WINDOW_BYTES,
                _ => WINDOW_BYTES,
            };
            Piece::new(file, place.map_or(0..0, |(_, place)| place.clone()), window_bytes)
        })?;
        let (mut units, mut ranges) = (Vec::new(), Vec::new());
        let mut abbreviations = AbbreviationLists::default();
        let mut headers = dwarf.units();
        while let Some(header) = headers.next()? {
            let Some(DebugInfoOffset(offset)) = header.debug_info_offset() else {
                continue;
            };
            units.push(offset);
            // One that is damaged, or of a kind that is not known here, does not spoil the others.
            let Ok(unit) = abbreviations
                .of(&dwarf, &header)
                .and_then(|abbreviations| Unit::open(&dwarf, header, abbreviations))
            else {
                continue;
            };
            let _ = unit.code(&dwarf, |begin, end| {
                ranges.push(UnitRange {
                    begin,
                    end,
                    unit: offset,
                });
            });
            if ranges.len() > MAX_RANGES {
                full.count(Table::ProgramFiles, 1);
                return Err(Error::UnsupportedOffset);
            }
        }
        ranges.sort_unstable_by_key(|range| range.begin);
        ranges.dedup_by(|next, before| {
            let joins = next.unit == before.unit && next.begin <= before.end;
            if joins {
                before.end = before.end.max(next.end);
            }
            joins
        });
        ranges.shrink_to_fit();
        units.shrink_to_fit();
        Ok(Self {
            dwarf,
            units,
            ranges,
            abbreviations,
            opened: FxHashMap::default(),
            functions: 0,
            inlined: FxHashMap::default(),
            inlined_together: 0,
            names: FxHashMap::default(),
        })
    }

    /// What the functions at an address are called by the linker. Those that have no such name are left out. `cell` is
    /// cut where they are others.
    pub(super) fn functions(&mut self, address: u64, cell: &mut Cell) -> Result<FoundFunctions> {
        let after = self.ranges.partition_point(|range| range.begin <= address);
        if let Some(next) = self.ranges.get(after) {
            cell.cut(next.begin);
        }
        let range = after.checked_sub(1).map(|last| self.ranges[last]);
        if let Some(range) = range {
            cell.cut(range.begin);
            cell.cut(range.end);
        }
        let Some(range) = range.filter(|range| address < range.end) else {
            return Ok(FoundFunctions::default());
        };
        let unit = self.unit(range.unit)?;
        let before = unit.functions_known();
        let function = unit.function(&self.dwarf, address, cell)?;
        self.functions += unit.functions_known() - before;
        let Some(function) = function else {
            return Ok(FoundFunctions::default());
        };
        let around = self.name(range.unit, Reference::Here(function))?;
        let mut inlined = Vec::new();
        for one in self.inlined(range.unit, function)?.iter() {
            cell.cut(one.begin);
            cell.cut(one.end);
            if (one.begin..one.end).contains(&address) {
                inlined.push(Rc::clone(&one.name));
            }
        }
        inlined.reverse();
        Ok(FoundFunctions { inlined, around })
    }

    /// What was inlined in the function with this entry, as far as it has a name.
    fn inlined(&mut self, unit: usize, function: UnitOffset) -> Result<Rc<[Inlined]>> {
        let at = unit + function.0;
        if let Some(known) = self.inlined.get(&at) {
            return Ok(Rc::clone(known));
        }
        let mut found = Vec::new();
        self.unit(unit)?
            .inlined(&self.dwarf, function, |begin, end, origin| {
                found.push((begin, end, origin));
            })?;
        let mut named = Vec::new();
        for (begin, end, origin) in found {
            // One that is damaged does not spoil the others.
            if let Ok(Some(name)) = self.name(unit, origin) {
                named.push(Inlined { begin, end, name });
            }
        }
        let named: Rc<[Inlined]> = named.into();
        if self.inlined_together >= MAX_INLINED {
            self.inlined.clear();
            self.inlined_together = 0;
        }
        self.inlined_together += named.len() + 1;
        self.inlined.insert(at, Rc::clone(&named));
        Ok(named)
    }

    /// What an entry is called, which one of the unit at this offset refers to.
    fn name(&mut self, unit: usize, reference: Reference) -> Result<Option<Rc<str>>> {
        let (unit, offset) = self.place(unit, reference)?;
        if let Some(known) = self.names.get(&(unit + offset.0)) {
            return Ok(known.clone());
        }
        let name = self.read_name(unit, offset)?.map(Rc::from);
        if self.names.len() >= MAX_NAMES {
            self.names.clear();
        }
        self.names.insert(unit + offset.0, name.clone());
        Ok(name)
    }

    fn read_name(&mut self, mut unit: usize, mut offset: UnitOffset) -> Result<Option<String>> {
        for _ in 0..MAX_REFERENCES {
            match self.unit(unit)?.name(&self.dwarf, offset)? {
                EntryName::Known(name) => return Ok(Some(name)),
                EntryName::As(next) => (unit, offset) = self.place(unit, next)?,
                EntryName::Unknown => break,
            }
        }
        Ok(None)
    }

    /// Where an entry is, which one of the unit at this offset refers to: its unit, and its place there.
    fn place(&self, unit: usize, reference: Reference) -> Result<(usize, UnitOffset)> {
        let offset = match reference {
            Reference::Here(offset) => return Ok((unit, offset)),
            Reference::Anywhere(offset) => offset,
        };
        let after = self.units.partition_point(|unit| *unit <= offset);
        let last = after.checked_sub(1).and_then(|last| self.units.get(last));
        let unit = *last.ok_or(Error::OffsetOutOfBounds(offset as u64))?;
        Ok((unit, UnitOffset(offset - unit)))
    }

    /// The unit at this offset.
    fn unit(&mut self, offset: usize) -> Result<Rc<Unit>> {
        if let Some(unit) = self.opened.get(&offset) {
            return Ok(Rc::clone(unit));
        }
        if self.opened.len() >= MAX_UNITS || self.functions >= MAX_FUNCTIONS {
            self.opened.clear();
            self.functions = 0;
        }
        let header = self
            .dwarf
            .debug_info
            .header_from_offset(DebugInfoOffset(offset))?;
        let abbreviations = self.abbreviations.of(&self.dwarf, &header)?;
        let unit = Rc::new(Unit::open(&self.dwarf, header, abbreviations)?);
        self.opened.insert(offset, Rc::clone(&unit));
        Ok(unit)
    }
}
