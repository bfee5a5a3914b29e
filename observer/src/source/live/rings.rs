//! One ring buffer for each CPU that the machine can have.

use anyhow::{Context as _, Result};
use aya::Ebpf;
use aya::maps::{ArrayOfMaps, Map, MapData, RingBuf};
use observer_common::{limits, names};

/// `BPF_MAP_TYPE_RINGBUF` of `include/uapi/linux/bpf.h`.
const RING_BUFFER: u32 = 27;

/// The rings, by CPU.
pub(super) struct Rings {
    rings: Vec<RingBuf<MapData>>,
    /// What all of them hold, bytes.
    pub(super) bytes: usize,
}

impl Rings {
    /// Makes the rings and hands them to the kernel half.
    pub(super) fn create(ebpf: &mut Ebpf, bytes: u32) -> Result<Self> {
        let outer = ebpf
            .map_mut(names::map::RINGS)
            .context("the compiled object has no map RINGS")?;
        let mut outer: ArrayOfMaps<&mut MapData> =
            outer.try_into().context("map RINGS is of another type")?;
        let cpus = possible_cpus()?.min(limits::MAX_CPUS);
        let mut rings = Vec::new();
        for cpu in 0..cpus {
            let map = aya_obj::Map::new_from_params(RING_BUFFER, 0, 0, bytes, 0);
            let data = MapData::create(map, "observer_ring", None)
                .with_context(|| format!("cannot make a ring buffer of {bytes} bytes for CPU {cpu}"))?;
            outer
                .set(cpu, &data, 0)
                .with_context(|| format!("cannot install CPU {cpu}'s ring"))?;
            let ring = RingBuf::try_from(Map::RingBuf(data))
                .with_context(|| format!("cannot map CPU {cpu}'s ring buffer"))?;
            rings.push(ring);
        }
        let bytes = rings.len() * bytes as usize;
        Ok(Self { rings, bytes })
    }

    /// Calls `each` with every record that is ready.
    pub(super) fn drain(&mut self, mut each: impl FnMut(&[u8])) {
        for ring in &mut self.rings {
            while let Some(item) = ring.next() {
                each(&item);
            }
        }
    }
}

pub(super) fn possible_cpus() -> Result<u32> {
    let cpus = aya::util::nr_cpus().map_err(|(file, error)| {
        anyhow::Error::new(error).context(format!("cannot read the number of CPUs from {file}"))
    })?;
    u32::try_from(cpus).context("more CPUs than fit a number")
}
