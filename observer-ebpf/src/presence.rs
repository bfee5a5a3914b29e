//! Whether a watched thread is on this CPU: what the sampling clocks follow.
//!
//! A clock's interrupts cost whoever runs there, so it rests where no watched thread does. The program that sees one
//! come cannot start a clock, as it runs under the lock of the run queue: it rings for userspace. Only then is
//! userspace woken, and not again before it has put the clock to rest once more.

use aya_ebpf::{
    btf_maps::{Array, PerCpuArray, RingBuf},
    macros::btf_map,
};
use observer_common::{Presence, limits};

use crate::{ring, word::Word};

/// [`Presence`], which userspace reads.
#[repr(C)]
struct Here {
    visits: Word<u64>,
    is_here: Word<u64>,
}

const _: () = assert!(size_of::<Here>() == size_of::<Presence>());

#[btf_map]
static PRESENCE: PerCpuArray<Here, 1> = PerCpuArray::new();

/// By CPU, whether its clock rests: userspace is to be rung for.
#[btf_map]
static RESTS: Array<Word<u32>, { limits::MAX_CPUS as usize }> = Array::new();

/// CPUs to which a watched thread came while their clock rested.
#[btf_map]
static DOORBELL: RingBuf<u64, { limits::DOORBELL_BYTES as usize }> = RingBuf::new();

/// Ticks of this CPU's clock that found a thread that is not watched.
#[btf_map]
static TICKS_ON_OTHERS: PerCpuArray<Word<u64>, 1> = PerCpuArray::new();

/// A watched thread gets this CPU.
#[inline(always)]
pub(crate) fn came() {
    if let Some(here) = PRESENCE.get(0) {
        here.is_here.set(1);
        here.visits.set(here.visits.get().wrapping_add(1));
    }
    let Some(rests) = RESTS.get(ring::cpu()) else {
        return;
    };
    if rests.get() == 0 {
        return;
    }
    // Each CPU rings once until it was heard, and there is room for all.
    if let Some(mut entry) = DOORBELL.reserve_untyped::<u64>(0) {
        rests.set(0);
        entry.write(u64::from(ring::cpu()));
        // The wake-up itself is put off until this CPU's interrupts are on again, when the lock is given up.
        entry.submit(0);
    }
}

/// The watched thread that had this CPU leaves it, and another, which is not watched, gets it.
#[inline(always)]
pub(crate) fn left() {
    if let Some(here) = PRESENCE.get(0) {
        here.is_here.set(0);
    }
}

/// The clock found a watched thread. It may have been here since before the programs were attached.
#[inline(always)]
pub(crate) fn found() {
    if let Some(here) = PRESENCE.get(0) {
        here.is_here.set(1);
    }
}

/// The clock interrupted a thread that is not watched. Of two threads of a process that end at the same time one can
/// have left this CPU when the process was no target any more.
#[inline(always)]
pub(crate) fn found_another() {
    left();
    if let Some(ticks) = TICKS_ON_OTHERS.get(0) {
        ticks.set(ticks.get().wrapping_add(1));
    }
}
