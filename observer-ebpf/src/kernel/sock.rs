//! A socket: its two ends, its state, and how far its receive queue was read.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{bpf_skc_to_tcp_sock, bpf_sock_from_file};
use observer_common::{Offsets, limits::ANY_NETWORK};

use super::{OFFSETS, constant, read};

/// A `struct sock *` that the verifier knows.
#[derive(Clone, Copy)]
pub(crate) struct Sock(pub(super) *const c_void);

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
        let offset = offset!(sock_storage);
        if offset == Offsets::ABSENT {
            return true;
        }
        // SAFETY: pointer field of a `sock`.
        let storage: *const c_void = unsafe { read(self.0, offset) };
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
    pub(super) fn tcp(self) -> Option<*const c_void> {
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
