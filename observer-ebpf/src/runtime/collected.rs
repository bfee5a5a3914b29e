//! How far the garbage collection of a target has come, when a clock ticks while one of its threads runs, and when one
//! leaves its CPU while a cycle is under way. The runtime keeps the times of the last cycle only; whoever looks less
//! often than cycles come misses some.

use aya_ebpf::{
    bindings::BPF_RB_NO_WAKEUP,
    btf_maps::{Array, RingBuf},
    helpers::generated::bpf_probe_read_user,
    macros::btf_map,
};
use observer_common::{
    collection::{Collected, CollectedHead, Collecting, WORDS},
    limits,
};

use crate::target::Target;

/// By slot of the target, see [`observer_common::names::map::COLLECTING`].
#[btf_map]
static COLLECTING: Array<Collecting, { limits::MAX_TARGETS as usize }> = Array::new();

/// One that does not fit is dropped: the next tick finds the same, or the cycle is missed, which shows by the numbers.
#[btf_map]
static COLLECTED: RingBuf<Collected, { limits::COLLECTED_BYTES as usize }> = RingBuf::new();

/// A clock ticks while a thread of this target runs, which is the current one.
#[inline(always)]
pub(crate) fn ticked(target: Target, tgid: u32, at_ns: u64) {
    if let Some(collecting) = of(target) {
        look(collecting, tgid, at_ns);
    }
}

/// A thread of this target leaves its CPU, and is still the current one. Where a cycle was under way when it was looked
/// at last, this can be the last time before the next one begins.
#[inline(always)]
pub(crate) fn leaves(target: Target, tgid: u32, at_ns: u64) {
    if let Some(collecting) = of(target) {
        let [begin_ns, .., end_ns] = collecting.times_ns;
        if end_ns < begin_ns {
            look(collecting, tgid, at_ns);
        }
    }
}

#[inline(always)]
fn of(target: Target) -> Option<&'static mut Collecting> {
    // SAFETY: a slot of the array. Two CPUs can look at once: then the same is told twice.
    let collecting = unsafe { &mut *COLLECTING.get_ptr_mut(target.slot())? };
    (collecting.at != 0).then_some(collecting)
}

/// Looks at the memory of the current thread. What is read goes to where it is handed over: until Linux 6.13 all
/// functions that call each other share a stack of 512 bytes.
#[inline(never)]
fn look(collecting: &mut Collecting, tgid: u32, at_ns: u64) {
    let Some(mut entry) = COLLECTED.reserve_untyped::<Collected>(0) else {
        return;
    };
    let slot = entry.as_mut_ptr();
    // SAFETY: the slot is room for the whole record.
    let head = unsafe { &raw mut (*slot).head };
    // SAFETY: as above.
    let words = unsafe { &raw mut (*slot).words };
    // SAFETY: as above.
    let again = unsafe { &raw mut (*slot).again };
    if !read(words, collecting.at) || !read(again, collecting.at) || !keep(collecting, words) {
        entry.discard(u64::from(BPF_RB_NO_WAKEUP));
        return;
    }
    // SAFETY: it is writable and aligned.
    unsafe {
        head.write(CollectedHead {
            at_ns,
            tgid,
            reserved: 0,
        });
    }
    entry.submit(u64::from(BPF_RB_NO_WAKEUP));
}

/// Keeps the times of these words. Tells whether they are other ones than before.
#[inline(always)]
fn keep(collecting: &mut Collecting, words: *const [u64; WORDS]) -> bool {
    const TIMES: usize = 4;
    let (mut changed, mut index) = (0, 0);
    while index < TIMES {
        // SAFETY: the times are the last words.
        let time_ns = unsafe { words.cast::<u64>().wrapping_add(WORDS - TIMES + index).read() };
        changed |= time_ns ^ collecting.times_ns[index];
        collecting.times_ns[index] = time_ns;
        index += 1;
    }
    changed != 0
}

/// Reads them from the current thread's memory.
#[inline(always)]
fn read(words: *mut [u64; WORDS], address: u64) -> bool {
    // SAFETY: writes as many bytes as there is room for; a fault is reported.
    let status = unsafe {
        bpf_probe_read_user(
            words.cast(),
            size_of::<[u64; WORDS]>() as u32,
            address as *const _,
        )
    };
    status == 0
}
