//! Memory that has to be brought in.

use std::hint::black_box;
use std::io::{Error, Result as IoResult};
use std::os::fd::AsRawFd as _;
use std::ptr;

use testbed::truth::FaultKind;

use super::disk::Data;
use super::size::Kibibytes;
use super::{Failure, Shared, unavailable};
use crate::blocked;
use crate::visit::Visit;

const PAGE_BYTES: usize = 4096;
/// How much the kernel reads ahead of a fault, unless told otherwise.
const READAHEAD_BYTES: usize = 128 * 1024;

/// Touches fresh memory: a minor fault a page.
pub(super) fn touch(visit: &mut Visit, size: &Kibibytes) -> &'static str {
    let ((), stretches) = blocked::measured(FaultKind::Fault, 0, || {
        let mut memory = vec![0_u8; size.bytes()];
        for at in (0..memory.len()).step_by(PAGE_BYTES) {
            memory[at] = 1;
        }
        black_box(memory);
    });
    visit.injected_all(stretches);
    "touched\n"
}

/// Touches a part of a file that the kernel's cache does not have: a major fault for each window of
/// its readahead.
pub(super) fn cold(visit: &mut Visit, shared: &Shared, size: &Kibibytes) -> Result<&'static str, Failure> {
    let data = shared.data()?;
    // Emptying the cache takes as long as some of the faults, and may wait in its call.
    let (mapped, emptied) = blocked::measured(FaultKind::Disk, 0, || Mapped::uncached(data, size.bytes()));
    let mapped = mapped.map_err(unavailable)?;
    let ((), touched) = blocked::measured(FaultKind::Fault, mapped.wakeups_ns(), || {
        mapped.touch();
        drop(mapped);
    });
    visit.injected_all(emptied.into_iter().chain(touched));
    Ok("touched\n")
}

/// A part of a file in memory, not read yet.
struct Mapped {
    start: *mut libc::c_void,
    bytes: usize,
}

impl Mapped {
    fn uncached(data: &Data, bytes: usize) -> IoResult<Self> {
        let bytes = bytes.clamp(PAGE_BYTES, usize::try_from(data.bytes).unwrap_or(usize::MAX));
        let at = data.next(bytes as u64);
        let at = i64::try_from(at - at % PAGE_BYTES as u64).unwrap_or(0);
        let fd = data.file.as_raw_fd();
        // SAFETY: takes numbers only.
        unsafe { libc::posix_fadvise(fd, at, bytes as i64, libc::POSIX_FADV_DONTNEED) };
        let (protection, flags) = (libc::PROT_READ, libc::MAP_PRIVATE);
        // SAFETY: the kernel chooses an address where nothing is.
        let start = unsafe { libc::mmap(ptr::null_mut(), bytes, protection, flags, fd, at) };
        if start == libc::MAP_FAILED {
            return Err(Error::last_os_error());
        }
        Ok(Self { start, bytes })
    }

    /// About one for each window of the readahead.
    fn wakeups_ns(&self) -> u64 {
        self.bytes.div_ceil(READAHEAD_BYTES) as u64 * blocked::WAKEUP_NS
    }

    fn touch(&self) {
        for at in (0..self.bytes).step_by(PAGE_BYTES) {
            let byte = self.start.cast::<u8>().wrapping_add(at);
            // SAFETY: inside of the mapping, which lives as long as this value and lies inside of the file, which
            // nobody truncates.
            black_box(unsafe { byte.read_volatile() });
        }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and nobody has a reference into it.
        unsafe { libc::munmap(self.start, self.bytes) };
    }
}
