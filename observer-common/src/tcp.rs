//! TCP states as the kernel numbers them (`include/net/tcp_states.h`) and address families.

/// Connection established.
pub const ESTABLISHED: u8 = 1;
/// Client has sent its SYN.
pub const SYN_SENT: u8 = 2;
/// Server has answered a SYN.
pub const SYN_RECV: u8 = 3;
/// This side has closed first.
pub const FIN_WAIT1: u8 = 4;
/// No connection.
pub const CLOSE: u8 = 7;
/// The peer has closed its direction.
pub const CLOSE_WAIT: u8 = 8;
/// Both have closed, the peer first.
pub const LAST_ACK: u8 = 9;
/// Waiting for connections.
pub const LISTEN: u8 = 10;
/// Both have closed at once.
pub const CLOSING: u8 = 11;

/// `AF_INET`.
pub const AF_INET: u16 = 2;
/// `AF_INET6`.
pub const AF_INET6: u16 = 10;

/// Bits of `tcp_sock.nonagle` (`include/linux/tcp.h`).
pub mod nagle {
    /// `TCP_NODELAY`: Nagle's algorithm is off.
    pub const OFF: u32 = 1;
    /// `TCP_CORK`: only full segments may leave.
    pub const CORK: u32 = 2;
}
