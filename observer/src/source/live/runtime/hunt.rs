//! How a search for task ids goes on, whatever runtime it is for.

use observer_common::TaskPath;
use observer_common::seek::{Sample, Seek};

/// Time between two samples of a kind on a CPU at first, ns: at a thousand requests a second every one is a sample.
pub(super) const INTERVAL_NS: u32 = 200_000;

/// How far a search has come.
#[derive(Debug)]
pub(super) enum Stage {
    /// This is looked at.
    Seeks(Seek),
    /// Here they keep it, which is known by this.
    Proved(TaskPath, String),
    /// It was not found, for this reason.
    GivenUp(String),
}

/// A search that is going on in a process.
pub(super) trait Seeks {
    /// What the kernel half is asked for.
    fn seek(&self) -> Seek;

    /// Takes one sample in.
    fn see(&mut self, sample: &Sample);

    /// Goes on with what was seen.
    fn step(&mut self, now_ns: u64) -> Stage;
}
