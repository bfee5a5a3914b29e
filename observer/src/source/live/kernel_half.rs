//! Loads the kernel half with the running kernel's constants, gives it its targets and rings, attaches it.
//!
//! Everything attached hangs on file descriptors of this process: when it dies, by whatever cause, the kernel
//! detaches the programs and frees the maps. Nothing is pinned.

use std::os::fd::{AsFd as _, OwnedFd};

use anyhow::{Context as _, Result};
use aya::maps::{Array, HashMap, MapData, PerCpuArray};
use aya::{Btf, Ebpf, EbpfLoader, include_bytes_aligned};
use observer_common::{Losses, Offsets, limits, names};

use super::facts::clock;
use super::map_value::MapValue;
use super::misses::Misses;
use super::rings::Rings;
use super::runtime::{CollectionMaps, SeekMaps};
use super::signals::{self, Attacher, Probes};
use super::stacks::{self, Stacks};
use super::targets::{InKernel, look};
use super::{direct, found, offsets, rings, stolen};
use crate::model::id::Pid;

/// The compiled kernel half.
static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/observer-ebpf"));

/// What the kernel half is loaded with.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Processes that are watched from the start.
    pub pids: Vec<Pid>,
    /// Their children are watched too, those that are there and those to come.
    pub follow: bool,
    /// Whoever listens on one of these ports, in observer's network, is watched too, from then on.
    pub awaited: Vec<u16>,
    /// Ports on which they listen, each with the number of the network namespace, where known.
    pub ports: Vec<(u16, Option<u32>)>,
    /// Ports on which somebody listens in the network of a watched process.
    pub listeners: Vec<(Pid, u16)>,
    /// Size of one CPU's ring, bytes: a power of two of whole pages.
    pub ring_bytes: u32,
    /// What is probed in the code of watched processes.
    pub probes: Vec<Probes>,
    /// How often a second what threads run is sampled; 0 for never.
    pub sample_hz: u32,
}

/// The loaded and attached kernel half. Dropping it detaches everything.
pub struct KernelHalf {
    ebpf: Ebpf,
    /// Of programs that aya did not attach.
    _links: Vec<OwnedFd>,
    losses: PerCpuArray<MapData, MapValue<Losses>>,
    pub(super) misses: Misses,
    /// Finds the sockets that processes hold, where the kernel allows that.
    finder: Option<OwnedFd>,
    pub(super) targets: InKernel,
    pub(super) rings: Rings,
    pub(super) seeking: SeekMaps,
    pub(super) collecting: CollectionMaps,
    /// Where threads are sampled.
    pub(super) stacks: Option<Stacks>,
    /// What became of each signal.
    pub outcomes: Vec<signals::Outcome>,
    /// Nothing was recorded before, ns.
    pub(super) began_ns: u64,
}

impl KernelHalf {
    /// Loads and attaches. The caller decides with [`signals::require`] whether what could be attached will do.
    ///
    /// # Errors
    /// When the kernel refuses the object or its maps, or publishes no BTF.
    pub fn load(options: &LoadOptions) -> Result<Self> {
        let kernel = offsets::kernel_btf()?;
        let resolved = offsets::resolve(&kernel)?;
        let btf = Btf::from_sys_fs().context("cannot read the kernel's BTF")?;
        let mut ebpf = load_object(options, &btf, &resolved)?;
        // Before any map is taken out.
        let direct = (direct::is_needed() || !options.probes.is_empty())
            .then(|| direct::Programs::new(OBJECT, &ebpf))
            .transpose()?;
        let rings = Rings::create(&mut ebpf, options.ring_bytes)?;
        let targets = InKernel::begin(&mut ebpf, &options.pids)?;
        // Programs can be loaded only while the maps are open.
        let _ports = (watch_ports(&mut ebpf, options)?, await_ports(&mut ebpf, options)?);
        let losses = map(&mut ebpf, names::map::LOSSES)?;
        let seeking = SeekMaps::new(
            map(&mut ebpf, names::map::SEEKS)?,
            map(&mut ebpf, names::map::SAMPLES)?,
        );
        let collecting = CollectionMaps::new(
            map(&mut ebpf, names::map::COLLECTING)?,
            map(&mut ebpf, names::map::COLLECTED)?,
        );
        let began_ns = clock(libc::CLOCK_MONOTONIC);
        let mut attacher = Attacher::new(&mut ebpf, &btf, &kernel, &options.pids, options.sample_hz);
        attacher.direct = direct;
        attacher.probes = &options.probes;
        // The maps stay alive through the programs that use them.
        let mut outcomes = signals::attach(&mut attacher);
        outcomes.push(stolen::outcome(&resolved));
        if let Err(error) = offsets::sending(&kernel) {
            outcomes.push(signals::without_held(&error));
        }
        let (links, clocks, finder) = (attacher.links, attacher.clocks, attacher.finder);
        let misses = Misses::begin(attacher.programs, began_ns)?;
        let stacks = clocks
            .map(|clocks| Stacks::begin(&mut ebpf, &options.pids, clocks))
            .transpose()?;
        drop((kernel, btf));
        give_back();
        Ok(Self {
            ebpf,
            _links: links,
            losses,
            misses,
            finder,
            targets,
            rings,
            seeking,
            collecting,
            stacks,
            outcomes,
            began_ns,
        })
    }

