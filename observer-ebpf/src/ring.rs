//! Per-CPU ring buffers: reserve, fill, submit without a wake-up; count what did not fit.
//!
//! A ring for each CPU keeps writers from contending for one lock. Userspace polls on a timer: a wake-up for
//! each record costs 3.5 us, the whole program without one about 0.2 us.

use aya_ebpf::{
    bindings::BPF_RB_NO_WAKEUP,
    btf_maps::{ArrayOfMaps, PerCpuArray, RingBuf},
    helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns},
    macros::btf_map,
    maps::ring_buf::RingBufEntry,
};
use observer_common::{Header, Kind, Losses, LostReason, limits};

use crate::word::Word;

/// One ring for each CPU; userspace makes them and puts them in.
#[btf_map]
static RINGS: ArrayOfMaps<RingBuf<[u8; 8], { limits::RING_BYTES as usize }>, { limits::MAX_CPUS as usize }> =
    ArrayOfMaps::new();

/// [`Losses`], which userspace reads.
#[repr(C)]
struct Lost {
    count: [Word<u64>; LostReason::ALL.len()],
    last_ns: [Word<u64>; LostReason::ALL.len()],
}

const _: () = assert!(size_of::<Lost>() == size_of::<Losses>());

/// What was lost on this CPU. Written on the failure path only.
#[btf_map]
static LOSSES: PerCpuArray<Lost, 1> = PerCpuArray::new();

/// A header for a record of the running CPU.
#[inline(always)]
pub(crate) fn header(kind: Kind, tid: u32, at_ns: u64) -> Header {
    Header {
        at_ns,
        tid,
        kind: kind as u16,
        cpu: cpu() as u16,
    }
}

/// Number of the running CPU.
#[inline(always)]
pub(crate) fn cpu() -> u32 {
    // SAFETY: always callable.
    unsafe { bpf_get_smp_processor_id() as u32 }
}

/// `CLOCK_MONOTONIC`, ns.
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: always callable.
    unsafe { bpf_ktime_get_ns() }
}

/// Room for a `T` in this CPU's ring, or a counted loss.
#[inline(always)]
pub(crate) fn reserve<T: 'static>(at_ns: u64) -> Option<RingBufEntry<T>> {
    let entry = RINGS.get(cpu()).and_then(|ring| ring.reserve_untyped::<T>(0));
    if entry.is_none() {
        lost(LostReason::RingFull, at_ns);
    }
    entry
}

/// Writes one record.
#[inline(always)]
pub(crate) fn write<T: 'static>(at_ns: u64, record: T) {
    if let Some(mut entry) = reserve::<T>(at_ns) {
        entry.write(record);
        submit(entry);
    }
}

/// Hands a filled entry over.
#[inline(always)]
pub(crate) fn submit<T>(entry: RingBufEntry<T>) {
    entry.submit(u64::from(BPF_RB_NO_WAKEUP));
}

/// Counts a record that could not be written.
#[inline(always)]
pub(crate) fn lost(reason: LostReason, at_ns: u64) {
    let index = reason as usize - 1;
    if let Some(lost) = LOSSES.get(0) {
        // An interrupt can count here too. What it does between a read and its write here is lost: one count, or its
        // later time. If it came before them, its time is the later one and stays.
        lost.count[index].set(lost.count[index].get() + 1);
        if lost.last_ns[index].get() < at_ns {
            lost.last_ns[index].set(at_ns);
        }
    }
}
