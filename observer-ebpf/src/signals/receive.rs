//! Signal `receive`: a watched thread's receive call on a TCP socket returns, in its own context, after the
//! bytes were copied.

use core::ffi::c_void;

use aya_ebpf::{
    macros::{btf_tracepoint, fexit},
    programs::{BtfTracePointContext, FExitContext},
};
use observer_common::{Kind, Receive, ReceiveHead, flags, limits};

use super::seek;
use crate::{
    kernel::{Registers, Sock, Task},
    ring,
    runtime::Runtime,
    socket::{self, DIRECTION_IN, DIRECTION_NONE, DIRECTION_TRIED, SocketState},
    target::{self, Current},
    user,
};

const REQUEST_HEAD_BYTES: u64 = limits::REQUEST_HEAD_BYTES as u64;

/// `sock_recv_length(struct sock *sk, int ret, int flags)`
#[btf_tracepoint(function = "sock_recv_length")]
fn receive_tracepoint(ctx: BtfTracePointContext) -> i32 {
    if let Some(current) = target::current() {
        received(current, ctx.arg(0), ctx.arg(1), ctx.arg(2));
    }
    0
}

/// `int tcp_recvmsg(struct sock *sk, struct msghdr *msg, size_t len, int flags, int *addr_len)`
#[fexit(function = "tcp_recvmsg")]
fn receive_fexit(ctx: FExitContext) -> i32 {
    if let Some(current) = target::current() {
        received(current, ctx.arg(0), ctx.arg(5), ctx.arg(3));
    }
    0
}

#[inline(never)]
fn received(current: Current, sock: *const c_void, result: i32, call_flags: u32) {
    // SAFETY: the first argument of both is a socket.
    let sock = unsafe { Sock::new(sock) };
    if !sock.is_tcp() {
        return;
    }
    let (tgid, tid) = (current.tgid(), current.tid());
    let at_ns = ring::now();
    let Some(state) = socket::track(sock, tid, tgid, at_ns, true) else {
        return;
    };
    let task = Task::current();
    if state.opened.get() == flags::INBOUND {
        seek::received(current.target(), task, state.conn.get());
    }
    if result < 0 {
        // A first try on a new connection follows its accept at once; later ones say nothing.
        if state.direction.get() != DIRECTION_NONE {
            return;
        }
        state.direction.set(DIRECTION_TRIED);
    }
    state.look_at_held(sock, at_ns);
    let peek = call_flags & limits::MSG_PEEK != 0;
    let taken = if result > 0 && !peek {
        take(state, sock, result, at_ns)
    } else {
        Taken::NOTHING
    };
    let registers = task.registers();
    let record = Receive {
        header: ring::header(taken.kind, tid, at_ns),
        tgid,
        fd: if user::has_socket_fd(registers.syscall()) {
            registers.arg0() as i32
        } else {
            -1
        },
        conn: state.conn.get(),
        arrived_ns: taken.arrived_ns,
        task: Runtime::of(current.target()).current_task(task),
        result,
        flags: state.opened.get() | if peek { flags::PEEK } else { 0 },
        min_flt: task.min_flt(),
        maj_flt: task.maj_flt(),
        rss_pages: task.rss_pages(),
        head_bytes: 0,
    };
    match taken.kind {
        Kind::ReceiveHead => write_with_head(record, registers),
        _ => ring::write(at_ns, record),
    }
}

/// What a receive took from its socket.
struct Taken {
    /// Since when the oldest byte of it was ready, ns; 0 where that was not seen.
    arrived_ns: u64,
    /// Which record tells of it.
    kind: Kind,
}

impl Taken {
    const NOTHING: Self = Self {
        arrived_ns: 0,
        kind: Kind::Receive,
    };
}

/// So many bytes were taken from the socket now.
#[inline(always)]
fn take(state: &SocketState, sock: Sock, bytes: i32, at_ns: u64) -> Taken {
    let arrived_ns = state.taken(sock, at_ns);
    if state.direction.get() != DIRECTION_IN {
        state.turn_bytes.set(0);
    }
    // A request can come in pieces: Go reads the first byte of it by itself.
    let with_head = state.turn_bytes.get() < REQUEST_HEAD_BYTES;
    state
        .turn_bytes
        .set(state.turn_bytes.get().saturating_add(bytes as u64));
    state.direction.set(DIRECTION_IN);
    Taken {
        arrived_ns,
        kind: if with_head {
            Kind::ReceiveHead
        } else {
            Kind::Receive
        },
    }
}

/// With the first bytes of what was received.
#[inline(always)]
fn write_with_head(mut record: Receive, registers: Registers) {
    let Some(mut entry) = ring::reserve::<ReceiveHead>(record.header.at_ns) else {
        return;
    };
    let slot = entry.as_mut_ptr();
    // SAFETY: the slot is room for the whole record.
    let head = unsafe { &raw mut (*slot).head };
    // SAFETY: as above.
    let rest = unsafe { &raw mut (*slot).receive };
    // SAFETY: `head` is writable; every byte of it is written.
    record.head_bytes = unsafe { user::read_head(head, registers, record.result) };
    // SAFETY: `rest` is writable and aligned.
    unsafe { rest.write(record) };
    ring::submit(entry);
}
