//! Where the kernel half looks for the times of garbage collection, and what it found there.

use anyhow::{Context as _, Result};
use aya::maps::{Array, MapData, RingBuf};
use observer_common::collection::{Collected, Collecting, TIMES};

use crate::source::live::map_value::MapValue;

/// In all targets.
pub(in crate::source::live) struct CollectionMaps {
    places: Array<MapData, MapValue<Collecting>>,
    found: RingBuf<MapData>,
}

impl CollectionMaps {
    /// Nowhere yet, by these maps.
    pub(in crate::source::live) const fn new(
        places: Array<MapData, MapValue<Collecting>>,
        found: RingBuf<MapData>,
    ) -> Self {
        Self { places, found }
    }

    /// Looks here in the process of this slot; nowhere any more where that is 0.
    pub(super) fn look_at(&mut self, slot: u32, at: u64) -> Result<()> {
        let collecting = Collecting {
            at,
            times_ns: [0; TIMES],
        };
        self.places
            .set(slot, MapValue(collecting), 0)
            .context("cannot say where garbage collection is looked at")
    }

    /// Takes what has come.
    pub(super) fn drain(&mut self, mut each: impl FnMut(&Collected)) {
        while let Some(item) = self.found.next() {
            if let Some(bytes) = item.get(..size_of::<Collected>()) {
                each(&bytemuck::pod_read_unaligned(bytes));
            }
        }
    }
}
