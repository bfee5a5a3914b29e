//! Words of maps that several look at: other CPUs, interrupts, or userspace.

use core::{cell::UnsafeCell, ptr};

/// One of them, of eight bytes at most. Each read and write is of the whole word, and the compiler leaves them in the
/// order in which they stand: this target has no atomic ones. A CPU may still do a later read before an earlier write.
/// Of two that write at once one wins.
#[repr(transparent)]
pub(crate) struct Word<T>(UnsafeCell<T>);

// SAFETY: nobody has a reference into it, and each access is one instruction.
unsafe impl<T: Copy + Send> Sync for Word<T> {}

impl<T: Copy> Word<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    #[inline(always)]
    pub(crate) fn get(&self) -> T {
        const { assert!(size_of::<T>() <= size_of::<u64>()) };
        // SAFETY: an aligned word that lives as long as this reference.
        unsafe { ptr::read_volatile(self.0.get()) }
    }

    #[inline(always)]
    pub(crate) fn set(&self, value: T) {
        const { assert!(size_of::<T>() <= size_of::<u64>()) };
        // SAFETY: as above.
        unsafe { ptr::write_volatile(self.0.get(), value) };
    }
}