    /// Finds the sockets that process `pid`, which is watched, holds already.
    pub(super) fn find_sockets(&self, pid: Pid) {
        if let Some(finder) = &self.finder {
            // Where it has ended, there are none. Where the kernel refuses it, that was reported of the others.
            let _ = found::run(finder.as_fd(), &[pid]);
        }
    }

    /// The loaded object, for its log.
    pub(super) fn ebpf(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// Losses so far, CPU by CPU.
    pub(super) fn losses(&self) -> Result<Vec<Losses>> {
        let values = self.losses.get(&0, 0).context("cannot read the loss counters")?;
        Ok(values.iter().map(|value| value.0).collect())
    }
}

/// Loads the compiled object with the constants and sizes of this kernel and these options.
fn load_object(options: &LoadOptions, btf: &Btf, offsets: &Offsets) -> Result<Ebpf> {
    let only_target: u32 = if let [pid] = options.pids[..] { pid.0 } else { 0 };
    // The kernel sets the memory of this one aside before anything is put in.
    let queued = if options.probes.is_empty() {
        1
    } else {
        limits::MAX_QUEUED_TASKS
    };
    EbpfLoader::new()
        .btf(Some(btf))
        .override_global(names::constant::OFFSETS, bytemuck::bytes_of(offsets), true)
        .override_global(names::constant::FOLLOW, &u32::from(options.follow), true)
        .override_global(names::variable::ONLY_TARGET, &only_target, true)
        .map_max_entries(names::map::QUEUED, queued)
        .map_max_entries(
            names::map::STACKS,
            stacks::ring_bytes(options.sample_hz, rings::possible_cpus()?),
        )
        .allow_unsupported_maps()
        .load(OBJECT)
        .context("the kernel refused to load observer's programs or maps")
}

/// Says on which ports targets listen.
fn watch_ports(ebpf: &mut Ebpf, options: &LoadOptions) -> Result<Array<MapData, u32>> {
    let mut ports: Array<_, u32> = map(ebpf, names::map::PORTS)?;
    for &(port, network) in &options.ports {
        let slot = u32::from(port);
        let network = network.unwrap_or(limits::ANY_NETWORK);
        let networks = match ports.get(&slot, 0).unwrap_or(0) {
            0 => network,
            before if before == network => network,
            _ => limits::ANY_NETWORK,
        };
        ports
            .set(slot, networks, 0)
            .with_context(|| format!("cannot watch port {port}"))?;
    }
    Ok(ports)
}

/// Says on which ports, in observer's network, whoever begins to listen is to be watched.
fn await_ports(ebpf: &mut Ebpf, options: &LoadOptions) -> Result<HashMap<MapData, u32, u32>> {
    let mut awaited = map(ebpf, names::map::AWAITED)?;
    let network = look::network(Pid(std::process::id())).unwrap_or(limits::ANY_NETWORK);
    for &port in &options.awaited {
        let most = limits::MAX_AWAITED_PORTS;
        HashMap::insert(&mut awaited, u32::from(port), network, 0)
            .with_context(|| format!("cannot wait for port {port}: at most {most} ports at once"))?;
    }
    Ok(awaited)
}

/// Hands what was freed back to the kernel. The types of a kernel are 25 MiB while they are read, and would stay
/// resident for the whole run.
#[cfg(target_env = "gnu")]
fn give_back() {
    // SAFETY: always callable; it changes nothing that is in use.
    unsafe { libc::malloc_trim(0) };
}

/// Other allocators do so by themselves.
#[cfg(not(target_env = "gnu"))]
fn give_back() {}

pub(super) fn map<M: TryFrom<aya::maps::Map, Error = aya::maps::MapError>>(
    ebpf: &mut Ebpf,
    name: &str,
) -> Result<M> {
    let map = ebpf
        .take_map(name)
        .with_context(|| format!("the compiled object has no map {name}"))?;
    M::try_from(map).with_context(|| format!("map {name} of the compiled object is of another type"))
}

#[cfg(test)]
mod tests {
    use object::{Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget};

    use super::OBJECT;

    /// What the compiler calls in place of code of its own is a loop on the kernel half's target, with four
    /// instructions for each byte.
    #[test]
    fn no_program_loops_over_bytes() {
        let file = object::File::parse(OBJECT).unwrap();
        let mut programs = 0;
        for section in file.sections() {
            let name = section.name().unwrap();
            for (_, relocation) in section.relocations() {
                let RelocationTarget::Symbol(index) = relocation.target() else {
                    continue;
                };
                let called = file.symbol_by_index(index).unwrap().name().unwrap();
                assert!(
                    !["memset", "memcpy", "memmove", "memcmp", "bcmp"].contains(&called),
                    "{name} calls {called}"
                );
            }
            programs += usize::from(name.starts_with("tp_btf/") || name.starts_with("fexit/"));
        }
        assert!(programs > 10, "{programs} sections of programs");
    }
}
