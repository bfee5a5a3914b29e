//! Signal `accept`: the application takes a connection out of its listener's queue.
//!
//! No tracepoint marks it. Where `fexit` is refused, the first read that the application tries on the new
//! connection stands for it (see `receive`): an upper bound.

use core::ffi::c_void;

use aya_ebpf::{macros::fexit, programs::FExitContext};
use observer_common::flags;

use crate::{
    kernel::Sock,
    ring, socket,
    target::{self, Current},
};

/// `struct sock *inet_csk_accept(struct sock *sk, struct proto_accept_arg *arg)`, since Linux 6.10.
#[fexit(function = "inet_csk_accept")]
fn accept_fexit(ctx: FExitContext) -> i32 {
    if let Some(current) = target::current() {
        accepted(current, ctx.arg(2));
    }
    0
}

/// `struct sock *inet_csk_accept(struct sock *sk, int flags, int *err, bool kern)`, before.
///
/// A program of its own: with the slot as a load-time constant the compiler computes an address in the context,
/// and the verifier takes no address there that is not constant in the program itself.
#[fexit(function = "inet_csk_accept")]
fn accept_fexit_of_four(ctx: FExitContext) -> i32 {
    if let Some(current) = target::current() {
        accepted(current, ctx.arg(4));
    }
    0
}

#[inline(never)]
fn accepted(current: Current, child: *const c_void) {
    // SAFETY: the return value is a socket or null.
    let child = unsafe { Sock::new(child) };
    if child.is_null() {
        return;
    }
    let (tgid, tid) = (current.tgid(), current.tid());
    let at_ns = ring::now();
    if let Some(state) = socket::track(child, tid, tgid, at_ns, false) {
        let now = child.state();
        state.opened.set(flags::INBOUND);
        socket::record(child, state, now, now, flags::ACCEPTED, tid, tgid, at_ns);
    }
}
