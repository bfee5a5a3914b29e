//! What programs tell of their code, as bytes that strangers wrote: symbols, and the two kinds of files in which a
//! runtime tells perf what it compiled.
//!
//! Pure: bytes in, names and places out. Which files are read, and how much of them, is the live source's business.

mod cplusplus;
pub mod jitdump;
pub mod made;
pub mod naming;
pub mod perf_map;

/// Code of more than this is no function, bytes: who claims it would hide all others.
pub const MAX_CODE_BYTES: u64 = 16 << 20;

/// Longest name of code made at run time that is read, bytes.
pub const MAX_NAME_BYTES: usize = 1024;

/// What was read of a piece of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// Bytes of whole lines or records; more than there were, where the last one's end need not be seen.
    pub consumed: u64,
    /// Lines or records that say nothing that can be used.
    pub unusable: u64,
}

/// Whether there can be code here.
fn is_plausible(start: u64, bytes: u64) -> bool {
    bytes <= MAX_CODE_BYTES && start.checked_add(bytes).is_some()
}
