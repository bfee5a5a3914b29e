//! Signal `accept`: the application takes a connection out of its listener's queue.
//!
//! No tracepoint marks it. Where `fexit` is refused, the first read that the application tries on the new
//! connection stands for it (see `receive`): an upper bound.

use core::ffi::c_void;

use aya_ebpf::{macros::fexit, programs::FExitContext};
use observer_common::flags;

use crate::{kernel::Sock, ring, socket, target};

/// `struct sock *inet_csk_accept(struct sock *sk, …)`: three arguments more before Linux 6.10, one after. The
/// socket that it returns is found in the last slot, so userspace says which.
#[fexit(function = "inet_csk_accept")]
fn accept_fexit(ctx: FExitContext) -> i32 {
    let Some((tgid, tid)) = target::current() else {
        return 0;
    };
    // SAFETY: set before load; volatile so that the placeholder is not folded in.
    let slot = unsafe { core::ptr::read_volatile(&raw const ACCEPT_RESULT) };
    let child = if slot == 2 {
        ctx.arg::<*const c_void>(2)
    } else {
        ctx.arg::<*const c_void>(4)
    };
    // SAFETY: the return value is a socket or null.
    let child = unsafe { Sock::new(child) };
    if child.is_null() {
        return 0;
    }
    let at_ns = ring::now();
    if let Some(state) = socket::track(child, tid, tgid, at_ns, false) {
        let now = child.state();
        socket::record(child, state.conn, now, now, flags::ACCEPTED, tid, tgid, at_ns);
    }
    0
}

/// Which slot holds the return value of `inet_csk_accept` on this kernel: 2 or 4.
#[unsafe(no_mangle)]
static ACCEPT_RESULT: u32 = 4;
