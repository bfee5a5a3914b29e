//! How long a thread was blocked in the kernel, where no one has asked for a certain time: what the wall clock says
//! less the thread's time on a CPU and its time in the run queue.
//!
//! Each reading of these is a system call. None of them blocks, and they stand around work of a fifth of a millisecond
//! or more.

use testbed::clock;
use testbed::ran::{Ran, run_queue_ns};
use testbed::truth::{FaultKind, Stretch};

use crate::truth;

/// From the wakeup of a thread whose CPU is idle until the scheduler counts it as waiting for one, at most. On a
/// virtual machine whose CPUs halt, 16 us were seen.
pub(crate) const WAKEUP_NS: u64 = 20_000;

/// Does the work; `kind` is what its waits are called, of which so much may have been wakeups. The work's own computing
/// is the second stretch.
pub(crate) fn measured<T>(kind: FaultKind, wakeups_ns: u64, work: impl FnOnce() -> T) -> (T, [Stretch; 2]) {
    let from_ns = clock::now_ns();
    let (queued_ns, before) = (run_queue_ns(), Ran::so_far());
    let result = work();
    let ran = Ran::so_far().since(before);
    let queued_ns = run_queue_ns().saturating_sub(queued_ns);
    let to_ns = clock::now_ns();
    let most_ns = to_ns.saturating_sub(from_ns + ran.on_cpu_ns + queued_ns);
    let blocked = Stretch {
        kind,
        from_ns,
        to_ns,
        least_ns: most_ns.saturating_sub(wakeups_ns),
        most_ns,
        task: truth::current_task(),
    };
    let computed = Stretch {
        kind: FaultKind::Cpu,
        least_ns: ran.computed_ns,
        most_ns: ran.on_cpu_ns,
        ..blocked
    };
    (result, [blocked, computed])
}
