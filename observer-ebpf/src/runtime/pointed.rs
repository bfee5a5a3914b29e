//! A runtime whose threads point to their task, as Go's do to their goroutine: its id, with what tells whether it has
//! left its thread since.

use core::mem::MaybeUninit;

use aya_ebpf::helpers::generated::bpf_probe_read_user;
use observer_common::{TaskPath, task};

use crate::user;

/// Of the byte that says why it waited last, what a record has room for.
const REASON_BITS: u64 = 0x7f;

/// Words that are read of a task.
const TASK_WORDS: usize = TaskPath::STOPS_WORD + 1;

/// What is found at the end of a path that begins with this pointer; nothing where memory on the way cannot be read.
#[inline(always)]
pub(super) fn follow(path: &TaskPath, pointer: u64) -> Option<u64> {
    let mut pointer = pointer;
    let mut taken = 0;
    while taken < TaskPath::STEPS {
        if pointer == 0 {
            return Some(task::NONE);
        }
        pointer = user::read_word(pointer.wrapping_add_signed(path.steps[taken]))?;
        taken += 1;
    }
    if pointer == 0 {
        return Some(task::NONE);
    }
    task_at(path, pointer)
}

/// The task to which this pointer points.
#[inline(always)]
pub(super) fn task_at(path: &TaskPath, pointer: u64) -> Option<u64> {
    // An array that is assigned is zeroed by a loop over its bytes.
    let mut words = MaybeUninit::<[u64; TASK_WORDS]>::uninit();
    let address = pointer.wrapping_add_signed(path.task);
    // SAFETY: writes as many bytes as there is room for; a fault is reported.
    let status = unsafe {
        bpf_probe_read_user(
            words.as_mut_ptr().cast(),
            size_of_val(&words) as u32,
            address as *const _,
        )
    };
    // SAFETY: written by the call, with zeros where it fails.
    let words = unsafe { words.assume_init() };
    let id = words[TaskPath::ID_WORD];
    if status != 0 || id == 0 || id > task::ID_OF_STAY {
        return None;
    }
    let stops = (words[TaskPath::STOPS_WORD] >> ((path.stops & 7) * 8)) & 0xff;
    let stay = (words[TaskPath::REASON_WORD] & REASON_BITS) << task::REASON_SHIFT | stops;
    let for_runtime = if words[TaskPath::STATE_WORD] & 0xff == path.waits {
        task::FOR_RUNTIME
    } else {
        0
    };
    Some(task::HAS_STAY | stay << task::STAY_SHIFT | for_runtime | id)
}
