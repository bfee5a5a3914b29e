//! Which processes are watched. Asked by every program before any other work.

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC, btf_maps::HashMap, helpers::bpf_get_current_pid_tgid, macros::btf_map,
};
use observer_common::limits;

/// Watched thread-group ids.
#[btf_map]
static TARGETS: HashMap<u32, u8, { limits::MAX_TARGETS as usize }, { BPF_F_NO_PREALLOC as usize }> =
    HashMap::new();

/// The only watched thread-group id, 0 when there are several. A constant at load: with one target, the
/// verifier drops the map look-up and a context switch of a stranger costs two comparisons.
#[unsafe(no_mangle)]
static ONLY_TARGET: u32 = 0;

/// Whether this process is watched.
#[inline(always)]
pub(crate) fn is_watched(tgid: u32) -> bool {
    // SAFETY: a valid, aligned static; volatile so that the placeholder is not folded in.
    let only = unsafe { core::ptr::read_volatile(&raw const ONLY_TARGET) };
    if only != 0 {
        return tgid == only;
    }
    // SAFETY: the value is only tested for presence.
    unsafe { TARGETS.get(tgid) }.is_some()
}

/// The current thread as (process, thread), when its process is watched.
#[inline(always)]
pub(crate) fn current() -> Option<(u32, u32)> {
    let both = bpf_get_current_pid_tgid();
    let (tgid, tid) = ((both >> 32) as u32, both as u32);
    is_watched(tgid).then_some((tgid, tid))
}
