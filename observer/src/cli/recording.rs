//! The recording of a live run: a file that a thread of its own writes.

use std::env;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{self as unix, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use observer::output::words;
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
        let file = open(&path)?;
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

    /// What there is, once it is finished and has so many events, and what can be done with it. `None` where it is no
    /// file.
    pub(crate) fn summary(&self, events: u64) -> Option<String> {
        let file = fs::metadata(&self.path).ok().filter(Metadata::is_file)?;
        let path = self.path.display();
        let events = words::counted(events, "event", "events");
        let size = words::bytes(file.len());
        Some(format!(
            "{path} has {events} in {size}: `observer replay {path}` explains the requests in it"
        ))
    }

    fn failure(&mut self) -> Result<()> {
        match self.writer.take_failure() {
            Some(error) => Err(error.context(sinks::cannot_write(&self.path))),
            None => Ok(()),
        }
    }
}

/// Opens a new file, or what is no file, such as a pipe.
fn open(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    // It has what clients send, such as cookies: nobody else may read it.
    options.write(true).mode(0o600);
    match options.clone().create_new(true).open(path) {
        Ok(file) => {
            if let Some((user, group)) = caller_of_sudo() {
                // Where that is refused it stays observer's own.
                let _ = unix::fchown(&file, Some(user), Some(group));
            }
            Ok(file)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            require_free(path)?;
            options.open(path).with_context(|| sinks::cannot_write(path))
        }
        Err(error) => Err(error).with_context(|| sinks::cannot_write(path)),
    }
}

/// Makes sure that a recording to this file overwrites nothing: what was recorded cannot be recorded again.
///
/// # Errors
/// When there is such a file, or a link in whose place none is made.
pub(crate) fn require_free(path: &Path) -> Result<()> {
    let why = match (path.is_symlink(), path.is_file(), path.exists()) {
        (false, true, _) => {
            "is there already, and a recording overwrites nothing: give another file, or remove that one"
        }
        (true, true, _) => {
            "leads to a file, and a recording overwrites nothing: give another file, or a pipe"
        }
        (true, _, false) => {
            "is a link that leads nowhere, and a recording begins no file behind a link: give the file"
        }
        _ => return Ok(()),
    };
    bail!("{} {why}", path.display());
}

/// User and group of who called this through sudo, and is to replay without it what only its owner may read.
fn caller_of_sudo() -> Option<(u32, u32)> {
    let number = |name| env::var(name).ok()?.parse().ok();
    Some((number("SUDO_UID")?, number("SUDO_GID")?))
}
