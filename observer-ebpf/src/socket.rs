//! What the kernel half remembers of each tracked TCP socket, in socket-local storage that dies with it.

use core::{
    ffi::c_void,
    ptr,
    sync::atomic::{Ordering, compiler_fence},
};

use aya_ebpf::{
    bindings::BPF_SK_STORAGE_GET_F_CREATE,
    btf_maps::{Array, HashMap, PerCpuArray, SkStorage},
    helpers::generated::{bpf_get_socket_cookie, bpf_sk_storage_get},
    macros::btf_map,
};
use observer_common::{
    Connection, Kind, LostReason, conn, flags,
    limits::{ANY_NETWORK, CONNECTED_MARK_NS, MAX_AWAITED_PORTS, NETWORK_MARK_NS},
    tcp,
};

use crate::{
    direction,
    held::Mark,
    kernel::{Sock, Task},
    ring,
    word::Word,
};

/// State of one socket.
#[repr(C)]
pub(crate) struct SocketState {
    /// Socket cookie; 0 until the first event.
    pub(crate) conn: Word<u64>,
    /// When the oldest unread byte became ready; 0 when nothing is unread, [`NOT_SEEN`].
    unread_since_ns: Word<u64>,
    /// When the first byte at or after `unread_mark` became ready; 0 when there is none.
    later_since_ns: Word<u64>,
    /// Sequence number up to which `unread_since_ns` holds.
    unread_mark: Word<u32>,
    /// Which direction moved last.
    pub(crate) direction: Word<u32>,
    /// Bytes received since the last send.
    pub(crate) turn_bytes: Word<u64>,
    /// What the last send left unsent.
    pub(crate) held: Mark,
    /// Which side opened it, see [`direction::of`].
    pub(crate) opened: Word<u32>,
    /// The process with which it was found, while its first record is to come, which tells that; else 0.
    found_with: Word<u32>,
}

/// In place of a time: before the socket was tracked.
const NOT_SEEN: u64 = 1;

/// Nothing was received or sent yet.
pub(crate) const DIRECTION_NONE: u32 = 0;
/// The last successful call was a receive.
pub(crate) const DIRECTION_IN: u32 = 1;
/// The last successful call was a send.
pub(crate) const DIRECTION_OUT: u32 = 2;
/// A receive was tried, and nothing was there.
pub(crate) const DIRECTION_TRIED: u32 = 3;

#[btf_map]
static SOCKETS: SkStorage<SocketState> = SkStorage::new();

/// Local ports on which watched processes listen, and in which network: a socket is known before its process has
/// touched it. See [`observer_common::names::map::PORTS`].
#[btf_map]
static PORTS: Array<Word<u32>, 65536> = Array::new();

/// Whoever begins to listen on one of these ports is watched, see [`observer_common::names::map::AWAITED`].
#[btf_map]
static AWAITED: HashMap<u32, u32, { MAX_AWAITED_PORTS as usize }> = HashMap::new();

/// The notification of a socket that this CPU is in the middle of.
#[repr(C)]
struct NetworkMark {
    /// Connection, see [`observer_common::conn`].
    conn: Word<u64>,
    /// Whoever is woken from then on is woken for something else.
    until_ns: Word<u64>,
    /// See [`whereabouts`]; [`ANYWHERE`].
    whereabouts: Word<u64>,
}

#[btf_map]
static NETWORK_MARK: PerCpuArray<NetworkMark, 1> = PerCpuArray::new();

/// Which thread a CPU is at, and in which system call that is. An interrupt changes neither, so what it wakes has those
/// that it came with; what the thread itself wakes later has another call, as a rule.
#[inline(always)]
fn whereabouts(tid: u32, syscall: i32) -> u64 {
    u64::from(tid) << 32 | u64::from(syscall as u32)
}

/// In their place: whoever is woken within so short a time is woken for the mark.
const ANYWHERE: u64 = 0;

/// Bytes or a connection came in on `conn`: whoever this CPU wakes next is woken for it.
#[inline(always)]
pub(crate) fn mark_arrival(conn: u64, at_ns: u64) {
    mark(conn, at_ns + NETWORK_MARK_NS, ANYWHERE);
}

/// The peer of `conn` has answered, one way or the other: whoever this CPU wakes from where it is now is woken for it.
#[inline(always)]
pub(crate) fn mark_connected(conn: u64, at_ns: u64) {
    let current = Task::current();
    let here = whereabouts(current.tid(), current.registers().syscall());
    mark(conn, at_ns + CONNECTED_MARK_NS, here);
}

#[inline(always)]
fn mark(conn: u64, until_ns: u64, whereabouts: u64) {
    if let Some(mark) = NETWORK_MARK.get(0) {
        // Only an interrupt that comes in between can have some of another's with it.
        mark.conn.set(conn);
        mark.until_ns.set(until_ns);
        mark.whereabouts.set(whereabouts);
    }
}

