//! Where the kernel half finds the kernel's fields.

/// `MAX_RT_PRIO`: threads of the fair class have this priority or a greater number, those that go before them a smaller
/// one.
pub const FAIR_PRIO: i32 = 100;

records! {
    /// Where the kernel fields that the programs read are, in bytes from the start of their structure.
    ///
    /// Resolved by userspace from the running kernel's BTF, set before load. [`Offsets::ABSENT`] marks a field
    /// that this kernel does not have.
    Offsets: 280 {
        /// `task_struct.pid`: the thread id.
        task_pid: u32,
        /// `task_struct.tgid`: the process id.
        task_tgid: u32,
        /// `task_struct.comm`.
        task_comm: u32,
        /// `task_struct.mm`.
        task_mm: u32,
        /// `task_struct.signal`.
        task_signal: u32,
        /// `task_struct.thread.fsbase`: where the thread's own variables are.
        task_fsbase: u32,
        /// `task_struct.min_flt`.
        task_min_flt: u32,
        /// `task_struct.maj_flt`.
        task_maj_flt: u32,
        /// `task_struct.se.sum_exec_runtime`: time on a CPU so far, ns.
        task_runtime: u32,
        /// `task_struct.se.prev_sum_exec_runtime`: the same when it last got a CPU, ns; only the fair class sets it.
        task_runtime_at_pick: u32,
        /// `task_struct.se.cfs_rq`: the queue of its group on its CPU; absent where stolen time is not accounted, as
        /// are the three that follow.
        task_cfs_rq: u32,
        /// `cfs_rq.rq`: the CPU's queue.
        cfs_rq_rq: u32,
        /// `rq.clock`: when it was last brought up to date, ns of the scheduler's clock.
        rq_clock: u32,
        /// `rq.prev_steal_time_rq`: what the hypervisor had taken of the CPU by then, ns.
        rq_stolen: u32,
        /// `task_struct.sched_task_group`; absent in kernels without CPU quotas.
        task_group: u32,
        /// `task_group.parent`.
        group_parent: u32,
        /// `task_group.cfs_bandwidth.throttled_time`, ns.
        group_throttled: u32,
        /// `signal_struct.live`: threads that have not exited.
        signal_live: u32,
        /// `mm_struct.rss_stat`, file pages.
        mm_rss_file: u32,
        /// `mm_struct.rss_stat`, anonymous pages.
        mm_rss_anon: u32,
        /// `mm_struct.rss_stat`, shared memory pages.
        mm_rss_shmem: u32,
        /// `sock_common.skc_num`: local port, host order.
        sock_local_port: u32,
        /// `sock_common.skc_dport`: remote port, network order.
        sock_remote_port: u32,
        /// `sock_common.skc_family`.
        sock_family: u32,
        /// `sock_common.skc_state`.
        sock_state: u32,
        /// `sock_common.skc_rcv_saddr`: local IPv4 address.
        sock_local_v4: u32,
        /// `sock_common.skc_daddr`: remote IPv4 address.
        sock_remote_v4: u32,
        /// `sock_common.skc_v6_rcv_saddr`.
        sock_local_v6: u32,
        /// `sock_common.skc_v6_daddr`.
        sock_remote_v6: u32,
        /// `sock_common.skc_net.net`; absent in kernels without network namespaces.
        sock_net: u32,
        /// `net.ns.inum`: the number of a network namespace.
        net_inum: u32,
        /// `sock.sk_protocol`.
        sock_protocol: u32,
        /// `sock.sk_bpf_storage`: what programs keep with it, if any do. Optional.
        sock_storage: u32,
        /// `sock.sk_max_ack_backlog`: what `listen` was called with, which accepted connections inherit.
        sock_backlog: u32,
        /// `socket.sk`.
        socket_sock: u32,
        /// `tcp_sock.rcv_nxt`: sequence number after the last byte received in order.
        tcp_rcv_nxt: u32,
        /// `tcp_sock.copied_seq`: sequence number after the last byte that the application took.
        tcp_copied_seq: u32,
        /// `tcp_sock.snd_una`: sequence number after the last byte that the peer has acknowledged.
        tcp_snd_una: u32,
        /// `tcp_sock.snd_nxt`: sequence number after the last byte that was sent.
        tcp_snd_nxt: u32,
        /// `tcp_sock.bytes_acked`: sequence numbers that the peer has acknowledged so far.
        tcp_bytes_acked: u32,
        /// `tcp_sock.bytes_sent`: bytes sent so far, those sent again included.
        tcp_bytes_sent: u32,
        /// `tcp_sock.bytes_retrans`: bytes sent again so far.
        tcp_bytes_retrans: u32,
        /// `pt_regs.orig_ax`: system call number.
        regs_syscall: u32,
        /// `pt_regs.di`: first argument.
        regs_arg0: u32,
        /// `pt_regs.si`: second argument.
        regs_arg1: u32,
        /// `pt_regs.dx`: third argument.
        regs_arg2: u32,
        /// `pt_regs.r10`: fourth argument.
        regs_arg3: u32,
        /// `pt_regs.ip`: the next instruction.
        regs_ip: u32,
        /// `pt_regs.sp`: the stack pointer.
        regs_sp: u32,
        /// `pt_regs.bp`.
        regs_bp: u32,
        /// How the `mm_rss` counters are read: an [`rss`] value.
        mm_rss_access: u32,
        /// What tells of bytes that TCP has not sent.
        sending: SendingOffsets,
        /// `task_struct.prio`, see [`FAIR_PRIO`].
        task_prio: u32,
        /// The kernel's account of a thread's waits for CPUs.
        account: AccountOffsets,
    }

    /// Fields of `task_struct.sched_info`. Both are [`Offsets::ABSENT`] in kernels without `CONFIG_SCHED_INFO`.
    AccountOffsets: 8 {
        /// `last_arrival`: when it last got a CPU, ns of the scheduler's clock.
        got_cpu: u32,
        /// `run_delay`: how long it has waited for CPUs so far, ns.
        queued: u32,
    }

    /// Fields of `tcp_sock`, and one of `sock`, that tell what TCP has not sent yet, and when it sent last. All of them
    /// are [`Offsets::ABSENT`] where this kernel lacks one.
    SendingOffsets: 64 {
        /// `write_seq`: sequence number after the last byte that the application gave.
        write_seq: u32,
        /// `snd_nxt`: sequence number after the last byte that left.
        snd_nxt: u32,
        /// `snd_una`: sequence number after the last byte that was acknowledged.
        snd_una: u32,
        /// `snd_wnd`: bytes after that which the peer has room for.
        snd_wnd: u32,
        /// `snd_cwnd`: congestion window, segments.
        snd_cwnd: u32,
        /// `packets_out`: segments in flight.
        packets_out: u32,
        /// `mss_cache`: bytes of a full segment.
        mss_cache: u32,
        /// The byte of the bit field `nonagle`.
        nonagle: u32,
        /// By how many bits that is shifted there.
        nonagle_shift: u32,
        /// `segs_out`: segments that left, wraps.
        segs_out: u32,
        /// `data_segs_out`: those of them that had data, wraps.
        data_segs_out: u32,
        /// `total_retrans`: those that left again.
        total_retrans: u32,
        /// `tcp_wstamp_ns`: when the last segment left, ns. Where a rate is kept, when the next may.
        wstamp_ns: u32,
        /// `first_tx_mstamp`: when the segment left that was acknowledged last, us.
        first_tx_us: u32,
        /// `sock.sk_pacing_status`: 0 where no rate is kept.
        pacing_status: u32,
        /// Zero.
        reserved: u32,
    }
}

