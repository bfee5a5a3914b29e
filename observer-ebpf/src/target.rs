//! Which processes are watched. Asked by every program before any other work.
//!
//! A child is put in at its fork, before it runs, and a process is taken out when the last of its threads leaves its
//! CPU for good: neither waits for userspace, which learns of both from the records.

use core::{num::NonZeroU32, ptr};

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_EXIST, BPF_F_NO_PREALLOC},
    btf_maps::{Array, HashMap},
    helpers::bpf_get_current_pid_tgid,
    macros::btf_map,
};
use observer_common::{LostReason, limits};

use crate::{ring, word::Word};

const MAX_TARGETS: usize = limits::MAX_TARGETS as usize;

/// Slots of the watched thread-group ids.
#[btf_map]
static TARGETS: HashMap<u32, u32, MAX_TARGETS, { BPF_F_NO_PREALLOC as usize }> = HashMap::new();

/// Families of thread-group ids in which one was ever watched. Who is of none of them is not, and nearly every stranger
/// is told by that, where to ask [`TARGETS`] takes 38 ns. It only fills: after some thousand children that came and
/// went, more and more strangers are told by the map.
#[btf_map]
static FAMILIES: Array<Word<u32>, { limits::FAMILY_MASK as usize + 1 }> = Array::new();

/// Watched processes whose end is recorded, for as long as their last thread may be on its CPU.
#[btf_map]
static ENDED: HashMap<u32, u32, MAX_TARGETS, { BPF_F_NO_PREALLOC as usize }> = HashMap::new();

/// The only watched thread-group id, which has the first slot; 0 when there were ever several, and when there is none.
/// With it a context switch of a stranger costs two comparisons, and no map look-up.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data.only_target")]
static ONLY_TARGET: Word<u32> = Word::new(0);

/// Whether children are watched too. A constant at load.
#[unsafe(no_mangle)]
static FOLLOW: u32 = 0;

/// A watched process, by its slot and one: that there is none is a word as well. As two words one of them would have no
/// value then, and the verifier refuses to hand that to a function.
#[derive(Clone, Copy)]
pub(crate) struct Target(NonZeroU32);

impl Target {
    /// This process, when it is watched.
    #[inline(always)]
    pub(crate) fn find(tgid: u32) -> Option<Self> {
        let only = ONLY_TARGET.get();
        if only != 0 {
            return if tgid == only { Self::with_slot(0) } else { None };
        }
        if FAMILIES.get(tgid & limits::FAMILY_MASK)?.get() == 0 {
            return None;
        }
        let slot = TARGETS.get_ptr(tgid)?;
        // SAFETY: an aligned word of a map. Of two slots that it has one after the other, either will do.
        let slot = unsafe { ptr::read_volatile(slot) };
        Self::with_slot(slot)
    }

    #[inline(always)]
    fn with_slot(slot: u32) -> Option<Self> {
        NonZeroU32::new(slot.wrapping_add(1)).map(Self)
    }

    /// Watches process `tgid` from now on, with nothing known of its threads' variables. Where there is no room for it,
    /// that is counted.
    #[inline(always)]
    pub(crate) fn add(tgid: u32, at_ns: u64) -> Option<Self> {
        Self::with_slot(limits::NO_SLOT)?.watch(tgid, at_ns)
    }

    /// Watches a child of this process, if children are to be watched. Its memory is a copy of its parent's.
    #[inline(always)]
    pub(crate) fn add_child(self, tgid: u32, at_ns: u64) -> Option<Self> {
        // SAFETY: a valid, aligned static; volatile so that the placeholder is not folded in.
        if unsafe { ptr::read_volatile(&raw const FOLLOW) } == 0 {
            return None;
        }
        self.watch(tgid, at_ns)
    }

    /// Watches process `tgid` with this slot.
    #[inline(always)]
    fn watch(self, tgid: u32, at_ns: u64) -> Option<Self> {
        if let Some(family) = FAMILIES.get(tgid & limits::FAMILY_MASK) {
            // It is never cleared: another of the family may be watched.
            family.set(1);
        }
        if TARGETS.insert(tgid, self.slot(), u64::from(BPF_ANY)).is_err() {
            ring::lost(LostReason::TooManyTargets, at_ns);
            return None;
        }
        ask_the_map();
        Some(self)
    }

    /// Process `tgid`, which is watched, runs another program: what is known of its threads' variables holds no more.
    #[inline(always)]
    pub(crate) fn runs_another_program(tgid: u32) {
        // Where it is gone meanwhile, nothing is to be done.
        let _ = TARGETS.insert(tgid, limits::NO_SLOT, u64::from(BPF_EXIST));
        ask_the_map();
    }

    /// The end of process `tgid`, which is watched, is recorded. Of two threads that end at the same time the one can
    /// leave its CPU for good before the other, which is the last, has come to record that.
    #[inline(always)]
    pub(crate) fn ended(tgid: u32) {
        if ENDED.insert(tgid, 0, u64::from(BPF_ANY)).is_err() {
            Self::remove(tgid);
        }
    }

    /// A thread of process `tgid`, which is watched, leaves its CPU for good: where the process has ended, nothing more
    /// comes of it, and its number can be another's.
    #[inline(always)]
    pub(crate) fn leaves(tgid: u32) {
        // SAFETY: only whether it is there is asked.
        if unsafe { ENDED.get(tgid) }.is_some() {
            Self::remove(tgid);
        }
    }

    #[inline(always)]
    fn remove(tgid: u32) {
        // Another thread of it can have done so.
        let _ = TARGETS.remove(tgid);
        let _ = ENDED.remove(tgid);
        ask_the_map();
    }

    /// Its place in the arrays that have one for each target.
    #[inline(always)]
    pub(crate) fn slot(self) -> u32 {
        self.0.get() - 1
    }
}

/// There are several targets, or none.
#[inline(always)]
fn ask_the_map() {
    ONLY_TARGET.set(0);
}

/// The current thread, whose process is watched. Two words, as a function has no more than five for its arguments.
#[derive(Clone, Copy)]
pub(crate) struct Current {
    target: Target,
    ids: u64,
}

/// The current thread, when its process is watched.
#[inline(always)]
pub(crate) fn current() -> Option<Current> {
    let ids = bpf_get_current_pid_tgid();
    let target = Target::find((ids >> 32) as u32)?;
    Some(Current { target, ids })
}

impl Current {
    #[inline(always)]
    pub(crate) fn target(self) -> Target {
        self.target
    }

    #[inline(always)]
    pub(crate) fn tgid(self) -> u32 {
        (self.ids >> 32) as u32
    }

    #[inline(always)]
    pub(crate) fn tid(self) -> u32 {
        self.ids as u32
    }
}
