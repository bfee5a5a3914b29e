//! When a connection was taken out of its listener's queue, as far as that was seen.

use crate::model::id::Tid;

/// A connection that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// When, ns.
    pub at_ns: u64,
    /// Thread that did it; where the accept itself was not seen, the one that tried to read first.
    pub tid: Tid,
    /// When it was established: then it came into the queue, ns.
    pub established_ns: u64,
    /// The accept was seen. Otherwise it was no later than this.
    pub seen: bool,
}
