//! What a file says of the Go that is in it: its version, and where its threads keep their `g`.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use memchr::memmem;
use object::read::elf::ElfFile64;
use object::{Endianness, Object as _, ObjectSection as _, ObjectSymbol as _, ReadRef};

use super::super::detection::{DetectedRuntime, FoundBy, TaskIdPlace};
use super::super::elf;
use super::pclntab::{Table, TablePlace};
use crate::runtime::RuntimeName;
use crate::runtime::go::Version;

/// Opens the build information of a Go program (`debug/buildinfo`); the version follows at [`VERSION_AT`] where the
/// flag for that is set, since Go 1.18.
const MAGIC: &[u8] = b"\xff Go buildinf:";
const FLAGS_AT: usize = 15;
const VERSION_INLINE: u8 = 2;
const VERSION_AT: usize = 32;

/// What is looked through at once, bytes, and how much of a file. The runtime comes first in a program.
const PIECE: usize = 1 << 20;
const MOST_PIECES: u64 = 256;

/// `runtime.stackcheck` after its first instructions, which load the thread's `g`, as far as the call in it: it
/// compares the stack pointer with both ends of the stack of `g`. Written in assembler, it is the same in all versions
/// and in no other function; also where names are gone.
const STACKCHECK: &[u8] = b"\x48\x39\x60\x08\x77\x05\xe8";

/// `mov %fs:OFFSET,%rax`, before its offset of four bytes.
const LOAD: &[u8] = b"\x64\x48\x8b\x04\x25";

/// `mov $OFFSET,%rcx`, before its offset of four bytes, and `mov %fs:(%rcx),%rax` after it.
const MOVE: &[u8] = b"\x48\xc7\xc1";
const LOAD_AT: &[u8] = b"\x64\x48\x8b\x01";

/// Bytes of what loads it, at most.
const MOST_LOAD: usize = 11;

/// Where Go's own linker puts it.
const USUAL: i64 = -8;

/// Adds a goroutine to the list of them all, and how much of its code is looked through, bytes.
const ADDS_GOROUTINE: &str = "runtime.allgadd";
const MOST_CODE: usize = 512;

/// Bytes of an instruction that loads eight bytes from where it is known.
const LOAD_BYTES: usize = 7;

/// Why nothing is known of the goroutines of an older program.
pub(super) const TOO_OLD: &str = "goroutines are known from Go 1.19 on";

/// What a file says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct GoImage {
    version: Option<String>,
    /// `runtime.stackcheck`, where it was found.
    pub(super) stackcheck: Option<Stackcheck>,
    /// Where its variables are, as the file has it.
    globals: Option<Globals>,
    stacks: Option<StackPlaces>,
    base: u64,
}

/// The function that loads a thread's `g`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stackcheck {
    /// Where it stands in the file.
    pub(super) at: u64,
    /// Where it loads `g` from, bytes from the thread's `fsbase`.
    g: i64,
}

/// Addresses of variables of Go's runtime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Globals {
    pub(super) work: u64,
    pub(super) memstats: u64,
    pub(super) controller: u64,
    pub(super) max_procs: u64,
    pub(super) sched: u64,
    /// The Ps: places for goroutines to run.
    pub(super) all_ps: u64,
    /// The goroutines, with those that have ended.
    pub(super) all_gs: u64,
}

/// Where to seek.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct GPlace {
    pub(super) version: Version,
    /// Bytes from a thread's `fsbase`.
    pub(super) g: i64,
    /// Its code says so.
    pub(super) by_code: bool,
    /// Where the runtime's variables are, if its symbols tell.
    pub(super) globals: Option<Globals>,
    /// What stacks are found by, if the program tells.
    pub(super) stacks: Option<StackPlaces>,
}

/// What the stacks of goroutines are found and named by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StackPlaces {
    /// The list of goroutines.
    pub(super) all_gs: u64,
    pub(super) functions: TablePlace,
}

impl GoImage {
    /// Go, if `file`, which is this one, is a Go program, with its version as far as it is told.
    pub(in super::super) fn of<'data, R: ReadRef<'data>>(
        file: &File,
        elf: &ElfFile64<'data, Endianness, R>,
    ) -> Option<Self> {
        let section = elf.section_by_name(".go.buildinfo")?;
        let data = section.data().ok()?;
        if !data.starts_with(MAGIC) {
            return None;
        }
        let flags = data.get(FLAGS_AT).copied().unwrap_or(0);
        let version = data.get(VERSION_AT..).and_then(|rest| {
            let (&length, text) = rest.split_first()?;
            // A length of more than one byte is no version of Go.
            std::str::from_utf8(text.get(..usize::from(length))?).ok()
        });
        let version = version.filter(|_| flags & VERSION_INLINE != 0);
        let (stackcheck, globals) = (Stackcheck::of(file, elf), Globals::of(elf));
        Some(Self {
            version: version.map(str::to_owned),
            stacks: stackcheck.and_then(|known| StackPlaces::of(file, elf, &known, globals)),
            stackcheck,
            globals,
            base: elf::base(elf),
        })
    }

