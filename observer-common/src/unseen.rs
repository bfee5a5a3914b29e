//! The record of a switch that made no event.

use crate::record::Header;

records! {
    /// A watched thread has a CPU and was not seen to get it. By the kernel's account:
    OnCpuSince: 48 {
        /// `tid`: the thread.
        header: Header,
        /// Its process.
        tgid: u32,
        /// Zero.
        reserved: u32,
        /// Since when it has the CPU, ns.
        since_ns: u64,
        /// How long it had waited for CPUs by then, in all its life, ns.
        queued_ns: u64,
        /// How long CPU quotas of its control groups have kept threads waiting so far, ns, over all CPUs.
        throttled_ns: u64,
    }
}
