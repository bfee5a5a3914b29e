//! What connections do: open, get bytes, are read, written and closed.

use bytemuck::Zeroable as _;
use observer::connections::protocol::http1;
use observer_common::limits::{REQUEST_HEAD_BYTES, RESPONSE_HEAD_BYTES};
use observer_common::{Connection, Held, Kind, Left, Receive, ReceiveHead, Send, SendHead, conn, flags, tcp};

use super::{Machine, PORT, pick};

/// Cookies from here on are of connections that the processes open.
pub(super) const FIRST_OUTBOUND: u64 = 1_000_000;

const EAGAIN: i32 = -11;

/// What clients say first.
const REQUESTS: [&[u8]; 6] = [
    b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
    b"POST /work?token=1 HTTP/1.1\r\ncontent-length: 9\r\n\r\n",
    b"GET /cut/in/the/target",
    b"\x16\x03\x01\x02\x00\x01\x00",
    b"",
    b"GE",
];

/// What servers say first.
const RESPONSES: [&[u8]; 5] = [
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.0 503 Ser",
    b"\x16\x03\x03",
    b"",
    b"HTTP/1.1 100 Con",
];

/// One TCP connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Socket {
    cookie: u64,
    state: u8,
    /// When the first unread byte became ready, ns.
    ready_ns: u64,
    unread: i32,
    accepted: bool,
    /// The application has read from it.
    read: bool,
    /// Something was sent since the last read: what is read next begins a turn.
    answered: bool,
    /// The last send, if it left bytes unsent, ns.
    held_ns: Option<u64>,
}

/// The descriptor of a connection.
pub(super) const fn fd(cookie: u64) -> i32 {
    (if cookie < FIRST_OUTBOUND {
        10 + cookie % 90
    } else {
        100 + cookie % 100
    }) as i32
}

/// Which side opened a connection, as its socket tells in every record.
const fn opened(cookie: u64) -> u32 {
    if cookie < FIRST_OUTBOUND {
        flags::INBOUND
    } else {
        flags::OUTBOUND
    }
}

impl Machine {
    /// All open connections.
    pub(super) fn conns(&self) -> Vec<u64> {
        self.inbound
            .iter()
            .chain(&self.outbound)
            .flatten()
            .map(|socket| socket.cookie)
            .collect()
    }

    fn socket(&mut self, cookie: u64) -> Option<&mut Socket> {
        self.inbound
            .iter_mut()
            .chain(&mut self.outbound)
            .flatten()
            .find(|socket| socket.cookie == cookie)
    }

    fn changes(&mut self, socket: Socket, new_state: u8, tid: u32, flags: u32) {
        let outbound = socket.cookie >= FIRST_OUTBOUND;
        let flags = flags | opened(socket.cookie);
        let event = Connection {
            header: self.header(Kind::Connection, tid, 0),
            conn: socket.cookie,
            tgid: 0,
            old_state: socket.state,
            new_state,
            family: if socket.cookie.is_multiple_of(2) {
                tcp::AF_INET
            } else {
                tcp::AF_INET6
            },
            local_port: if outbound { 40_000 } else { PORT },
            remote_port: if outbound { 5432 } else { 50_000 },
            flags,
            local_addr: [127; 16],
            remote_addr: [1; 16],
            reserved: 0,
        };
        self.record(&event);
        if let Some(socket) = self.socket(socket.cookie) {
            socket.state = new_state;
        }
    }

    fn new_socket(&mut self, state: u8, first: u64) -> Socket {
        self.cookies += 1;
        let cookie = first + self.cookies;
        Socket {
            cookie,
            state,
            ready_ns: 0,
            unread: 0,
            accepted: false,
            read: false,
            answered: true,
            held_ns: None,
        }
    }

    /// A client sends, on a new connection where it has none.
    pub(super) fn bytes_arrive(&mut self, who: u8, how: u8) {
        let slot = usize::from(who) % self.inbound.len();
        if self.inbound[slot].is_none() {
            let socket = self.new_socket(tcp::SYN_RECV, 0);
            self.inbound[slot] = Some(socket);
            match how % 8 {
                // It was there before, and nothing is announced of it.
                0 => {}
                1 | 2 => self.find(socket),
                _ => {
                    self.changes(socket, tcp::ESTABLISHED, 0, 0);
                    if how & 8 != 0 {
                        self.woken(who / 4, how, None, conn::LISTENER);
                    }
                }
            }
        }
        if let Some(Socket { cookie, .. }) = self.inbound[slot] {
            self.ready(cookie, who / 4, how);
        }
    }

    /// It was there before.
    fn find(&mut self, socket: Socket) {
        let state = tcp::ESTABLISHED;
        self.changes(Socket { state, ..socket }, state, 0, flags::FOUND);
    }

