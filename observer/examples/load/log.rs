//! What the client saw of each request, kept in memory until the end.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::connection::Times;

/// Gives requests their numbers and keeps what came of them.
pub(crate) struct Log {
    file: PathBuf,
    kept: Mutex<Kept>,
}

struct Kept {
    next_id: u64,
    entries: Vec<Entry>,
}

/// One answered request.
#[derive(Serialize)]
struct Entry {
    id: u64,
    status: u16,
    #[serde(flatten)]
    times: Times,
}

impl Log {
    /// To be written into `file`, which is made now so that a wrong path is known now.
    pub(crate) fn new(file: PathBuf, first_id: u64) -> Result<Self> {
        File::create(&file).with_context(|| format!("cannot create {}", file.display()))?;
        let kept = Mutex::new(Kept {
            next_id: first_id,
            entries: Vec::new(),
        });
        Ok(Self { file, kept })
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.with(|kept| {
            kept.next_id += 1;
            kept.next_id - 1
        })
    }

    pub(crate) fn answered(&self, id: u64, status: u16, times: Times) {
        self.with(|kept| kept.entries.push(Entry { id, status, times }));
    }

    /// Writes all of it, one object a line.
    pub(crate) fn write(&self) -> Result<()> {
        let written = self.write_lines(&self.file);
        written.with_context(|| format!("cannot write {}", self.file.display()))
    }

    fn write_lines(&self, file: &Path) -> Result<()> {
        let mut out = BufWriter::new(File::create(file)?);
        self.with(|kept| {
            for entry in &kept.entries {
                serde_json::to_writer(&mut out, entry)?;
                out.write_all(b"\n")?;
            }
            Ok(out.flush()?)
        })
    }

    fn with<T>(&self, f: impl FnOnce(&mut Kept) -> T) -> T {
        f(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