    /// Its version, where that is one whose goroutines are known.
    pub(super) fn known_version(&self) -> Option<Version> {
        Version::of(self.version.as_deref().unwrap_or_default())
    }

    /// As the runtime of a process whose program this is; its beginning was mapped at `start`.
    pub(in super::super) fn of_program(self, start: Option<u64>) -> DetectedRuntime {
        let loaded = start.map(|start| start.wrapping_sub(self.base));
        let globals = self.globals.zip(loaded).map(|(globals, by)| globals.moved(by));
        let stacks = self.stacks.zip(loaded).map(|(stacks, by)| stacks.moved(by));
        let tasks = self.known_version().map_or_else(
            || TaskIdPlace::Nowhere(TOO_OLD.to_owned()),
            |version| {
                TaskIdPlace::OfGo(GPlace {
                    version,
                    g: self.stackcheck.map_or(USUAL, |stackcheck| stackcheck.g),
                    by_code: self.stackcheck.is_some(),
                    globals,
                    stacks,
                })
            },
        );
        DetectedRuntime {
            name: RuntimeName::Go,
            version: self.version,
            found_by: FoundBy::BuildInfo,
            tasks,
        }
    }
}

impl Globals {
    /// By the symbols of a program, if it has them all.
    fn of<'data, R: ReadRef<'data>>(elf: &ElfFile64<'data, Endianness, R>) -> Option<Self> {
        let mut found = Self::default();
        for symbol in elf.symbols() {
            let place = match symbol.name_bytes() {
                Ok(b"runtime.work") => &mut found.work,
                Ok(b"runtime.memstats") => &mut found.memstats,
                Ok(b"runtime.gcController") => &mut found.controller,
                Ok(b"runtime.gomaxprocs") => &mut found.max_procs,
                Ok(b"runtime.sched") => &mut found.sched,
                Ok(b"runtime.allp") => &mut found.all_ps,
                Ok(b"runtime.allgs") => &mut found.all_gs,
                _ => continue,
            };
            *place = symbol.address();
        }
        let Self {
            work,
            memstats,
            controller,
            max_procs,
            sched,
            all_ps,
            all_gs,
        } = found;
        let all = [work, memstats, controller, max_procs, sched, all_ps, all_gs];
        (!all.contains(&0)).then_some(found)
    }

    /// The same in a process that has its program so many bytes from where the file says.
    fn moved(self, by: u64) -> Self {
        Self {
            work: self.work.wrapping_add(by),
            memstats: self.memstats.wrapping_add(by),
            controller: self.controller.wrapping_add(by),
            max_procs: self.max_procs.wrapping_add(by),
            sched: self.sched.wrapping_add(by),
            all_ps: self.all_ps.wrapping_add(by),
            all_gs: self.all_gs.wrapping_add(by),
        }
    }
}

impl StackPlaces {
    /// By the table of functions of a program, and by its symbols, or, where these are gone, by the code of the
    /// function that adds to the list.
    fn of<'data, R: ReadRef<'data>>(
        file: &File,
        elf: &ElfFile64<'data, Endianness, R>,
        stackcheck: &Stackcheck,
        globals: Option<Globals>,
    ) -> Option<Self> {
        let table = Table::of(elf, stackcheck)?;
        let by_code = || {
            let address = table.begin(ADDS_GOROUTINE)?;
            let mut code = vec![0; MOST_CODE];
            let read = file.read_at(&mut code, elf::offset_of(elf, address)?).ok()?;
            slice_in(&code[..read], address)
        };
        Some(Self {
            all_gs: globals.map(|globals| globals.all_gs).or_else(by_code)?,
            functions: table.place(),
        })
    }

    fn moved(self, by: u64) -> Self {
        Self {
            all_gs: self.all_gs.wrapping_add(by),
            functions: TablePlace {
                first: self.functions.first.wrapping_add(by),
                ..self.functions
            },
        }
    }
}

