//! The only module that reads kernel structures, each in a file of its own.
//!
//! aya has no CO-RE for Rust programs, and `bpf_probe_read_kernel` is refused under lockdown. Fields are read
//! directly through the BTF-typed pointers that tracepoints hand over: `*(pointer + offset)`, where the offset
//! is a load-time constant. The verifier knows the constant's value (the map behind it is frozen), checks the
//! access against the structure's BTF, and turns a fault into a zero. The one exception is resident memory before
//! Linux 6.2, see [`observer_common::rss`].

use core::ffi::c_void;

use observer_common::Offsets;

/// Set by userspace before load, see [`observer_common::names::constant::OFFSETS`].
#[unsafe(no_mangle)]
static OFFSETS: Offsets = Offsets::UNSET;

/// The value of one field of [`OFFSETS`].
macro_rules! offset {
    ($($field:ident).+) => {
        constant(&raw const OFFSETS.$($field).+)
    };
}

mod registers;
mod sending;
mod sock;
mod task;

pub(crate) use registers::Registers;
pub(crate) use sending::Sending;
pub(crate) use sock::Sock;
pub(crate) use task::{CpuClock, Task};

/// Reads a load-time constant so that the compiler does not fold its placeholder in.
#[inline(always)]
fn constant(field: *const u32) -> u32 {
    // SAFETY: only called with a valid, aligned field of a static.
    unsafe { core::ptr::read_volatile(field) }
}

/// Reads a `T` that stands `offset` bytes after `base`.
///
/// # Safety
/// `base` must be a pointer that the verifier tracks with its BTF type, and the field must be a `T`.
#[inline(always)]
unsafe fn read<T: Copy>(base: *const c_void, offset: u32) -> T {
    // SAFETY: the verifier checks the access against the structure's type; a bad address reads as zero.
    unsafe { core::ptr::read_volatile(base.cast::<u8>().wrapping_add(offset as usize).cast::<T>()) }
}
