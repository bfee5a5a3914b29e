//! Signal `goroutine`: a goroutine is made ready, and a thread begins to run one. On demand only, as polls are. Only
//! the beginning of functions is probed: Go moves the stacks on which the kernel would put the return of a probe.
//!
//! Both functions run on the thread's own stack (`g0`), which does not grow, so their beginning is run once a call.
//! Their first argument, a goroutine, is in `rax` (Go's internal ABI since 1.17) until the function has made room on
//! the stack.

use aya_ebpf::{macros::uprobe, programs::ProbeContext};
use observer_common::{GOES_ON_AT, Kind, Readied};

use super::polls;
use crate::{kernel::Task, ring, runtime::Runtime, target, user};

/// `runtime.ready`
#[uprobe]
fn goroutine_ready(ctx: ProbeContext) -> u32 {
    let Some(current) = target::current() else {
        return 0;
    };
    let runtime = Runtime::of(current.target());
    let goroutine = first(&ctx);
    let Some(readied) = runtime.task_at(goroutine) else {
        return 0;
    };
    let at_ns = ring::now();
    polls::queued(current, goroutine, at_ns);
    ring::write(
        at_ns,
        Readied {
            header: ring::header(Kind::Readied, current.tid(), at_ns),
            tgid: current.tgid(),
            reserved: 0,
            task: runtime.current_task(Task::current()),
            readied,
        },
    );
    0
}

/// `runtime.execute`
#[uprobe]
fn goroutine_execute(ctx: ProbeContext) -> u32 {
    let Some(current) = target::current() else {
        return 0;
    };
    let goroutine = first(&ctx);
    if let Some(task) = Runtime::of(current.target()).task_at(goroutine) {
        let goes_on = user::read_word(goroutine.wrapping_add(GOES_ON_AT)).unwrap_or(0);
        polls::begins(current, goroutine, goes_on, task);
    }
    0
}

/// The first argument of a function of Go.
#[inline(always)]
fn first(ctx: &ProbeContext) -> u64 {
    // SAFETY: the context of a probe is the thread's registers.
    unsafe { (*ctx.regs).rax }
}
