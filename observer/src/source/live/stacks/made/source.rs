//! Follows a file to which a process adds what code it makes.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::time::{Duration, Instant};

use procfs::process::MemoryMap;

use super::files;
use super::{Code, Entry, News};
use crate::model::full::{Full, Table};
use crate::model::id::Pid;
use crate::source::code::jitdump::{self, Record};
use crate::source::code::made::{self, Function};
use crate::source::code::{MAX_NAME_BYTES, Parsed, perf_map};

/// What is read at once, bytes.
const WINDOW_BYTES: usize = 64 << 10;

/// Windows that are read in a [`TURN`]: 40 MiB a second. Who writes more is not told of.
const WINDOWS_A_TURN: u32 = 64;
const TURN: Duration = Duration::from_millis(100);

/// A file of which more than this had to be read is not read any more, bytes. A line of a map has some 60.
const MAX_READ_BYTES: u64 = 256 << 20;

/// What must still be before the place up to which a file was read, bytes: else it was written anew.
const TAIL_BYTES: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    PerfMap,
    JitDump,
}

/// A file.
#[derive(Debug)]
pub(in super::super) struct Source {
    file: File,
    format: Format,
    /// Up to where it was read, bytes.
    offset: u64,
    tail: Vec<u8>,
    /// A line is longer than what is read at once: the rest of it is no line.
    is_in_line: bool,
    /// How much was read of it, with what is not there any more, bytes.
    read_bytes: u64,
    /// Nothing more can be read of it.
    is_given_up: bool,
    is_new: bool,
    turn: (Instant, u32),
}

impl Source {
    /// The file in which a process tells of its code; `None` where it does not.
    pub(in super::super) fn find(pid: Pid, maps: &[MemoryMap]) -> Option<Self> {
        let mapped = maps.iter().find(|map| files::is_jitdump(map));
        if let Some(file) = mapped.and_then(|map| files::jitdump(pid, map).ok()) {
            return Some(Self::of(file, Format::JitDump));
        }
        Some(Self::of(files::perf_map(pid).ok()?, Format::PerfMap))
    }

    fn of(file: File, format: Format) -> Self {
        Self {
            file,
            format,
            offset: 0,
            tail: Vec::new(),
            is_in_line: false,
            read_bytes: 0,
            is_given_up: false,
            is_new: true,
            turn: (Instant::now(), 0),
        }
    }

    /// Whether this is another file than that.
    pub(in super::super) fn is_other_than(&self, known: &Self) -> bool {
        let id = |source: &Self| source.file.metadata().map(|file| (file.dev(), file.ino())).ok();
        id(self) != id(known)
    }

    /// Reads what was added since the last time. What there is no room for, and what says nothing, is counted in
    /// `full`.
    pub(in super::super) fn read_on(&mut self, full: &Full) -> News {
        let mut news = News {
            is_other: std::mem::take(&mut self.is_new),
            ..News::default()
        };
        if self.is_given_up {
            return news;
        }
        let size = self.file.metadata().map_or(0, |file| file.size());
        if size < self.offset || !self.is_as_it_was() {
            (self.offset, self.is_in_line) = (0, false);
            self.tail.clear();
            news.is_other = true;
        }
        match self.read_up_to(size, &mut news, full) {
            Ok(is_whole) => news.is_whole = is_whole,
            Err(_) => self.is_given_up = true,
        }
        if self.read_bytes > MAX_READ_BYTES {
            self.is_given_up = true;
        }
        if self.is_given_up {
            full.count(Table::MadeCode, 1);
            news = News {
                is_other: true,
                ..News::default()
            };
        }
        news
    }

