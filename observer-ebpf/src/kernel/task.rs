//! A thread: who it is, what it has run, what its process holds in memory.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{bpf_get_current_task_btf, bpf_probe_read_kernel, bpf_task_pt_regs};
use observer_common::{
    FAIR_PRIO, Offsets,
    limits::{COMM_BYTES, QUOTA_GROUPS},
    rss,
};

use super::{OFFSETS, Registers, constant, read};

/// Copies a 64-bit counter; 0 where it cannot be read.
#[inline(always)]
fn copy_counter(address: *const c_void) -> i64 {
    let mut counter = 0_i64;
    // SAFETY: writes eight bytes to the stack; a fault leaves zero.
    unsafe { bpf_probe_read_kernel((&raw mut counter).cast(), 8, address) };
    counter
}

/// A `struct task_struct *` that the verifier knows.
#[derive(Clone, Copy)]
pub(crate) struct Task(*const c_void);

impl Task {
    /// # Safety
    /// `pointer` must be a task argument of a BTF tracepoint.
    #[inline(always)]
    pub(crate) unsafe fn new(pointer: *const c_void) -> Self {
        Self(pointer)
    }

    #[inline(always)]
    pub(crate) fn current() -> Self {
        // SAFETY: always callable; never null.
        Self(unsafe { bpf_get_current_task_btf() }.cast())
    }

    #[inline(always)]
    pub(crate) fn tid(self) -> u32 {
        // SAFETY: `pid_t` of a task.
        unsafe { read(self.0, offset!(task_pid)) }
    }

    #[inline(always)]
    pub(crate) fn tgid(self) -> u32 {
        // SAFETY: `pid_t` of a task.
        unsafe { read(self.0, offset!(task_tgid)) }
    }

    #[inline(always)]
    pub(crate) fn min_flt(self) -> u32 {
        // SAFETY: `unsigned long` of a task; the low half is kept.
        unsafe { read::<u64>(self.0, offset!(task_min_flt)) as u32 }
    }

    #[inline(always)]
    pub(crate) fn maj_flt(self) -> u32 {
        // SAFETY: `unsigned long` of a task; the low half is kept.
        unsafe { read::<u64>(self.0, offset!(task_maj_flt)) as u32 }
    }

    /// Where its own variables are, in its memory.
    #[inline(always)]
    pub(crate) fn fsbase(self) -> u64 {
        // SAFETY: `unsigned long` of a task.
        unsafe { read(self.0, offset!(task_fsbase)) }
    }

    #[inline(always)]
    pub(crate) fn comm(self) -> [u8; COMM_BYTES] {
        // Two words instead of sixteen bytes: fewer instructions, and the verifier allows aligned words.
        // SAFETY: `char comm[16]` of a task.
        let low: u64 = unsafe { read(self.0, offset!(task_comm)) };
        // SAFETY: its second half.
        let high: u64 = unsafe { read(self.0, offset!(task_comm) + 8) };
        // SAFETY: both are sixteen plain bytes.
        unsafe { core::mem::transmute([low, high]) }
    }

    /// How long it has run since it last got a CPU, ns. 0 where that is not known: of a thread that goes before those
    /// of the fair class, the kernel keeps only what it ran in its life.
    #[inline(always)]
    pub(crate) fn ran_ns(self) -> u64 {
        // SAFETY: `int` of a task.
        let prio: i32 = unsafe { read(self.0, offset!(task_prio)) };
        if prio < FAIR_PRIO {
            return 0;
        }
        // SAFETY: `u64` of a task.
        let runtime: u64 = unsafe { read(self.0, offset!(task_runtime)) };
        // SAFETY: `u64` of a task.
        let at_pick: u64 = unsafe { read(self.0, offset!(task_runtime_at_pick)) };
        runtime.saturating_sub(at_pick)
    }

    /// What is known of the CPU that it is on, unless the kernel does not account what a hypervisor takes.
    #[inline(always)]
    pub(crate) fn cpu_clock(self) -> Option<CpuClock> {
        if offset!(task_cfs_rq) == Offsets::ABSENT {
            return None;
        }
        // SAFETY: pointer field of a task, followed by the verifier; reads through null give 0.
        let cfs_rq: *const c_void = unsafe { read(self.0, offset!(task_cfs_rq)) };
        // SAFETY: pointer field of a `cfs_rq`, followed by the verifier; reads through null give 0.
        let rq: *const c_void = unsafe { read(cfs_rq, offset!(cfs_rq_rq)) };
        Some(CpuClock {
            // SAFETY: `u64` of an `rq`.
            updated_ns: unsafe { read(rq, offset!(rq_clock)) },
            // SAFETY: `u64` of an `rq`.
            stolen_ns: unsafe { read(rq, offset!(rq_stolen)) },
        })
    }

