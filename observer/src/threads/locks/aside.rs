//! Where threads wait that have just given a lock on, until another has taken it.

use super::lock::SIGNS_TO_ONE;
use crate::model::id::Tid;

/// So often those who gave a lock on must have waited at a pair until another had taken it.
pub(super) const ENOUGH_ASIDE: u32 = 8;

/// Where a thread waited that had just given a lock on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Aside {
    pub(super) place: u32,
    /// Which one waits there.
    pub(super) waits: Option<Tid>,
    /// How often one that uses the lock ended such a wait.
    pub(super) seen: u32,
    /// How often one waited there while nobody wanted the lock, or several at once.
    pub(super) against: u32,
}

impl Aside {
    /// One that is seen for the first time, where this thread waits.
    pub(super) const fn new(place: u32, tid: Tid) -> Self {
        Self {
            place,
            waits: Some(tid),
            seen: 0,
            against: 0,
        }
    }

    pub(super) fn is_believed(&self) -> bool {
        self.seen >= ENOUGH_ASIDE && self.against.saturating_mul(SIGNS_TO_ONE) <= self.seen
    }
}
