//! Signal `receive`: a watched thread's receive call on a TCP socket returns, in its own context, after the
//! bytes were copied.

use core::ffi::c_void;

use aya_ebpf::{
    macros::{btf_tracepoint, fexit},
    programs::{BtfTracePointContext, FExitContext},
};
use observer_common::{Kind, Receive, ReceiveHead, flags, limits};

use crate::{
    kernel::{Sock, Task},
    ring,
    runtime::Runtime,
    socket::{self, DIRECTION_IN, DIRECTION_NONE, DIRECTION_TRIED},
    target, user,
};

const REQUEST_HEAD_BYTES: u64 = limits::REQUEST_HEAD_BYTES as u64;

/// `sock_recv_length(struct sock *sk, int ret, int flags)`
#[btf_tracepoint(function = "sock_recv_length")]
fn receive_tracepoint(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the first argument is a socket.
    let sock = unsafe { Sock::new(ctx.arg::<*const c_void>(0)) };
    receive(sock, ctx.arg(1), ctx.arg(2))
}

/// `int tcp_recvmsg(struct sock *sk, struct msghdr *msg, size_t len, int flags, int *addr_len)`
#[fexit(function = "tcp_recvmsg")]
fn receive_fexit(ctx: FExitContext) -> i32 {
    // SAFETY: the first argument is a socket.
    let sock = unsafe { Sock::new(ctx.arg::<*const c_void>(0)) };
    receive(sock, ctx.arg(5), ctx.arg(3))
}

#[inline(always)]
fn receive(sock: Sock, result: i32, call_flags: u32) -> i32 {
    let Some((target, tgid, tid)) = target::current() else {
        return 0;
    };
    if !sock.is_tcp() {
        return 0;
    }
    let at_ns = ring::now();
    let Some(state) = socket::track(sock, tid, tgid, at_ns, true) else {
        return 0;
    };
    if result < 0 {
        // A first try on a new connection follows its accept at once; later ones say nothing.
        if state.direction != DIRECTION_NONE {
            return 0;
        }
        state.direction = DIRECTION_TRIED;
    }
    state.look_at_held(sock, at_ns);
    let peek = call_flags & limits::MSG_PEEK != 0;
    let mut record_flags = state.opened | if peek { flags::PEEK } else { 0 };
    let mut arrived_ns = 0;
    if result > 0 && !peek {
        let (since, drained) = state.taken(sock, at_ns);
        arrived_ns = since;
        if drained {
            record_flags |= flags::DRAINED;
        }
    }
    let mut with_head = false;
    if result > 0 && !peek {
        if state.direction != DIRECTION_IN {
            state.turn_bytes = 0;
        }
        // A request can come in pieces: Go reads the first byte of it by itself.
        with_head = state.turn_bytes < REQUEST_HEAD_BYTES;
        state.turn_bytes = state.turn_bytes.saturating_add(result as u64);
        state.direction = DIRECTION_IN;
    }
    let task = Task::current();
    let registers = task.registers();
    let mut record = Receive {
        header: ring::header(
            if with_head {
                Kind::ReceiveHead
            } else {
                Kind::Receive
            },
            tid,
            at_ns,
        ),
        tgid,
        fd: if user::has_socket_fd(registers.syscall()) {
            registers.arg0() as i32
        } else {
            -1
        },
        conn: state.conn,
        arrived_ns,
        task: Runtime::of(target).current_task(task),
        result,
        flags: record_flags,
        min_flt: task.min_flt(),
        maj_flt: task.maj_flt(),
        rss_pages: task.rss_pages(),
        head_bytes: 0,
    };
    if !with_head {
        ring::write(at_ns, record);
    } else if let Some(mut entry) = ring::reserve::<ReceiveHead>(at_ns) {
        let slot = entry.as_mut_ptr();
        // SAFETY: the slot is room for the whole record.
        let head = unsafe { &raw mut (*slot).head };
        // SAFETY: as above.
        let rest = unsafe { &raw mut (*slot).receive };
        // SAFETY: `head` is writable; every byte of it is written.
        record.head_bytes = unsafe { user::read_head(head, registers, result) };
        // SAFETY: `rest` is writable and aligned.
        unsafe { rest.write(record) };
        ring::submit(entry);
    }
    0
}
