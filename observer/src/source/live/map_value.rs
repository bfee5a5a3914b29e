//! Values of the kernel half's maps as aya reads and writes them.

/// A value whose layout both halves know.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct MapValue<T>(pub(super) T);

// SAFETY: its bytes are those of `T`, which is `bytemuck::Pod`: without padding, and valid for every bit pattern.
unsafe impl<T: bytemuck::Pod> aya::Pod for MapValue<T> {}
