//! Records of bytes that TCP has taken from a send call and not sent. Written only where there are some.

use crate::record::Header;

records! {
    /// When a send call returned, TCP had bytes that it had not sent yet: written just before the [`crate::Send`].
    Held: 104 {
        /// `tid`: the thread that sent.
        header: Header,
        /// Socket cookie.
        conn: u64,
        /// End of the call, ns: when the [`crate::Send`] happened.
        sent_ns: u64,
        /// Bytes that the kernel took and that have never left.
        unsent_bytes: u32,
        /// Bytes beyond those that left for which the client has room.
        window_bytes: u32,
        /// Segments that left and were not acknowledged.
        in_flight: u32,
        /// The congestion window: how many there may be.
        congestion_window: u32,
        /// Bytes of a full segment.
        segment_bytes: u32,
        /// Bits of [`crate::tcp::nagle`].
        nagle: u32,
        /// 1 where the next segment may not leave yet, to keep a rate.
        paced: u32,
        /// Process of the thread.
        tgid: u32,
        /// Local address; IPv4 in the first four bytes.
        local_addr: [u8; 16],
        /// Remote address.
        remote_addr: [u8; 16],
        /// `AF_INET` or `AF_INET6`.
        family: u16,
        /// Local port.
        local_port: u16,
        /// Remote port.
        remote_port: u16,
        /// Zero.
        reserved: u16,
    }

    /// What TCP held when a send call returned has left, or was asked about and had not: that is told by userspace.
    Left: 48 {
        /// `tid`: 0.
        header: Header,
        /// Socket cookie.
        conn: u64,
        /// End of the call, as [`Held::sent_ns`].
        sent_ns: u64,
        /// When the last byte left, ns; 0 when it had not.
        left_ns: u64,
        /// [`crate::flags::AT_THE_LATEST`], [`crate::flags::TO_A_TICK`].
        flags: u32,
        /// Zero.
        reserved: u32,
    }
}
