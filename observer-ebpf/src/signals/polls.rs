//! Signal `poll`: a thread polls a tokio task, which was queued before. On demand only: a probe in user code is a trap
//! or more, some microseconds each time.
//!
//! The functions that are probed are given a pointer to the task's header, in all of tokio's versions so far
//! `{ state, queue_next, vtable, … }` with C's layout. Its vtable says where in the task its id is.

use aya_ebpf::{
    btf_maps::LruHashMap,
    macros::{btf_map, uprobe, uretprobe},
    programs::{ProbeContext, RetProbeContext},
};
use observer_common::{Kind, PollEnd, PollStart, limits, task};

use crate::{
    ring,
    target::{self, Current},
    user,
};

/// Offset of the pointer to the vtable in a task's header, bytes.
const VTABLE: u64 = 16;

/// Offset in the vtable of what says how far a task's id is from its header, bytes: after seven functions and two more
/// such distances. No C layout, so this can be wrong; userspace compares what is found with what threads say of
/// themselves.
const ID_OFFSET: u64 = 9 * 8;

/// Far more than lies between a task's header and its id.
const FARTHEST_ID: u64 = 1 << 12;

/// When a task was queued and by which thread, until it is polled; by process and where it stands.
#[btf_map]
static QUEUED: LruHashMap<[u64; 2], [u64; 2], { limits::MAX_QUEUED_TASKS as usize }> = LruHashMap::new();

/// What stands where the id of the task with this header is expected.
#[inline(always)]
fn id(header: u64) -> Option<u64> {
    let vtable = user::read_word(header.wrapping_add(VTABLE))?;
    let offset = user::read_word(vtable.wrapping_add(ID_OFFSET))?;
    if offset > FARTHEST_ID {
        return None;
    }
    user::read_word(header.wrapping_add(offset))
}

#[uprobe]
fn poll_start(ctx: ProbeContext) -> u32 {
    let Some(current) = target::current() else {
        return 0;
    };
    let header: u64 = ctx.arg(0).unwrap_or(0);
    // SAFETY: the context of a probe is the thread's registers.
    let stack = unsafe { (*ctx.regs).rsp };
    // The return address is not yet taken off.
    let frame = stack.wrapping_add(8);
    begins(current, header, frame, id(header).unwrap_or(task::UNKNOWN));
    0
}

/// The current thread begins to run `task`, which stands at this address.
#[inline(always)]
pub(super) fn begins(current: Current, address: u64, frame: u64, task: u64) {
    let (tgid, tid) = (current.tgid(), current.tid());
    let at_ns = ring::now();
    let key = [u64::from(tgid), address];
    // SAFETY: copied at once; that the entry is used again meanwhile would take as many tasks as there is room for.
    let queued = unsafe { QUEUED.get(key) };
    let [queued_ns, queued_by] = queued.map_or([0; 2], |queued| *queued);
    if queued_ns != 0 {
        let _ = QUEUED.remove(key);
    }
    ring::write(
        at_ns,
        PollStart {
            header: ring::header(Kind::PollStart, tid, at_ns),
            tgid,
            queued_by: queued_by as u32,
            frame,
            task,
            queued_ns,
        },
    );
}

#[uretprobe]
fn poll_end(ctx: RetProbeContext) -> u32 {
    let Some(current) = target::current() else {
        return 0;
    };
    let at_ns = ring::now();
    ring::write(
        at_ns,
        PollEnd {
            header: ring::header(Kind::PollEnd, current.tid(), at_ns),
            tgid: current.tgid(),
            reserved: 0,
            // SAFETY: the context of a probe is the thread's registers.
            frame: unsafe { (*ctx.regs).rsp },
        },
    );
    0
}

#[uprobe]
fn queue_first(ctx: ProbeContext) -> u32 {
    header_queued(ctx.arg(0));
    0
}

#[uprobe]
fn queue_second(ctx: ProbeContext) -> u32 {
    header_queued(ctx.arg(1));
    0
}

/// The task with this header is queued: for the first time since it was polled, or by two functions of which one calls
/// the other.
#[inline(always)]
fn header_queued(header: Option<u64>) {
    if let Some(current) = target::current()
        && let Some(header) = header
        && header != 0
    {
        queued(current, header, ring::now());
    }
}

/// The current thread queues the task that stands at this address.
#[inline(always)]
pub(super) fn queued(current: Current, address: u64, at_ns: u64) {
    // One that finds no place, or loses it, counts as a poll of what nothing was seen to queue.
    let _ = QUEUED.insert(
        [u64::from(current.tgid()), address],
        [at_ns, u64::from(current.tid())],
        0,
    );
}
