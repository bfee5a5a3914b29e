//! Signal `switch`: a watched thread leaves or gets a CPU. What it blocks in is read from its saved registers,
//! which costs nothing anywhere else; a system call tracepoint would cost every call of every process.

use core::ffi::c_void;

use aya_ebpf::{
    btf_maps::PerCpuArray,
    macros::{btf_map, btf_tracepoint},
    programs::BtfTracePointContext,
};
use observer_common::{Kind, Occupied, SwitchIn, SwitchOut, flags, limits, task, thread_state};

use super::seek;
use crate::{
    kernel::Task,
    presence, ring,
    runtime::{Runtime, collected},
    target::Target,
    theft, user,
    word::Word,
};

/// Whether a watched thread that was preempted waits for this CPU.
#[repr(C)]
struct Contended {
    /// Until when that is believed.
    until_ns: Word<u64>,
    /// Threads that may still be recorded; 0 where nobody waits.
    left: Word<u32>,
    /// Who waits.
    tid: Word<u32>,
}

impl Contended {
    /// This thread waits for it from now on.
    #[inline(always)]
    fn begin(&self, at_ns: u64, tid: u32) {
        self.until_ns.set(at_ns + limits::LONGEST_CONTENTION_NS);
        self.left.set(limits::MAX_OCCUPANTS);
        self.tid.set(tid);
    }
}

#[btf_map]
static CONTENDED: PerCpuArray<Contended, 1> = PerCpuArray::new();

/// This CPU's.
#[inline(always)]
fn contended() -> Option<&'static Contended> {
    CONTENDED.get(0)
}

/// `sched_switch(bool preempt, task_struct *prev, task_struct *next, unsigned int prev_state)`
#[btf_tracepoint(function = "sched_switch")]
fn switch(ctx: BtfTracePointContext) -> i32 {
    let (prev, next) = threads(&ctx);
    let (leaves, enters) = (Target::find(prev.tgid()), Target::find(next.tgid()).is_some());
    if leaves.is_some() || enters {
        watched(ctx, leaves, enters);
    } else if contended().is_some_and(|contended| contended.left.get() != 0) {
        strangers(prev);
    }
    0
}

/// Who leaves the CPU, and who gets it.
#[inline(always)]
fn threads(ctx: &BtfTracePointContext) -> (Task, Task) {
    // SAFETY: the second argument of this tracepoint is a task.
    let prev = unsafe { Task::new(ctx.arg::<*const c_void>(1)) };
    // SAFETY: the third argument of this tracepoint is a task.
    let next = unsafe { Task::new(ctx.arg::<*const c_void>(2)) };
    (prev, next)
}

/// A switch from a thread that is not watched, and behind which one waits.
#[inline(never)]
fn strangers(prev: Task) {
    let Some(contended) = contended() else {
        return;
    };
    let at_ns = ring::now();
    if at_ns > contended.until_ns.get() {
        contended.left.set(0);
        return;
    }
    contended.left.set(contended.left.get().wrapping_sub(1));
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

/// A switch from a watched thread, to one, or both.
#[inline(never)]
fn watched(ctx: BtfTracePointContext, leaving: Option<Target>, entering: bool) {
    let (prev, next) = threads(&ctx);
    let at_ns = ring::now();
    if let Some(target) = leaving {
        seek::leaves(target, prev);
        collected::leaves(target, prev.tgid(), at_ns);
        let state: u32 = ctx.arg(3);
        let preempted = ctx.arg::<u8>(0) != 0 || state == 0;
        leaves(target, prev, state, preempted, at_ns);
    } else if let Some(contended) = contended() {
        if contended.tid.get() == next.tid() {
            contended.left.set(0);
        } else if contended.left.get() != 0 {
            // Another thread of the target comes in between, for a moment as a rule.
            strangers(prev);
        }
    }
    if entering {
        enters(prev, next, at_ns);
    } else {
        presence::left();
    }
}

/// `prev`, of this target, leaves the CPU.
#[inline(always)]
fn leaves(target: Target, prev: Task, state: u32, preempted: bool, at_ns: u64) {
    if preempted && let Some(contended) = contended() {
        contended.begin(at_ns, prev.tid());
    }
    let tgid = prev.tgid();
    theft::end(prev, prev.tid(), tgid, at_ns);
    // It is still the current thread, with its memory.
    let runtime = Runtime::of(target);
    let task = runtime.current_task(prev);
    let in_task = task != task::UNKNOWN && task != task::NONE;
    let no_scheduler = in_task && runtime.has_no_scheduler(prev);
    let registers = prev.registers();
    let kind = if user::waits_for_events(registers.syscall()) {
        runtime.kind(prev)
    } else {
        0
    };
    let polled = user::polled_fd(registers);
    ring::write(
        at_ns,
        SwitchOut {
            header: ring::header(Kind::SwitchOut, prev.tid(), at_ns),
            tgid,
            state,
            min_flt: prev.min_flt(),
            maj_flt: prev.maj_flt(),
            syscall: registers.syscall(),
            reserved: 0,
            reserved_second: 0,
            flags: (u32::from(preempted) * flags::PREEMPTED)
                | (u32::from(no_scheduler) * flags::NO_SCHEDULER)
                | (u32::from(polled.is_some()) * flags::POLLS_FEW)
                | kind,
            args: [
                polled.unwrap_or(registers.arg0()),
                registers.arg1(),
                registers.arg2(),
                registers.arg3(),
            ],
            throttled_ns: prev.throttled_ns(),
            task,
            queued_ns: prev.queued_ns(),
            reserved_third: 0,
        },
    );
    if state & thread_state::DEAD != 0 {
        Target::leaves(tgid);
    }
}

/// `next`, which is watched, gets the CPU from `prev`.
#[inline(always)]
fn enters(prev: Task, next: Task, at_ns: u64) {
    presence::came();
    theft::begin(next, next.tid(), at_ns);
    ring::write(
        at_ns,
        SwitchIn {
            header: ring::header(Kind::SwitchIn, next.tid(), at_ns),
            tgid: next.tgid(),
            prev_tid: prev.tid(),
            prev_tgid: prev.tgid(),
            flags: 0,
            prev_ran_ns: prev.ran_ns(),
            throttled_ns: next.throttled_ns(),
            prev_comm: prev.comm(),
        },
    );
}
