//! Waits for the disk on the worker.

use std::fs::{File, OpenOptions};
use std::io::{Result as IoResult, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, ensure};
use testbed::truth::FaultKind;

use super::size::Kibibytes;
use super::{Failure, Shared, unavailable};
use crate::blocked;
use crate::visit::Visit;

/// What one direct read takes: as much as is worth a wait.
const BLOCK_BYTES: usize = 128 * 1024;

/// The file of `--data`, which is only read.
pub(super) struct Data {
    pub(super) path: PathBuf,
    pub(super) file: File,
    direct: File,
    pub(super) bytes: u64,
    next: AtomicU64,
}

#[repr(align(4096))]
struct Block([u8; BLOCK_BYTES]);

impl Data {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let opened = open(path).with_context(|| format!("cannot read {}", path.display()))?;
        ensure!(
            opened.bytes >= BLOCK_BYTES as u64,
            "{} is shorter than {BLOCK_BYTES} bytes",
            path.display()
        );
        Ok(opened)
    }

    /// Where the next so many bytes are: one range after the other, from the start again after the last.
    pub(super) fn next(&self, bytes: u64) -> u64 {
        let at = self.next.fetch_add(bytes, Ordering::Relaxed);
        at % (self.bytes.saturating_sub(bytes).max(1))
    }
}

fn open(path: &Path) -> IoResult<Data> {
    let file = File::open(path)?;
    Ok(Data {
        path: path.to_owned(),
        bytes: file.metadata()?.len(),
        direct: OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_DIRECT)
            .open(path)?,
        file,
        next: AtomicU64::new(0),
    })
}

/// Writes a file and waits until it is on the disk.
pub(super) fn synchronized(
    visit: &mut Visit,
    shared: &Shared,
    size: &Kibibytes,
) -> Result<&'static str, Failure> {
    let failed = |error| {
        unavailable(format!(
            "cannot write a file in {}: {error}",
            shared.files.display()
        ))
    };
    let file = written(&shared.files, &size.filler()).map_err(failed)?;
    // Closing it waits too: that is when a file without a name is removed.
    let (synchronized, stretches) = blocked::measured(FaultKind::Disk, blocked::WAKEUP_NS, || {
        let synchronized = file.sync_all();
        drop(file);
        synchronized
    });
    visit.injected_all(stretches);
    synchronized.map_err(failed)?;
    Ok("written\n")
}

/// A file without a name, so that it is gone however this process ends.
fn written(directory: &Path, bytes: &[u8]) -> IoResult<File> {
    let mut file = tempfile::tempfile_in(directory)?;
    file.write_all(bytes)?;
    Ok(file)
}

/// Reads from the disk and not from the kernel's cache, block by block.
pub(super) fn direct(visit: &mut Visit, shared: &Shared, size: &Kibibytes) -> Result<&'static str, Failure> {
    let data = shared.data()?;
    let blocks = size.bytes() / BLOCK_BYTES;
    let (read, stretches) = blocked::measured(FaultKind::Disk, blocks as u64 * blocked::WAKEUP_NS, || {
        let mut block = Box::new(Block([0; BLOCK_BYTES]));
        (0..blocks).try_for_each(|_| {
            let at = data.next(BLOCK_BYTES as u64);
            data.direct
                .read_exact_at(&mut block.0, at - at % BLOCK_BYTES as u64)
        })
    });
    visit.injected_all(stretches);
    read.map_err(unavailable)?;
    Ok("read\n")
}
