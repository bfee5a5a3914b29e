//! Code that a process makes at run time, as it tells perf of it: which is where, and in which file its name is.
//!
//! Used where there is such a file. Nothing asks for one.

pub(super) mod files;
mod source;

use std::collections::BTreeMap;
use std::ops::Range;

pub(super) use self::source::Source;
use crate::model::full::{Full, Table};

/// Pieces of code that are remembered of all processes: 12 MiB.
pub(super) const MAX_PIECES: usize = 1 << 18;

/// Pieces of code that are added at once. It takes some 0.2 ms.
const PART: usize = 1024;

/// What a file tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// This code is there.
    Loaded { start: u64, code: Code },
    /// Code is elsewhere.
    Moved { from: u64, to: u64, bytes: u32 },
}

/// A piece of code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) bytes: u32,
    /// Whether it only calls an interpreter, for one function of its program.
    pub(super) is_trampoline: bool,
    /// Whether it was elsewhere when its name was written.
    pub(super) was_moved: bool,
    /// Where its name is in the file.
    pub(super) at: u64,
}

/// What was read since the last time.
#[derive(Clone, Debug, Default)]
pub(super) struct News {
    /// Whether the file is not the one any more of which was told before.
    pub(super) is_other: bool,
    pub(super) entries: Vec<Entry>,
    /// Whether all was read that is there.
    pub(super) is_whole: bool,
}

impl News {
    /// The same in parts, each of which takes a moment to add.
    pub(super) fn in_parts(self) -> impl Iterator<Item = Self> {
        let parts = self.entries.len().div_ceil(PART).max(1);
        let Self {
            is_other,
            entries,
            is_whole,
        } = self;
        (0..parts).map(move |part| {
            let entries = &entries[part * PART..];
            Self {
                is_other: is_other && part == 0,
                entries: entries[..entries.len().min(PART)].to_vec(),
                is_whole: is_whole && part + 1 == parts,
            }
        })
    }
}

/// The code that a process made.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// By where it begins; no two overlap.
    pieces: BTreeMap<u64, Piece>,
    /// When the file was looked at, ns.
    looked_ns: u64,
    /// Whether it was read to its end then. What is at its end may be in the place of what is known.
    is_whole: bool,
    /// Until then there was another file, ns.
    since_ns: u64,
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    code: Code,
    /// Until then another piece may have been in its place, ns.
    since_ns: u64,
}

impl Made {
    /// The code at an address when a sample was taken: where, and what is known of it. Where it is not certain what was
    /// there at that time, nothing.
    pub(super) fn at(&self, address: u64, sampled_ns: u64) -> Option<(Range<u64>, Code)> {
        let (start, piece) = self.pieces.range(..=address).next_back()?;
        let range = *start..*start + u64::from(piece.code.bytes);
        let is_certain = self.is_whole && self.since_ns.max(piece.since_ns) <= sampled_ns;
        (is_certain && range.contains(&address)).then_some((range, piece.code))
    }

    /// Whether the file was looked at after this, ns.
    pub(super) fn was_looked_at(&self, after_ns: u64) -> bool {
        self.looked_ns >= after_ns
    }

    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Adds what was read at `now_ns`, where so many pieces more have room. What has none is counted in `full`. Gives
    /// where pieces began that are not there any more; `None` stands for all.
    pub(super) fn add(&mut self, news: &News, now_ns: u64, room: usize, full: &Full) -> Option<Vec<u64>> {
        let most = self.pieces.len() + room;
        if news.is_other && !self.pieces.is_empty() {
            self.pieces.clear();
            self.since_ns = now_ns;
        }
        self.is_whole = news.is_whole;
        let mut gone = Vec::new();
        for entry in &news.entries {
            let (start, code) = match *entry {
                Entry::Loaded { start, code } => (start, code),
                Entry::Moved { from, to, bytes } => match self.pieces.remove(&from) {
                    Some(Piece { code, .. }) if code.bytes == bytes => {
                        gone.push(from);
                        (
                            to,
                            Code {
                                was_moved: true,
                                ..code
                            },
                        )
                    }
                    _ => {
                        gone.push(from);
                        continue;
                    }
                },
            };
            let before = gone.len();
            self.remove(start..start + u64::from(code.bytes), &mut gone);
            if self.pieces.len() >= most {
                full.count(Table::MadeCode, 1);
                continue;
            }
            // What was there before may have been sampled as late as now.
            let since_ns = if gone.len() > before { now_ns } else { 0 };
            self.pieces.insert(start, Piece { code, since_ns });
        }
        self.looked_ns = now_ns;
        (!news.is_other).then_some(gone)
    }