    /// A client's connection was there before, and its request had been read: an answer is the first that is seen.
    pub(super) fn find_mid_turn(&mut self, _who: u8, how: u8) {
        let Some(slot) = self.inbound.iter().position(Option::is_none) else {
            return;
        };
        let socket = self.new_socket(tcp::ESTABLISHED, 0);
        let socket = Socket {
            accepted: true,
            read: true,
            answered: false,
            ..socket
        };
        self.inbound[slot] = Some(socket);
        if !how.is_multiple_of(4) {
            self.find(socket);
        }
    }

    /// Bytes of a peer become ready.
    fn ready(&mut self, cookie: u64, who: u8, how: u8) {
        let at_ns = self.at_ns();
        let Some(socket) = self.socket(cookie) else { return };
        if socket.unread == 0 {
            socket.ready_ns = at_ns;
        }
        socket.unread += 1 + i32::from(how);
        if how & 1 != 0 {
            self.woken(who, how, None, cookie);
        }
    }

    pub(super) fn peer_answers(&mut self, who: u8, how: u8) {
        let cookies: Vec<_> = self
            .outbound
            .iter()
            .flatten()
            .map(|socket| socket.cookie)
            .collect();
        if let Some(cookie) = pick(&cookies, who) {
            self.ready(cookie, who / 4, how);
        }
    }

    pub(super) fn accept(&mut self, who: u8, _how: u8) {
        let Some((_, thread, _)) = self.running(who) else {
            return;
        };
        if let Some(socket) = self.inbound.iter_mut().flatten().find(|socket| !socket.accepted) {
            socket.accepted = true;
            let socket = Socket {
                state: tcp::ESTABLISHED,
                ..*socket
            };
            self.changes(socket, tcp::ESTABLISHED, thread.tid, flags::ACCEPTED);
        }
    }

    pub(super) fn connect(&mut self, who: u8, how: u8) {
        let Some((_, thread, _)) = self.running(who) else {
            return;
        };
        let Some(slot) = self.outbound.iter().position(Option::is_none) else {
            return;
        };
        let socket = self.new_socket(tcp::CLOSE, FIRST_OUTBOUND);
        self.outbound[slot] = Some(socket);
        // Or it was there before, in the middle of something.
        if how % 8 == 4 {
            self.find(socket);
        } else if !how.is_multiple_of(4) {
            self.changes(socket, tcp::SYN_SENT, thread.tid, 0);
            self.changes(
                Socket {
                    state: tcp::SYN_SENT,
                    ..socket
                },
                tcp::ESTABLISHED,
                0,
                0,
            );
        }
    }

    /// A running thread reads, mostly where there is something.
    pub(super) fn receive(&mut self, who: u8, how: u8) {
        let Some((index, thread, cpu)) = self.running(who) else {
            return;
        };
        let sockets = self.inbound.iter().chain(&self.outbound).flatten();
        let (full, empty): (Vec<_>, Vec<_>) = sockets.copied().partition(|socket| socket.unread > 0);
        let from = if full.is_empty() || how.is_multiple_of(8) {
            &empty
        } else {
            &full
        };
        let Some(socket) = pick(from, who / 4) else { return };
        let peek = how % 16 == 2;
        let result = match socket.unread {
            0 => EAGAIN,
            unread if how & 64 == 0 => unread,
            unread => unread.div_euclid(2).max(1),
        };
        let drained = result == socket.unread;
        let head = REQUESTS[usize::from(how / 8) % REQUESTS.len()];
        let begins = result > 0 && socket.answered && !peek;
        let task = self.turn_to(index, socket.cookie, how);
        let receive = Receive {
            header: self.header(
                if begins { Kind::ReceiveHead } else { Kind::Receive },
                thread.tid,
                cpu,
            ),
            tgid: thread.pid,
            fd: fd(socket.cookie),
            conn: socket.cookie,
            arrived_ns: if how % 16 == 1 { 0 } else { socket.ready_ns },
            task,
            result,
            flags: opened(socket.cookie)
                | if drained { flags::DRAINED } else { 0 }
                | if peek { flags::PEEK } else { 0 },
            min_flt: thread.faults,
            maj_flt: thread.faults / 8,
            rss_pages: 4_000 + u32::from(how),
            head_bytes: if begins { head.len() as u32 } else { 0 },
        };
        if begins {
            let mut bytes = [0; REQUEST_HEAD_BYTES];
            bytes[..head.len()].copy_from_slice(head);
            self.record(&ReceiveHead { receive, head: bytes });
        } else {
            self.record(&receive);
        }
        if let Some(socket) = self.socket(socket.cookie)
            && result > 0
            && !peek
        {
            socket.unread -= result;
            (socket.read, socket.answered) = (true, false);
        }
    }

