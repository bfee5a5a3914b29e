//! The only module that reads kernel structures.
//!
//! aya has no CO-RE for Rust programs, and `bpf_probe_read_kernel` is refused under lockdown. Fields are read
//! directly through the BTF-typed pointers that tracepoints hand over: `*(pointer + offset)`, where the offset
//! is a load-time constant. The verifier knows the constant's value (the map behind it is frozen), checks the
//! access against the structure's BTF, and turns a fault into a zero. The one exception is resident memory before
//! Linux 6.2, see [`observer_common::rss`].

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{
    bpf_get_current_task_btf, bpf_probe_read_kernel, bpf_skc_to_tcp_sock, bpf_sock_from_file,
    bpf_task_pt_regs,
};
use observer_common::{
    Offsets,
    limits::{ANY_NETWORK, COMM_BYTES, QUOTA_GROUPS},
    rss,
};

/// Set by userspace before load, see [`observer_common::names::constant::OFFSETS`].
#[unsafe(no_mangle)]
static OFFSETS: Offsets = Offsets::UNSET;

/// The value of one field of [`OFFSETS`].
macro_rules! offset {
    ($($field:ident).+) => {
        constant(&raw const OFFSETS.$($field).+)
    };
}

mod sending;

pub(crate) use sending::Sending;

/// Reads a load-time constant so that the compiler does not fold its placeholder in.
#[inline(always)]
fn constant(field: *const u32) -> u32 {
    // SAFETY: only called with a valid, aligned field of a static.
    unsafe { core::ptr::read_volatile(field) }
}

