//! Signal `process`: threads and children begin, programs are replaced, threads end. Children of watched processes are
//! watched from here on.

use core::ffi::c_void;

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use aya_log_ebpf::debug;
use observer_common::{Kind, Process, ProcessChange, flags};

use crate::{
    kernel::Task,
    ring,
    target::{self, Current, Target},
};

/// `sched_process_fork(task_struct *parent, task_struct *child)`
#[btf_tracepoint(function = "sched_process_fork")]
fn fork(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the first argument is a task.
    let parent = unsafe { Task::new(ctx.arg::<*const c_void>(0)) };
    // SAFETY: the second argument is a task.
    let child = unsafe { Task::new(ctx.arg::<*const c_void>(1)) };
    let Some(target) = Target::find(parent.tgid()) else {
        return 0;
    };
    let at_ns = ring::now();
    // The child has not run yet.
    let is_watched = child.tgid() != parent.tgid() && target.add_child(child.tgid(), at_ns).is_some();
    let flags = if is_watched { flags::WATCHED } else { 0 };
    record(parent, child, ProcessChange::Fork, flags, at_ns);
    0
}

/// `sched_process_exec(task_struct *p, pid_t old_pid, linux_binprm *bprm)`
#[btf_tracepoint(function = "sched_process_exec")]
fn exec(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the first argument is a task.
    let task = unsafe { Task::new(ctx.arg::<*const c_void>(0)) };
    if Target::find(task.tgid()).is_none() {
        return 0;
    }
    Target::runs_another_program(task.tgid());
    record(task, task, ProcessChange::Exec, 0, ring::now());
    debug!(&ctx, "process {} runs another program", task.tgid());
    0
}

/// `sched_process_exit(task_struct *p)`
#[btf_tracepoint(function = "sched_process_exit")]
fn exit(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the first argument is a task.
    let task = unsafe { Task::new(ctx.arg::<*const c_void>(0)) };
    if Target::find(task.tgid()).is_none() {
        return 0;
    }
    let dead = task.group_dead();
    let flags = if dead { flags::GROUP_DEAD } else { 0 };
    record(task, task, ProcessChange::Exit, flags, ring::now());
    if dead {
        Target::ended(task.tgid());
        debug!(&ctx, "process {} ended", task.tgid());
    }
    0
}

/// The current thread begins to listen where somebody is waited for: its process is watched from now on.
#[inline(always)]
pub(super) fn listens() -> Option<Current> {
    let (task, at_ns) = (Task::current(), ring::now());
    Target::add(task.tgid(), at_ns)?;
    record(task, task, ProcessChange::Listens, 0, at_ns);
    target::current()
}

#[inline(always)]
fn record(task: Task, subject: Task, change: ProcessChange, flags: u32, at_ns: u64) {
    ring::write(
        at_ns,
        Process {
            header: ring::header(Kind::Process, task.tid(), at_ns),
            tgid: task.tgid(),
            change: change as u32,
            child_tid: subject.tid(),
            child_tgid: subject.tgid(),
            flags,
            reserved: 0,
            comm: subject.comm(),
        },
    );
}