    /// Memory is used again: what was there before is not there any more, no part of it.
    fn remove(&mut self, range: Range<u64>, gone: &mut Vec<u64>) {
        while let Some((&start, piece)) = self.pieces.range(..range.end).next_back() {
            if start + u64::from(piece.code.bytes) <= range.start {
                break;
            }
            self.pieces.remove(&start);
            gone.push(start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(start: u64, bytes: u32, at: u64) -> Entry {
        let code = Code {
            bytes,
            is_trampoline: false,
            was_moved: false,
            at,
        };
        Entry::Loaded { start, code }
    }

    fn news(entries: &[Entry]) -> News {
        News {
            is_other: false,
            entries: entries.to_vec(),
            is_whole: true,
        }
    }

    /// Where names are of what is at an address for sure.
    fn at(made: &Made, address: u64, sampled_ns: u64) -> Option<u64> {
        made.at(address, sampled_ns).map(|(range, code)| {
            assert!(range.contains(&address));
            code.at
        })
    }

    #[test]
    fn what_is_told_last_takes_the_place_of_all_that_it_reaches_into() {
        let (mut made, full) = (Made::default(), Full::default());
        let first = news(&[loaded(100, 50, 1), loaded(150, 50, 2), loaded(300, 10, 3)]);
        assert_eq!(made.add(&first, 1000, 10, &full), Some(vec![]));
        assert_eq!(
            [99, 100, 149, 150, 200, 309].map(|address| at(&made, address, 500)),
            [None, Some(1), Some(1), Some(2), None, Some(3)]
        );
        let gone = made.add(&news(&[loaded(140, 20, 4)]), 2000, 10, &full);
        assert_eq!(gone, Some(vec![150, 100]));
        assert_eq!(
            [100, 140, 159, 160].map(|address| at(&made, address, 2000)),
            [None, Some(4), Some(4), None]
        );
        assert_eq!(
            at(&made, 145, 1999),
            None,
            "it may have been what was there before"
        );
        assert_eq!(full, Full::default());
    }

    #[test]
    fn code_that_moves_takes_its_name_along() {
        let (mut made, full) = (Made::default(), Full::default());
        made.add(&news(&[loaded(100, 50, 1), loaded(400, 50, 2)]), 1000, 10, &full);
        let moved = |from, to| Entry::Moved { from, to, bytes: 50 };
        made.add(&news(&[moved(100, 420), moved(777, 100)]), 2000, 10, &full);
        assert_eq!(
            [100, 410, 430].map(|address| at(&made, address, 2000)),
            [None, None, Some(1)]
        );
        assert!(made.at(430, 2000).unwrap().1.was_moved);
    }

    #[test]
    fn of_a_file_that_was_not_read_to_its_end_nothing_is_told() {
        let (mut made, full) = (Made::default(), Full::default());
        made.add(
            &News {
                is_whole: false,
                ..news(&[loaded(100, 50, 1)])
            },
            1000,
            10,
            &full,
        );
        assert_eq!(at(&made, 100, 500), None);
        made.add(&news(&[]), 2000, 10, &full);
        assert_eq!(at(&made, 100, 500), Some(1));
        assert!(made.was_looked_at(2000) && !made.was_looked_at(2001));
    }

    #[test]
    fn in_parts_it_says_the_same() {
        let entries: Vec<Entry> = (0..2 * PART as u64 + 1)
            .map(|at| loaded(100 * at, 50, at))
            .collect();
        for count in [0, 1, PART, PART + 1, entries.len()] {
            let all = News {
                is_other: true,
                ..news(&entries[..count])
            };
            let parts: Vec<News> = all.in_parts().collect();
            assert_eq!(parts.iter().flat_map(|part| &part.entries).count(), count);
            assert!(parts[0].is_other && parts.iter().filter(|part| part.is_other).count() == 1);
            assert!(parts.last().unwrap().is_whole && parts.iter().filter(|part| part.is_whole).count() == 1);
        }
    }

    #[test]
    fn another_file_takes_the_place_of_all() {
        let (mut made, full) = (Made::default(), Full::default());
        made.add(&news(&[loaded(100, 50, 1)]), 1000, 10, &full);
        let other = News {
            is_other: true,
            ..news(&[loaded(300, 50, 2)])
        };
        assert_eq!(made.add(&other, 2000, 10, &full), None);
        assert_eq!(
            [(100, 2000), (300, 1999), (300, 2000)].map(|(address, ns)| at(&made, address, ns)),
            [None, None, Some(2)]
        );
    }

    #[test]
    fn what_has_no_room_is_counted_and_still_ends_what_was_there() {
        let (mut made, full) = (Made::default(), Full::default());
        made.add(
            &news(&[loaded(100, 50, 1), loaded(200, 50, 2), loaded(210, 5, 3)]),
            1000,
            1,
            &full,
        );
        assert_eq!(full.counts().collect::<Vec<_>>(), [(Table::MadeCode, 2)]);
        made.add(&news(&[loaded(110, 5, 4)]), 2000, 0, &full);
        assert_eq!((made.len(), at(&made, 112, 2000)), (1, Some(4)));
    }
}