    /// Gives whether that was all.
    fn read_up_to(&mut self, size: u64, news: &mut News, full: &Full) -> io::Result<bool> {
        if self.turn.0.elapsed() >= TURN {
            self.turn = (Instant::now(), 0);
        }
        let mut window = vec![0; WINDOW_BYTES];
        while self.offset < size {
            if self.turn.1 >= WINDOWS_A_TURN || self.read_bytes > MAX_READ_BYTES {
                return Ok(false);
            }
            let read = self.file.read_at(&mut window, self.offset)?;
            self.turn.1 += 1;
            self.read_bytes += read as u64;
            let piece = &window[..read];
            let consumed = self.take(piece, size, news, full)?;
            if consumed == 0 {
                return Ok(true);
            }
            self.offset += consumed;
            let end = usize::try_from(consumed).ok().and_then(|end| piece.get(..end));
            self.tail.clear();
            // Where a record ends behind what was read, nothing is compared until the next one.
            if let Some(end) = end {
                self.tail.extend(&end[end.len().saturating_sub(TAIL_BYTES)..]);
            }
        }
        Ok(true)
    }

    /// Reads the lines or records in a piece of the file; gives how long those are.
    fn take(&mut self, piece: &[u8], size: u64, news: &mut News, full: &Full) -> io::Result<u64> {
        let offset = self.offset;
        let parsed = match self.format {
            Format::PerfMap if self.is_in_line => {
                let end = memchr::memchr(b'\n', piece);
                self.is_in_line = end.is_none();
                return Ok(end.map_or(piece.len(), |end| end + 1) as u64);
            }
            Format::PerfMap => perf_map::read(piece, |at, line| {
                news.entries
                    .push(loaded(line.start, line.bytes, line.name, offset + at as u64));
            }),
            Format::JitDump if offset == 0 => Parsed {
                consumed: match jitdump::first_record(piece) {
                    None if piece.len() >= MAX_NAME_BYTES => return Err(io::ErrorKind::InvalidData.into()),
                    first => first.filter(|first| *first <= size).unwrap_or(0),
                },
                unusable: 0,
            },
            Format::JitDump => jitdump::read(piece, size.saturating_sub(offset), |at, record| {
                news.entries.push(match record {
                    Record::Load { start, bytes, name } => loaded(start, bytes, name, offset + at as u64),
                    Record::Move { from, to, bytes } => Entry::Moved { from, to, bytes },
                });
            })
            .ok_or(io::ErrorKind::InvalidData)?,
        };
        full.count(Table::MadeCode, parsed.unusable);
        if parsed.consumed == 0 && self.format == Format::PerfMap && piece.len() == WINDOW_BYTES {
            self.is_in_line = true;
            full.count(Table::MadeCode, 1);
            return Ok(piece.len() as u64);
        }
        Ok(parsed.consumed)
    }

    /// Whether what was read last is still there.
    fn is_as_it_was(&self) -> bool {
        let mut now = vec![0; self.tail.len()];
        let at = self.offset.saturating_sub(self.tail.len() as u64);
        self.file.read_exact_at(&mut now, at).is_ok() && now == self.tail
    }

    /// The function of this code, which begins at `start`; `None` where its name is not there any more, or tells of no
    /// function.
    pub(in super::super) fn function(&self, start: u64, code: Code) -> Option<Function> {
        let mut bytes = vec![0; MAX_NAME_BYTES + 128];
        let read = self.file.read_at(&mut bytes, code.at).ok()?;
        let bytes = &bytes[..read];
        let (at, size, name) = match self.format {
            Format::PerfMap => {
                let line = perf_map::line(bytes.split(|byte| *byte == b'\n').next()?)?;
                (line.start, line.bytes, line.name)
            }
            Format::JitDump => match jitdump::record(bytes)? {
                Record::Load { start, bytes, name } => (start, bytes, name),
                Record::Move { .. } => return None,
            },
        };
        if size != code.bytes || (at != start && !code.was_moved) {
            return None;
        }
        made::readable(&String::from_utf8_lossy(name))
    }
}

