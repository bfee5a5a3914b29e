//! The recording of a live run: a file that a thread of its own writes.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use observer::source::Batch;
use observer::source::recording::QueuedWriter;

use super::live::Attached;
use super::sinks;

/// What may wait to be written, in contents of the rings: at 10 MiB a second of each CPU what a saturated server leaves
/// in 0.8 s.
const RINGS: usize = 2;

/// A recording that is being written.
pub(crate) struct Recording {
    path: PathBuf,
    writer: QueuedWriter,
    /// Events that were found not to be recorded, and not asked for.
    not_recorded: u64,
}

impl Recording {
    /// Begins the recording of this run.
    pub(crate) fn begin(path: PathBuf, attached: &Attached) -> Result<Self> {
        // It has what clients send, such as cookies: nobody else may read it.
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(&path).with_context(|| sinks::cannot_write(&path))?;
        let room = RINGS * attached.rings_bytes();
        let writer = QueuedWriter::start(file, attached.header.clone(), room)
            .context("cannot start a thread for the recording")?;
        Ok(Self {
            path,
            writer,
            not_recorded: 0,
        })
    }

    /// Takes a batch.
    ///
    /// # Errors
    /// Once, when the file takes nothing any more: what follows is only counted.
    pub(crate) fn write(&mut self, batch: &Batch) -> Result<()> {
        self.not_recorded += self.writer.write(batch);
        self.failure()
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub(crate) fn finish(&mut self) -> Result<()> {
        self.not_recorded += self.writer.finish();
        self.failure()
    }

    /// How many events were found not to be recorded since this was asked last.
    pub(crate) const fn take_not_recorded(&mut self) -> u64 {
        std::mem::replace(&mut self.not_recorded, 0)
    }

    fn failure(&mut self) -> Result<()> {
        match self.writer.take_failure() {
            Some(error) => Err(error.context(sinks::cannot_write(&self.path))),
            None => Ok(()),
        }
    }
}
