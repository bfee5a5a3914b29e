//! Programs of the same names on the same hooks as observer's, which do nothing: what being attached costs by
//! itself. The benchmark's yardstick; `observer` never loads it.

#![no_std]
#![no_main]

use aya_ebpf::{
    macros::{btf_tracepoint, fentry, fexit, perf_event},
    programs::{BtfTracePointContext, FEntryContext, FExitContext, PerfEventContext},
};

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

macro_rules! tracepoints {
    ($($program:ident: $function:literal,)*) => {$(
        #[btf_tracepoint(function = $function)]
        fn $program(_ctx: BtfTracePointContext) -> i32 {
            0
        }
    )*};
}

tracepoints! {
    switch: "sched_switch",
    wakeup: "sched_waking",
    arrival_tracepoint: "sk_data_ready",
    receive_tracepoint: "sock_recv_length",
    send_tracepoint: "sock_send_length",
    connection: "inet_sock_set_state",
    fork: "sched_process_fork",
    exec: "sched_process_exec",
    exit: "sched_process_exit",
}

#[fentry(function = "sock_def_readable")]
fn arrival_fentry(_ctx: FEntryContext) -> i32 {
    0
}

#[fexit(function = "tcp_recvmsg")]
fn receive_fexit(_ctx: FExitContext) -> i32 {
    0
}

#[fexit(function = "tcp_sendmsg")]
fn send_fexit(_ctx: FExitContext) -> i32 {
    0
}

#[fexit(function = "tcp_sendpage")]
fn send_page_fexit(_ctx: FExitContext) -> i32 {
    0
}

#[fexit(function = "inet_csk_accept")]
fn accept_fexit(_ctx: FExitContext) -> i32 {
    0
}

#[fexit(function = "inet_csk_accept")]
fn accept_fexit_of_four(_ctx: FExitContext) -> i32 {
    0
}

#[perf_event]
fn sample(_ctx: PerfEventContext) -> u32 {
    0
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}
