//! What the kernel half is told to seek in threads' variables, and the copies of these that it takes for that.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use aya::maps::{Array, MapData, RingBuf};
use bytemuck::Zeroable as _;
use observer_common::seek::{Sample, Seek};

use crate::source::live::map_value::MapValue;

/// What is sought in all targets.
pub(in crate::source::live) struct SeekMaps {
    seeks: Array<MapData, MapValue<Seek>>,
    samples: RingBuf<MapData>,
    /// What is sought, by the slot of the process.
    sought: BTreeMap<u32, Seek>,
}

impl SeekMaps {
    /// Nothing yet, by these maps.
    pub(in crate::source::live) const fn new(
        seeks: Array<MapData, MapValue<Seek>>,
        samples: RingBuf<MapData>,
    ) -> Self {
        Self {
            seeks,
            samples,
            sought: BTreeMap::new(),
        }
    }

    /// Seeks this, or nothing any more, in the process of this slot.
    pub(super) fn seek(&mut self, slot: u32, seek: Option<Seek>) -> Result<()> {
        let before = self.sought.get(&slot).copied();
        if before == seek {
            return Ok(());
        }
        self.seeks
            .set(slot, MapValue(seek.unwrap_or(Seek::zeroed())), 0)
            .context("cannot say what is sought")?;
        match seek {
            Some(seek) => self.sought.insert(slot, seek),
            None => self.sought.remove(&slot),
        };
        Ok(())
    }

    /// Takes the samples that have come.
    pub(super) fn drain(&mut self, mut each: impl FnMut(&Sample)) {
        while let Some(item) = self.samples.next() {
            if let Some(bytes) = item.get(..size_of::<Sample>()) {
                each(&bytemuck::pod_read_unaligned(bytes));
            }
        }
    }
}
