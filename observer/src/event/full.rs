//! The fact that a table of the source was full: what the pipeline's own tables forget it counts itself.

use bytemuck::{Pod, Zeroable};
use observer_common::Header;

use super::fact::{FactKind, header};
use crate::model::full::Table;

/// A bounded table of the source was full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Full {
    /// `at_ns`: when this was told.
    pub header: Header,
    /// How much was forgotten or found no place since the last such fact.
    pub count: u64,
    /// A [`Table`].
    pub table: u32,
    /// Zero.
    pub reserved: u32,
}

impl Full {
    /// So much more was forgotten by this table, or found no place in it.
    #[must_use]
    pub const fn new(at_ns: u64, table: Table, count: u64) -> Self {
        Self {
            header: header(FactKind::Full, at_ns, 0),
            count,
            table: table as u32,
            reserved: 0,
        }
    }
}
