//! The raw event stream in a file.
//!
//! Layout, in the byte order of the machine that wrote it: [`MAGIC`], version (`u32`), length of the header
//! (`u32`), the header as JSON padded with spaces to a multiple of eight bytes, then the events as they stand in
//! memory, in the order of their time. The last is an end event; a file without one was cut off.

mod queued;

use std::io::{ErrorKind, Read, Write};

use anyhow::{Context as _, Error, Result, anyhow, bail};

use super::{Batch, Source, Status};
use crate::event::{self, FactKind};
use crate::model::header::Header;

pub use queued::QueuedWriter;

/// First bytes of every recording.
pub const MAGIC: &[u8; 8] = b"observer";

/// Version of the layout.
pub const VERSION: u32 = 11;

/// The oldest version that can be read. Since then only more was added: 6 has which children are watched, 7 which
/// tables were full, 8 Go's goroutines, cycles and assists, 9 which goroutine makes which ready, 10 in which network a
/// connection is and where goroutines wait, 11 which programs those run that are watched later than from the start,
/// and since when a thread has its CPU that was not seen to get it.
pub const OLDEST_VERSION: u32 = 5;

/// Longest header that is believed, bytes.
const MAX_HEADER: usize = 1 << 20;

/// How much is read at once, bytes.
const CHUNK: usize = 1 << 16;

/// A batch ends with the event that makes it this long, bytes. What a drain of full rings brings is less, as a
/// rule; a damaged or made-up recording may have no ticks at all, and must not be held in memory whole.
const LONGEST_BATCH: usize = 1 << 20;

/// Writes a recording.
pub struct Writer<W: Write> {
    writer: W,
}

impl<W: Write> Writer<W> {
    /// Begins a recording.
    ///
    /// # Errors
    /// When the writer fails.
    pub fn new(mut writer: W, header: &Header) -> Result<Self> {
        let mut json = serde_json::to_vec(header).context("cannot encode the recording's header")?;
        json.resize(json.len().next_multiple_of(event::ALIGN), b' ');
        writer.write_all(MAGIC)?;
        writer.write_all(&VERSION.to_ne_bytes())?;
        writer.write_all(&u32::try_from(json.len())?.to_ne_bytes())?;
        writer.write_all(&json)?;
        Ok(Self { writer })
    }

    /// Appends a batch.
    ///
    /// # Errors
    /// When the writer fails.
    pub fn write(&mut self, batch: &Batch) -> std::io::Result<()> {
        self.writer.write_all(batch.bytes())
    }

    /// Hands everything on.
    ///
    /// # Errors
    /// When the writer fails.
    pub fn finish(mut self) -> std::io::Result<W> {
        self.writer.flush()?;
        Ok(self.writer)
    }
}

/// Reads a recording.
pub struct Reader<R: Read> {
    reader: R,
    /// Read and not yet given, from `start` to `end`.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    file_ended: bool,
    over: bool,
}

impl<R: Read> Reader<R> {
    /// Opens a recording and reads its header.
    ///
    /// # Errors
    /// When it is no recording, or one of another version or byte order.
    pub fn open(mut reader: R) -> Result<(Self, Header)> {
        let mut fixed = [0; 16];
        reader
            .read_exact(&mut fixed)
            .map_err(|error| match error.kind() {
                ErrorKind::UnexpectedEof => anyhow!("this is no recording of observer: it is too short"),
                ErrorKind::IsADirectory => anyhow!("this is no recording of observer: it is a directory"),
                _ => Error::new(error).context("it cannot be read"),
            })?;
        if fixed[..8] != *MAGIC {
            bail!("this is no recording of observer: it does not begin with `observer`");
        }
        let word = |at: usize| u32::from_ne_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
        let (version, length) = (word(8), word(12) as usize);
        let is_read = |version: u32| (OLDEST_VERSION..=VERSION).contains(&version);
        if is_read(version.swap_bytes()) {
            bail!("this recording was made on a machine of another byte order; replay it there");
        }
        if !is_read(version) {
            bail!(
                "this recording has format version {version}, this observer reads versions {OLDEST_VERSION} to \
                 {VERSION}; replay it with the observer that made it"
            );
        }
        if length > MAX_HEADER {
            bail!("this recording is damaged: its header claims {length} bytes");
        }
        let mut json = vec![0; length];
        reader
            .read_exact(&mut json)
            .context("this recording is cut off inside its header")?;
        let header = serde_json::from_slice(&json).context("this recording's header is damaged")?;
        Ok((
            Self {
                reader,
                buffer: Vec::new(),
                start: 0,
                end: 0,
                file_ended: false,
                over: false,
            },
            header,
        ))
    }

