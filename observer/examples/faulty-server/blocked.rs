//! How long a thread was blocked in the kernel, where no one has asked for a certain time: what the wall clock says
//! less the thread's own CPU time and its time in the run queue.
//!
//! The two readings are a system call each, around work that makes system calls anyway. None of them blocks.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::thread_local;

use crate::clock;
use crate::truth::{Kind, Stretch};

/// Does the work; `blocked` is what its waits are called. The work's own computing is the second stretch.
pub(crate) fn measured<T>(blocked: Kind, work: impl FnOnce() -> T) -> (T, [Stretch; 2]) {
    let (cpu_ns, queued_ns) = (cpu_ns(), run_queue_ns());
    let from_ns = clock::now_ns();
    let result = work();
    let to_ns = clock::now_ns();
    let cpu_ns = self::cpu_ns().saturating_sub(cpu_ns);
    let queued_ns = run_queue_ns().saturating_sub(queued_ns);
    let blocked_ns = (to_ns - from_ns).saturating_sub(cpu_ns + queued_ns);
    let stretches = [
        Stretch::exactly(blocked, from_ns, blocked_ns),
        Stretch::exactly(Kind::Cpu, from_ns, cpu_ns),
    ];
    (result, stretches)
}

fn cpu_ns() -> u64 {
    clock::read(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// Time that the calling thread has waited for a CPU so far; 0 from a kernel that does not count it.
fn run_queue_ns() -> u64 {
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
