//! Signals `send` and `send_page`: a watched thread's send call on a TCP socket returns, in its own context.

use core::ffi::c_void;

use aya_ebpf::{
    macros::{btf_tracepoint, fexit},
    programs::{BtfTracePointContext, FExitContext},
};
use observer_common::{Kind, Send, SendHead, http};

use crate::{
    kernel::{Sock, Task},
    ring,
    runtime::Runtime,
    socket::{self, DIRECTION_OUT},
    target::{self, Current},
    theft, user,
};

/// `sock_send_length(struct sock *sk, int ret, int flags)`
#[btf_tracepoint(function = "sock_send_length")]
fn send_tracepoint(ctx: BtfTracePointContext) -> i32 {
    if let Some(current) = target::current() {
        sent(current, ctx.arg(0), ctx.arg(1));
    }
    0
}

/// `int tcp_sendmsg(struct sock *sk, struct msghdr *msg, size_t size)`
#[fexit(function = "tcp_sendmsg")]
fn send_fexit(ctx: FExitContext) -> i32 {
    if let Some(current) = target::current() {
        sent(current, ctx.arg(0), ctx.arg(3));
    }
    0
}

/// `int tcp_sendpage(struct sock *sk, struct page *page, int offset, size_t size, int flags)`: a page of what
/// sendfile and splice send. Since Linux 6.5 these go the way of every other send.
#[fexit(function = "tcp_sendpage")]
fn send_page_fexit(ctx: FExitContext) -> i32 {
    if let Some(current) = target::current() {
        sent(current, ctx.arg(0), ctx.arg(5));
    }
    0
}

#[inline(never)]
fn sent(current: Current, sock: *const c_void, result: i32) {
    // SAFETY: the first argument of each of them is a socket.
    let sock = unsafe { Sock::new(sock) };
    if !sock.is_tcp() {
        return;
    }
    let (tgid, tid) = (current.tgid(), current.tid());
    let at_ns = ring::now();
    let Some(state) = socket::track(sock, tid, tgid, at_ns, true) else {
        return;
    };
    let before = state.direction.get();
    let first = result > 0 && before != DIRECTION_OUT;
    if result > 0 {
        state.direction.set(DIRECTION_OUT);
        state.sent(sock, tgid, tid, at_ns);
    }
    let task = Task::current();
    theft::look(task, tid, tgid, at_ns);
    let registers = task.registers();
    let mut record = Send {
        header: ring::header(if first { Kind::SendHead } else { Kind::Send }, tid, at_ns),
        tgid,
        fd: if user::has_socket_fd(registers.syscall()) {
            registers.arg0() as i32
        } else {
            -1
        },
        conn: state.conn.get(),
        task: Runtime::of(current.target()).current_task(task),
        result,
        flags: state.opened.get(),
        min_flt: task.min_flt(),
        maj_flt: task.maj_flt(),
        rss_pages: task.rss_pages(),
        head_bytes: 0,
    };
    if !first {
        ring::write(at_ns, record);
    } else if let Some(mut entry) = ring::reserve::<SendHead>(at_ns) {
        let slot = entry.as_mut_ptr();
        // SAFETY: the slot is room for the whole record.
        let head = unsafe { &raw mut (*slot).head };
        // SAFETY: as above.
        let rest = unsafe { &raw mut (*slot).send };
        // SAFETY: `head` is writable; every byte of it is written.
        record.head_bytes = unsafe { user::read_head(head, registers, result) };
        // SAFETY: `head` was written just now.
        if http::is_interim(unsafe { &*head }, result as u64) {
            // The answer is still to come, and perhaps more of the request.
            state.direction.set(before);
        }
        // SAFETY: `rest` is writable and aligned.
        unsafe { rest.write(record) };
        ring::submit(entry);
    }
}
