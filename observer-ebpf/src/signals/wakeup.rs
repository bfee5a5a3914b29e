//! Signal `wakeup`: a watched thread is made runnable, in the context of whoever woke it.

use core::ffi::c_void;

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use observer_common::{Kind, Waking, task};

use crate::{kernel::Task, ring, runtime::Runtime, socket, target::Target};

/// `sched_waking(task_struct *p)`
#[btf_tracepoint(function = "sched_waking")]
fn wakeup(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the first argument of this tracepoint is a task.
    let woken = unsafe { Task::new(ctx.arg::<*const c_void>(0)) };
    if let Some(target) = Target::find(woken.tgid()) {
        waking(target, woken);
    }
    0
}

#[inline(always)]
fn waking(target: Target, woken: Task) {
    let tgid = woken.tgid();
    let at_ns = ring::now();
    let waker = Task::current();
    let (waker_tid, waker_tgid) = (waker.tid(), waker.tgid());
    let waker_syscall = waker.registers().syscall();
    let conn = socket::take_mark(at_ns, waker_tid, waker_syscall);
    // Mostly it is a thread of the same process.
    let waker_target = if waker_tgid == tgid {
        Some(target)
    } else {
        Target::find(waker_tgid)
    };
    ring::write(
        at_ns,
        Waking {
            header: ring::header(Kind::Waking, woken.tid(), at_ns),
            tgid,
            waker_tid,
            waker_tgid,
            waker_syscall,
            conn,
            throttled_ns: woken.throttled_ns(),
            waker_task: waker_target.map_or(task::UNKNOWN, |target| Runtime::of(target).current_task(waker)),
            waker_comm: waker.comm(),
        },
    );
}
