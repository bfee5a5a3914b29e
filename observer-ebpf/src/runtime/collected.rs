//! How far the garbage collection of a target has come, when a clock ticks while one of its threads runs, and when one
//! leaves its CPU while a cycle is under way. The runtime keeps the times of the last cycle only; whoever looks less
//! often than cycles come misses some.

use aya_ebpf::{
    bindings::BPF_RB_NO_WAKEUP,
    btf_maps::{Array, PerCpuArray, RingBuf},
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

/// What a look finds: too much for the stack of 512 bytes that all functions which call each other share until Linux
/// 6.13. Most looks find nothing new, so it is not the ring's.
#[btf_map]
static LOOKED: PerCpuArray<Collected, 1> = PerCpuArray::new();

/// One that does not fit is told by the next look, or the cycle is missed, which shows by the numbers.
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

/// Looks at the memory of the current thread, and tells what is other than what was told last.
#[inline(never)]
fn look(collecting: &mut Collecting, tgid: u32, at_ns: u64) {
    let Some(looked) = LOOKED.get_ptr_mut(0) else {
        return;
    };
    // SAFETY: this CPU's slot. A clock that ticks in the middle of this looks at the same memory, later: what is read
    // here is then as new as that, or both copies differ.
    let looked = unsafe { &mut *looked };
    if !read(&mut looked.words, collecting.at) {
        return;
    }
    let [_, _, times_ns @ ..] = looked.words;
    if same(&times_ns, &collecting.times_ns) {
        return;
    }
    // What was written meanwhile is told by the next look.
    if !read(&mut looked.again, collecting.at) || !same(&looked.words, &looked.again) {
        return;
    }
    looked.head = CollectedHead {
        at_ns,
        tgid,
        reserved: 0,
    };
    if COLLECTED.output(looked, u64::from(BPF_RB_NO_WAKEUP)).is_ok() {
        collecting.times_ns = times_ns;
    }
}

/// Whether both are the same words. Comparing arrays calls a function of the C library, which there is none of here.
#[inline(always)]
fn same<const N: usize>(one: &[u64; N], other: &[u64; N]) -> bool {
    let (mut apart, mut index) = (0, 0);
    while index < N {
        apart |= one[index] ^ other[index];
        index += 1;
    }
    apart == 0
}

/// Reads them from the current thread's memory.
#[inline(always)]
fn read(words: &mut [u64; WORDS], address: u64) -> bool {
    // SAFETY: writes as many bytes as there is room for; a fault is reported.
    let status = unsafe {
        bpf_probe_read_user(
            words.as_mut_ptr().cast(),
            size_of::<[u64; WORDS]>() as u32,
            address as *const _,
        )
    };
    status == 0
}
