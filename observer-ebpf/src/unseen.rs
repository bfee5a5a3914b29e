//! Threads that were not seen to get their CPU: those that have it when their process begins to be watched, and more on
//! machines whose own agent is hidden from tracing. Where a thread of that gives a CPU up, the switch makes no event;
//! that it takes one from a watched thread is seen.

use observer_common::{Kind, OnCpuSince};

use crate::{kernel::Task, ring};

/// Records what the scheduler's account of this thread says of the CPU that it has. `offset_ns` is to be added to the
/// scheduler's clock for `CLOCK_MONOTONIC`; wraps.
#[inline(never)]
pub(crate) fn record(thread: Task, tid: u32, tgid: u32, at_ns: u64, offset_ns: u64) {
    let Some(got_cpu_ns) = thread.got_cpu_ns() else {
        return;
    };
    ring::write(
        at_ns,
        OnCpuSince {
            header: ring::header(Kind::OnCpuSince, tid, at_ns),
            tgid,
            reserved: 0,
            since_ns: got_cpu_ns.wrapping_add(offset_ns).min(at_ns),
            queued_ns: thread.queued_ns(),
            throttled_ns: thread.throttled_ns(),
        },
    );
}
