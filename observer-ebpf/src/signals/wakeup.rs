//! Signal `wakeup`: a watched thread is made runnable, in the context of whoever woke it.

use core::ffi::c_void;

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use observer_common::{Kind, Waking, conn, limits};

use crate::{kernel::Task, ring, socket, target};

/// `sched_waking(task_struct *p)`
#[btf_tracepoint(function = "sched_waking")]
fn wakeup(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the first argument of this tracepoint is a task.
    let woken = unsafe { Task::new(ctx.arg::<*const c_void>(0)) };
    let tgid = woken.tgid();
    if !target::is_watched(tgid) {
        return 0;
    }
    let at_ns = ring::now();
    let mut conn = conn::NONE;
    if let Some(mark) = socket::network_mark()
        && mark.conn != conn::NONE
    {
        if at_ns.saturating_sub(mark.at_ns) < limits::NETWORK_MARK_NS {
            conn = mark.conn;
        }
        // One notification wakes at most one thread of the process that waits for it.
        mark.conn = conn::NONE;
    }
    let waker = Task::current();
    ring::write(
        at_ns,
        Waking {
            header: ring::header(Kind::Waking, woken.tid(), at_ns),
            tgid,
            waker_tid: waker.tid(),
            waker_tgid: waker.tgid(),
            waker_syscall: waker.registers().syscall(),
            conn,
            throttled_ns: woken.throttled_ns(),
            waker_comm: waker.comm(),
        },
    );
    0
}
