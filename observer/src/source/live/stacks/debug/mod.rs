//! Debug information of one file: which functions were inlined at an address.
//!
//! It is up to a hundred times what a program itself is, and a few functions of it are asked for. So it is left in its
//! file: kept is which unit has which code, and of the units that were asked for where their functions are. Lines are
//! not read at all.

mod section;
mod unit;

use std::fs::File;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use gimli::{Abbreviations, DebugInfoOffset, Error, Result, SectionId, UnitHeader};
use rustc_hash::FxHashMap;

use self::section::Piece;
use self::unit::{Dwarf, Name, Reference, Unit};

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

/// Stretches of code of units that are kept: 6 MiB. Those of a server of ten thousand functions are some thousand.
const MAX_STRETCHES: usize = 1 << 18;

/// Functions of units that are kept, all together: 3 MiB.
const MAX_FUNCTIONS: usize = 1 << 17;

/// Units whose functions are kept.
const MAX_UNITS: usize = 256;

/// Lists of kinds of entries that are kept. One takes some 10 KiB.
const MAX_ABBREVIATIONS: usize = 64;

/// Entries that are followed to find out what a function is called.
const MAX_REFERENCES: usize = 8;

/// The debug information of a file.
pub(super) struct Debug {
    dwarf: Dwarf,
    /// Offsets of units in their section.
    units: Vec<usize>,
    /// By address. Linkers let no two overlap.
    stretches: Vec<Stretch>,
    abbreviations: Known,
    walked: FxHashMap<usize, Rc<Unit>>,
    functions: usize,
}

/// Code of one unit.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    begin: u64,
    end: u64,
    unit: usize,
}

/// Lists of the kinds of entries that there are, by their place. Units that were compiled together share one, and to read
/// it takes longer than all else that opening a unit does.
#[derive(Default)]
struct Known(FxHashMap<usize, Arc<Abbreviations>>);

impl Known {
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

impl Debug {
    /// Looks where the units of a file are, with these sections.
    pub(super) fn read(file: &Rc<File>, sections: &[(SectionId, Range<u64>)]) -> Result<Self> {
        let dwarf = Dwarf::load(|id| {
            let place = sections.iter().find(|(known, _)| *known == id);
            Piece::new(file, place.map_or(0..0, |(_, place)| place.clone()))
        })?;
        let (mut units, mut stretches) = (Vec::new(), Vec::new());
        let mut abbreviations = Known::default();
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
                stretches.push(Stretch {
                    begin,
                    end,
                    unit: offset,
                });
            });
            if stretches.len() > MAX_STRETCHES {
                return Err(Error::UnsupportedOffset);
            }
        }
        stretches.sort_unstable_by_key(|stretch| stretch.begin);
        stretches.dedup_by(|next, before| {
            let joins = next.unit == before.unit && next.begin <= before.end;
            if joins {
                before.end = before.end.max(next.end);
            }
            joins
        });
        stretches.shrink_to_fit();
        units.shrink_to_fit();
        Ok(Self {
            dwarf,
            units,
            stretches,
            abbreviations,
            walked: FxHashMap::default(),
            functions: 0,
        })
    }

    /// What the functions at an address are called by the linker, the innermost first. The last one is the function
    /// itself, the others were inlined there; those that have no such name are left out.
    pub(super) fn functions(&mut self, address: u64) -> Result<(Vec<String>, Option<String>)> {
        let after = self.stretches.partition_point(|stretch| stretch.begin <= address);
        let stretch = after.checked_sub(1).map(|last| self.stretches[last]);
        let Some(stretch) = stretch.filter(|stretch| address < stretch.end) else {
            return Ok((Vec::new(), None));
        };
        let unit = self.unit(stretch.unit)?;
        let mut names = Vec::new();
        let mut functions = unit.at(&self.dwarf, address)?.into_iter();
        let around = match functions.next() {
            Some(function) => self.name(stretch.unit, function)?,
            None => None,
        };
        for function in functions.rev() {
            names.extend(self.name(stretch.unit, function)?);
        }
        Ok((names, around))
    }

    /// What an entry is called, which one of the unit at this offset refers to.
    fn name(&mut self, mut unit: usize, mut reference: Reference) -> Result<Option<String>> {
        for _ in 0..MAX_REFERENCES {
            let offset = match reference {
                Reference::Here(offset) => offset,
                Reference::Anywhere(offset) => {
                    let after = self.units.partition_point(|unit| *unit <= offset);
                    unit = *after
                        .checked_sub(1)
                        .and_then(|last| self.units.get(last))
                        .ok_or(Error::OffsetOutOfBounds(offset as u64))?;
                    gimli::UnitOffset(offset - unit)
                }
            };
            match self.unit(unit)?.name(&self.dwarf, offset)? {
                Name::Known(name) => return Ok(Some(name)),
                Name::As(next) => reference = next,
                Name::Unknown => return Ok(None),
            }
        }
        Ok(None)
    }

    /// The unit at this offset, with its functions.
    fn unit(&mut self, offset: usize) -> Result<Rc<Unit>> {
        if let Some(unit) = self.walked.get(&offset) {
            return Ok(Rc::clone(unit));
        }
        if self.walked.len() >= MAX_UNITS || self.functions >= MAX_FUNCTIONS {
            self.walked.clear();
            self.functions = 0;
        }
        let header = self
            .dwarf
            .debug_info
            .header_from_offset(DebugInfoOffset(offset))?;
        let abbreviations = self.abbreviations.of(&self.dwarf, &header)?;
        let mut unit = Unit::open(&self.dwarf, header, abbreviations)?;
        self.functions += unit.walk(&self.dwarf)?;
        let unit = Rc::new(unit);
        self.walked.insert(offset, Rc::clone(&unit));
        Ok(unit)
    }
}
