//! What the kernel tells of the TCP sockets of any process: `NETLINK_SOCK_DIAG`, as `ss` asks it.
//!
//! A netlink socket sees the network namespace in which it was made; of processes in another one it is made there.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::{fs, io, thread};

use bytemuck::Zeroable as _;
use observer_common::{Held, tcp};

use crate::model::id::Pid;

/// `SOCK_DIAG_BY_FAMILY` (`include/uapi/linux/sock_diag.h`).
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// `INET_DIAG_INFO` (`include/uapi/linux/inet_diag.h`): the attribute that has a `struct tcp_info`.
const INET_DIAG_INFO: u16 = 2;
/// Where `struct tcp_info` has `tcpi_last_data_sent`, ms, and `tcpi_notsent_bytes` (`include/uapi/linux/tcp.h`).
const LAST_DATA_SENT: usize = 44;
const NOTSENT_BYTES: usize = 144;

/// `INET_DIAG_SKMEMINFO`: the attribute that has numbers by [`SK_MEMINFO_DROPS`] and so on.
const INET_DIAG_SKMEMINFO: u16 = 7;
/// `SK_MEMINFO_DROPS` (`include/uapi/linux/sock_diag.h`): which of them says how much a socket has dropped.
const SK_MEMINFO_DROPS: usize = 8;
/// Where `struct inet_diag_msg` has `idiag_inode`, the socket's number.
const INODE: usize = 68;

/// Network namespaces whose sockets are kept; one more, and all are closed, to be made again where they are needed. A
/// socket keeps its namespace alive, also after the last process has left it.
const MAX_NAMESPACES: usize = 64;

const ALIGN: usize = 4;
const NS_PER_MS: u64 = 1_000_000;

/// What is asked of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Info {
    /// Bytes that have never left.
    pub(super) unsent_bytes: u32,
    /// Since when no data has left, ns; in ticks of the kernel's clock.
    pub(super) since_last_ns: u64,
}

/// Sockets to ask with, by network namespace; `None` where none can be made.
#[derive(Default)]
pub(super) struct SocketInfo {
    sockets: BTreeMap<u64, Option<OwnedFd>>,
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::NoUninit, bytemuck::Zeroable)]
struct DiagQuestion {
    bytes: u32,
    kind: u16,
    flags: u16,
    sequence: u32,
    port: u32,
    family: u8,
    protocol: u8,
    extensions: u8,
    padding: u8,
    states: u32,
    local_port: [u8; 2],
    remote_port: [u8; 2],
    local: [u8; 16],
    remote: [u8; 16],
    interface: u32,
    cookie: [u32; 2],
}

/// `struct nlmsghdr`.
const MESSAGE_HEAD: usize = 16;
/// The same, and `struct inet_diag_msg` behind it, before its attributes.
const ANSWER_HEAD: usize = MESSAGE_HEAD + 72;

/// Answers about many sockets come in parts of this size at most (`NLMSG_GOODSIZE` and more), bytes.
const PART_BYTES: usize = 1 << 16;

impl SocketInfo {
    /// Of the connection that this is about, if it is still there.
    pub(super) fn of(&mut self, event: &Held) -> Option<Info> {
        let socket = self.socket(Pid(event.tgid))?;
        let mut answer = [0; 4096];
        ask(socket, &question(event)).ok()?;
        let bytes = hear(socket, &mut answer).ok()?;
        info(answer.get(..bytes)?)
    }

    /// How many attempts to connect each listener in the network namespace of a process has dropped, by its number.
    /// Empty where the kernel does not tell.
    pub(super) fn refused(&mut self, pid: Pid) -> BTreeMap<u64, u32> {
        let mut refused = BTreeMap::new();
        if let Some(socket) = self.socket(pid) {
            for family in [tcp::AF_INET, tcp::AF_INET6] {
                let Ok(()) = ask(socket, &question_about_listeners(family)) else {
                    continue;
                };
                let mut part = vec![0; PART_BYTES];
                while let Ok(bytes) = hear(socket, &mut part)
                    && listeners(&part[..bytes], &mut refused)
                {}
            }
        }
        refused
    }

