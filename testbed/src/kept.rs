//! What is kept in memory while the server is observed, and written when it ends.
//!
//! Slots are made before the first request and each is filled once, without a lock, so that keeping something makes no
//! system call and faults in no memory meanwhile.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::lines;
use anyhow::{Result, bail};
use serde::Serialize;

/// Records of a run.
pub struct Kept<T> {
    file: PathBuf,
    slots: Box<[OnceLock<T>]>,
    /// Slots given away; more than there are when some records found none.
    taken: AtomicUsize,
}

impl<T: Serialize> Kept<T> {
    /// As many as `slots`, to be written into `file`, which is made now so that a wrong path is known now.
    pub fn new(file: PathBuf, slots: usize) -> Result<Self> {
        lines::create(&file)?;
        Ok(Self {
            file,
            slots: (0..slots).map(|_| OnceLock::new()).collect(),
            taken: AtomicUsize::new(0),
        })
    }

    /// Keeps one, in memory that is there.
    pub fn keep(&self, record: T) {
        let index = self.taken.fetch_add(1, Ordering::Relaxed);
        if let Some(slot) = self.slots.get(index) {
            // Nobody else has this index.
            let _ = slot.set(record);
        }
    }

    /// Writes all of them, one object a line.
    pub fn write(&self) -> Result<()> {
        let (file, slots) = (self.file.display(), self.slots.len());
        let taken = self.taken.load(Ordering::Relaxed);
        if taken > slots {
            bail!("there are {taken} lines for {file} and {slots} can be kept: make the run shorter");
        }
        lines::write(&self.file, self.slots.iter().filter_map(OnceLock::get))
    }
}
