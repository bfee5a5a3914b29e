//! A section of a file, of which only what is asked for is read.
//!
//! It is read and not mapped: a file that is cut short while it is looked at must not end this program, and what is
//! mapped counts as memory of this program as well.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::rc::Rc;

use gimli::{Error, LittleEndian, Reader, ReaderOffsetId, Result};

/// A section, with the part that was read last.
#[derive(Debug)]
struct WindowedSection {
    file: Rc<File>,
    place: Range<u64>,
    window: RefCell<LastRead>,
    /// What is read at once, bytes.
    window_bytes: usize,
}

#[derive(Debug, Default)]
struct LastRead {
    start: usize,
    bytes: Vec<u8>,
}

impl WindowedSection {
    /// Calls `then` with what is at `at`: at least so many bytes.
    fn look<T>(&self, at: usize, least: usize, then: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let mut window = self.window.borrow_mut();
        let known = |window: &LastRead| {
            let skipped = at.checked_sub(window.start)?;
            (window.bytes.len().checked_sub(skipped)? >= least).then_some(skipped)
        };
        if let Some(skipped) = known(&window) {
            return Ok(then(&window.bytes[skipped..]));
        }
        let begin = self.place.start.saturating_add(at as u64);
        let left = usize::try_from(self.place.end.saturating_sub(begin)).map_err(|_| Error::Io)?;
        window.start = at;
        window.bytes.resize(least.max(self.window_bytes).min(left), 0);
        let read = self.file.read_exact_at(&mut window.bytes, begin);
        if read.is_err() || window.bytes.len() < least {
            window.bytes.clear();
            return Err(Error::Io);
        }
        Ok(then(&window.bytes))
    }
}

/// A part of a section, as what reads debug information wants it.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    section: Rc<WindowedSection>,
    start: usize,
    end: usize,
}

impl Piece {
    /// A whole section: what the file has at `place`, of which so many bytes are read at once.
    pub(super) fn new(file: &Rc<File>, place: Range<u64>, window_bytes: usize) -> Result<Self> {
        let bytes = place.end.saturating_sub(place.start);
        Ok(Self {
            start: 0,
            end: usize::try_from(bytes).map_err(|_| Error::UnsupportedOffset)?,
            section: Rc::new(WindowedSection {
                file: Rc::clone(file),
                place,
                window: RefCell::default(),
                window_bytes,
            }),
        })
    }

    fn after(&self, bytes: usize) -> Result<usize> {
        let after = self.start.checked_add(bytes).filter(|after| *after <= self.end);
        after.ok_or_else(|| Error::UnexpectedEof(self.offset_id()))
    }
}

impl Reader for Piece {
    type Endian = LittleEndian;
    type Offset = usize;

    fn endian(&self) -> LittleEndian {
        LittleEndian
    }

    fn len(&self) -> usize {
        self.end - self.start
    }

    fn empty(&mut self) {
        self.end = self.start;
    }

    fn truncate(&mut self, bytes: usize) -> Result<()> {
        self.end = self.after(bytes)?;
        Ok(())
    }

    fn offset_from(&self, base: &Self) -> usize {
        self.start - base.start
    }

    fn offset_id(&self) -> ReaderOffsetId {
        ReaderOffsetId(self.start as u64)
    }

    fn lookup_offset_id(&self, id: ReaderOffsetId) -> Option<usize> {
        let at = usize::try_from(id.0).ok()?.checked_sub(self.start)?;
        (at <= self.len()).then_some(at)
    }

    fn find(&self, byte: u8) -> Result<usize> {
        let mut at = self.start;
        while at < self.end {
            let (found, looked_at) = self.section.look(at, 1, |bytes| {
                let bytes = &bytes[..bytes.len().min(self.end - at)];
                (memchr::memchr(byte, bytes), bytes.len())
            })?;
            if let Some(found) = found {
                return Ok(at + found - self.start);
            }
            at += looked_at;
        }
        Err(Error::UnexpectedEof(self.offset_id()))
    }

    fn skip(&mut self, bytes: usize) -> Result<()> {
        self.start = self.after(bytes)?;
        Ok(())
    }

    fn split(&mut self, bytes: usize) -> Result<Self> {
        let after = self.after(bytes)?;
        let first = Self {
            end: after,
            ..self.clone()
        };
        self.start = after;
        Ok(first)
    }

    fn to_slice(&self) -> Result<Cow<'_, [u8]>> {
        let bytes = self
            .section
            .look(self.start, self.len(), |bytes| bytes[..self.len()].to_vec())?;
        Ok(Cow::Owned(bytes))
    }

    fn to_string(&self) -> Result<Cow<'_, str>> {
        let bytes = self.to_slice()?.into_owned();
        Ok(Cow::Owned(String::from_utf8(bytes).map_err(|_| Error::BadUtf8)?))
    }

    fn to_string_lossy(&self) -> Result<Cow<'_, str>> {
        let bytes = self.to_slice()?.into_owned();
        Ok(Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn read_slice(&mut self, into: &mut [u8]) -> Result<()> {
        let after = self.after(into.len())?;
        self.section.look(self.start, into.len(), |bytes| {
            into.copy_from_slice(&bytes[..into.len()]);
        })?;
        self.start = after;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const WINDOW_BYTES: usize = 16 << 10;

    /// A section of so many bytes, which begins at 100.
    fn section(bytes: usize) -> (Rc<File>, Piece) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[0xff; 100]).unwrap();
        let content: Vec<u8> = (0..bytes).map(|at| (at / 256 % 250) as u8 + 1).collect();
        file.write_all(&content).unwrap();
        let file = Rc::new(file);
        let piece = Piece::new(&file, 100..100 + bytes as u64, WINDOW_BYTES).unwrap();
        (file, piece)
    }

    #[test]
    fn what_is_read_is_what_the_file_has_also_where_it_is_larger_than_what_is_read_at_once() {
        let (_file, whole) = section(3 * WINDOW_BYTES);
        let mut piece = whole.clone();
        piece.skip(WINDOW_BYTES - 2).unwrap();
        assert_eq!(piece.read_u32().unwrap(), 0x4141_4040);
        assert_eq!(piece.offset_from(&whole), WINDOW_BYTES + 2);
        assert_eq!(whole.to_slice().unwrap().len(), 3 * WINDOW_BYTES);
        assert_eq!(whole.find(0x82).unwrap(), 0x81 * 256);
        assert!(whole.find(0).is_err());
        let mut rest = whole.clone();
        let first = rest.split(256).unwrap();
        assert_eq!(*first.to_slice().unwrap(), [1; 256]);
        assert_eq!(rest.read_u8().unwrap(), 2);
    }

    #[test]
    fn nothing_outside_of_a_piece_is_read() {
        let (_file, mut piece) = section(512);
        piece.skip(100).unwrap();
        piece.truncate(3).unwrap();
        assert!(piece.read_u32().is_err());
        assert_eq!(piece.len(), 3, "what fails takes nothing");
        assert!(piece.find(2).is_err());
        assert!(piece.split(4).is_err());
        assert!(piece.skip(usize::MAX).is_err());
    }

    #[test]
    fn a_file_that_is_cut_short_is_an_error() {
        let (file, mut piece) = section(4 * WINDOW_BYTES);
        piece.read_u8().unwrap();
        file.set_len(WINDOW_BYTES as u64).unwrap();
        piece.skip(2 * WINDOW_BYTES).unwrap();
        assert!(piece.read_u8().is_err());
    }
}
