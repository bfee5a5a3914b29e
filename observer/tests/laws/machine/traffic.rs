//! What the threads say on the connections: requests are read and answered, and what TCP holds of an answer leaves.

use bytemuck::Zeroable as _;
use observer::connections::protocol::http1;
use observer_common::limits::{REQUEST_HEAD_BYTES, RESPONSE_HEAD_BYTES};
use observer_common::{Held, Kind, Left, Receive, ReceiveHead, Send, SendHead, flags};

use super::network::{fd, opened};
use super::scheduler::Activity;
use super::works::Served;
use super::{Machine, pick};

const EAGAIN: i32 = -11;

/// What a client says first, and what the request is called by that.
fn request_head(which: u8, Served { conn, nth }: Served) -> (Vec<u8>, Option<String>) {
    let (method, path, rest) = match which % 6 {
        0 => ("GET", format!("/{conn}/{nth}"), " HTTP/1.1\r\nhost: a\r\n\r\n"),
        1 => (
            "POST",
            format!("/{conn}/{nth}"),
            "?token=1 HTTP/1.1\r\ncontent-length: 9\r\n\r\n",
        ),
        2 => ("GET", format!("/cut/in/the/target/of/{conn}/{nth}"), ""),
        3 => return (b"\x16\x03\x01\x02\x00\x01\x00".to_vec(), None),
        4 => return (Vec::new(), None),
        _ => return (b"GE".to_vec(), None),
    };
    let name = format!("{method} {path}");
    (format!("{name}{rest}").into_bytes(), Some(name))
}

/// What servers say first.
const RESPONSES: [&[u8]; 5] = [
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.0 503 Ser",
    b"\x16\x03\x03",
    b"",
    b"HTTP/1.1 100 Con",
];

impl Machine {
    /// A running thread reads, mostly where there is something.
    pub(super) fn receive(&mut self, who: u8, how: u8) {
        let Some((index, ..)) = self.running(who) else {
            return;
        };
        let sockets = self.inbound.iter().chain(&self.outbound).flatten();
        let (full, empty): (Vec<_>, Vec<_>) = sockets.copied().partition(|socket| socket.unread > 0);
        let from = if full.is_empty() || how.is_multiple_of(8) {
            &empty
        } else {
            &full
        };
        if let Some(socket) = pick(from, who / 4) {
            self.receives(index, socket.cookie, how);
        }
    }

    /// A running thread reads from a connection.
    pub(super) fn receives(&mut self, index: usize, cookie: u64, how: u8) {
        let thread = self.threads[index];
        let (Activity::Running { cpu }, Some(socket)) = (thread.activity, self.socket(cookie).copied())
        else {
            return;
        };
        let peek = how % 16 == 2;
        let result = match socket.unread {
            0 => EAGAIN,
            unread if how & 64 == 0 => unread,
            unread => unread.div_euclid(2).max(1),
        };
        let takes_in = result > 0 && !peek;
        let begins = takes_in && socket.answered;
        let nth = socket.requests + u64::from(takes_in && (begins || socket.requests == 0));
        let (head, name) = request_head(how / 8, Served { conn: cookie, nth });
        self.is_accepted(cookie);
        let task = self.turn_to(index, cookie, how);
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
            flags: opened(socket.cookie) | if peek { flags::PEEK } else { 0 },
            min_flt: thread.faults,
            maj_flt: thread.faults / 8,
            rss_pages: 4_000 + u32::from(how),
            head_bytes: if begins { head.len() as u32 } else { 0 },
        };
        if begins {
            let mut bytes = [0; REQUEST_HEAD_BYTES];
            bytes[..head.len()].copy_from_slice(&head);
            self.record(&ReceiveHead { receive, head: bytes });
        } else {
            self.record(&receive);
        }
        if let Some(socket) = self.socket(cookie)
            && takes_in
        {
            socket.unread -= result;
            (socket.read, socket.answered, socket.requests) = (true, false, nth);
        }
        if begins && let Some(name) = name {
            self.works.names.insert(Served { conn: cookie, nth }, name);
        }
        self.has_received(index, cookie, task == thread.task, takes_in);
    }

    /// A running thread writes; where a client spoke first, only after reading what it said.
    pub(super) fn send(&mut self, who: u8, how: u8) {
        let Some((index, ..)) = self.running(who) else {
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
        if let Some(socket) = pick(to, who / 4) {
            self.sends(index, socket.cookie, how);
        }
    }

    /// A running thread writes to a connection.
    pub(super) fn sends(&mut self, index: usize, cookie: u64, how: u8) {
        let thread = self.threads[index];
        let (Activity::Running { cpu }, Some(socket)) = (thread.activity, self.socket(cookie).copied())
        else {
            return;
        };
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
        let answers = result > 0
            && !(begins
                && !super::is_outbound(cookie)
                && http1::is_interim(head, u64::from(result.unsigned_abs())));
        self.has_sent(index, cookie, task == thread.task, answers);
        if let Some(socket) = self.socket(cookie)
            && answers
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
}
