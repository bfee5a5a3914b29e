//! Where events come from: the live kernel or a recording. One trait, two implementations.
//!
//! A source gives batches of events in the order of their time. What is drained at once ends with a tick, the
//! promise that nothing older is still to come.

mod batch;
pub mod code;
// It includes the compiled kernel half, which a build for fuzzing does without.
#[cfg(not(fuzzing))]
pub mod live;
mod merge;
pub mod recording;

use anyhow::Result;

pub use batch::Batch;
pub use merge::Merge;

/// What a source has to say besides its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// There may be more.
    More,
    /// It is over: the targets are gone, or the recording is at its end.
    End,
    /// The recording breaks off: it was cut or is damaged from here on.
    Truncated,
}

/// A stream of events in the order of their time.
pub trait Source {
    /// Replaces what is in `batch` by the next events.
    ///
    /// # Errors
    /// When the source itself fails; damaged recordings are a [`Status`].
    fn next(&mut self, batch: &mut Batch) -> Result<Status>;
}
