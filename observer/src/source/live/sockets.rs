//! The sockets of processes, as procfs shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, ErrorKind};

use procfs::net::{TcpNetEntry, TcpState};
use procfs::process::Process;

use crate::model::id::Pid;

/// What the descriptors of a process are.
#[derive(Clone, Debug, Default)]
pub(super) struct Descriptors {
    /// Numbers of its sockets.
    pub(super) sockets: BTreeSet<u64>,
    /// It has an `io_uring`.
    pub(super) io_uring: bool,
    /// What they are, or some of them, may not be seen.
    pub(super) unseen: bool,
}

/// What the descriptors of process `pid` are; nothing where that may not be seen, or it has ended.
pub(super) fn descriptors(pid: Pid) -> Descriptors {
    let mut descriptors = Descriptors::default();
    let refused = |error: &io::Error| error.kind() == ErrorKind::PermissionDenied;
    let entries = match fs::read_dir(format!("/proc/{pid}/fd")) {
        Ok(entries) => entries,
        Err(error) => {
            descriptors.unseen = refused(&error);
            return descriptors;
        }
    };
    for entry in entries.flatten() {
        let link = match fs::read_link(entry.path()) {
            Ok(link) => link,
            Err(error) => {
                descriptors.unseen |= refused(&error);
                continue;
            }
        };
        let name = link.to_string_lossy();
        let socket: Option<u64> = name
            .strip_prefix("socket:[")
            .and_then(|rest| rest.strip_suffix(']'))
            .and_then(|inode| inode.parse().ok());
        descriptors.sockets.extend(socket);
        descriptors.io_uring |= name == "anon_inode:[io_uring]";
    }
    descriptors
}

/// TCP sockets of the network namespace of a process.
pub(super) fn tcp(of: &Process) -> impl Iterator<Item = TcpNetEntry> {
    [of.tcp(), of.tcp6()]
        .into_iter()
        .flat_map(Result::unwrap_or_default)
}

/// Those that listen: port by number.
pub(super) fn tcp_listening(of: &Process) -> BTreeMap<u64, u16> {
    tcp(of)
        .filter(|entry| entry.state == TcpState::Listen)
        .map(|entry| (entry.inode, entry.local_address.port()))
        .collect()
}

/// Unix stream sockets of the network namespace of process `pid` that listen: path by number.
pub(super) fn unix_listening(pid: Pid) -> BTreeMap<u64, String> {
    let table = fs::read(format!("/proc/{pid}/net/unix")).unwrap_or_default();
    String::from_utf8_lossy(&table)
        .lines()
        .filter_map(unix_listener)
        .collect()
}

/// Number and path in a line of the table: `Num RefCount Protocol Flags Type St Inode Path`.
fn unix_listener(line: &str) -> Option<(u64, String)> {
    /// `__SO_ACCEPTCON` of `include/linux/net.h`.
    const LISTENS: u32 = 1 << 16;
    let mut words = line.split_ascii_whitespace();
    let flags = u32::from_str_radix(words.nth(3)?, 16).ok()?;
    let stream = words.next()? == "0001";
    let inode = words.nth(1)?;
    let number = inode.parse().ok()?;
    // A path may hold spaces.
    let path = line
        .split_once(&format!(" {inode} "))
        .map_or("", |(_, path)| path);
    (stream && flags & LISTENS != 0).then(|| (number, path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_listening_unix_socket_is_found_with_its_path() {
        let line = "0000000000000000: 00000002 00000000 00010000 0001 01 28416 /run/my app.sock";
        assert_eq!(unix_listener(line), Some((28416, "/run/my app.sock".to_owned())));
        for other in [
            "Num       RefCount Protocol Flags    Type St Inode Path",
            "0000000000000000: 00000002 00000000 00000000 0001 01 28416 /run/bound.sock",
            "0000000000000000: 00000002 00000000 00010000 0005 01 28416 /run/packets.sock",
        ] {
            assert_eq!(unix_listener(other), None, "{other}");
        }
    }

    #[test]
    fn a_process_holds_the_sockets_that_it_opened() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        let _listener = UnixListener::bind(&path).unwrap();
        let me = Pid(std::process::id());
        let listening = unix_listening(me);
        let mine = descriptors(me)
            .sockets
            .into_iter()
            .filter_map(|inode| listening.get(&inode));
        assert!(mine.into_iter().any(|found| found == path.to_str().unwrap()));
    }
}