/// Reads a `T` that stands `offset` bytes after `base`.
///
/// # Safety
/// `base` must be a pointer that the verifier tracks with its BTF type, and the field must be a `T`.
#[inline(always)]
unsafe fn read<T: Copy>(base: *const c_void, offset: u32) -> T {
    // SAFETY: the verifier checks the access against the structure's type; a bad address reads as zero.
    unsafe { core::ptr::read_volatile(base.cast::<u8>().wrapping_add(offset as usize).cast::<T>()) }
}

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

    /// How long it has run since it last got a CPU, ns. The fair class only; 0 elsewhere.
    #[inline(always)]
    pub(crate) fn ran_ns(self) -> u64 {
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

    /// How long CPU quotas of its control groups have kept threads waiting so far, ns, over all CPUs. The kernel adds
    /// a stretch when it ends.
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

/// A `struct pt_regs *`: which system call a thread is in, and with which arguments.
#[derive(Clone, Copy)]
pub(crate) struct Registers(*const c_void);

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

/// A `struct sock *` that the verifier knows.
#[derive(Clone, Copy)]
pub(crate) struct Sock(*const c_void);

impl Sock {
    /// # Safety
    /// `pointer` must be a socket argument of a BTF tracepoint, `fentry` or `fexit` program.
    #[inline(always)]
    pub(crate) unsafe fn new(pointer: *const c_void) -> Self {
        Self(pointer)
    }

    /// The socket behind a file, if it is one.
    ///
    /// # Safety
    /// `file` must be a file argument of an iterator, and not null.
    #[inline(always)]
    pub(crate) unsafe fn of_file(file: *const c_void) -> Option<Self> {
        // SAFETY: a file that the verifier knows, as promised by the caller.
        let socket = unsafe { bpf_sock_from_file(file.cast_mut().cast()) } as *const c_void;
        if socket.is_null() {
            return None;
        }
        // SAFETY: pointer field of a `socket`, followed by the verifier.
        let sock: *const c_void = unsafe { read(socket, offset!(socket_sock)) };
        (!sock.is_null()).then_some(Self(sock))
    }

    #[inline(always)]
    pub(crate) fn as_ptr(self) -> *mut c_void {
        self.0.cast_mut()
    }

    #[inline(always)]
    pub(crate) fn is_null(self) -> bool {
        self.0.is_null()
    }

    #[inline(always)]
    pub(crate) fn is_tcp(self) -> bool {
        const IPPROTO_TCP: u16 = 6;
        // SAFETY: `u16` of a `sock`.
        unsafe { read::<u16>(self.0, offset!(sock_protocol)) == IPPROTO_TCP }
    }

    #[inline(always)]
    pub(crate) fn state(self) -> u8 {
        // SAFETY: `unsigned char` of a `sock_common`.
        unsafe { read(self.0, offset!(sock_state)) }
    }

    #[inline(always)]
    pub(crate) fn family(self) -> u16 {
        // SAFETY: `unsigned short` of a `sock_common`.
        unsafe { read(self.0, offset!(sock_family)) }
    }

    #[inline(always)]
    pub(crate) fn local_port(self) -> u16 {
        // SAFETY: `u16` of a `sock_common`, host order.
        unsafe { read(self.0, offset!(sock_local_port)) }
    }

    #[inline(always)]
    pub(crate) fn remote_port(self) -> u16 {
        // SAFETY: `u16` of a `sock_common`, network order.
        u16::from_be(unsafe { read::<u16>(self.0, offset!(sock_remote_port)) })
    }

    #[inline(always)]
    pub(crate) fn local_v4(self) -> [u8; 4] {
        // SAFETY: `u32` of a `sock_common`, network order.
        unsafe { read::<u32>(self.0, offset!(sock_local_v4)) }.to_ne_bytes()
    }

    #[inline(always)]
    pub(crate) fn remote_v4(self) -> [u8; 4] {
        // SAFETY: `u32` of a `sock_common`, network order.
        unsafe { read::<u32>(self.0, offset!(sock_remote_v4)) }.to_ne_bytes()
    }

    /// The number of its network namespace.
    #[inline(always)]
    pub(crate) fn network(self) -> u32 {
        if offset!(sock_net) == Offsets::ABSENT {
            return ANY_NETWORK;
        }
        // SAFETY: pointer field of a `sock_common`, followed by the verifier; reads through null give 0.
        let network: *const c_void = unsafe { read(self.0, offset!(sock_net)) };
        if network.is_null() {
            return ANY_NETWORK;
        }
        // SAFETY: `unsigned int` of a `net`.
        unsafe { read(network, offset!(net_inum)) }
    }

    /// Whether a program may keep something with it: to look for that takes longer than to see that nobody does.
    #[inline(always)]
    pub(crate) fn may_have_storage(self) -> bool {
        if offset!(sock_storage) == Offsets::ABSENT {
            return true;
        }
        // SAFETY: pointer field of a `sock`.
        let storage: *const c_void = unsafe { read(self.0, offset!(sock_storage)) };
        !storage.is_null()
    }

    #[inline(always)]
    fn v6(self, offset: u32) -> [u8; 16] {
        let mut words = [0_u32; 4];
        let mut index = 0;
        while index < words.len() {
            // SAFETY: `in6_addr` of a `sock_common`, as four words.
            words[index] = unsafe { read(self.0, offset + 4 * index as u32) };
            index += 1;
        }
        // SAFETY: both are sixteen plain bytes.
        unsafe { core::mem::transmute(words) }
    }

    #[inline(always)]
    pub(crate) fn local_v6(self) -> [u8; 16] {
        self.v6(offset!(sock_local_v6))
    }

    #[inline(always)]
    pub(crate) fn remote_v6(self) -> [u8; 16] {
        self.v6(offset!(sock_remote_v6))
    }

    /// The same socket as a `struct tcp_sock *`, if it is one.
    #[inline(always)]
    fn tcp(self) -> Option<*const c_void> {
        // SAFETY: a socket pointer that the verifier knows.
        let tcp = unsafe { bpf_skc_to_tcp_sock(self.as_ptr()) } as *const c_void;
        (!tcp.is_null()).then_some(tcp)
    }

    /// The backlog of the listener that it came from, or that it is: a connection that was accepted is a copy of its
    /// listener. 0 where it was opened by this side, and where the listener's is.
    #[inline(always)]
    pub(crate) fn backlog(self) -> u32 {
        // SAFETY: `u32` of a `sock`.
        unsafe { read(self.0, offset!(sock_backlog)) }
    }

    /// How many sequence numbers it has sent that were no bytes: one for the request to connect, where this side has
    /// connected, and one for the end, where this side has ended.
    #[inline(always)]
    pub(crate) fn control_numbers(self) -> Option<u32> {
        let tcp = self.tcp()?;
        // SAFETY: `u64` of a `tcp_sock`; the low half is enough for a difference.
        let sent = unsafe { read::<u64>(tcp, offset!(tcp_bytes_sent)) } as u32;
        // SAFETY: as above.
        let again = unsafe { read::<u64>(tcp, offset!(tcp_bytes_retrans)) } as u32;
        // SAFETY: as above.
        let acknowledged = unsafe { read::<u64>(tcp, offset!(tcp_bytes_acked)) } as u32;
        // SAFETY: `u32` of a `tcp_sock`.
        let first_open: u32 = unsafe { read(tcp, offset!(tcp_snd_una)) };
        // SAFETY: `u32` of a `tcp_sock`.
        let next: u32 = unsafe { read(tcp, offset!(tcp_snd_nxt)) };
        let numbers = acknowledged.wrapping_add(next.wrapping_sub(first_open));
        Some(numbers.wrapping_sub(sent.wrapping_sub(again)))
    }

    /// Sequence numbers of the receive queue: what the application took up to, and what has come up to.
    #[inline(always)]
    pub(crate) fn receive_sequence(self) -> Option<ReceiveSequence> {
        let tcp = self.tcp()?;
        Some(ReceiveSequence {
            // SAFETY: `u32` of a `tcp_sock`.
            copied: unsafe { read(tcp, offset!(tcp_copied_seq)) },
            // SAFETY: `u32` of a `tcp_sock`.
            received: unsafe { read(tcp, offset!(tcp_rcv_nxt)) },
        })
    }
}

/// Where a TCP receive queue begins and ends, as sequence numbers.
#[derive(Clone, Copy)]
pub(crate) struct ReceiveSequence {
    pub(crate) copied: u32,
    pub(crate) received: u32,
}

impl ReceiveSequence {
    /// Nothing is left to read. (A FIN counts as one byte, so a closed stream is never drained: harmless.)
    #[inline(always)]
    pub(crate) fn drained(self) -> bool {
        self.copied == self.received
    }

    /// The application took everything before sequence number `mark`.
    #[inline(always)]
    pub(crate) fn passed(self, mark: u32) -> bool {
        self.copied.wrapping_sub(mark) as i32 >= 0
    }
}
