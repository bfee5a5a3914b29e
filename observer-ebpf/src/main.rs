//! The kernel half of observer: it records facts about the watched processes and judges nothing.
//!
//! One signal a file under `signals`. Every program first asks whether its event concerns a watched process,
//! then reads what it needs ([`kernel`]), then writes one fixed-size record into its CPU's ring ([`ring`])
//! without waking userspace. What cannot be written is counted.

#![no_std]
#![no_main]
#![expect(
    clippy::needless_pass_by_value,
    reason = "the program macros hand the context over by value"
)]

mod direction;
mod held;
mod kernel;
mod presence;
mod ring;
mod runtime;
mod signals;
mod socket;
mod target;
mod theft;
mod unseen;
mod user;
mod word;

/// The kernel's name for "may use helpers that are GPL-only"; without it the loader would have to guess.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    // A reachable panic is a loop without end, which the verifier rejects: it cannot be loaded by mistake.
    loop {}
}
