//! Signal `connection`: a TCP socket changes its state: a child of a watched listener is established, a watched
//! process listens or connects, a tracked connection closes; or somebody begins to listen where that is waited for.

use core::ffi::c_void;

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use observer_common::{flags, tcp};

use super::process;
use crate::{kernel::Sock, ring, socket, target};

/// `inet_sock_set_state(const struct sock *sk, const int oldstate, const int newstate)`
#[btf_tracepoint(function = "inet_sock_set_state")]
fn connection(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the first argument is a socket.
    let sock = unsafe { Sock::new(ctx.arg::<*const c_void>(0)) };
    let (old_state, new_state) = (ctx.arg::<i32>(1) as u8, ctx.arg::<i32>(2) as u8);
    if target::current().is_some() || socket::may_concern(sock) || new_state == tcp::LISTEN {
        changed(sock, old_state, new_state);
    }
    0
}

#[inline(never)]
fn changed(sock: Sock, old_state: u8, new_state: u8) {
    let current = match target::current() {
        None if new_state == tcp::LISTEN && sock.is_tcp() && socket::is_awaited(sock) => process::listens(),
        current => current,
    };
    let (tgid, tid) = current.map_or((0, 0), |current| (current.tgid(), current.tid()));
    let state = match socket::tracked(sock) {
        Some(state) => Some(state),
        None if !sock.is_tcp() => None,
        // Listening and connecting are done by the process itself; what it inherits is found at its first use.
        None if new_state == tcp::LISTEN && current.is_some() => {
            socket::watch_port(sock);
            socket::track(sock, tid, tgid, ring::now(), false)
        }
        None if new_state == tcp::SYN_SENT && current.is_some() => {
            socket::track(sock, tid, tgid, ring::now(), false)
        }
        None if old_state == tcp::SYN_RECV
            && new_state == tcp::ESTABLISHED
            && socket::is_watched_port(sock) =>
        {
            socket::track(sock, 0, 0, ring::now(), false)
        }
        None => None,
    };
    if let Some(state) = state {
        let at_ns = ring::now();
        if new_state == tcp::SYN_SENT {
            // The socket may have been another connection's, or a listener.
            state.opened.set(flags::OUTBOUND);
        }
        state.look_at_held(sock, at_ns);
        socket::record(sock, state, old_state, new_state, 0, tid, tgid, at_ns);
        if old_state == tcp::SYN_SENT {
            // Who waits for the connection is woken next. Where nobody does, as after an answer that comes before
            // `connect` returns, the mark lapses.
            socket::mark_connected(state.conn.get(), at_ns);
        }
    }
}
