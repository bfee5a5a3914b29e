//! Which side opened a connection, by what its socket keeps of that for its whole life: also of one that was open
//! before anybody watched, that another process accepted, or whose listener is gone.

use observer_common::{flags, tcp};

use crate::{kernel::Sock, socket};

/// [`flags::INBOUND`], [`flags::OUTBOUND`], or 0 where the socket does not tell.
#[inline(always)]
pub(crate) fn of(sock: Sock) -> u32 {
    let state = sock.state();
    if state == tcp::SYN_SENT {
        return flags::OUTBOUND;
    }
    if state == tcp::LISTEN || state == tcp::CLOSE {
        return 0;
    }
    // A listener's child is a copy of it.
    if state == tcp::SYN_RECV || sock.backlog() > 0 {
        return flags::INBOUND;
    }
    // `listen` was called with 0, or it was this side that connected: which then has sent one number more. In the
    // middle of a send the sum is too low, never too high.
    let ended = state != tcp::ESTABLISHED && state != tcp::CLOSE_WAIT;
    if sock.control_numbers() == Some(1 + u32::from(ended)) {
        flags::OUTBOUND
    } else if socket::is_watched_port(sock) {
        flags::INBOUND
    } else {
        0
    }
}