/// The address of the first slice whose three words this code, which is at `address`, loads.
fn slice_in(code: &[u8], address: u64) -> Option<u64> {
    let loaded = code.windows(LOAD_BYTES).enumerate().filter_map(|(at, load)| {
        // `mov OFFSET(%rip),REGISTER`, of eight bytes.
        let is_load = matches!(load[0], 0x48 | 0x4c) && load[1] == 0x8b && load[2] & 0xc7 == 5;
        let offset = i32::from_le_bytes(load[3..].try_into().ok()?);
        let behind = address.wrapping_add((at + LOAD_BYTES) as u64);
        is_load.then(|| behind.wrapping_add_signed(offset.into()))
    });
    let loaded: Vec<u64> = loaded.collect();
    let has = |word: u64| loaded.contains(&word);
    let is_slice = |&&word: &&u64| has(word.wrapping_add(8)) && has(word.wrapping_add(16));
    loaded.iter().find(is_slice).copied()
}

impl Stackcheck {
    /// In the code of a program.
    fn of<'data, R: ReadRef<'data>>(file: &File, elf: &ElfFile64<'data, Endianness, R>) -> Option<Self> {
        let mut piece = vec![0; PIECE + MOST_LOAD + STACKCHECK.len()];
        elf::code(elf)
            .flat_map(|part| part.step_by(PIECE))
            .take(MOST_PIECES as usize)
            .find_map(|at| {
                let read = file.read_at(&mut piece, at).ok()?;
                let found = Self::within(&piece[..read])?;
                Some(Self {
                    at: at + found.at,
                    ..found
                })
            })
    }

    /// In this part of it.
    fn within(code: &[u8]) -> Option<Self> {
        memmem::find_iter(code, STACKCHECK).find_map(|at| {
            let (load, g) = loaded_from(&code[..at])?;
            Some(Self {
                at: (at - load) as u64,
                g,
            })
        })
    }
}

/// How many bytes it takes at the end of this code to load `%rax`, and from where.
fn loaded_from(code: &[u8]) -> Option<(usize, i64)> {
    let (before, last) = code.split_at_checked(code.len().checked_sub(4)?)?;
    let (opens, offset, load) = if last == LOAD_AT {
        let (before, offset) = before.split_at_checked(before.len().checked_sub(4)?)?;
        (before.ends_with(MOVE), offset, MOVE.len() + LOAD_AT.len())
    } else {
        (before.ends_with(LOAD), last, LOAD.len())
    };
    let offset = i32::from_le_bytes(offset.try_into().ok()?);
    opens.then_some((load + size_of_val(&offset), offset.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Go's own linker and that of C write it, and with a pointer to the offset, as in shared libraries.
    #[test]
    fn the_place_is_in_the_code_that_loads_it() {
        let program = |load: &[u8]| [&[0x90; 7], load, STACKCHECK, &[0, 0, 0, 0]].concat();
        let direct = program(b"\x64\x48\x8b\x04\x25\xf8\xff\xff\xff");
        let found = |code: &[u8]| Stackcheck::within(code).map(|found| (found.at, found.g));
        assert_eq!(found(&direct), Some((7, -8)));
        let by_register = program(b"\x48\xc7\xc1\xa0\xff\xff\xff\x64\x48\x8b\x01");
        assert_eq!(found(&by_register), Some((7, -0x60)));
        let by_pointer = program(b"\x48\x8b\x0d\x11\x22\x33\x00\x64\x48\x8b\x01");
        assert_eq!(found(&by_pointer), None);
        assert_eq!((found(STACKCHECK), found(&[])), (None, None));
    }

    /// As `runtime.allgadd` begins in Go 1.26.
    #[test]
    fn a_list_is_where_code_loads_three_words_from() {
        let load = |register: &[u8], at: u64, from: u64| {
            let offset = from.wrapping_sub(at + 7) as u32;
            [register, &offset.to_le_bytes()].concat()
        };
        let code = |of_slice: u64| {
            [
                load(b"\x48\x8d\x05", 0x1000, 0x9000),
                load(b"\x48\x8b\x0d", 0x1007, 0x8010),
                load(b"\x48\x8b\x1d", 0x100e, of_slice),
                load(b"\x4c\x8b\x05", 0x1015, 0x8000),
            ]
            .concat()
        };
        assert_eq!(slice_in(&code(0x8008), 0x1000), Some(0x8000));
        assert_eq!(slice_in(&code(0x8020), 0x1000), None);
        assert_eq!(slice_in(&[], 0x1000), None);
    }
}