/// Values of [`Offsets::mm_rss_access`].
pub mod rss {
    /// Not at all: resident memory is unknown.
    pub const NONE: u32 = 0;
    /// Through the typed pointer, as every other field.
    pub const FIELDS: u32 = 1;
    /// Copied by a helper. Before Linux 6.2 they are an array of `atomic_long_t`, and the verifier of that time
    /// follows no array whose elements are a typedef. Lockdown `confidentiality` refuses that helper.
    pub const COPY: u32 = 2;
}

impl Offsets {
    /// A field that this kernel does not have.
    pub const ABSENT: u32 = u32::MAX;

    /// Offsets before userspace has set them.
    pub const UNSET: Self = Self {
        task_pid: 0,
        task_tgid: 0,
        task_comm: 0,
        task_mm: 0,
        task_signal: 0,
        task_fsbase: 0,
        task_min_flt: 0,
        task_maj_flt: 0,
        task_runtime: 0,
        task_runtime_at_pick: 0,
        task_cfs_rq: 0,
        cfs_rq_rq: 0,
        rq_clock: 0,
        rq_stolen: 0,
        task_group: 0,
        group_parent: 0,
        group_throttled: 0,
        signal_live: 0,
        mm_rss_file: 0,
        mm_rss_anon: 0,
        mm_rss_shmem: 0,
        sock_local_port: 0,
        sock_remote_port: 0,
        sock_family: 0,
        sock_state: 0,
        sock_local_v4: 0,
        sock_remote_v4: 0,
        sock_local_v6: 0,
        sock_remote_v6: 0,
        sock_net: 0,
        net_inum: 0,
        sock_protocol: 0,
        sock_storage: 0,
        sock_backlog: 0,
        socket_sock: 0,
        tcp_rcv_nxt: 0,
        tcp_copied_seq: 0,
        tcp_snd_una: 0,
        tcp_snd_nxt: 0,
        tcp_bytes_acked: 0,
        tcp_bytes_sent: 0,
        tcp_bytes_retrans: 0,
        regs_syscall: 0,
        regs_arg0: 0,
        regs_arg1: 0,
        regs_arg2: 0,
        regs_arg3: 0,
        regs_ip: 0,
        regs_sp: 0,
        regs_bp: 0,
        mm_rss_access: rss::NONE,
        sending: SendingOffsets::ABSENT,
        task_prio: 0,
        account: AccountOffsets {
            got_cpu: 0,
            queued: 0,
        },
    };
}

impl AccountOffsets {
    /// What this kernel does not keep.
    pub const ABSENT: Self = Self {
        got_cpu: Offsets::ABSENT,
        queued: Offsets::ABSENT,
    };
}

impl SendingOffsets {
    /// What this kernel does not tell.
    pub const ABSENT: Self = Self {
        write_seq: Offsets::ABSENT,
        snd_nxt: Offsets::ABSENT,
        snd_una: Offsets::ABSENT,
        snd_wnd: Offsets::ABSENT,
        snd_cwnd: Offsets::ABSENT,
        packets_out: Offsets::ABSENT,
        mss_cache: Offsets::ABSENT,
        nonagle: Offsets::ABSENT,
        nonagle_shift: 0,
        segs_out: Offsets::ABSENT,
        data_segs_out: Offsets::ABSENT,
        total_retrans: Offsets::ABSENT,
        wstamp_ns: Offsets::ABSENT,
        first_tx_us: Offsets::ABSENT,
        pacing_status: Offsets::ABSENT,
        reserved: 0,
    };
}
