//! Time that a hypervisor took while a watched thread was on its CPU.
//!
//! The hypervisor's own count of it is looked at by the scheduler when a thread is switched and when the CPU's clock
//! ticks, and kept with the CPU's queue. Here it is compared with what it was when the thread got the CPU or was looked
//! at last; only where it grew is there a record. So a theft lies between two looks of the scheduler: how exactly is
//! told.

use aya_ebpf::{btf_maps::PerCpuArray, macros::btf_map};
use observer_common::{Kind, Stolen, limits};

use crate::{
    kernel::{CpuClock, Task},
    ring, unseen,
    word::Word,
};

/// What was found when the thread that has this CPU was looked at last.
#[repr(C)]
struct Last {
    /// The thread; 0 for none that is watched.
    tid: Word<u64>,
    /// What had been taken of the CPU by the scheduler's last look, ns.
    stolen_ns: Word<u64>,
    /// When that look was, ns.
    looked_ns: Word<u64>,
    /// What is to be added to the scheduler's clock for `CLOCK_MONOTONIC`, ns; wraps.
    offset_ns: Word<u64>,
    /// When that was found, ns.
    found_ns: Word<u64>,
}

#[btf_map]
static LAST_THEFT: PerCpuArray<Last, 1> = PerCpuArray::new();

impl Last {
    /// The scheduler has looked at its clock just now: what it and `CLOCK_MONOTONIC` differ by.
    #[inline(always)]
    fn compare_clocks(&self, clock: &CpuClock, at_ns: u64) {
        self.offset_ns.set(at_ns.wrapping_sub(clock.updated_ns));
        self.found_ns.set(at_ns);
    }
}

/// This CPU's clock, and what was found on it last.
#[inline(always)]
fn of_this_cpu(thread: Task) -> Option<(CpuClock, &'static Last)> {
    Some((thread.cpu_clock()?, LAST_THEFT.get(0)?))
}

/// A watched thread gets the CPU now; the scheduler has just looked.
#[inline(always)]
pub(crate) fn begin(thread: Task, tid: u32, at_ns: u64) {
    if let Some((clock, last)) = of_this_cpu(thread) {
        last.tid.set(u64::from(tid));
        last.stolen_ns.set(clock.stolen_ns);
        last.looked_ns.set(at_ns);
        last.compare_clocks(&clock, at_ns);
    }
}

/// A watched thread leaves the CPU now; the scheduler has just looked.
#[inline(always)]
pub(crate) fn end(thread: Task, tid: u32, tgid: u32, at_ns: u64) {
    if let Some((clock, last)) = of_this_cpu(thread) {
        last.compare_clocks(&clock, at_ns);
        compare(thread, tid, tgid, at_ns, &clock, last);
        last.tid.set(0);
    }
}

/// Records what was taken of the CPU while this thread, which is watched and still on it, was there.
#[inline(always)]
pub(crate) fn look(thread: Task, tid: u32, tgid: u32, at_ns: u64) {
    if let Some((clock, last)) = of_this_cpu(thread) {
        compare(thread, tid, tgid, at_ns, &clock, last);
    }
}

/// The same, by this clock.
#[inline(always)]
fn compare(thread: Task, tid: u32, tgid: u32, at_ns: u64, clock: &CpuClock, last: &Last) {
    // A clock's tick may look in the middle of this; the count only grows, so that what it found is at most told twice,
    // for the same time, and taken once.
    let offset_ns = last.offset_ns.get();
    let to_ns = clock.updated_ns.wrapping_add(offset_ns).min(at_ns);
    let was_seen = last.tid.get() == u64::from(tid);
    if was_seen && to_ns <= last.looked_ns.get() {
        return;
    }
    // Of two clocks that were compared too long ago nothing is told before they are again.
    if at_ns.saturating_sub(last.found_ns.get()) > limits::LONGEST_CLOCK_OFFSET_NS {
        return;
    }
    if !was_seen {
        unseen::record(thread, tid, tgid, at_ns, offset_ns);
        last.stolen_ns.set(clock.stolen_ns);
        last.looked_ns.set(to_ns);
        // Written last: a clock's tick in between finds another thread's id, and does the same. It does not compare
        // with what that one left.
        last.tid.set(u64::from(tid));
        return;
    }
    let from_ns = last.looked_ns.get();
    let stolen_ns = clock.stolen_ns.saturating_sub(last.stolen_ns.get());
    last.looked_ns.set(to_ns);
    if stolen_ns == 0 {
        return;
    }
    last.stolen_ns.set(clock.stolen_ns);
    ring::write(
        at_ns,
        Stolen {
            header: ring::header(Kind::Stolen, tid, at_ns),
            tgid,
            reserved: 0,
            from_ns,
            to_ns,
            stolen_ns,
        },
    );
}
