//! Signal `found`: the sockets that a watched process holds when observing begins, by an iterator over its descriptors
//! that is run once, in whatever network they are.
//!
//! Writes no record: a connection is announced when it is used. Until then what arrives on it is timed, which needs no
//! more than its state.

use core::ffi::c_void;

use aya_ebpf::programs::BtfTracePointContext;
use observer_common::tcp;

use crate::{
    kernel::{Sock, Task},
    socket,
    target::Target,
};

/// `bpf_iter_task_file(struct bpf_iter_meta *meta, struct task_struct *task, int fd, struct file *file)`
///
/// aya has no macro for iterators; their arguments stand where those of a BTF tracepoint do.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_file")]
fn found(ctx: *mut c_void) -> i32 {
    let ctx = BtfTracePointContext::new(ctx);
    // After the last file both are null.
    let (task, file) = (ctx.arg::<*const c_void>(1), ctx.arg::<*const c_void>(3));
    if task.is_null() || file.is_null() {
        return 0;
    }
    // SAFETY: the second argument is a task.
    let task = unsafe { Task::new(task) };
    if Target::find(task.tgid()).is_none() {
        return 0;
    }
    // SAFETY: the fourth argument is a file.
    if let Some(sock) = unsafe { Sock::of_file(file) }
        && sock.is_tcp()
    {
        match sock.state() {
            tcp::LISTEN => socket::watch_port(sock),
            tcp::CLOSE => {}
            _ => socket::find(sock, task.tgid()),
        }
    }
    0
}