/// The connection for which this CPU, which is at this thread in this system call, wakes a thread of a watched process
/// now, [`observer_common::conn::NONE`] if for none. One notification wakes at most one.
#[inline(always)]
pub(crate) fn take_mark(at_ns: u64, tid: u32, syscall: i32) -> u64 {
    let Some(mark) = NETWORK_MARK.get(0) else {
        return conn::NONE;
    };
    let conn = mark.conn.get();
    if conn != conn::NONE {
        mark.conn.set(conn::NONE);
    }
    let whereabouts_then = mark.whereabouts.get();
    let is_there = whereabouts_then == ANYWHERE || whereabouts_then == whereabouts(tid, syscall);
    if is_there && at_ns < mark.until_ns.get() {
        conn
    } else {
        conn::NONE
    }
}

/// Whether a watched process listens on the local port of this socket.
#[inline(always)]
pub(crate) fn is_watched_port(sock: Sock) -> bool {
    PORTS.get(u32::from(sock.local_port())).is_some_and(|watched| {
        let network = watched.get();
        network != 0 && (network == ANY_NETWORK || network == sock.network())
    })
}

/// Whether an event of this socket may be of interest, in whatever thread it comes.
#[inline(always)]
pub(crate) fn may_concern(sock: Sock) -> bool {
    sock.may_have_storage() || (sock.is_tcp() && is_watched_port(sock))
}

/// Whether the process of this socket, which begins to listen, is to be watched.
#[inline(always)]
pub(crate) fn is_awaited(sock: Sock) -> bool {
    // SAFETY: userspace writes these before programs run.
    match unsafe { AWAITED.get(u32::from(sock.local_port())) } {
        Some(&network) => network == ANY_NETWORK || network == sock.network(),
        None => false,
    }
}

/// From now on, connections to the local port of this socket are tracked from their first byte.
#[inline(always)]
pub(crate) fn watch_port(sock: Sock) {
    if let Some(watched) = PORTS.get(u32::from(sock.local_port())) {
        // Of two that set it at once one can win for itself, until the next.
        let before = watched.get();
        let network = sock.network();
        if before != network && before != ANY_NETWORK {
            let after = if before == 0 { network } else { ANY_NETWORK };
            watched.set(after);
        }
    }
}

#[inline(always)]
fn storage(sock: Sock, flags: u64) -> Option<&'static SocketState> {
    let map = (&raw const SOCKETS).cast_mut().cast::<c_void>();
    // SAFETY: the map of this type, and a socket that the verifier knows.
    let state = unsafe { bpf_sk_storage_get(map, sock.as_ptr(), ptr::null_mut(), flags) };
    // SAFETY: null, or the socket's own state, which lives as long as the socket and is made of words.
    unsafe { state.cast::<SocketState>().as_ref() }
}

/// The state of a socket that is already tracked.
#[inline(always)]
pub(crate) fn tracked(sock: Sock) -> Option<&'static SocketState> {
    if sock.may_have_storage() {
        storage(sock, 0)
    } else {
        None
    }
}

/// The state of a socket, which is tracked from now on. Its first sight is recorded as a connection with
/// [`flags::FOUND`], unless the caller records the connection itself.
#[inline(always)]
pub(crate) fn track(
    sock: Sock,
    tid: u32,
    tgid: u32,
    at_ns: u64,
    announce: bool,
) -> Option<&'static SocketState> {
    // An accept can find the connection in the queue before it is established, on another CPU: of two that create
    // the state at once, one is refused, and finds that of the other.
    let created = storage(sock, u64::from(BPF_SK_STORAGE_GET_F_CREATE));
    let Some(state) = created.or_else(|| tracked(sock)) else {
        ring::lost(LostReason::SocketState, at_ns);
        return None;
    };
    let mut owed = state.found_with.get() != 0;
    if state.conn.get() == 0 {
        state.begin(sock);
        owed = announce;
        if announce && tgid != 0 && state.opened.get() == flags::INBOUND {
            // Accepted from a listener that its process does not hold itself, or was not seen to make.
            watch_port(sock);
        }
    } else if state.opened.get() == 0 {
        // It did not tell at first, in the middle of a send for example.
        state.opened.set(direction::of(sock));
    }
    if owed {
        let now = sock.state();
        record(sock, state, now, now, flags::FOUND, tid, tgid, at_ns);
    }
    Some(state)
}

