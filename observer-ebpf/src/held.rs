//! Bytes that TCP still holds when a send call returns, and when they left.
//!
//! Where nothing is unsent, a send costs two loads more. Where something is, the socket is marked, and the next time
//! that anything happens on it the kernel's own clocks of the socket tell when the last byte left: no hook watches it
//! leave.

use observer_common::{Held, Kind, Left, flags};

use crate::{
    kernel::{Sending, Sock},
    ring,
    socket::{self, SocketState},
    word::Word,
};

/// What is remembered of a socket with unsent bytes.
#[repr(C)]
pub(crate) struct Mark {
    /// End of the send call that left them; 0 when there are none.
    sent_ns: Word<u64>,
    /// Sequence number after the last of them.
    end: Word<u32>,
    /// Segments without data that had left then.
    without_data: Word<u32>,
    /// Segments that had left again.
    retransmitted: Word<u32>,
}

impl SocketState {
    /// A send call has returned, of a thread with this id: marks the socket, and records it, where bytes are unsent.
    #[inline(always)]
    pub(crate) fn sent(&self, sock: Sock, tgid: u32, tid: u32, at_ns: u64) {
        // An earlier one is no more the last.
        self.held.forget();
        if self.opened.get() == flags::OUTBOUND {
            // What is held of a request to a peer is part of waiting for its answer.
            return;
        }
        let Some(sending) = sock.sending() else { return };
        let end = sending.write_seq();
        let unsent_bytes = sending.unsent_before(end);
        if unsent_bytes == 0 {
            return;
        }
        self.held.set(at_ns, end, sending);
        let room_end = sending.snd_una().wrapping_add(sending.snd_wnd());
        let left = end.wrapping_sub(unsent_bytes);
        let (local_addr, remote_addr) = socket::addresses(sock);
        ring::write(
            at_ns,
            Held {
                header: ring::header(Kind::Held, tid, at_ns),
                conn: self.conn.get(),
                sent_ns: at_ns,
                unsent_bytes,
                window_bytes: (room_end.wrapping_sub(left) as i32).max(0) as u32,
                in_flight: sending.packets_out(),
                congestion_window: sending.snd_cwnd(),
                segment_bytes: sending.mss_cache(),
                nagle: sending.nagle(),
                paced: u32::from(sending.keeps_a_rate() && sending.last_segment_ns() > at_ns),
                tgid,
                local_addr,
                remote_addr,
                family: sock.family(),
                local_port: sock.local_port(),
                remote_port: sock.remote_port(),
                reserved: 0,
            },
        );
    }

    /// Something happened on the socket: if what it held has left, that is recorded.
    #[inline(always)]
    pub(crate) fn look_at_held(&self, sock: Sock, at_ns: u64) {
        if self.held.sent_ns.get() == 0 {
            return;
        }
        let Some(sending) = sock.sending() else { return };
        if sending.unsent_before(self.held.end.get()) > 0 {
            return;
        }
        let (left_ns, flags) = self.held.left(sending);
        // The kernel reads its clock when it begins to handle a packet, and keeps microseconds of some times.
        let left_ns = left_ns.min(at_ns).max(self.held.sent_ns.get());
        ring::write(
            at_ns,
            Left {
                header: ring::header(Kind::Left, 0, at_ns),
                conn: self.conn.get(),
                sent_ns: self.held.sent_ns.get(),
                left_ns,
                flags,
                reserved: 0,
            },
        );
        self.held.forget();
    }
}

impl Mark {
    /// Marks what this send left. Something may happen on the socket meanwhile, on another CPU: it is marked when all
    /// of the mark is there.
    #[inline(always)]
    fn set(&self, sent_ns: u64, end: u32, sending: Sending) {
        self.end.set(end);
        self.without_data.set(sending.segments_without_data());
        self.retransmitted.set(sending.total_retrans());
        self.sent_ns.set(sent_ns);
    }

    #[inline(always)]
    fn forget(&self) {
        self.sent_ns.set(0);
    }

    /// When the last byte left, and whether that is only a bound. All of them have.
    #[inline(always)]
    fn left(&self, sending: Sending) -> (u64, u32) {
        let left_again = sending.total_retrans() != self.retransmitted.get();
        let (left_ns, is_bound) = if sending.acknowledged(self.end.get()) {
            (sending.last_acknowledged_left_ns(), left_again)
        } else {
            let other = sending.segments_without_data() != self.without_data.get();
            (
                sending.last_segment_ns(),
                left_again || other || sending.keeps_a_rate(),
            )
        };
        (left_ns, if is_bound { flags::AT_THE_LATEST } else { 0 })
    }
}
