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

use crate::ring;

#[btf_map]
static PRESENCE: PerCpuArray<Presence, 1> = PerCpuArray::new();

/// By CPU, whether its clock rests: userspace is to be rung for.
#[btf_map]
static RESTS: Array<u32, { limits::MAX_CPUS as usize }> = Array::new();

/// CPUs to which a watched thread came while their clock rested.
#[btf_map]
static DOORBELL: RingBuf<u64, { limits::DOORBELL_BYTES as usize }> = RingBuf::new();

/// Ticks of this CPU's clock that found a thread that is not watched.
#[btf_map]
static TICKS_ON_OTHERS: PerCpuArray<u64, 1> = PerCpuArray::new();

/// A watched thread gets this CPU.
#[inline(always)]
pub(crate) fn came() {
    if let Some(presence) = PRESENCE.get_ptr_mut(0) {
        // SAFETY: this CPU's slot; switches do not nest, and the clock's interrupt does not come during one.
        let presence = unsafe { &mut *presence };
        presence.is_here = 1;
        presence.visits += 1;
    }
    let Some(rests) = RESTS.get_ptr_mut(ring::cpu()) else {
        return;
    };
    // SAFETY: an aligned word of a map.
    if unsafe { core::ptr::read_volatile(rests) } == 0 {
        return;
    }
    // Each CPU rings once until it was heard, and there is room for all.
    if let Some(mut entry) = DOORBELL.reserve_untyped::<u64>(0) {
        // SAFETY: as above.
        unsafe { core::ptr::write_volatile(rests, 0) };
        entry.write(u64::from(ring::cpu()));
        // The wake-up itself is put off until this CPU's interrupts are on again, when the lock is given up.
        entry.submit(0);
    }
}

/// The watched thread that had this CPU leaves it, and another, which is not watched, gets it.
#[inline(always)]
pub(crate) fn left() {
    if let Some(presence) = PRESENCE.get_ptr_mut(0) {
        // SAFETY: as above.
        unsafe { (*presence).is_here = 0 };
    }
}

/// The clock found a watched thread. It may have been here since before the programs were attached.
#[inline(always)]
pub(crate) fn found() {
    if let Some(presence) = PRESENCE.get_ptr_mut(0) {
        // SAFETY: as above.
        unsafe { (*presence).is_here = 1 };
    }
}

/// The clock interrupted a thread that is not watched. Of two threads of a process that end at the same time one can
/// have left this CPU when the process was no target any more.
#[inline(always)]
pub(crate) fn found_another() {
    left();
    if let Some(ticks) = TICKS_ON_OTHERS.get_ptr_mut(0) {
        // SAFETY: this CPU's slot; ticks of one CPU do not nest.
        unsafe { *ticks += 1 };
    }
}
