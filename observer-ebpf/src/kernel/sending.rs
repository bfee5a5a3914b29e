//! What TCP has not sent yet on a socket, what keeps it from that, and when it sent last.
//!
//! Nothing is locked: another CPU can handle an acknowledgement between two of these reads.

use core::ffi::c_void;

use observer_common::Offsets;

use super::{OFFSETS, Sock, constant, read};

/// A `struct tcp_sock *` that the verifier knows, and its socket.
#[derive(Clone, Copy)]
pub(crate) struct Sending {
    tcp: *const c_void,
    sock: Sock,
}

/// A `u32` of the `tcp_sock`.
macro_rules! fields {
    ($($(#[$doc:meta])* $field:ident,)*) => {$(
        $(#[$doc])*
        #[inline(always)]
        pub(crate) fn $field(self) -> u32 {
            // SAFETY: `u32` of a `tcp_sock`.
            unsafe { read(self.tcp, offset!(sending.$field)) }
        }
    )*};
}

impl Sock {
    /// What it sends, where this kernel tells.
    #[inline(always)]
    pub(crate) fn sending(self) -> Option<Sending> {
        if offset!(sending.write_seq) == Offsets::ABSENT {
            return None;
        }
        Some(Sending {
            tcp: self.tcp()?,
            sock: self,
        })
    }
}

impl Sending {
    fields! {
        /// Sequence number after the last byte that the application gave.
        write_seq,
        /// Sequence number after the last byte that left.
        snd_nxt,
        /// Sequence number after the last byte that was acknowledged.
        snd_una,
        /// Bytes after that which the peer has room for.
        snd_wnd,
        /// Congestion window, segments.
        snd_cwnd,
        /// Segments in flight.
        packets_out,
        /// Bytes of a full segment.
        mss_cache,
        /// Segments that left again, so far.
        total_retrans,
    }

    /// Bytes before sequence number `end` that have never left.
    #[inline(always)]
    pub(crate) fn unsent_before(self, end: u32) -> u32 {
        (end.wrapping_sub(self.snd_nxt()) as i32).max(0) as u32
    }

    /// Whether everything before sequence number `end` was acknowledged.
    #[inline(always)]
    pub(crate) fn acknowledged(self, end: u32) -> bool {
        self.snd_una().wrapping_sub(end) as i32 >= 0
    }

    /// Bits of [`observer_common::tcp::nagle`], and others.
    #[inline(always)]
    pub(crate) fn nagle(self) -> u32 {
        // SAFETY: the byte of a bit field of a `tcp_sock`.
        let byte: u8 = unsafe { read(self.tcp, offset!(sending.nonagle)) };
        (u32::from(byte) >> (offset!(sending.nonagle_shift) & 7)) & 0xf
    }

    /// Segments without data that left, so far.
    #[inline(always)]
    pub(crate) fn segments_without_data(self) -> u32 {
        // SAFETY: `u32` of a `tcp_sock`.
        let all: u32 = unsafe { read(self.tcp, offset!(sending.segs_out)) };
        // SAFETY: `u32` of a `tcp_sock`.
        let with_data: u32 = unsafe { read(self.tcp, offset!(sending.data_segs_out)) };
        all.wrapping_sub(with_data)
    }

    /// When the last segment left, ns. Where a [rate](Self::keeps_a_rate) is kept, it is when the next may.
    #[inline(always)]
    pub(crate) fn last_segment_ns(self) -> u64 {
        // SAFETY: `u64` of a `tcp_sock`.
        unsafe { read(self.tcp, offset!(sending.wstamp_ns)) }
    }

    /// When the segment left, the last time, that was acknowledged last, ns; in steps of a microsecond.
    #[inline(always)]
    pub(crate) fn last_acknowledged_left_ns(self) -> u64 {
        // SAFETY: `u64` of a `tcp_sock`.
        unsafe { read::<u64>(self.tcp, offset!(sending.first_tx_us)) }.wrapping_mul(1000)
    }

    /// Whether segments leave at a rate that the congestion control wants.
    #[inline(always)]
    pub(crate) fn keeps_a_rate(self) -> bool {
        // SAFETY: `u32` of a `sock`.
        unsafe { read::<u32>(self.sock.0, offset!(sending.pacing_status)) != 0 }
    }
}