/// Tracks a socket that a watched process holds already, if it is not tracked yet.
#[inline(always)]
pub(crate) fn find(sock: Sock, tgid: u32) {
    let created = storage(sock, u64::from(BPF_SK_STORAGE_GET_F_CREATE));
    let Some(state) = created.or_else(|| tracked(sock)) else {
        ring::lost(LostReason::SocketState, ring::now());
        return;
    };
    if state.conn.get() != 0 {
        return;
    }
    state.begin(sock);
    state.found_with.set(tgid);
    if let Some(sequence) = sock.receive_sequence()
        && !sequence.drained()
        && state.unread_since_ns.get() == 0
    {
        state.unread_mark.set(sequence.received);
        state.unread_since_ns.set(NOT_SEEN);
    }
    if state.opened.get() == flags::INBOUND {
        watch_port(sock);
    }
}

/// Writes a [`Connection`] record; the first of one that was found is flagged as such.
#[expect(clippy::too_many_arguments, reason = "the fields of one record")]
#[inline(always)]
pub(crate) fn record(
    sock: Sock,
    state: &SocketState,
    old_state: u8,
    new_state: u8,
    flags: u32,
    tid: u32,
    tgid: u32,
    at_ns: u64,
) {
    let (found, tgid) = match state.found_with.get() {
        0 => (0, tgid),
        holder => (flags::FOUND, holder),
    };
    state.found_with.set(0);
    let (local_addr, remote_addr) = addresses(sock);
    ring::write(
        at_ns,
        Connection {
            header: ring::header(Kind::Connection, tid, at_ns),
            conn: state.conn.get(),
            tgid,
            old_state,
            new_state,
            family: sock.family(),
            local_port: sock.local_port(),
            remote_port: sock.remote_port(),
            flags: flags | found | state.opened.get(),
            local_addr,
            remote_addr,
            network: sock.network(),
            reserved: 0,
        },
    );
}

/// The local and the remote address; IPv4 in the first four bytes.
#[inline(always)]
pub(crate) fn addresses(sock: Sock) -> ([u8; 16], [u8; 16]) {
    if sock.family() == tcp::AF_INET6 {
        (sock.local_v6(), sock.remote_v6())
    } else {
        (widen(sock.local_v4()), widen(sock.remote_v4()))
    }
}

#[inline(always)]
fn widen(v4: [u8; 4]) -> [u8; 16] {
    let mut wide = [0; 16];
    wide[0] = v4[0];
    wide[1] = v4[1];
    wide[2] = v4[2];
    wide[3] = v4[3];
    wide
}

impl SocketState {
    /// It is seen for the first time.
    #[inline(always)]
    fn begin(&self, sock: Sock) {
        // SAFETY: a socket that the verifier knows.
        self.conn.set(unsafe { bpf_get_socket_cookie(sock.as_ptr()) });
        self.opened.set(direction::of(sock));
    }

    /// Data became ready. The oldest unread byte keeps its time, and so does the oldest byte that came after
    /// the segment it came with: a read that takes only the first leaves the second's time known.
    #[inline(always)]
    pub(crate) fn arrived(&self, sock: Sock, at_ns: u64) {
        if self.unread_since_ns.get() == 0 {
            if let Some(sequence) = sock.receive_sequence() {
                self.unread_mark.set(sequence.received);
            }
            self.unread_since_ns.set(at_ns);
        } else if self.later_since_ns.get() == 0 {
            self.later_since_ns.set(at_ns);
        }
    }

    /// Bytes were taken at `at_ns`. Returns since when the oldest of them was ready (0: not seen).
    #[inline(always)]
    pub(crate) fn taken(&self, sock: Sock, at_ns: u64) -> u64 {
        let since = match self.unread_since_ns.get() {
            NOT_SEEN => 0,
            since => since,
        };
        let Some(sequence) = sock.receive_sequence() else {
            return since;
        };
        if sequence.drained() {
            // In this order: a segment that another CPU's network interrupt queues now has its time in the first.
            self.unread_since_ns.set(0);
            self.later_since_ns.set(0);
            compiler_fence(Ordering::Release);
            // A segment can be queued between the two reads, by the network interrupt of another CPU: its
            // notification saw the old state, so it is stamped here, late by as long as this took. Where this CPU reads
            // before the other sees what it has written, that is not noticed: the segment has no time then.
            if sock.receive_sequence().is_some_and(|again| !again.drained())
                && self.unread_since_ns.get() == 0
            {
                self.unread_mark.set(sequence.received.wrapping_add(1));
                self.unread_since_ns.set(at_ns);
            }
            return since;
        }
        if sequence.passed(self.unread_mark.get()) {
            let later_ns = self.later_since_ns.get();
            self.unread_since_ns
                .set(if later_ns == 0 { at_ns } else { later_ns });
            self.later_since_ns.set(0);
            self.unread_mark.set(sequence.received);
        }
        since
    }
}
