//! Jitdump files: records of code with its bytes, when it was loaded and where it was moved to
//! (`tools/perf/Documentation/jitdump-specification.txt` of Linux). The bytes of the code are not looked at.

use super::{MAX_NAME_BYTES, Parsed, is_plausible};

/// `JiTD`, in the byte order of who wrote it.
const MAGIC: u32 = 0x4A69_5444;

const VERSION: u32 = 1;

/// Magic, version, size of the header, machine, padding, pid, time, flags.
const HEADER_BYTES: usize = 40;

/// Kind, size, time.
const PREFIX_BYTES: usize = 16;

const LOAD: u32 = 0;
const MOVE: u32 = 1;

/// Of a record that loads code: pid, tid, address in the file, address, size, number.
const LOAD_BYTES: usize = 40;

/// Of a record that moves code: pid, tid, address in the file, from, to, size, number.
const MOVE_BYTES: usize = 48;

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// Code is here from now on.
    Load {
        /// Where it begins.
        start: u64,
        /// Its size, bytes.
        bytes: u32,
        /// What it is called, the first [`MAX_NAME_BYTES`] of it.
        name: &'a [u8],
    },
    /// Code is elsewhere from now on.
    Move {
        /// Where it began.
        from: u64,
        /// Where it begins.
        to: u64,
        /// Its size, bytes.
        bytes: u32,
    },
}

/// Where the first record begins in a file that begins so; `None` where it is no such file, or its beginning is not
/// written yet.
#[must_use]
pub fn first_record(beginning: &[u8]) -> Option<u64> {
    let size = u64::from(u32_at(beginning, 8)?);
    let is_one = u32_at(beginning, 0)? == MAGIC && u32_at(beginning, 4)? == VERSION;
    (is_one && size >= HEADER_BYTES as u64).then_some(size)
}

/// Reads the records in a piece of a file that begins with one, of which there are `left` bytes from there on; `visit`
/// is given where in it each begins. `None` where no further record can be found: one has a size that cannot be.
pub fn read<'a>(piece: &'a [u8], left: u64, mut visit: impl FnMut(usize, Record<'a>)) -> Option<Parsed> {
    let mut parsed = Parsed::default();
    while let Some(rest) = usize::try_from(parsed.consumed)
        .ok()
        .and_then(|at| piece.get(at..))
        .filter(|rest| rest.len() >= PREFIX_BYTES)
    {
        let size = u64::from(u32_at(rest, 4)?);
        if size < PREFIX_BYTES as u64 {
            return None;
        }
        if size > left - parsed.consumed {
            break;
        }
        let own = &rest[..usize::try_from(size).map_or(rest.len(), |size| size.min(rest.len()))];
        let is_cut = (own.len() as u64) < size;
        match record(own) {
            // Its beginning is not in this piece.
            None if is_cut && parsed.consumed > 0 => break,
            None if matches!(u32_at(own, 0), Some(LOAD | MOVE)) => parsed.unusable += 1,
            None => {}
            Some(record) => visit(piece.len() - rest.len(), record),
        }
        parsed.consumed += size;
    }
    Some(parsed)
}