    /// How long it has waited for CPUs so far, ns; 0 where the kernel keeps no account of that.
    #[inline(always)]
    pub(crate) fn queued_ns(self) -> u64 {
        if offset!(account.queued) == Offsets::ABSENT {
            return 0;
        }
        // SAFETY: `unsigned long long` of a task.
        unsafe { read(self.0, offset!(account.queued)) }
    }

    /// When it last got a CPU, ns of the scheduler's clock, if the kernel keeps an account of that.
    #[inline(always)]
    pub(crate) fn got_cpu_ns(self) -> Option<u64> {
        if offset!(account.got_cpu) == Offsets::ABSENT {
            return None;
        }
        // SAFETY: `unsigned long long` of a task.
        Some(unsafe { read(self.0, offset!(account.got_cpu)) })
    }

    /// How long CPU quotas of its control groups have kept threads waiting so far, ns, over all CPUs. The kernel adds
    /// an interval when it ends.
    #[inline(always)]
    pub(crate) fn throttled_ns(self) -> u64 {
        if offset!(task_group) == Offsets::ABSENT {
            return 0;
        }
        // SAFETY: pointer field of a task, followed by the verifier.
        let mut group: *const c_void = unsafe { read(self.0, offset!(task_group)) };
        let mut total = 0;
        let mut level = 0;
        while level < QUOTA_GROUPS && !group.is_null() {
            // SAFETY: `u64` of a `task_group`.
            total += unsafe { read::<u64>(group, offset!(group_throttled)) };
            // SAFETY: pointer field of a `task_group`, followed by the verifier; null in the root group.
            group = unsafe { read(group, offset!(group_parent)) };
            level += 1;
        }
        total
    }

    /// Whether no thread of its process is left.
    #[inline(always)]
    pub(crate) fn group_dead(self) -> bool {
        // SAFETY: pointer field of a task, followed by the verifier.
        let signal: *const c_void = unsafe { read(self.0, offset!(task_signal)) };
        // SAFETY: `atomic_t` of a `signal_struct`.
        unsafe { read::<i32>(signal, offset!(signal_live)) == 0 }
    }

    /// Resident pages of its process, as `/proc/PID/statm` counts them, less what other CPUs hold back (up to
    /// some dozens of pages each). 0 for a thread without memory of its own.
    #[inline(always)]
    pub(crate) fn rss_pages(self) -> u32 {
        // SAFETY: pointer field of a task, followed by the verifier; reads through null give 0.
        let mm: *const c_void = unsafe { read(self.0, offset!(task_mm)) };
        if mm.is_null() {
            return 0;
        }
        // Of the branches the verifier sees only the one that the constant leads to.
        match offset!(mm_rss_access) {
            rss::FIELDS => {
                // SAFETY: 64-bit counter of an `mm_struct`.
                let file: i64 = unsafe { read(mm, offset!(mm_rss_file)) };
                // SAFETY: 64-bit counter of an `mm_struct`.
                let anon: i64 = unsafe { read(mm, offset!(mm_rss_anon)) };
                // SAFETY: 64-bit counter of an `mm_struct`.
                let shmem: i64 = unsafe { read(mm, offset!(mm_rss_shmem)) };
                (file + anon + shmem) as u32
            }
            rss::COPY => {
                let counter = |offset| copy_counter(mm.wrapping_byte_add(offset as usize));
                (counter(offset!(mm_rss_file))
                    + counter(offset!(mm_rss_anon))
                    + counter(offset!(mm_rss_shmem))) as u32
            }
            _ => 0,
        }
    }

    /// The registers that it saved when it last entered the kernel.
    #[inline(always)]
    pub(crate) fn registers(self) -> Registers {
        // SAFETY: a task pointer that the verifier knows.
        Registers(unsafe { bpf_task_pt_regs(self.0.cast_mut().cast()) } as *const c_void)
    }
}

/// What the scheduler knew of a CPU when it last looked at its clocks: at switches and ticks.
#[derive(Clone, Copy)]
pub(crate) struct CpuClock {
    /// When that was, ns of the scheduler's own clock, which runs as fast as `CLOCK_MONOTONIC`.
    pub(crate) updated_ns: u64,
    /// What the hypervisor had taken of the CPU by then, ns since the machine began; 0 where it does not tell.
    pub(crate) stolen_ns: u64,
}