    /// A running thread writes; where a client spoke first, only after reading what it said.
    pub(super) fn send(&mut self, who: u8, how: u8) {
        let Some((index, thread, cpu)) = self.running(who) else {
            return;
        };
        let inbound = self.inbound.iter().flatten().filter(|socket| socket.read);
        let sockets: Vec<_> = inbound.chain(self.outbound.iter().flatten()).copied().collect();
        let (open, others): (Vec<_>, Vec<_>) = sockets.into_iter().partition(|socket| !socket.answered);
        let to = if open.is_empty() || how.is_multiple_of(4) {
            &others
        } else {
            &open
        };
        let Some(socket) = pick(to, who / 4) else { return };
        let result = if how % 8 == 1 { EAGAIN } else { 1 + i32::from(how) };
        let begins = result > 0 && !socket.answered;
        let head = RESPONSES[usize::from(how / 8) % RESPONSES.len()];
        let mut bytes = [0; RESPONSE_HEAD_BYTES];
        let head_bytes = head.len().min(bytes.len());
        bytes[..head_bytes].copy_from_slice(&head[..head_bytes]);
        let task = self.turn_to(index, socket.cookie, how);
        let held_ns =
            (result > 0 && how.is_multiple_of(3)).then(|| self.holds(socket.cookie, thread.tid, how));
        let send = Send {
            header: self.header(if begins { Kind::SendHead } else { Kind::Send }, thread.tid, cpu),
            tgid: thread.pid,
            fd: fd(socket.cookie),
            conn: socket.cookie,
            task,
            result,
            flags: opened(socket.cookie),
            min_flt: thread.faults + 1,
            maj_flt: thread.faults / 8,
            rss_pages: 4_000 + u32::from(how),
            head_bytes: if begins { head_bytes as u32 } else { 0 },
        };
        self.threads[index].faults += 1;
        if begins {
            self.record(&SendHead { send, head: bytes });
        } else {
            self.record(&send);
        }
        if let Some(socket) = self.socket(socket.cookie)
            && result > 0
            && !(begins
                && !super::is_outbound(socket.cookie)
                && http1::is_interim(head, u64::from(result.unsigned_abs())))
        {
            (socket.read, socket.answered) = (true, true);
            socket.held_ns = held_ns;
        }
    }

    /// The send that comes next leaves bytes unsent. Gives when it will have ended, ns.
    fn holds(&mut self, cookie: u64, tid: u32, how: u8) -> u64 {
        let header = self.header(Kind::Held, tid, 0);
        let sent_ns = header.at_ns + 1;
        self.record(&Held {
            header,
            conn: cookie,
            sent_ns,
            unsent_bytes: 1 + u32::from(how),
            window_bytes: u32::from(how % 5) * 100,
            in_flight: u32::from(how % 4),
            congestion_window: u32::from(how % 7),
            segment_bytes: 128,
            nagle: u32::from(how % 3),
            paced: u32::from(how % 2),
            ..Held::zeroed()
        });
        sent_ns
    }

    /// What a connection held has left some time ago; or it has not, and is asked about.
    pub(super) fn bytes_leave(&mut self, who: u8, how: u8) {
        let sockets = self.inbound.iter().chain(&self.outbound).flatten();
        let holding: Vec<_> = sockets
            .filter_map(|socket| Some((socket.cookie, socket.held_ns?)))
            .collect();
        let Some((cookie, sent_ns)) = pick(&holding, who) else {
            return;
        };
        let header = self.header(Kind::Left, 0, 0);
        let has_left = !how.is_multiple_of(4);
        let part = (header.at_ns - sent_ns) / 16 * u64::from(how % 17);
        self.record(&Left {
            header,
            conn: cookie,
            sent_ns,
            left_ns: if has_left { sent_ns + part } else { 0 },
            flags: [0, flags::AT_THE_LATEST, flags::TO_A_TICK][usize::from(how % 3)],
            reserved: 0,
        });
        if let Some(socket) = self.socket(cookie)
            && has_left
        {
            socket.held_ns = None;
        }
    }

    /// A connection goes one step towards its end, or all the way.
    pub(super) fn shut(&mut self, who: u8, how: u8) {
        let conns = self.conns();
        let Some(socket) = pick(&conns, who).and_then(|cookie| self.socket(cookie).copied()) else {
            return;
        };
        let next = match (socket.state, how % 3) {
            (tcp::ESTABLISHED, 0) => tcp::FIN_WAIT1,
            (tcp::ESTABLISHED, 1) => tcp::CLOSE_WAIT,
            (tcp::CLOSE_WAIT, _) => tcp::LAST_ACK,
            _ => tcp::CLOSE,
        };
        self.changes(socket, next, 0, 0);
        if next == tcp::CLOSE {
            for slot in self.inbound.iter_mut().chain(&mut self.outbound) {
                slot.take_if(|open| open.cookie == socket.cookie);
            }
        }
    }
}
