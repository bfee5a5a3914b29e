//! Copies the first bytes of what a thread received or sent out of its own memory.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_probe_read_user;

use crate::kernel::Registers;

/// System calls that carry a buffer or a vector, and those that wait for something, x86-64 numbers.
mod syscall {
    pub(super) const READ: i32 = 0;
    pub(super) const WRITE: i32 = 1;
    pub(super) const POLL: i32 = 7;
    pub(super) const READV: i32 = 19;
    pub(super) const WRITEV: i32 = 20;
    pub(super) const SENDTO: i32 = 44;
    pub(super) const RECVFROM: i32 = 45;
    pub(super) const SENDMSG: i32 = 46;
    pub(super) const RECVMSG: i32 = 47;
    pub(super) const EPOLL_WAIT: i32 = 232;
    pub(super) const PPOLL: i32 = 271;
    pub(super) const EPOLL_PWAIT: i32 = 281;
    pub(super) const EPOLL_PWAIT2: i32 = 441;
}

/// Offset of `msg_iov` in `struct msghdr` as user programs see it, bytes.
const MSGHDR_IOV: u64 = 16;

/// Whether the first argument of the call that a thread is in is the socket's file descriptor.
#[inline(always)]
pub(crate) fn has_socket_fd(number: i32) -> bool {
    matches!(
        number,
        syscall::READ
            | syscall::WRITE
            | syscall::READV
            | syscall::WRITEV
            | syscall::SENDTO
            | syscall::RECVFROM
            | syscall::SENDMSG
            | syscall::RECVMSG
    )
}

/// Whether this is the call in which an event loop waits for its events.
#[inline(always)]
pub(crate) fn waits_for_events(number: i32) -> bool {
    matches!(
        number,
        syscall::EPOLL_WAIT | syscall::EPOLL_PWAIT | syscall::EPOLL_PWAIT2
    )
}

/// The first of one or two descriptors for whose bytes the current thread waits in `poll` or `ppoll`. With more than
/// two it waits for none in particular.
#[inline(always)]
pub(crate) fn polled_fd(registers: Registers) -> Option<u64> {
    /// `POLLIN`, as it stands in the first `struct pollfd`: descriptor (`int`), events (`short`), what was found
    /// (`short`).
    const READABLE: u64 = 1 << 32;
    /// The descriptor is negative: none.
    const IGNORED: u64 = 1 << 31;
    let is_poll = matches!(registers.syscall(), syscall::POLL | syscall::PPOLL);
    if !is_poll || !matches!(registers.arg1(), 1 | 2) {
        return None;
    }
    let first = read_word(registers.arg0())?;
    (first & (READABLE | IGNORED) == READABLE).then_some(first & 0xffff_ffff)
}

/// Fills `head` with the first bytes of the current call's buffer. Returns how many are valid.
///
/// # Safety
/// `head` must point to `N` writable bytes that the verifier knows, at an address that a word can have.
#[inline(always)]
pub(crate) unsafe fn read_head<const N: usize>(
    head: *mut [u8; N],
    registers: Registers,
    transferred: i32,
) -> u32 {
    // No old bytes of the ring leave the kernel.
    // SAFETY: as promised by the caller.
    unsafe { zero(head) };
    let buffer = match registers.syscall() {
        syscall::READ | syscall::WRITE | syscall::SENDTO | syscall::RECVFROM => registers.arg1(),
        syscall::READV | syscall::WRITEV => read_word(registers.arg1()).unwrap_or(0),
        syscall::SENDMSG | syscall::RECVMSG => {
            let vector = read_word(registers.arg1().wrapping_add(MSGHDR_IOV));
            vector.and_then(read_word).unwrap_or(0)
        }
        _ => 0,
    };
    if buffer == 0 || transferred <= 0 {
        return 0;
    }
    let length = if (transferred as usize) < N {
        transferred as u32
    } else {
        N as u32
    };
    // SAFETY: `length` is at most `N`; a fault leaves zeros and is reported.
    let status = unsafe { bpf_probe_read_user(head.cast::<c_void>(), length, buffer as *const c_void) };
    if status == 0 { length } else { 0 }
}

/// Eight bytes of the current thread's memory.
#[inline(always)]
pub(crate) fn read_word(address: u64) -> Option<u64> {
    let mut word = 0_u64;
    // SAFETY: writes eight bytes to the stack; a fault is reported.
    let status = unsafe { bpf_probe_read_user((&raw mut word).cast(), 8, address as *const c_void) };
    (status == 0).then_some(word)
}

/// Zeroes `bytes` in words. An array that is assigned is zeroed by a loop on this target, with four instructions a
/// byte.
///
/// # Safety
/// As for [`read_head`].
#[inline(always)]
unsafe fn zero<const N: usize>(bytes: *mut [u8; N]) {
    const { assert!(N.is_multiple_of(size_of::<u64>())) };
    let words = bytes.cast::<u64>();
    let mut index = 0;
    while index < N / size_of::<u64>() {
        // SAFETY: as promised by the caller. Volatile, so that it stays as it is.
        unsafe { words.wrapping_add(index).write_volatile(0) };
        index += 1;
    }
}
