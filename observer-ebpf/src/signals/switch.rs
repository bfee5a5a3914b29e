//! Signal `switch`: a watched thread leaves or gets a CPU. What it blocks in is read from its saved registers,
//! which costs nothing anywhere else; a system call tracepoint would cost every call of every process.

use core::ffi::c_void;

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use observer_common::{Kind, SwitchIn, SwitchOut, flags};

use crate::{kernel::Task, ring, target};

/// `sched_switch(bool preempt, task_struct *prev, task_struct *next, unsigned int prev_state)`
#[btf_tracepoint(function = "sched_switch")]
fn switch(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the second argument of this tracepoint is a task.
    let prev = unsafe { Task::new(ctx.arg::<*const c_void>(1)) };
    // SAFETY: the third argument of this tracepoint is a task.
    let next = unsafe { Task::new(ctx.arg::<*const c_void>(2)) };
    let (prev_tgid, next_tgid) = (prev.tgid(), next.tgid());
    let (leaves, enters) = (target::is_watched(prev_tgid), target::is_watched(next_tgid));
    if !leaves && !enters {
        return 0;
    }
    let at_ns = ring::now();
    if leaves {
        let registers = prev.registers();
        let state: u32 = ctx.arg(3);
        let preempted = ctx.arg::<u8>(0) != 0 || state == 0;
        ring::write(
            at_ns,
            SwitchOut {
                header: ring::header(Kind::SwitchOut, prev.tid(), at_ns),
                tgid: prev_tgid,
                state,
                min_flt: prev.min_flt(),
                maj_flt: prev.maj_flt(),
                syscall: registers.syscall(),
                next_tid: next.tid(),
                next_tgid,
                flags: if preempted { flags::PREEMPTED } else { 0 },
                args: [
                    registers.arg0(),
                    registers.arg1(),
                    registers.arg2(),
                    registers.arg3(),
                ],
                throttled_ns: prev.throttled_ns(),
                next_comm: next.comm(),
            },
        );
    }
    if enters {
        ring::write(
            at_ns,
            SwitchIn {
                header: ring::header(Kind::SwitchIn, next.tid(), at_ns),
                tgid: next_tgid,
                prev_tid: prev.tid(),
                prev_tgid,
                flags: 0,
                prev_ran_ns: prev.ran_ns(),
                throttled_ns: next.throttled_ns(),
                prev_comm: prev.comm(),
            },
        );
    }
    0
}
