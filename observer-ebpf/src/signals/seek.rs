//! The search for the word in which a thread keeps the id of its runtime task: samples of the thread's own variables,
//! when it receives and when it leaves its CPU.
//!
//! It has no program of its own: a second one on the same hook would be paid for by every process of the machine, for
//! as long as something is sought, and in a server that nobody asks that is for ever.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::BPF_RB_NO_WAKEUP,
    btf_maps::{Array, PerCpuArray, RingBuf},
    helpers::generated::bpf_probe_read_user,
    macros::btf_map,
};
use observer_common::{
    conn, limits,
    seek::{LINKS, Sample, SampleHead, Seek, WINDOW_BYTES, WINDOW_WORDS},
};

use crate::{kernel::Task, ring, target::Target, user, word::Word};

#[btf_map]
static SEEKS: Array<Seek, { limits::MAX_TARGETS as usize }> = Array::new();

/// A sample that does not fit is dropped: the search takes a little longer.
#[btf_map]
static SAMPLES: RingBuf<Sample, { limits::SAMPLES_BYTES as usize }> = RingBuf::new();

/// When this CPU took its last sample of each kind.
#[btf_map]
static SAMPLED_NS: PerCpuArray<Word<u64>, 3> = PerCpuArray::new();

const AT_RECEIVE: u32 = 0;
/// When it leaves its CPU while it waits for events, which is what is needed.
const AT_EVENTS: u32 = 1;
/// When it leaves its CPU otherwise.
const AT_SWITCH: u32 = 2;

/// The current thread, of this target, received on an accepted connection: one task serves it, where those that the
/// process opened itself can be shared by many.
#[inline(always)]
pub(super) fn received(target: Target, task: Task, conn: u64) {
    if let Some(seek) = sought(target) {
        sample(seek, task, AT_RECEIVE, conn);
    }
}

/// `task`, of this target, leaves its CPU. It is still the current thread, with its memory.
///
/// Also where it is preempted: a saturated event loop looks for events without ever waiting for them.
#[inline(always)]
pub(super) fn leaves(target: Target, task: Task) {
    if let Some(seek) = sought(target) {
        let kind = if user::waits_for_events(task.registers().syscall()) {
            AT_EVENTS
        } else {
            AT_SWITCH
        };
        sample(seek, task, kind, conn::NONE);
    }
}

/// What is sought in this target, if something is.
#[inline(always)]
fn sought(target: Target) -> Option<&'static Seek> {
    SEEKS.get(target.slot()).filter(|seek| seek.bytes != 0)
}

/// Copies the variables of `task`, which is the current thread.
#[inline(never)]
fn sample(seek: &Seek, task: Task, kind: u32, conn: u64) {
    let bytes = seek.bytes;
    if bytes > WINDOW_BYTES as u32 {
        return;
    }
    let at_ns = ring::now();
    let Some(sampled_ns) = SAMPLED_NS.get(kind) else {
        return;
    };
    if at_ns.wrapping_sub(sampled_ns.get()) < u64::from(seek.interval_ns) {
        return;
    }
    sampled_ns.set(at_ns);
    let Some(mut entry) = SAMPLES.reserve_untyped::<Sample>(0) else {
        // A proof takes as many as it needs, from whatever time.
        return;
    };
    let slot = entry.as_mut_ptr();
    // SAFETY: the slot is room for the whole sample.
    let head = unsafe { &raw mut (*slot).head };
    // SAFETY: as above.
    let words = unsafe { &raw mut (*slot).words };
    // SAFETY: `head` is writable and aligned.
    unsafe {
        head.write(SampleHead {
            at_ns,
            conn,
            issued: user::read_word(seek.issued_at).unwrap_or(0),
            stack: task.registers().sp(),
            tgid: task.tgid(),
            tid: task.tid(),
            syscall: task.registers().syscall(),
            bytes,
        });
    }
    let from = task.fsbase().wrapping_add_signed(seek.from);
    // SAFETY: `bytes` are at most as many as there is room for; a fault is reported.
    let status = unsafe { bpf_probe_read_user(words.cast::<c_void>(), bytes, from as *const c_void) };
    if status == 0 && seek.follows != 0 {
        follow(seek, words);
    }
    if status == 0 {
        entry.submit(u64::from(BPF_RB_NO_WAKEUP));
    } else {
        entry.discard(u64::from(BPF_RB_NO_WAKEUP));
    }
}

/// Follows what the first word points to, and from there on: what stands there at this moment agrees, as the thread
/// itself is here.
#[inline(always)]
fn follow(seek: &Seek, words: *mut [u64; WINDOW_WORDS]) {
    let words = words.cast::<u64>();
    let mut taken = 0;
    while taken < LINKS {
        let link = seek.links[taken];
        let pointer = (link.pointer as usize) & (LINKS - 1);
        // SAFETY: both are words of the sample; the pointer is one that was filled before.
        let pointer = unsafe { words.wrapping_add(pointer).read() };
        let word = match pointer {
            0 => None,
            pointer => user::read_word(pointer.wrapping_add_signed(i64::from(link.offset))),
        };
        // SAFETY: as above.
        unsafe { words.wrapping_add(taken + 1).write(word.unwrap_or(0)) };
        taken += 1;
    }
}
