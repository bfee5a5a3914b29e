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
    collection::{Collected, CollectedHead, Collecting, TIMES, WORDS},
    limits,
};

use crate::{target::Target, word::Word};

/// By slot of the target, see [`observer_common::names::map::COLLECTING`].
#[btf_map]
static COLLECTING: Array<Slot, { limits::MAX_TARGETS as usize }> = Array::new();

/// What a look finds: too much for the stack of 512 bytes that all functions which call each other share until Linux
/// 6.13. Most looks find nothing new, so it is not the ring's.
#[btf_map]
static LOOKED: PerCpuArray<Collected, 1> = PerCpuArray::new();

/// One that does not fit is told by the next look, or the cycle is missed, which shows by the numbers.
#[btf_map]
static COLLECTED: RingBuf<Collected, { limits::COLLECTED_BYTES as usize }> = RingBuf::new();

/// [`Collecting`], which userspace writes.
#[repr(C)]
struct Slot {
    at: Word<u64>,
    times_ns: [Word<u64>; TIMES],
}

const _: () = assert!(size_of::<Slot>() == size_of::<Collecting>());

/// Whatever CPU a target's threads run on looks at its slot. Where two write at once, the times that stay can be of
/// both; the next look finds others, and tells them again.
impl Slot {
    /// That of a target, and where to look, if that is known.
    #[inline(always)]
    fn of(target: Target) -> Option<(&'static Self, u64)> {
        let slot = COLLECTING.get(target.slot())?;
        let at = slot.at.get();
        (at != 0).then_some((slot, at))
    }

    /// Whether these were told last.
    #[inline(always)]
    fn has(&self, times_ns: &[u64; TIMES]) -> bool {
        let (mut apart, mut index) = (0, 0);
        while index < TIMES {
            apart |= self.times_ns[index].get() ^ times_ns[index];
            index += 1;
        }
        apart == 0
    }

    /// These are told.
    #[inline(always)]
    fn keep(&self, times_ns: &[u64; TIMES]) {
        let mut index = 0;
        while index < TIMES {
            self.times_ns[index].set(times_ns[index]);
            index += 1;
        }
    }
}

/// A clock ticks while a thread of this target runs, which is the current one.
#[inline(always)]
pub(crate) fn ticked(target: Target, tgid: u32, at_ns: u64) {
    if let Some((slot, at)) = Slot::of(target) {
        look(slot, at, tgid, at_ns);
    }
}

/// A thread of this target leaves its CPU, and is still the current one. Where a cycle was under way when it was looked
/// at last, this can be the last time before the next one begins.
#[inline(always)]
pub(crate) fn leaves(target: Target, tgid: u32, at_ns: u64) {
    if let Some((slot, at)) = Slot::of(target) {
        let (begin_ns, end_ns) = (slot.times_ns[0].get(), slot.times_ns[TIMES - 1].get());
        if end_ns < begin_ns {
            look(slot, at, tgid, at_ns);
        }
    }
}

/// Looks at the memory of the current thread, and tells what is other than what was told last.
#[inline(never)]
fn look(slot: &Slot, at: u64, tgid: u32, at_ns: u64) {
    let Some(looked) = LOOKED.get_ptr_mut(0) else {
        return;
    };
    // SAFETY: this CPU's slot; switches do not nest, and the clock's interrupt does not come during one.
    let looked = unsafe { &mut *looked };
    if !read(&mut looked.words, at) {
        return;
    }
    let [_, _, times_ns @ ..] = &looked.words;
    if slot.has(times_ns) {
        return;
    }
    // What was written meanwhile is told by the next look.
    if !read(&mut looked.again, at) || !same(&looked.words, &looked.again) {
        return;
    }
    looked.head = CollectedHead {
        at_ns,
        tgid,
        reserved: 0,
    };
    let told = &*looked;
    if COLLECTED.output(told, u64::from(BPF_RB_NO_WAKEUP)).is_ok() {
        let [_, _, times_ns @ ..] = &told.words;
        slot.keep(times_ns);
    }
}

/// Whether both are the same words. Comparing arrays calls a function of the C library, which there is none of here.
#[inline(always)]
fn same(one: &[u64; WORDS], other: &[u64; WORDS]) -> bool {
    let (mut apart, mut index) = (0, 0);
    while index < WORDS {
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
