//! The search for the word in which a thread keeps the id of its runtime task: samples of the thread's own variables,
//! when it receives and when it leaves its CPU. Attached only while something is sought.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::BPF_RB_NO_WAKEUP,
    btf_maps::{Array, PerCpuArray, RingBuf},
    helpers::generated::{bpf_get_socket_cookie, bpf_probe_read_user},
    macros::{btf_map, btf_tracepoint, fexit},
    programs::{BtfTracePointContext, FExitContext},
};
use observer_common::{
    conn, flags, limits,
    seek::{Sample, SampleHead, Seek, WINDOW_BYTES},
};

use crate::{
    direction,
    kernel::{Sock, Task},
    ring,
    target::Target,
    user,
};

#[btf_map]
static SEEKS: Array<Seek, { limits::MAX_TARGETS as usize }> = Array::new();

/// A sample that does not fit is dropped: the search takes a little longer.
#[btf_map]
static SAMPLES: RingBuf<Sample, { limits::SAMPLES_BYTES as usize }> = RingBuf::new();

/// When this CPU took its last sample of each kind.
#[btf_map]
static SAMPLED_NS: PerCpuArray<u64, 3> = PerCpuArray::new();

const AT_RECEIVE: u32 = 0;
/// When it leaves its CPU while it waits for events, which is what is needed.
const AT_EVENTS: u32 = 1;
/// When it leaves its CPU otherwise.
const AT_SWITCH: u32 = 2;

/// `sock_recv_length(struct sock *sk, int ret, int flags)`
#[btf_tracepoint(function = "sock_recv_length")]
fn seek_receive_tracepoint(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the first argument is a socket.
    received(unsafe { Sock::new(ctx.arg::<*const c_void>(0)) })
}

/// `int tcp_recvmsg(struct sock *sk, struct msghdr *msg, size_t len, int flags, int *addr_len)`
#[fexit(function = "tcp_recvmsg")]
fn seek_receive_fexit(ctx: FExitContext) -> i32 {
    // SAFETY: the first argument is a socket.
    received(unsafe { Sock::new(ctx.arg::<*const c_void>(0)) })
}

/// One task serves an accepted connection; connections that the process opened itself can be shared by many.
#[inline(always)]
fn received(sock: Sock) -> i32 {
    let task = Task::current();
    if let Some(target) = Target::find(task.tgid())
        && sock.is_tcp()
        && direction::of(sock) == flags::INBOUND
    {
        // SAFETY: a socket that the verifier knows.
        let conn = unsafe { bpf_get_socket_cookie(sock.as_ptr()) };
        sample(target, task, AT_RECEIVE, conn);
    }
    0
}

/// `sched_switch(bool preempt, task_struct *prev, task_struct *next, unsigned int prev_state)`
#[btf_tracepoint(function = "sched_switch")]
fn seek_switch(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the second argument of this tracepoint is a task.
    let prev = unsafe { Task::new(ctx.arg::<*const c_void>(1)) };
    // Also where it is preempted: a saturated event loop looks for events without ever waiting for them.
    if let Some(target) = Target::find(prev.tgid()) {
        let kind = if user::waits_for_events(prev.registers().syscall()) {
            AT_EVENTS
        } else {
            AT_SWITCH
        };
        sample(target, prev, kind, conn::NONE);
    }
    0
}

/// Copies the variables of `task`, which is the current thread and has its memory.
#[inline(always)]
fn sample(target: Target, task: Task, kind: u32, conn: u64) {
    let Some(seek) = SEEKS.get(target.slot()) else {
        return;
    };
    let bytes = seek.bytes;
    if bytes == 0 || bytes > WINDOW_BYTES as u32 {
        return;
    }
    let at_ns = ring::now();
    let Some(sampled_ns) = SAMPLED_NS.get_ptr_mut(kind) else {
        return;
    };
    // SAFETY: this CPU's slot; no kind interrupts itself.
    let sampled_ns = unsafe { &mut *sampled_ns };
    if at_ns.wrapping_sub(*sampled_ns) < u64::from(seek.interval_ns) {
        return;
    }
    *sampled_ns = at_ns;
    let Some(mut entry) = SAMPLES.reserve_untyped::<Sample>(0) else {
        // A proof takes as many as it needs, from whatever time.
        return;
    };
    let slot = entry.as_mut_ptr();
    // SAFETY: the slot is room for the whole sample.
    let head = unsafe { &raw mut (*slot).head };
    // SAFETY: as above.
    let words = unsafe { &raw mut (*slot).words };
    // SAFETY: `head` is writable and aligned.
    unsafe {
        head.write(SampleHead {
            at_ns,
            conn,
            issued: user::read_word(seek.issued_at).unwrap_or(0),
            stack: task.registers().sp(),
            tgid: task.tgid(),
            tid: task.tid(),
            syscall: task.registers().syscall(),
            bytes,
        });
    }
    let from = task.fsbase().wrapping_add_signed(seek.from);
    // SAFETY: `bytes` are at most as many as there is room for; a fault is reported.
    let status = unsafe { bpf_probe_read_user(words.cast::<c_void>(), bytes, from as *const c_void) };
    if status == 0 {
        entry.submit(u64::from(BPF_RB_NO_WAKEUP));
    } else {
        entry.discard(u64::from(BPF_RB_NO_WAKEUP));
    }
}