    /// Makes sure that a whole event is in the buffer, if there is one.
    fn fill(&mut self) -> Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let room = self.buffer.len().max(self.end + CHUNK);
        self.buffer.resize(room, 0);
        let read = loop {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                other => break other.context("cannot read the recording")?,
            }
        };
        self.end += read;
        self.file_ended = read == 0;
        Ok(())
    }

    /// Kind and length of the event at the start of the buffer: `None` when it is not all there. There is no length
    /// where it is damaged.
    fn whole_event(&self) -> Option<(u16, Option<usize>)> {
        let rest = &self.buffer[self.start..self.end];
        // The kind stands at the same place in every header.
        let kind = rest.get(12..14)?;
        let kind = u16::from_ne_bytes([kind[0], kind[1]]);
        let size = event::size_of_kind(kind);
        (rest.len() >= size.unwrap_or_default()).then_some((kind, size))
    }
}

impl<R: Read> Source for Reader<R> {
    fn next(&mut self, batch: &mut Batch) -> Result<Status> {
        batch.clear();
        if self.over {
            return Ok(Status::End);
        }
        loop {
            match self.whole_event() {
                Some((_, None)) => {
                    self.over = true;
                    return Ok(Status::Truncated);
                }
                Some((kind, Some(size))) => {
                    batch.push(&self.buffer[self.start..self.start + size]);
                    self.start += size;
                    match FactKind::from_u16(kind) {
                        Some(FactKind::Tick) => return Ok(Status::More),
                        Some(FactKind::End) => {
                            self.over = true;
                            return Ok(Status::End);
                        }
                        _ if batch.bytes().len() >= LONGEST_BATCH => return Ok(Status::More),
                        _ => {}
                    }
                }
                None if self.file_ended => {
                    self.over = true;
                    return Ok(Status::Truncated);
                }
                None => self.fill()?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::header::Options;
    use crate::model::id::Pid;

    pub(super) fn header() -> Header {
        Header {
            observer_version: String::new(),
            kernel: String::new(),
            machine: String::new(),
            page_bytes: 4096,
            started_unix_ns: 0,
            unix_offset_ns: 0,
            targets: Vec::new(),
            signals: Vec::new(),
            options: Options {
                requests: crate::model::header::Requests::None,
                sample_one_in: 1,
                with_query: false,
                apart: false,
                ring_bytes: 0,
                polls: false,
                goroutines: false,
                sample_hz: 0,
                follow: false,
                ports: Vec::new(),
            },
            replay: false,
        }
    }

    #[test]
    fn a_recording_without_ticks_is_not_held_in_memory_whole() {
        let port = event::Port::new(1, Pid(2), 3);
        let mut events = Batch::default();
        let count = 3 * LONGEST_BATCH / size_of_val(&port);
        for _ in 0..count {
            events.push(bytemuck::bytes_of(&port));
        }
        let mut writer = Writer::new(Vec::new(), &header()).unwrap();
        writer.write(&events).unwrap();
        let recording = writer.finish().unwrap();

        let (mut reader, _) = Reader::open(&recording[..]).unwrap();
        let (mut batch, mut read) = (Batch::default(), 0);
        while reader.next(&mut batch).unwrap() == Status::More {
            assert!(batch.bytes().len() <= LONGEST_BATCH + size_of_val(&port));
            read += batch.events().count();
        }
        assert_eq!(read + batch.events().count(), count);
    }
}
