//! Code around an address of which the same is true.

use std::ops::Range;

/// A range of code around an address, as far as nothing that was looked at begins or ends in it: what was found out
/// about the address is true of all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    address: u64,
    start: u64,
    end: u64,
}

impl Cell {
    /// All code, of which nothing was looked at yet.
    pub(super) fn around(address: u64) -> Self {
        Self {
            address,
            start: 0,
            end: u64::MAX,
        }
    }

    /// The address alone.
    pub(super) fn only(address: u64) -> Self {
        Self {
            address,
            start: address,
            end: address.saturating_add(1),
        }
    }

    /// Something that was looked at begins or ends at `edge`.
    pub(super) fn cut(&mut self, edge: u64) {
        if edge <= self.address {
            self.start = self.start.max(edge);
        } else {
            self.end = self.end.min(edge);
        }
    }

    pub(super) fn range(self) -> Range<u64> {
        self.start..self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reaches_to_the_nearest_edges() {
        let mut cell = Cell::around(100);
        for edge in [40, 90, 10, 300, 120] {
            cell.cut(edge);
        }
        assert_eq!(cell.range(), 90..120);
        cell.cut(100);
        cell.cut(101);
        assert_eq!(cell, Cell::only(100));
    }
}
