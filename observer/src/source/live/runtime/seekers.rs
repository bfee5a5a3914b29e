//! The kernel half's programs that copy threads' variables while something is sought.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use anyhow::{Context as _, Result};
use aya::maps::{Array, MapData, RingBuf};
use bytemuck::Zeroable as _;
use observer_common::seek::{Sample, Seek};

use crate::source::live::direct;

/// The programs, attached while at least one process is sought in.
pub(in crate::source::live) struct Seekers {
    /// Loaded programs, or why there are none.
    programs: Result<Vec<OwnedFd>>,
    links: Vec<OwnedFd>,
    seeks: Array<MapData, SeekPod>,
    samples: RingBuf<MapData>,
    /// What is sought, by the slot of the process.
    sought: BTreeMap<u32, Seek>,
}

/// [`Seek`] as aya writes map values.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(in crate::source::live) struct SeekPod(Seek);

// SAFETY: `Seek` is `repr(C)`, without padding, and valid for every bit pattern (it is `bytemuck::Pod`).
unsafe impl aya::Pod for SeekPod {}

impl Seekers {
    /// With these programs and their maps.
    pub(in crate::source::live) fn new(
        programs: Result<Vec<OwnedFd>>,
        seeks: Array<MapData, SeekPod>,
        samples: RingBuf<MapData>,
    ) -> Self {
        Self {
            programs,
            links: Vec::new(),
            seeks,
            samples,
            sought: BTreeMap::new(),
        }
    }

    /// Why nothing can be sought.
    pub(super) fn refused(&self) -> Option<String> {
        self.programs.as_ref().err().map(|error| format!("{error:#}"))
    }

    /// Seeks this, or nothing any more, in the process of this slot.
    pub(super) fn seek(&mut self, slot: u32, seek: Option<Seek>) -> Result<()> {
        let before = self.sought.get(&slot).copied();
        if before == seek {
            return Ok(());
        }
        self.seeks
            .set(slot, SeekPod(seek.unwrap_or(Seek::zeroed())), 0)
            .context("cannot say what is sought")?;
        match seek {
            Some(seek) => self.sought.insert(slot, seek),
            None => self.sought.remove(&slot),
        };
        if self.sought.is_empty() {
            self.links.clear();
        } else if self.links.is_empty()
            && let Ok(programs) = &self.programs
        {
            self.links = programs
                .iter()
                .map(direct::attach)
                .collect::<Result<_>>()
                .context("cannot attach what seeks task ids")?;
        }
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
