//! For whom a thread ran, in 16 bytes.

use super::super::state::Owner;
use crate::model::id::{ConnId, RequestId};

/// An [`Owner`] in 16 bytes: its connection, and its place with the kind in the lowest bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct PackedOwner {
    conn: ConnId,
    nth_and_kind: u64,
}

impl PackedOwner {
    const NOBODY: u64 = 0;
    const MIXED: u64 = 1;
    const REQUEST: u64 = 2;
    const WOKEN_FOR: u64 = 3;
    const OTHERS: u64 = 4;
    pub(super) const KIND_BITS: u32 = 3;

    const fn kind(self) -> u64 {
        self.nth_and_kind & ((1 << Self::KIND_BITS) - 1)
    }

    pub(super) const fn is_nobody(self) -> bool {
        self.kind() == Self::NOBODY
    }

    /// Whether it is not known for whom, or only for whom the thread was woken.
    pub(in super::super) const fn is_open(self) -> bool {
        matches!(self.kind(), Self::NOBODY | Self::WOKEN_FOR)
    }
}

impl From<Owner> for PackedOwner {
    fn from(owner: Owner) -> Self {
        let (kind, RequestId { conn, nth }) = match owner {
            Owner::Nobody => (Self::NOBODY, RequestId::default()),
            Owner::Mixed => (Self::MIXED, RequestId::default()),
            Owner::Others => (Self::OTHERS, RequestId::default()),
            Owner::Request(id) => (Self::REQUEST, id),
            Owner::WokenFor(id) => (Self::WOKEN_FOR, id),
        };
        Self {
            conn,
            nth_and_kind: nth << Self::KIND_BITS | kind,
        }
    }
}

impl From<PackedOwner> for Owner {
    fn from(owner: PackedOwner) -> Self {
        let id = RequestId {
            conn: owner.conn,
            nth: owner.nth_and_kind >> PackedOwner::KIND_BITS,
        };
        match owner.kind() {
            PackedOwner::REQUEST => Self::Request(id),
            PackedOwner::WOKEN_FOR => Self::WokenFor(id),
            PackedOwner::MIXED => Self::Mixed,
            PackedOwner::OTHERS => Self::Others,
            _ => Self::Nobody,
        }
    }
}
