//! Which connections there are: they open, are accepted, get bytes, and close.

use observer_common::{Connection, Kind, conn, flags, tcp};

use super::works::Served;
use super::{Machine, PIDS, PORT, pick};

/// Cookies from here on are of connections that the processes open.
pub(super) const FIRST_OUTBOUND: u64 = 1_000_000;

/// One TCP connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Socket {
    pub(super) cookie: u64,
    pub(super) state: u8,
    /// When the first unread byte became ready, ns.
    pub(super) ready_ns: u64,
    pub(super) unread: i32,
    pub(super) accepted: bool,
    /// The application has read from it.
    pub(super) read: bool,
    /// Something was sent since the last read: what is read next begins a turn.
    pub(super) answered: bool,
    /// The last send, if it left bytes unsent, ns.
    pub(super) held_ns: Option<u64>,
    /// Requests that were read from it.
    pub(super) requests: u64,
    pub(super) used_for: UsedFor,
}

/// For whom a connection to a peer is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UsedFor {
    /// Nobody yet.
    Nobody,
    Request(Served),
    NotKnown,
}

impl Socket {
    /// The last request that was read from it.
    pub(super) const fn request(&self) -> Served {
        Served {
            conn: self.cookie,
            nth: self.requests,
        }
    }
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
pub(super) const fn opened(cookie: u64) -> u32 {
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

    pub(super) fn socket(&mut self, cookie: u64) -> Option<&mut Socket> {
        self.inbound
            .iter_mut()
            .chain(&mut self.outbound)
            .flatten()
            .find(|socket| socket.cookie == cookie)
    }

    /// A thread knows of a connection: it was accepted, whether that was seen or not.
    pub(super) fn is_accepted(&mut self, cookie: u64) {
        if let Some(socket) = self.socket(cookie) {
            socket.accepted = true;
        }
    }

    fn changes(&mut self, socket: Socket, new_state: u8, tid: u32, flags: u32) {
        let event = self.change(socket, new_state, tid, flags);
        self.told(&event);
    }

    fn change(&mut self, socket: Socket, new_state: u8, tid: u32, flags: u32) -> Connection {
        let outbound = socket.cookie >= FIRST_OUTBOUND;
        Connection {
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
            flags: flags | opened(socket.cookie),
            local_addr: [127; 16],
            remote_addr: [1; 16],
            network: 0,
            reserved: 0,
        }
    }

    fn told(&mut self, event: &Connection) {
        self.record(event);
        if let Some(socket) = self.socket(event.conn) {
            socket.state = event.new_state;
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
            requests: 0,
            used_for: UsedFor::Nobody,
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
                1 => self.find(socket, None),
                2 => self.find(socket, Some(PIDS[0])),
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

    /// It was there before: held by a process that had accepted or opened it, or still in its listener's queue.
    fn find(&mut self, socket: Socket, holder: Option<u32>) {
        let state = tcp::ESTABLISHED;
        if holder.is_some() {
            self.is_accepted(socket.cookie);
        }
        let event = Connection {
            tgid: holder.unwrap_or(0),
            ..self.change(Socket { state, ..socket }, state, 0, flags::FOUND)
        };
        self.told(&event);
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
            self.find(socket, Some(PIDS[0]));
        }
    }

    /// Bytes of a peer become ready.
    pub(super) fn ready(&mut self, cookie: u64, who: u8, how: u8) {
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
        if let Some((index, ..)) = self.running(who) {
            self.connects(index, how);
        }
    }

    /// A running thread opens a connection to a peer.
    pub(super) fn connects(&mut self, index: usize, how: u8) {
        let thread = self.threads[index];
        let Some(slot) = self.outbound.iter().position(Option::is_none) else {
            return;
        };
        let used_for = match thread.at_work {
            // It was there before: nobody is seen to open it.
            _ if how.is_multiple_of(4) => UsedFor::Nobody,
            Some(at_work) => UsedFor::Request(at_work.request),
            None => UsedFor::NotKnown,
        };
        let socket = Socket {
            used_for,
            ..self.new_socket(tcp::CLOSE, FIRST_OUTBOUND)
        };
        self.outbound[slot] = Some(socket);
        // Or it was there before, in the middle of something.
        if how % 8 == 4 {
            self.find(socket, Some(thread.pid));
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
