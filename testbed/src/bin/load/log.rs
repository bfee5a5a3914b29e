//! What the client saw of each request, kept in memory until the end.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use testbed::lines;
use testbed::truth::{Sent, Times};

/// Gives requests their numbers and keeps what came of them.
pub(crate) struct Log {
    file: PathBuf,
    kept: Mutex<Kept>,
}

struct Kept {
    next_id: u64,
    sent: Vec<Sent>,
}

impl Log {
    /// To be written into `file`, which is made now so that a wrong path is known now.
    pub(crate) fn new(file: PathBuf, first_id: u64) -> Result<Self> {
        lines::create(&file)?;
        let kept = Mutex::new(Kept {
            next_id: first_id,
            sent: Vec::new(),
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
        self.with(|kept| kept.sent.push(Sent { id, status, times }));
    }

    /// Writes all of it.
    pub(crate) fn write(&self) -> Result<()> {
        self.with(|kept| lines::write(&self.file, &kept.sent))
    }

    fn with<T>(&self, f: impl FnOnce(&mut Kept) -> T) -> T {
        f(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
