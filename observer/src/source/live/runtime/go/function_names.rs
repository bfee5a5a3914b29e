//! Which function of a program an address is in, by the table that the program has of them. That of a large program
//! takes tens of megabytes: what is asked for is read from the file, and remembered.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::pclntab::{NAME_AT, ROW, TablePlace};

/// Addresses that are remembered. One more, and all are forgotten.
const MOST_KNOWN: usize = 4096;

/// The longest name, bytes. What is longer is cut.
const MOST_BYTES: usize = 200;

/// The functions of one program.
pub(super) struct FunctionNames {
    file: File,
    table: TablePlace,
    known: FxHashMap<u64, Option<Arc<str>>>,
}

impl FunctionNames {
    /// Those of the program in `file`, whose table is here, with addresses as a process has them.
    pub(super) fn new(file: File, table: TablePlace) -> Self {
        Self {
            file,
            table,
            known: FxHashMap::default(),
        }
    }

    /// The function that an address is in, if one is. `None` where there was no time to find out.
    pub(super) fn of(&mut self, address: u64, in_time: &dyn Fn() -> bool) -> Option<Option<Arc<str>>> {
        if let Some(known) = self.known.get(&address) {
            return Some(known.clone());
        }
        let name = read(&self.file, &self.table, address, in_time);
        if name.is_none() && !in_time() {
            return None;
        }
        if self.known.len() >= MOST_KNOWN {
            self.known.clear();
        }
        self.known.insert(address, name.clone());
        Some(name)
    }
}

/// Reads it from the file, which can be far away, while there is time for one read more.
fn read(file: &File, table: &TablePlace, address: u64, in_time: &dyn Fn() -> bool) -> Option<Arc<str>> {
    let offset = u32::try_from(address.checked_sub(table.first)?).ok()?;
    let half = |at: u64| {
        if !in_time() {
            return None;
        }
        let mut bytes = [0; size_of::<u32>()];
        file.read_exact_at(&mut bytes, at).ok()?;
        Some(u32::from_le_bytes(bytes))
    };
    // Behind the last row stands where the last function ends.
    let begin = |row: u64| half(table.rows.checked_add(row.checked_mul(ROW as u64)?)?);
    let (mut below, mut above) = (0, table.count);
    if offset < begin(below)? || offset >= begin(above)? {
        return None;
    }
    while above - below > 1 {
        let middle = below.midpoint(above);
        if begin(middle)? <= offset {
            below = middle;
        } else {
            above = middle;
        }
    }
    let said_at = half(table.rows + below * ROW as u64 + size_of::<u32>() as u64)?;
    let name_at = half(table.rows.checked_add(u64::from(said_at) + NAME_AT as u64)?)?;
    let mut name = [0; MOST_BYTES];
    let bytes = file
        .read_at(&mut name, table.names.checked_add(name_at.into())?)
        .ok()?;
    let name = name[..bytes].split(|&byte| byte == 0).next()?;
    let name = String::from_utf8_lossy(name);
    (!name.is_empty()).then(|| name.into())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::Write as _;

    use super::*;

    /// A file with a table of these functions, which begin and end at these places from 0x1000.
    fn names(functions: &[(&str, u32)], end: u32) -> FunctionNames {
        let (mut names, mut rows, mut said) = (Vec::new(), Vec::new(), Vec::new());
        let rows_bytes = functions.len() * ROW + size_of::<u32>();
        for &(name, begin) in functions {
            let about = rows_bytes + said.len();
            rows.extend([begin.to_le_bytes(), (about as u32).to_le_bytes()].concat());
            said.extend([begin.to_le_bytes(), (names.len() as u32).to_le_bytes()].concat());
            names.extend([name.as_bytes(), b"\0"].concat());
        }
        let mut file = tempfile::tempfile().unwrap();
        let bytes = [&b"before"[..], &names, &rows, &end.to_le_bytes(), &said].concat();
        file.write_all(&bytes).unwrap();
        let table = TablePlace {
            names: 6,
            rows: 6 + names.len() as u64,
            count: functions.len() as u64,
            first: 0x1000,
        };
        FunctionNames::new(file, table)
    }

    #[test]
    fn an_address_is_in_the_last_function_that_begins_before_it() {
        let mut names = names(&[("runtime.a", 16), ("main.b", 32), ("main.(*c).d", 64)], 80);
        let mut of = |address| names.of(address, &|| true).unwrap().map(|name| name.to_string());
        for _ in 0..2 {
            assert_eq!(of(0x1010).as_deref(), Some("runtime.a"));
            assert_eq!(of(0x101f).as_deref(), Some("runtime.a"));
            assert_eq!(of(0x1020).as_deref(), Some("main.b"));
            assert_eq!(of(0x104f).as_deref(), Some("main.(*c).d"));
            assert_eq!([of(0x100f), of(0x1050), of(0), of(u64::MAX)], [const { None }; 4]);
        }
    }

    #[test]
    fn a_table_that_is_none_has_no_names() {
        let mut names = names(&[("main.a", 0), ("main.b", 8)], 16);
        for (count, rows) in [(u64::MAX, 6), (2, u64::MAX), (3, 1 << 40), (0, 6)] {
            names.table = TablePlace {
                count,
                rows,
                ..names.table
            };
            names.known.clear();
            assert_eq!(names.of(0x1004, &|| true), Some(None));
        }
    }

    #[test]
    fn what_there_is_no_time_for_is_read_another_time() {
        let mut names = names(&[("main.a", 0), ("main.b", 8), ("main.c", 16)], 24);
        let reads = Cell::new(0);
        let in_time_for = |most: u32| {
            reads.set(0);
            let reads = &reads;
            move || {
                reads.set(reads.get() + 1);
                reads.get() <= most
            }
        };
        for most in 0..4 {
            assert_eq!(names.of(0x1009, &in_time_for(most)), None);
            assert_eq!(reads.get(), most + 2, "it goes on without time");
        }
        let read = names.of(0x1009, &in_time_for(100)).unwrap();
        assert_eq!(read.as_deref(), Some("main.b"));
        assert_eq!(names.of(0x1009, &|| false), Some(read), "it is known");
    }
}
