//! Which processes are watched. Asked by every program before any other work.

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    btf_maps::{Array, HashMap},
    helpers::bpf_get_current_pid_tgid,
    macros::btf_map,
};
use observer_common::{flags, limits, task};

use crate::{kernel::Task, user};

const MAX_TARGETS: usize = limits::MAX_TARGETS as usize;

/// Slots of the watched thread-group ids.
#[btf_map]
static TARGETS: HashMap<u32, u32, MAX_TARGETS, { BPF_F_NO_PREALLOC as usize }> = HashMap::new();

/// Where a target's threads keep the id of their runtime task, see [`observer_common::names::map::TASK_WORDS`].
#[btf_map]
static TASK_WORDS: Array<i64, MAX_TARGETS> = Array::new();

/// Where they keep a pointer to their scheduler, see [`observer_common::names::map::SCHEDULER_WORDS`].
#[btf_map]
static SCHEDULER_WORDS: Array<i64, MAX_TARGETS> = Array::new();

/// Where they keep the kind of their runtime, see [`observer_common::names::map::KIND_WORDS`].
#[btf_map]
static KIND_WORDS: Array<i64, MAX_TARGETS> = Array::new();

/// The only watched thread-group id, 0 when there are several. A constant at load: with one target, the
/// verifier drops the map look-up and a context switch of a stranger costs two comparisons.
#[unsafe(no_mangle)]
static ONLY_TARGET: u32 = 0;

/// A watched process.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    slot: u32,
}

impl Target {
    /// This process, when it is watched.
    #[inline(always)]
    pub(crate) fn find(tgid: u32) -> Option<Self> {
        // SAFETY: a valid, aligned static; volatile so that the placeholder is not folded in.
        let only = unsafe { core::ptr::read_volatile(&raw const ONLY_TARGET) };
        if only != 0 {
            return (tgid == only).then_some(Self { slot: 0 });
        }
        // SAFETY: a slot never changes while programs run.
        let slot = unsafe { TARGETS.get(tgid) }?;
        Some(Self { slot: *slot })
    }

    /// Its place in the arrays that have one for each target.
    #[inline(always)]
    pub(crate) fn slot(self) -> u32 {
        self.slot
    }

    /// Runtime task that the current thread, which must be one of this process, is in: see [`observer_common::task`].
    #[inline(always)]
    pub(crate) fn current_task(self, thread: Task) -> u64 {
        let word = match TASK_WORDS.get(self.slot) {
            Some(word) if *word != 0 => *word,
            _ => return task::UNKNOWN,
        };
        match user::read_word(thread.fsbase().wrapping_add_signed(word)) {
            Some(0) => task::NONE,
            Some(id) => id,
            None => task::UNKNOWN,
        }
    }

    /// Whether the current thread, which must be one of this process, is under no scheduler of its runtime.
    #[inline(always)]
    pub(crate) fn has_no_scheduler(self, thread: Task) -> bool {
        match SCHEDULER_WORDS.get(self.slot) {
            Some(word) if *word != 0 => {
                user::read_word(thread.fsbase().wrapping_add_signed(*word)) == Some(0)
            }
            _ => false,
        }
    }

    /// The kind of runtime that the current thread, which must be one of this process, is in, as a record's flag.
    #[inline(always)]
    pub(crate) fn kind_of_runtime(self, thread: Task) -> u32 {
        match KIND_WORDS.get(self.slot) {
            Some(word) if *word != 0 => match user::read_word(thread.fsbase().wrapping_add_signed(*word)) {
                Some(0) => flags::FIRST_KIND,
                Some(1) => flags::SECOND_KIND,
                _ => 0,
            },
            _ => 0,
        }
    }
}

/// The current thread's target, process and thread id, when its process is watched.
#[inline(always)]
pub(crate) fn current() -> Option<(Target, u32, u32)> {
    let both = bpf_get_current_pid_tgid();
    let (tgid, tid) = ((both >> 32) as u32, both as u32);
    Some((Target::find(tgid)?, tgid, tid))
}
