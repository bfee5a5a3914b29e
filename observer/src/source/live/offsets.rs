//! Finds the kernel fields that the kernel half reads, in the running kernel's BTF.

use std::fs;
use std::io::ErrorKind;

use anyhow::{Context as _, Result, bail};
use observer_common::{AccountOffsets, Offsets, SendingOffsets, rss};

use super::types::Types;

/// Where the kernel publishes its types (`CONFIG_DEBUG_INFO_BTF`).
pub const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";

/// `MM_FILEPAGES`, `MM_ANONPAGES`, `MM_SHMEMPAGES` of `include/linux/mm_types_task.h`.
const RSS_COUNTERS: [u32; 3] = [0, 1, 3];

/// The running kernel's types.
///
/// # Errors
/// When the kernel publishes none.
pub fn kernel_btf() -> Result<Types> {
    let bytes = match fs::read(KERNEL_BTF) {
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            "there is no {KERNEL_BTF}: run a kernel built with CONFIG_DEBUG_INFO_BTF=y, as distributions have it, with \
             sysfs mounted"
        ),
        read => read.with_context(|| format!("cannot read {KERNEL_BTF}"))?,
    };
    Types::parse(&bytes).with_context(|| format!("{KERNEL_BTF} is damaged, or newer than this observer"))
}

/// Offsets of all fields that the kernel half reads.
///
/// # Errors
/// Names the first structure or field that this kernel does not have.
pub fn resolve(btf: &Types) -> Result<Offsets> {
    let ([mm_rss_file, mm_rss_anon, mm_rss_shmem], mm_rss_access) = resident_memory(btf)?;
    let [task_cfs_rq, cfs_rq_rq, rq_clock, rq_stolen] = stolen_time(btf).unwrap_or([Offsets::ABSENT; 4]);
    let [task_group, group_parent, group_throttled] = quota(btf).unwrap_or([Offsets::ABSENT; 3]);
    Ok(Offsets {
        task_pid: task(btf, "pid")?,
        task_tgid: task(btf, "tgid")?,
        task_comm: task(btf, "comm")?,
        task_mm: task(btf, "mm")?,
        task_signal: task(btf, "signal")?,
        task_fsbase: task(btf, "thread.fsbase")?,
        task_min_flt: task(btf, "min_flt")?,
        task_maj_flt: task(btf, "maj_flt")?,
        task_runtime: task(btf, "se.sum_exec_runtime")?,
        task_runtime_at_pick: task(btf, "se.prev_sum_exec_runtime")?,
        task_cfs_rq,
        cfs_rq_rq,
        rq_clock,
        rq_stolen,
        task_group,
        group_parent,
        group_throttled,
        signal_live: field(btf, "signal_struct", "live")?,
        mm_rss_file,
        mm_rss_anon,
        mm_rss_shmem,
        sock_local_port: sock(btf, "skc_num")?,
        sock_remote_port: sock(btf, "skc_dport")?,
        sock_family: sock(btf, "skc_family")?,
        sock_state: sock(btf, "skc_state")?,
        sock_local_v4: sock(btf, "skc_rcv_saddr")?,
        sock_remote_v4: sock(btf, "skc_daddr")?,
        sock_local_v6: sock(btf, "skc_v6_rcv_saddr")?,
        sock_remote_v6: sock(btf, "skc_v6_daddr")?,
        sock_net: sock(btf, "skc_net.net").unwrap_or(Offsets::ABSENT),
        net_inum: field(btf, "net", "ns.inum")?,
        sock_protocol: field(btf, "sock", "sk_protocol")?,
        task_prio: task(btf, "prio")?,
        account: account(btf).unwrap_or(AccountOffsets::ABSENT),
        sock_storage: field(btf, "sock", "sk_bpf_storage").unwrap_or(Offsets::ABSENT),
        sock_backlog: field(btf, "sock", "sk_max_ack_backlog")?,
        socket_sock: field(btf, "socket", "sk")?,
        tcp_rcv_nxt: tcp(btf, "rcv_nxt")?,
        tcp_copied_seq: tcp(btf, "copied_seq")?,
        tcp_snd_una: tcp(btf, "snd_una")?,
        tcp_snd_nxt: tcp(btf, "snd_nxt")?,
        tcp_bytes_acked: tcp(btf, "bytes_acked")?,
        tcp_bytes_sent: tcp(btf, "bytes_sent")?,
        tcp_bytes_retrans: tcp(btf, "bytes_retrans")?,
        regs_syscall: regs(btf, "orig_ax")?,
        regs_arg0: regs(btf, "di")?,
        regs_arg1: regs(btf, "si")?,
        regs_arg2: regs(btf, "dx")?,
        regs_arg3: regs(btf, "r10")?,
        regs_ip: regs(btf, "ip")?,
        regs_sp: regs(btf, "sp")?,
        regs_bp: regs(btf, "bp")?,
        mm_rss_access,
        sending: sending(btf).unwrap_or(SendingOffsets::ABSENT),
    })
}