/// The record that begins here; `None` where it is of another kind, cannot be, or has no end of its name here.
#[must_use]
pub fn record(bytes: &[u8]) -> Option<Record<'_>> {
    let body = bytes.get(PREFIX_BYTES..)?;
    match u32_at(bytes, 0)? {
        LOAD => {
            let (start, size) = (u64_at(body, 16)?, u64_at(body, 24)?);
            let rest = body.get(LOAD_BYTES..)?;
            let end = memchr::memchr(0, rest)?;
            let name = rest[..end].trim_ascii();
            (!name.is_empty() && size > 0 && is_plausible(start, size)).then_some(Record::Load {
                start,
                bytes: u32::try_from(size).ok()?,
                name: &name[..name.len().min(MAX_NAME_BYTES)],
            })
        }
        MOVE => {
            let body = body.get(..MOVE_BYTES)?;
            let (from, to, size) = (u64_at(body, 16)?, u64_at(body, 24)?, u64_at(body, 32)?);
            (size > 0 && is_plausible(to, size)).then_some(Record::Move {
                from,
                to,
                bytes: u32::try_from(size).ok()?,
            })
        }
        _ => None,
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record_of(kind: u32, words: &[u64], rest: &[u8]) -> Vec<u8> {
        let mut bytes = kind.to_ne_bytes().to_vec();
        let size = PREFIX_BYTES + 8 * words.len() + rest.len();
        bytes.extend((size as u32).to_ne_bytes());
        bytes.extend(5_u64.to_ne_bytes());
        bytes.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
        bytes.extend(rest);
        bytes
    }

    fn load(start: u64, size: u64, name: &[u8]) -> Vec<u8> {
        let code = vec![0x90; usize::try_from(size).unwrap()];
        record_of(LOAD, &[7, start, start, size, 1], &[name, b"\0", &code].concat())
    }

    fn all(piece: &[u8], left: u64) -> (Vec<(usize, Record<'_>)>, Option<Parsed>) {
        let mut records = Vec::new();
        let parsed = read(piece, left, |at, record| records.push((at, record)));
        (records, parsed)
    }

    #[test]
    fn code_is_loaded_and_moved() {
        let (first, debug) = (
            load(0x1000, 64, b"JS:*burn s.js:2:14"),
            record_of(2, &[1, 2], b"lines"),
        );
        let moved = record_of(MOVE, &[7, 0, 0x1000, 0x2000, 64, 1], b"");
        let bytes = [first.clone(), debug, moved].concat();
        let (records, parsed) = all(&bytes, bytes.len() as u64);
        assert_eq!(
            records.iter().map(|(_, record)| *record).collect::<Vec<_>>(),
            [
                Record::Load {
                    start: 0x1000,
                    bytes: 64,
                    name: b"JS:*burn s.js:2:14"
                },
                Record::Move {
                    from: 0x1000,
                    to: 0x2000,
                    bytes: 64
                },
            ]
        );
        assert_eq!(
            parsed,
            Some(Parsed {
                consumed: bytes.len() as u64,
                unusable: 0
            })
        );
        // The end of the code is not needed, if it is in the file.
        let cut = &bytes[..first.len() - 40];
        let (records, parsed) = all(cut, bytes.len() as u64);
        assert_eq!((records.len(), parsed.unwrap().consumed), (1, first.len() as u64));
        // It is not written yet.
        assert_eq!(all(cut, cut.len() as u64), (vec![], Some(Parsed::default())));
    }

    #[test]
    fn what_cannot_be_is_counted_and_what_has_no_size_ends_it() {
        let nameless = load(0x1000, 8, b"");
        let huge = record_of(LOAD, &[7, 0, 0x1000, u64::MAX, 1], b"all\0");
        let short = record_of(MOVE, &[1], b"");
        let bytes = [nameless, huge, short, load(0x3000, 8, b"f")].concat();
        let (records, parsed) = all(&bytes, bytes.len() as u64);
        assert_eq!((records.len(), parsed.unwrap().unusable), (1, 3));
        let mut endless = load(0x1000, 8, b"f");
        endless[4..8].copy_from_slice(&3_u32.to_ne_bytes());
        assert_eq!(all(&endless, endless.len() as u64).1, None);
    }

    #[test]
    fn the_header_tells_where_records_begin() {
        let mut header = [MAGIC, VERSION, 40, 62, 0, 7, 0, 0, 0, 0]
            .map(u32::to_ne_bytes)
            .concat();
        assert_eq!(first_record(&header), Some(40));
        assert_eq!(first_record(&header[..9]), None);
        header[8] = 4;
        assert_eq!(first_record(&header), None);
        header[8] = 40;
        header[..4].reverse();
        assert_eq!(
            first_record(&header),
            None,
            "of a machine with another byte order"
        );
    }
}