fn loaded(start: u64, bytes: u32, name: &[u8], at: u64) -> Entry {
    Entry::Loaded {
        start,
        code: Code {
            bytes,
            is_trampoline: name.starts_with(b"py::"),
            was_moved: false,
            at,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn map() -> (File, Source) {
        let file = tempfile::tempfile().unwrap();
        let source = Source::of(file.try_clone().unwrap(), Format::PerfMap);
        (file, source)
    }

    /// The names of what is new.
    fn names(source: &mut Source, full: &Full) -> Vec<String> {
        let entries = source.read_on(full).entries;
        let loaded = entries.iter().filter_map(|entry| match *entry {
            Entry::Loaded { start, code } => Some(source.function(start, code)?.name),
            Entry::Moved { .. } => None,
        });
        loaded.collect()
    }

    #[test]
    fn what_is_added_is_read_and_a_line_when_it_is_whole() {
        let ((mut file, mut source), full) = (map(), Full::default());
        file.write_all(b"10 8 first\n20 8 sec").unwrap();
        assert_eq!(names(&mut source, &full), ["first"]);
        assert!(names(&mut source, &full).is_empty());
        file.write_all(b"ond\nnothing\n30 8 third\n").unwrap();
        assert_eq!(names(&mut source, &full), ["second", "third"]);
        assert_eq!(full.counts().collect::<Vec<_>>(), [(Table::MadeCode, 1)]);
    }

    #[test]
    fn a_file_that_was_written_anew_is_read_anew_whether_it_is_shorter_or_longer() {
        let ((file, mut source), full) = (map(), Full::default());
        for (text, expected) in [
            ("10 8 first\n20 8 second\n", vec!["first", "second"]),
            ("10 8 third\n", vec!["third"]),
            ("10 8 other\n20 8 one\n30 8 more\n", vec!["other", "one", "more"]),
            ("", vec![]),
        ] {
            file.set_len(0).unwrap();
            file.write_all_at(text.as_bytes(), 0).unwrap();
            let news = source.read_on(&full);
            assert!(news.is_other && news.is_whole, "{text}");
            assert_eq!(news.entries.len(), expected.len());
            for (entry, expected) in news.entries.iter().zip(expected) {
                let Entry::Loaded { start, code } = *entry else {
                    panic!("{entry:?}")
                };
                assert_eq!(source.function(start, code).unwrap().name, expected);
            }
        }
    }

    #[test]
    fn a_name_that_is_not_there_any_more_is_none() {
        let ((file, mut source), full) = (map(), Full::default());
        file.write_all_at(b"10 8 first\n", 0).unwrap();
        let entries = source.read_on(&full).entries;
        file.write_all_at(b"18 8 other\n", 0).unwrap();
        let Entry::Loaded { start, code } = entries[0] else {
            panic!("{entries:?}")
        };
        assert_eq!(source.function(start, code), None);
    }

    #[test]
    fn a_long_line_is_passed_by_and_a_large_file_is_read_in_turns() {
        let ((mut file, mut source), full) = (map(), Full::default());
        let line = [&b"10 8 "[..], &vec![b'x'; 3 * WINDOW_BYTES], b"\n"].concat();
        file.write_all(&line).unwrap();
        file.write_all(b"20 8 second\n").unwrap();
        assert_eq!(names(&mut source, &full), ["second"]);
        assert_eq!(full.counts().collect::<Vec<_>>(), [(Table::MadeCode, 1)]);
        let lines = "30 8 third\n".repeat(WINDOW_BYTES);
        file.write_all(lines.repeat(8).as_bytes()).unwrap();
        source.turn = (Instant::now() + TURN, 0);
        let mut turns = 0;
        loop {
            let news = source.read_on(&full);
            assert!(news.entries.len() <= WINDOWS_A_TURN as usize * WINDOW_BYTES / 11);
            if news.is_whole {
                break;
            }
            turns += 1;
            source.turn = (Instant::now() + TURN, 0);
        }
        assert_eq!(turns, 1);
    }

    #[test]
    fn what_is_no_jitdump_is_given_up_and_counted_once() {
        let (mut file, full) = (tempfile::tempfile().unwrap(), Full::default());
        file.write_all(&[7; 4096]).unwrap();
        let mut source = Source::of(file, Format::JitDump);
        for _ in 0..2 {
            let news = source.read_on(&full);
            assert!(news.entries.is_empty() && !news.is_whole);
        }
        assert_eq!(full.counts().collect::<Vec<_>>(), [(Table::MadeCode, 1)]);
    }
}