/// What tells of bytes that TCP has not sent.
///
/// # Errors
/// Names the first field that this kernel does not have.
pub fn sending(btf: &Types) -> Result<SendingOffsets> {
    let nonagle = btf.offset_bits("tcp_sock", "nonagle")?;
    Ok(SendingOffsets {
        write_seq: tcp(btf, "write_seq")?,
        snd_nxt: tcp(btf, "snd_nxt")?,
        snd_una: tcp(btf, "snd_una")?,
        snd_wnd: tcp(btf, "snd_wnd")?,
        snd_cwnd: tcp(btf, "snd_cwnd")?,
        packets_out: tcp(btf, "packets_out")?,
        mss_cache: tcp(btf, "mss_cache")?,
        nonagle: nonagle / 8,
        nonagle_shift: nonagle % 8,
        segs_out: tcp(btf, "segs_out")?,
        data_segs_out: tcp(btf, "data_segs_out")?,
        total_retrans: tcp(btf, "total_retrans")?,
        wstamp_ns: tcp(btf, "tcp_wstamp_ns")?,
        first_tx_us: tcp(btf, "first_tx_mstamp")?,
        pacing_status: field(btf, "sock", "sk_pacing_status")?,
        reserved: 0,
    })
}

/// The way from a thread to what a hypervisor took of its CPU. Kernels without `CONFIG_PARAVIRT_TIME_ACCOUNTING` do not
/// account that.
fn stolen_time(btf: &Types) -> Result<[u32; 4]> {
    Ok([
        field(btf, "task_struct", "se.cfs_rq")?,
        field(btf, "cfs_rq", "rq")?,
        field(btf, "rq", "clock")?,
        field(btf, "rq", "prev_steal_time_rq")?,
    ])
}

/// The kernel's account of a thread's waits for CPUs. Kernels without `CONFIG_SCHED_INFO` keep none.
fn account(btf: &Types) -> Result<AccountOffsets> {
    Ok(AccountOffsets {
        got_cpu: task(btf, "sched_info.last_arrival")?,
        queued: task(btf, "sched_info.run_delay")?,
    })
}

/// The way from a thread to how long its control group's quota has held it up, and to the group above. Kernels without
/// `CONFIG_CFS_BANDWIDTH` do not account that.
fn quota(btf: &Types) -> Result<[u32; 3]> {
    Ok([
        task(btf, "sched_task_group")?,
        field(btf, "task_group", "parent")?,
        field(btf, "task_group", "cfs_bandwidth.throttled_time")?,
    ])
}

/// The resident-memory counters and how to read them: an array of `percpu_counter` since Linux 6.2, of
/// `atomic_long_t` before.
fn resident_memory(btf: &Types) -> Result<([u32; 3], u32)> {
    let (base, element, count, access) = match field(btf, "mm_struct", "rss_stat.count") {
        Ok(base) if aya::features().bpf_probe_read_kernel() => (base, 8, 0, rss::COPY),
        Ok(base) => (base, 8, 0, rss::NONE),
        Err(_) => (
            field(btf, "mm_struct", "rss_stat")?,
            btf.size("percpu_counter")?,
            field(btf, "percpu_counter", "count")?,
            rss::FIELDS,
        ),
    };
    Ok((RSS_COUNTERS.map(|index| base + index * element + count), access))
}

fn task(btf: &Types, path: &str) -> Result<u32> {
    field(btf, "task_struct", path)
}

fn sock(btf: &Types, path: &str) -> Result<u32> {
    field(btf, "sock_common", path)
}

fn tcp(btf: &Types, path: &str) -> Result<u32> {
    field(btf, "tcp_sock", path)
}

fn regs(btf: &Types, path: &str) -> Result<u32> {
    field(btf, "pt_regs", path)
}

/// Offset of `path` (`member.member`) from the start of a structure, bytes.
fn field(btf: &Types, structure: &str, path: &str) -> Result<u32> {
    Ok(btf.offset_bits(structure, path)? / 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_found_in_the_running_kernel() {
        let Ok(btf) = kernel_btf() else {
            println!("skipped: this kernel publishes no BTF");
            return;
        };
        let offsets = resolve(&btf).unwrap();
        assert_ne!(offsets.task_tgid, offsets.task_pid);
        assert!(offsets.mm_rss_file < offsets.mm_rss_anon && offsets.mm_rss_anon < offsets.mm_rss_shmem);
        assert!(sending(&btf).is_ok_and(|sending| sending.snd_nxt != sending.write_seq));
        assert!(field(&btf, "task_struct", "no_such_field").is_err());
    }
}
