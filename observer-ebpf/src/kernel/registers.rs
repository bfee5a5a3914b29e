//! What a thread had in its registers when it entered the kernel.

use core::ffi::c_void;

use super::{OFFSETS, constant, read};

/// A `struct pt_regs *`: which system call a thread is in, and with which arguments.
#[derive(Clone, Copy)]
pub(crate) struct Registers(pub(super) *const c_void);

impl Registers {
    /// Number of the system call, -1 when the kernel was entered otherwise.
    #[inline(always)]
    pub(crate) fn syscall(self) -> i32 {
        // SAFETY: `unsigned long` of `pt_regs`.
        unsafe { read::<u64>(self.0, offset!(regs_syscall)) as i32 }
    }

    #[inline(always)]
    pub(crate) fn arg0(self) -> u64 {
        // SAFETY: `unsigned long` of `pt_regs`.
        unsafe { read(self.0, offset!(regs_arg0)) }
    }

    #[inline(always)]
    pub(crate) fn arg1(self) -> u64 {
        // SAFETY: `unsigned long` of `pt_regs`.
        unsafe { read(self.0, offset!(regs_arg1)) }
    }

    #[inline(always)]
    pub(crate) fn arg2(self) -> u64 {
        // SAFETY: `unsigned long` of `pt_regs`.
        unsafe { read(self.0, offset!(regs_arg2)) }
    }

    #[inline(always)]
    pub(crate) fn arg3(self) -> u64 {
        // SAFETY: `unsigned long` of `pt_regs`.
        unsafe { read(self.0, offset!(regs_arg3)) }
    }

    /// The instruction at which it goes on in user mode.
    #[inline(always)]
    pub(crate) fn ip(self) -> u64 {
        // SAFETY: `unsigned long` of `pt_regs`.
        unsafe { read(self.0, offset!(regs_ip)) }
    }

    /// Its stack pointer in user mode.
    #[inline(always)]
    pub(crate) fn sp(self) -> u64 {
        // SAFETY: `unsigned long` of `pt_regs`.
        unsafe { read(self.0, offset!(regs_sp)) }
    }

    #[inline(always)]
    pub(crate) fn bp(self) -> u64 {
        // SAFETY: `unsigned long` of `pt_regs`.
        unsafe { read(self.0, offset!(regs_bp)) }
    }
}
