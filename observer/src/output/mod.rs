//! What leaves the program on standard output, one form a file.
//!
//! A sink gets values that are finished: it never computes a figure, asks a clock or opens a file. Its
//! writer is given to it, and every failure of that writer goes back to the caller. A reader that went
//! away is [`std::io::ErrorKind::BrokenPipe`], which the caller takes for a normal end.

use std::io;
use std::sync::Arc;

use serde::Serialize;

use crate::model::header::Header;
use crate::model::process::ProcessLine;
use crate::model::report::{End, Window};
use crate::model::request::Request;
use crate::model::runtime::RuntimeLine;

pub mod escape;
mod jsonl;
#[cfg(test)]
mod made_up;
mod names;
mod queued;
mod selection;
pub mod table;
pub mod words;

pub use jsonl::JsonLines;
pub use queued::Queued;
pub use selection::{MAX_OUTPUTS, SAMPLE_ONE_IN, Selections, Wanted};
pub use table::TableSink;

/// The version that opens every line of JSON Lines.
pub const SCHEMA_VERSION: u32 = 1;

/// A form of output.
pub trait Sink {
    /// Opens the output. Called once, first.
    ///
    /// # Errors
    /// When the writer fails; so for every method here.
    fn header(&mut self, header: &Header) -> io::Result<()>;

    /// A request that was chosen to be written.
    ///
    /// # Errors
    /// When the writer fails.
    fn request(&mut self, request: &Arc<Request>, why: Why) -> io::Result<()>;

    /// The end of a window.
    ///
    /// # Errors
    /// When the writer fails.
    fn window(&mut self, window: &Window) -> io::Result<()>;

    /// Something happened to a watched process.
    ///
    /// # Errors
    /// When the writer fails.
    fn process(&mut self, line: &ProcessLine) -> io::Result<()>;

    /// It is known whether a watched process tells the ids of its tasks.
    ///
    /// # Errors
    /// When the writer fails.
    fn runtime(&mut self, line: &RuntimeLine) -> io::Result<()>;

    /// Closes the output. Called once, last.
    ///
    /// # Errors
    /// When the writer fails.
    fn end(&mut self, end: &End) -> io::Result<()>;

    /// Hands on what is still buffered.
    ///
    /// # Errors
    /// When the writer fails.
    fn flush(&mut self) -> io::Result<()>;
}

/// The outputs of a run, side by side: none knows of the others.
pub type Sinks<'a, 'b> = &'a mut [&'b mut dyn Sink];

/// Does the same for each output.
///
/// # Errors
/// Those of the first that fails.
pub fn each(sinks: Sinks<'_, '_>, mut write: impl FnMut(&mut dyn Sink) -> io::Result<()>) -> io::Result<()> {
    sinks.iter_mut().try_for_each(|sink| write(&mut **sink))
}

/// Why a request was chosen to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It was one of the first of its target, of which no p99 is known yet.
    First,
    /// Its latency was at or above the live p99 of its target.
    Tail,
    /// It was drawn by chance, and was not of the tail.
    Sample,
    /// Every request is written.
    All,
}
