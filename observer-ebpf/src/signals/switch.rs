//! Signal `switch`: a watched thread leaves or gets a CPU. What it blocks in is read from its saved registers,
//! which costs nothing anywhere else; a system call tracepoint would cost every call of every process.

use core::ffi::c_void;

use aya_ebpf::{
    btf_maps::PerCpuArray,
    macros::{btf_map, btf_tracepoint},
    programs::BtfTracePointContext,
};
use observer_common::{Kind, Occupied, SwitchIn, SwitchOut, flags, limits, task};

use crate::{kernel::Task, presence, ring, runtime::Runtime, target::Target, theft, user};

/// `TASK_DEAD`: the thread leaves its CPU for the last time.
const DEAD: u32 = 0x80;

/// Whether a watched thread that was preempted waits for this CPU.
#[repr(C)]
struct Contended {
    /// Until when that is believed.
    until_ns: u64,
    /// Threads that may still be recorded; 0 where nobody waits.
    left: u64,
}

impl Contended {
    #[inline(always)]
    fn since(at_ns: u64) -> Self {
        Self {
            until_ns: at_ns + limits::LONGEST_CONTENTION_NS,
            left: limits::MAX_OCCUPANTS,
        }
    }
}

#[btf_map]
static CONTENDED: PerCpuArray<Contended, 1> = PerCpuArray::new();

/// A switch between two threads that are not watched: of interest only to one that waits behind them.
#[inline(always)]
fn strangers(prev: Task) {
    let Some(contended) = CONTENDED.get_ptr_mut(0) else {
        return;
    };
    // SAFETY: this CPU's slot; switches do not nest.
    let contended = unsafe { &mut *contended };
    if contended.left == 0 {
        return;
    }
    let at_ns = ring::now();
    if at_ns > contended.until_ns {
        contended.left = 0;
        return;
    }
    contended.left -= 1;
    ring::write(
        at_ns,
        Occupied {
            header: ring::header(Kind::Occupied, prev.tid(), at_ns),
            tgid: prev.tgid(),
            reserved: 0,
            ran_ns: prev.ran_ns(),
            comm: prev.comm(),
        },
    );
}

/// `sched_switch(bool preempt, task_struct *prev, task_struct *next, unsigned int prev_state)`
#[btf_tracepoint(function = "sched_switch")]
fn switch(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the second argument of this tracepoint is a task.
    let prev = unsafe { Task::new(ctx.arg::<*const c_void>(1)) };
    // SAFETY: the third argument of this tracepoint is a task.
    let next = unsafe { Task::new(ctx.arg::<*const c_void>(2)) };
    let (prev_tgid, next_tgid) = (prev.tgid(), next.tgid());
    let (leaves, enters) = (Target::find(prev_tgid), Target::find(next_tgid).is_some());
    if leaves.is_none() && !enters {
        strangers(prev);
        return 0;
    }
    let at_ns = ring::now();
    let contended = CONTENDED.get_ptr_mut(0);
    if let Some(target) = leaves {
        let registers = prev.registers();
        let state: u32 = ctx.arg(3);
        let preempted = ctx.arg::<u8>(0) != 0 || state == 0;
        if preempted && let Some(contended) = contended {
            // SAFETY: this CPU's slot; switches do not nest.
            unsafe { contended.write(Contended::since(at_ns)) };
        }
        theft::look(prev, prev.tid(), prev_tgid, at_ns);
        // It is still the current thread, with its memory.
        let runtime = Runtime::of(target);
        let task = runtime.current_task(prev);
        let in_task = task != task::UNKNOWN && task != task::NONE;
        let no_scheduler = in_task && runtime.has_no_scheduler(prev);
        let kind = if user::waits_for_events(registers.syscall()) {
            runtime.kind(prev)
        } else {
            0
        };
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
                flags: (u32::from(preempted) * flags::PREEMPTED)
                    | (u32::from(no_scheduler) * flags::NO_SCHEDULER)
                    | kind,
                args: [
                    registers.arg0(),
                    registers.arg1(),
                    registers.arg2(),
                    registers.arg3(),
                ],
                throttled_ns: prev.throttled_ns(),
                task,
                next_comm: next.comm(),
            },
        );
        if state & DEAD != 0 {
            Target::leaves(prev_tgid);
        }
    }
    if enters {
        presence::came();
        if leaves.is_none()
            && let Some(contended) = contended
        {
            // SAFETY: as above.
            unsafe { (*contended).left = 0 };
        }
        theft::begin(next, next.tid(), at_ns);
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
    } else {
        presence::left();
    }
    0
}
