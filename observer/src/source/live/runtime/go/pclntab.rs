//! The table that a Go program has for the stacks that it prints: where each function begins, by its name. It is there
//! also where the symbols are gone.
//!
//! Its layout is that of Go 1.18 to 1.27 (`moduledata` and `pcHeader` in `runtime/symtab.go`).

use object::read::elf::ElfFile64;
use object::{Endianness, Object as _, ObjectSection as _, ReadRef};

use super::super::elf;
use super::program::Stackcheck;

/// First bytes of the table since Go 1.18, and since 1.20.
const MAGICS: [u32; 2] = [0xffff_fff0, 0xffff_fff1];

/// Places of words in its header, bytes.
mod at {
    pub(super) const POINTER_BYTES: usize = 7;
    pub(super) const COUNT: usize = 8;
    pub(super) const NAMES: usize = 32;
    pub(super) const FUNCTIONS: usize = 64;
}

/// A row of the table: where a function begins, and where more is said of it.
pub(super) const ROW: usize = 8;

/// Behind where it begins, what is said of it first is where its name is.
pub(super) const NAME_AT: usize = 4;

/// Sections that have the table. A program that can be loaded anywhere has it among what is written at its start.
const SECTIONS: [&str; 2] = [".gopclntab", ".data.rel.ro.gopclntab"];

const STACKCHECK: &str = "runtime.stackcheck";

/// The table of a program, with addresses as the file has them.
pub(super) struct Table<'a> {
    functions: Functions<'a>,
    place: TablePlace,
}

/// Where the parts of the table are in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TablePlace {
    pub(super) names: u64,
    pub(super) rows: u64,
    pub(super) count: u64,
    /// Where the program's functions begin: the table counts from there. That is told by one of which it is known where
    /// it is.
    pub(super) first: u64,
}

impl<'a> Table<'a> {
    /// That of a file, in which this function is here.
    pub(super) fn of<R: ReadRef<'a>>(
        elf: &ElfFile64<'a, Endianness, R>,
        stackcheck: &Stackcheck,
    ) -> Option<Self> {
        let section = SECTIONS.iter().find_map(|name| elf.section_by_name(name))?;
        let (bytes, (at, _)) = (section.data().ok()?, section.file_range()?);
        let functions = Functions::of(bytes)?;
        let known = elf::address_of(elf, stackcheck.at)?;
        let first = known.checked_sub(functions.begin(STACKCHECK)?)?;
        let behind = |part: &[u8]| at + (bytes.len() - part.len()) as u64;
        let place = TablePlace {
            names: behind(functions.names),
            rows: behind(functions.rows),
            count: functions.count as u64,
            first,
        };
        Some(Self { functions, place })
    }

    /// Where the function of this name begins.
    pub(super) fn begin(&self, name: &str) -> Option<u64> {
        self.place.first.checked_add(self.functions.begin(name)?)
    }

    pub(super) const fn place(&self) -> TablePlace {
        self.place
    }
}

/// The functions of a program.
struct Functions<'a> {
    names: &'a [u8],
    /// Rows, and behind them what they point to.
    rows: &'a [u8],
    count: usize,
}

impl<'a> Functions<'a> {
    /// In the bytes of the table; `None` where they have another layout.
    fn of(table: &'a [u8]) -> Option<Self> {
        let is_known = MAGICS.contains(&half(table, 0)?) && *table.get(at::POINTER_BYTES)? == 8;
        let place = |at| usize::try_from(word(table, at)?).ok();
        let functions = Self {
            names: table.get(place(at::NAMES)?..)?,
            rows: table.get(place(at::FUNCTIONS)?..)?,
            count: place(at::COUNT)?,
        };
        is_known.then_some(functions)
    }

    /// Where the function of this name begins, bytes from where all of them do. `None` where there is none, or more
    /// than one.
    fn begin(&self, name: &str) -> Option<u64> {
        let rows = self.rows.chunks_exact(ROW).take(self.count);
        let mut found = rows.filter_map(|row| {
            let more = half(row, size_of::<u32>())? as usize;
            let named = self
                .names
                .get(half(self.rows, more.checked_add(NAME_AT)?)? as usize..)?;
            let rest = named.strip_prefix(name.as_bytes())?;
            (rest.first() == Some(&0)).then_some(half(row, 0)?.into())
        });
        found.next().filter(|_| found.next().is_none())
    }
}

fn half(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(size_of::<u32>())?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(size_of::<u64>())?)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: u64 = 72;

    /// A table of functions that begin at these places.
    fn table(functions: &[(&str, u32)]) -> Vec<u8> {
        let mut names = Vec::new();
        let (mut rows, mut more) = (Vec::new(), Vec::new());
        for &(name, begin) in functions {
            let about = functions.len() * ROW + more.len();
            rows.extend([begin.to_le_bytes(), (about as u32).to_le_bytes()].concat());
            more.extend([begin.to_le_bytes(), (names.len() as u32).to_le_bytes()].concat());
            names.extend([name.as_bytes(), b"\0"].concat());
        }
        let words = [
            functions.len() as u64,
            0,
            0,
            HEADER,
            0,
            0,
            0,
            HEADER + names.len() as u64,
        ];
        let header = [&MAGICS[1].to_le_bytes()[..], &[0, 0, 1, 8]].concat();
        let words: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
        [header, words, names, rows, more].concat()
    }

    #[test]
    fn a_function_begins_where_the_row_of_its_name_says() {
        let table = table(&[
            ("runtime.readyForYou", 16),
            ("runtime.ready", 64),
            ("main.main", 96),
        ]);
        let functions = Functions::of(&table).unwrap();
        assert_eq!(functions.begin("runtime.ready"), Some(64));
        assert_eq!(functions.begin("main.main"), Some(96));
        assert_eq!(functions.begin("main.mai"), None);
    }

    #[test]
    fn one_of_two_functions_of_a_name_is_none() {
        let table = table(&[("runtime.ready", 16), ("runtime.ready", 64)]);
        assert_eq!(Functions::of(&table).unwrap().begin("runtime.ready"), None);
    }

    #[test]
    fn bytes_that_are_no_table_or_break_off_have_no_functions() {
        let whole = table(&[("runtime.ready", 64)]);
        for length in 0..whole.len() {
            let begin =
                Functions::of(&whole[..length]).and_then(|functions| functions.begin("runtime.ready"));
            assert_eq!(begin, None, "{length}");
        }
        let other = [b"\xfb\xff\xff\xff", &whole[4..]].concat();
        assert!(Functions::of(&other).is_none());
    }
}