    /// One that sees the network namespace of a process.
    fn socket(&mut self, pid: Pid) -> Option<&OwnedFd> {
        let namespace = format!("/proc/{pid}/ns/net");
        let inode = fs::metadata(&namespace).ok()?.ino();
        if self.sockets.len() >= MAX_NAMESPACES && !self.sockets.contains_key(&inode) {
            self.sockets.clear();
        }
        let open = || open_in(namespace, inode).ok();
        self.sockets.entry(inode).or_insert_with(open).as_ref()
    }
}

/// About all sockets that listen.
fn question_about_listeners(family: u16) -> DiagQuestion {
    DiagQuestion {
        bytes: size_of::<DiagQuestion>() as u32,
        kind: SOCK_DIAG_BY_FAMILY,
        flags: (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16,
        family: family as u8,
        protocol: libc::IPPROTO_TCP as u8,
        extensions: 1 << (INET_DIAG_SKMEMINFO - 1),
        states: 1 << tcp::LISTEN,
        ..DiagQuestion::zeroed()
    }
}

/// Reads what a part of an answer tells of listeners. `true` if more parts follow.
fn listeners(part: &[u8], refused: &mut BTreeMap<u64, u32>) -> bool {
    let mut messages = part;
    while let Some(length) = word(messages, 0) {
        let length = length as usize;
        let Some(message) = messages.get(..length).filter(|_| length >= MESSAGE_HEAD) else {
            return false;
        };
        if half(message, 4) != Some(SOCK_DIAG_BY_FAMILY) {
            return false;
        }
        let inode = word(message, MESSAGE_HEAD + INODE);
        let dropped = attribute(message, INET_DIAG_SKMEMINFO)
            .and_then(|numbers| word(numbers, SK_MEMINFO_DROPS * size_of::<u32>()));
        if let Some((inode, dropped)) = inode.zip(dropped) {
            refused.insert(inode.into(), dropped);
        }
        messages = messages.get(length.next_multiple_of(ALIGN)..).unwrap_or_default();
    }
    true
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

/// One of the attributes of an answer.
fn attribute(answer: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut attributes = answer.get(ANSWER_HEAD..)?;
    loop {
        let length = usize::from(half(attributes, 0)?);
        let attribute = attributes.get(ALIGN..length)?;
        if half(attributes, 2)? == wanted {
            return Some(attribute);
        }
        attributes = attributes.get(length.next_multiple_of(ALIGN)..)?;
    }
}

fn question(event: &Held) -> DiagQuestion {
    DiagQuestion {
        bytes: size_of::<DiagQuestion>() as u32,
        kind: SOCK_DIAG_BY_FAMILY,
        flags: libc::NLM_F_REQUEST as u16,
        sequence: 0,
        port: 0,
        family: event.family as u8,
        protocol: libc::IPPROTO_TCP as u8,
        extensions: 1 << (INET_DIAG_INFO - 1),
        padding: 0,
        states: u32::MAX,
        local_port: event.local_port.to_be_bytes(),
        remote_port: event.remote_port.to_be_bytes(),
        local: event.local_addr,
        remote: event.remote_addr,
        interface: 0,
        cookie: [event.conn as u32, (event.conn >> 32) as u32],
    }
}

/// Reads the attribute that is asked for out of an answer.
fn info(answer: &[u8]) -> Option<Info> {
    if half(answer, 4)? != SOCK_DIAG_BY_FAMILY {
        return None;
    }
    let info = attribute(answer, INET_DIAG_INFO)?;
    Some(Info {
        unsent_bytes: word(info, NOTSENT_BYTES)?,
        since_last_ns: u64::from(word(info, LAST_DATA_SENT)?) * NS_PER_MS,
    })
}

/// The kernel answers before the question is sent.
fn ask(socket: &OwnedFd, question: &DiagQuestion) -> io::Result<()> {
    let bytes = bytemuck::bytes_of(question);
    // SAFETY: as many bytes as there are, which are only read.
    let sent = unsafe {
        libc::send(
            socket.as_raw_fd(),
            bytes.as_ptr().cast(),
            bytes.len(),
            libc::MSG_DONTWAIT,
        )
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())?;
    Ok(())
}

/// The next part of the answer.
fn hear(socket: &OwnedFd, answer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: room for as many bytes as are told.
    let received = unsafe {
        libc::recv(
            socket.as_raw_fd(),
            answer.as_mut_ptr().cast(),
            answer.len(),
            libc::MSG_DONTWAIT,
        )
    };
    usize::try_from(received).map_err(|_| io::Error::last_os_error())
}

/// A socket in this network namespace. A thread that entered another one stays there: it is one for that.
fn open_in(namespace: String, inode: u64) -> io::Result<OwnedFd> {
    if fs::metadata("/proc/self/ns/net")?.ino() == inode {
        return open();
    }
    let enter = move || {
        let namespace = File::open(namespace)?;
        // SAFETY: changes the namespace of this thread alone, which ends then.
        if unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) } != 0 {
            return Err(io::Error::last_os_error());
        }
        open()
    };
    let failed = |_| io::Error::other("the thread that opens a socket panicked");
    thread::Builder::new().spawn(enter)?.join().map_err(failed)?
}

