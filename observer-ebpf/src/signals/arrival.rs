//! Signal `arrival`: bytes (or a new connection) became ready on a socket, before anybody is woken for it.
//!
//! Writes no record: the time is kept with the socket and travels with the receive that takes the bytes.

use core::ffi::c_void;

use aya_ebpf::{
    macros::{btf_tracepoint, fentry},
    programs::{BtfTracePointContext, FEntryContext},
};
use observer_common::{conn, tcp};

use crate::{kernel::Sock, ring, socket};

/// `sk_data_ready(const struct sock *sk)`
#[btf_tracepoint(function = "sk_data_ready")]
fn arrival_tracepoint(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the first argument is a socket.
    arrival(unsafe { Sock::new(ctx.arg::<*const c_void>(0)) })
}

/// `sock_def_readable(struct sock *sk)`: what `sk_data_ready` points to on a TCP socket.
#[fentry(function = "sock_def_readable")]
fn arrival_fentry(ctx: FEntryContext) -> i32 {
    // SAFETY: the first argument is a socket.
    arrival(unsafe { Sock::new(ctx.arg::<*const c_void>(0)) })
}

#[inline(always)]
fn arrival(sock: Sock) -> i32 {
    if socket::may_concern(sock) {
        arrived(sock);
    }
    0
}

#[inline(never)]
fn arrived(sock: Sock) {
    let tracked = socket::tracked(sock);
    if tracked.is_none() && !(sock.is_tcp() && socket::is_watched_port(sock)) {
        return;
    }
    // One that began to listen while it was watched is tracked, one that listened before is not.
    if sock.state() == tcp::LISTEN {
        socket::mark_arrival(conn::LISTENER, ring::now());
        return;
    }
    let tracked = match tracked {
        None => socket::track(sock, 0, 0, ring::now(), true),
        tracked => tracked,
    };
    if let Some(state) = tracked {
        let at_ns = ring::now();
        state.look_at_held(sock, at_ns);
        state.arrived(sock, at_ns);
        socket::mark_arrival(state.conn.get(), at_ns);
    }
}
