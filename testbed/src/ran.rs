//! What the kernel counts of the calling thread: when it had a CPU, and when it waited for one.
//!
//! Only the truth of faults whose size nothing but the kernel knows takes these system calls. None of them blocks, once
//! the kernel [counts](count).

use std::cell::RefCell;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::thread_local;

use perf_event::events::Software;
use perf_event::{Builder, Counter};

use crate::clock;
use crate::truth::{FaultKind, Stretch};

/// Has the kernel count from now on. The first counter of a machine waits until all its CPUs know of it, 20 ms at
/// times: no request may wait for that.
pub fn count() {
    Ran::so_far();
}

/// What the kernel counts of the calling thread's time on CPUs.
#[derive(Clone, Copy)]
pub struct Ran {
    /// It had one, by the clock on the wall: perf's `task-clock`.
    pub on_cpu_ns: u64,
    /// The same without what a hypervisor took of it meanwhile, which is no wait in this kernel: the thread's own CPU
    /// clock. Where the kernel accounts the time of interrupts, it leaves out that too.
    pub computed_ns: u64,
}

impl Ran {
    /// Since the thread first asked. These are system calls. Where the kernel refuses the counter, what was taken is
    /// not known.
    pub fn so_far() -> Self {
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
    pub fn since(self, before: Self) -> Self {
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
pub fn run_queue_ns() -> u64 {
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

/// What a thread computes since a time, and what keeps it from that.
pub struct Computing {
    from_ns: u64,
    before: Ran,
}

impl Computing {
    /// It begins now.
    pub fn begins() -> Self {
        Self {
            from_ns: clock::now_ns(),
            before: Ran::so_far(),
        }
    }

    /// How long it computed, how long it was kept from it, and how long a hypervisor had its CPU. Of the time in which
    /// it had none, so much was something else.
    ///
    /// What the kernel counts as the thread's time on the CPU is the truth: a gap between two looks at the clock may be
    /// another thread, or an interrupt, or a hypervisor, and only the first is a wait for the CPU. Of what a hypervisor
    /// took, observer charges the least that is proved: the rest counts as computing.
    pub fn ends(&self, other_ns: u64) -> [Stretch; 3] {
        let Ran {
            on_cpu_ns,
            computed_ns,
        } = Ran::so_far().since(self.before);
        // Last of all: the CPU may well be taken away on the way out of a system call.
        let off_cpu_ns = clock::now_ns().saturating_sub(self.from_ns + on_cpu_ns + other_ns);
        let computed = Stretch {
            least_ns: computed_ns,
            ..Stretch::exactly(FaultKind::Cpu, self.from_ns, on_cpu_ns)
        };
        let off_cpu = Stretch::exactly(FaultKind::OffCpu, self.from_ns, off_cpu_ns);
        let stolen = Stretch::exactly(FaultKind::Stolen, self.from_ns, on_cpu_ns - computed_ns);
        [computed, off_cpu, stolen]
    }
}

/// The calling thread, 0 if /proc does not tell. It is asked once a thread.
pub fn tid() -> u32 {
    thread_local! {
        static TID: u32 = fs::read_link("/proc/thread-self")
            .ok()
            .and_then(|link| link.file_name()?.to_str()?.parse().ok())
            .unwrap_or(0);
    }
    TID.with(|tid| *tid)
}
