//! How long a thread was blocked in the kernel, where no one has asked for a certain time: what the wall clock says
//! less the thread's time on a CPU and its time in the run queue.
//!
//! Each reading of these is a system call. None of them blocks, and they stand around work of a fifth of a millisecond
//! or more.

use std::cell::RefCell;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::thread_local;

use perf_event::events::Software;
use perf_event::{Builder, Counter};
use testbed::clock;
use testbed::truth::{Kind, Stretch};

use crate::truth;

/// From the wakeup of a thread whose CPU is idle until the scheduler counts it as waiting for one, at most. On a
/// virtual machine whose CPUs halt, 16 us were seen.
pub(crate) const WAKEUP_NS: u64 = 20_000;

/// Does the work; `kind` is what its waits are called, of which so much may have been wakeups. The work's own computing
/// is the second stretch.
pub(crate) fn measured<T>(kind: Kind, wakeups_ns: u64, work: impl FnOnce() -> T) -> (T, [Stretch; 2]) {
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
        kind: Kind::Cpu,
        least_ns: ran.computed_ns,
        most_ns: ran.on_cpu_ns,
        ..blocked
    };
    (result, [blocked, computed])
}

/// What the kernel counts of the calling thread's time on CPUs.
#[derive(Clone, Copy)]
pub(crate) struct Ran {
    /// It had one, by the clock on the wall: perf's `task-clock`.
    pub(crate) on_cpu_ns: u64,
    /// The same without what a hypervisor took of it meanwhile, which is no wait in this kernel: the thread's own CPU
    /// clock. Where the kernel accounts the time of interrupts, it leaves out that too.
    pub(crate) computed_ns: u64,
}

impl Ran {
    /// Since the thread first asked. These are system calls. Where the kernel refuses the counter, what was taken is
    /// not known.
    pub(crate) fn so_far() -> Self {
        thread_local! {
            static TASK_CLOCK: RefCell<Option<Counter>> =
                RefCell::new(Builder::new(Software::TASK_CLOCK).enabled(true).build().ok());
        }
        let counted = TASK_CLOCK.with_borrow_mut(|counter| counter.as_mut()?.read().ok());
        let computed_ns = clock::read(libc::CLOCK_THREAD_CPUTIME_ID);
        Self {
            on_cpu_ns: counted.unwrap_or(computed_ns),
            computed_ns,
        }
    }

    /// What came after `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        let on_cpu_ns = self.on_cpu_ns.saturating_sub(before.on_cpu_ns);
        let computed_ns = self.computed_ns.saturating_sub(before.computed_ns);
        Self {
            on_cpu_ns,
            // Two readings one after the other.
            computed_ns: computed_ns.min(on_cpu_ns),
        }
    }
}

/// Time that the calling thread has waited for a CPU so far; 0 from a kernel that does not count it. The call is a
/// system call.
pub(crate) fn run_queue_ns() -> u64 {
    thread_local! {
        static STATISTICS: Option<File> = File::open("/proc/thread-self/schedstat").ok();
    }
    let mut text = [0; 64];
    let bytes = STATISTICS.with(|file| file.as_ref().and_then(|file| file.read_at(&mut text, 0).ok()));
    let text = text
        .get(..bytes.unwrap_or(0))
        .and_then(|text| std::str::from_utf8(text).ok());
    let second = text.and_then(|text| text.split_whitespace().nth(1));
    second.and_then(|number| number.parse().ok()).unwrap_or(0)
}