fn open() -> io::Result<OwnedFd> {
    // SAFETY: takes no pointers.
    let socket = unsafe {
        libc::socket(
            libc::AF_NETLINK,
            libc::SOCK_DGRAM | libc::SOCK_CLOEXEC,
            libc::NETLINK_SOCK_DIAG,
        )
    };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(socket) })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{SocketAddr, TcpListener, TcpStream};

    use super::*;

    #[test]
    fn the_kernel_tells_how_much_of_a_connection_is_unsent() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (SocketAddr::V4(local), SocketAddr::V4(remote)) =
            (stream.local_addr().unwrap(), stream.peer_addr().unwrap())
        else {
            panic!("not of IPv4");
        };
        let wide = |octets: [u8; 4]| {
            let mut wide = [0; 16];
            wide[..4].copy_from_slice(&octets);
            wide
        };
        let held = Held {
            // `INET_DIAG_NOCOOKIE`: whichever it is.
            conn: u64::MAX,
            tgid: std::process::id(),
            family: tcp::AF_INET,
            local_port: local.port(),
            remote_port: remote.port(),
            local_addr: wide(local.ip().octets()),
            remote_addr: wide(remote.ip().octets()),
            ..Held::zeroed()
        };
        let mut info = SocketInfo::default();
        assert_eq!(info.of(&held).map(|info| info.unsent_bytes), Some(0));
        stream.set_nonblocking(true).unwrap();
        // Nobody reads: what the other side has no room for stays here.
        while stream.write(&[0; 65_536]).is_ok() {}
        let unsent_bytes = info.of(&held).unwrap().unsent_bytes;
        assert!(unsent_bytes > 0);
        let gone = Held {
            remote_port: 1,
            ..held
        };
        assert_eq!(info.of(&gone), None);
    }

    #[test]
    fn a_listener_whose_queue_is_full_has_refused_who_comes_then() {
        let listener = TcpListener::bind("[::1]:0").unwrap();
        // SAFETY: takes no pointers.
        assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
        let address = listener.local_addr().unwrap();
        let inode = fs::metadata(format!("/proc/self/fd/{}", listener.as_raw_fd()))
            .unwrap()
            .ino();
        let mut info = SocketInfo::default();
        let mut refused = || info.refused(Pid(std::process::id()))[&inode];
        assert_eq!(refused(), 0);
        // There is room for one.
        let _first = TcpStream::connect(address).unwrap();
        let patience = std::time::Duration::from_millis(100);
        assert!(TcpStream::connect_timeout(&address, patience).is_err());
        assert!(refused() > 0);
    }
}
