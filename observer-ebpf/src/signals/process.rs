//! Signal `process`: threads and children begin, programs are replaced, threads end.

use core::ffi::c_void;

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use aya_log_ebpf::debug;
use observer_common::{Kind, Process, ProcessChange, flags};

use crate::{kernel::Task, ring, target::Target};

/// `sched_process_fork(task_struct *parent, task_struct *child)`
#[btf_tracepoint(function = "sched_process_fork")]
fn fork(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the first argument is a task.
    let parent = unsafe { Task::new(ctx.arg::<*const c_void>(0)) };
    // SAFETY: the second argument is a task.
    let child = unsafe { Task::new(ctx.arg::<*const c_void>(1)) };
    record(parent, child, ProcessChange::Fork, 0);
    0
}

/// `sched_process_exec(task_struct *p, pid_t old_pid, linux_binprm *bprm)`
#[btf_tracepoint(function = "sched_process_exec")]
fn exec(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the first argument is a task.
    let task = unsafe { Task::new(ctx.arg::<*const c_void>(0)) };
    if record(task, task, ProcessChange::Exec, 0) {
        debug!(&ctx, "process {} runs another program", task.tgid());
    }
    0
}

/// `sched_process_exit(task_struct *p)`
#[btf_tracepoint(function = "sched_process_exit")]
fn exit(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the first argument is a task.
    let task = unsafe { Task::new(ctx.arg::<*const c_void>(0)) };
    let dead = task.group_dead();
    if record(
        task,
        task,
        ProcessChange::Exit,
        if dead { flags::GROUP_DEAD } else { 0 },
    ) && dead
    {
        debug!(&ctx, "process {} ended", task.tgid());
    }
    0
}

#[inline(always)]
fn record(task: Task, subject: Task, change: ProcessChange, flags: u32) -> bool {
    let tgid = task.tgid();
    if Target::find(tgid).is_none() {
        return false;
    }
    let at_ns = ring::now();
    ring::write(
        at_ns,
        Process {
            header: ring::header(Kind::Process, task.tid(), at_ns),
            tgid,
            change: change as u32,
            child_tid: subject.tid(),
            child_tgid: subject.tgid(),
            flags,
            reserved: 0,
            comm: subject.comm(),
        },
    );
    true
}
