//! For what a thread was woken, where the network interrupted who wakes it. The test itself is what is watched.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use observer::event::Event;
use observer::source::live::LiveSource;
use observer::source::{Batch, Source as _, Status, recording};
use observer_common::{limits, tcp};

use crate::kernel;
use crate::observation::Observation;
use crate::run::DEADLINE;
use crate::waits::full_peer;

/// The thread that wakes another computes for so long before it does. A few of these are within the time that the mark
/// of a connection holds.
const COMPUTES: Duration = Duration::from_micros(300);

/// So many connections are refused meanwhile, so far apart: some while it computes, and it wakes the other soon after.
const CONNECTIONS: usize = 8;
const APART: Duration = Duration::from_millis(10);

/// A connection that is asked for, and that nobody waits for.
fn ask(listener: &TcpListener) -> TcpStream {
    // SAFETY: socket reads and writes no memory of this process.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_NONBLOCK, 0) };
    assert!(socket >= 0);
    // SAFETY: it was opened above, and nobody else has it.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let address = libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: listener.local_addr().unwrap().port().to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from(Ipv4Addr::LOCALHOST).to_be(),
        },
        sin_zero: [0; 8],
    };
    let length = size_of_val(&address) as libc::socklen_t;
    // SAFETY: the address is one of this length, and lives until the call returns.
    let asked = unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), length) };
    let error = std::io::Error::last_os_error();
    assert_eq!((asked, error.raw_os_error()), (-1, Some(libc::EINPROGRESS)));
    socket.into()
}

/// Keeps the current thread on CPU 0, with the timers that it sets.
fn stay_on_one_cpu() {
    let mask: u64 = 1;
    // SAFETY: the kernel reads as many bytes as it is told from the mask, which lives until the call returns.
    let status = unsafe { libc::sched_setaffinity(0, size_of_val(&mask), (&raw const mask).cast()) };
    assert_eq!(status, 0);
}

/// Wakes a thread again and again, and computes in between, until the connections that are asked for are refused, and
/// once more. Gives when each call that wakes was, ns of `CLOCK_MONOTONIC`.
fn wake_others((listener, waiting): (TcpListener, TcpStream)) -> Vec<Range<u64>> {
    stay_on_one_cpu();
    let (mut woken, mut wakes) = std::io::pipe().unwrap();
    let reader = thread::spawn(move || {
        let mut byte = [0];
        while woken.read(&mut byte).is_ok_and(|bytes| bytes > 0) {}
    });
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(ask(&listener));
        thread::sleep(APART);
    }
    // The kernel asks again a second later. Nobody listens then.
    drop((listener, waiting));
    let (begun, mut calls) = (Instant::now(), Vec::new());
    loop {
        assert!(
            begun.elapsed() < DEADLINE,
            "not all of the connections are refused"
        );
        connections.retain(|connection| connection.take_error().unwrap().is_none());
        let is_last = connections.is_empty();
        let computes = Instant::now();
        while computes.elapsed() < COMPUTES {}
        let from_ns = LiveSource::now_ns();
        wakes.write_all(&[0]).unwrap();
        calls.push(from_ns..LiveSource::now_ns());
        if is_last {
            break;
        }
    }
    drop(wakes);
    reader.join().unwrap();
    calls
}

/// What was recorded of the connections to this peer: when each was refused, and its id; and when the thread woke
/// somebody, and for which connection.
fn recorded(path: &Path, peer: SocketAddr) -> [Vec<(u64, u64)>; 2] {
    let (mut reader, _) = recording::Reader::open(File::open(path).unwrap()).unwrap();
    let (mut batch, mut refused, mut wakes) = (Batch::default(), Vec::new(), Vec::new());
    while reader.next(&mut batch).unwrap() == Status::More {
        for event in batch.events() {
            match event.unwrap() {
                Event::Connection(event)
                    if event.remote_port == peer.port()
                        && (event.old_state, event.new_state) == (tcp::SYN_SENT, tcp::CLOSE) =>
                {
                    refused.push((event.header.at_ns, event.conn));
                }
                Event::Waking(event) if i64::from(event.waker_syscall) == libc::SYS_write => {
                    wakes.push((event.header.at_ns, event.conn));
                }
                _ => {}
            }
        }
    }
    [refused, wakes]
}

#[test]
fn whom_an_interrupted_thread_wakes_later_is_not_woken_for_the_connection_that_interrupted_it() {
    let Some(_turn) = kernel::turn() else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("live.rec");
    let record = ["--no-follow", "--record", path.to_str().unwrap()];
    let observation = Observation::of(std::process::id(), &record);
    let full_peer = full_peer();
    let peer = full_peer.0.local_addr().unwrap();
    let calls = thread::spawn(move || wake_others(full_peer)).join().unwrap();
    observation.finish();
    let [refused, wakes] = recorded(&path, peer);
    assert_eq!(refused.len(), CONNECTIONS);
    let mut others = 0;
    for (at_ns, conn) in refused {
        if calls.iter().any(|call| call.contains(&at_ns)) {
            // A call cannot be told from the next one, if both are the same.
            continue;
        }
        let held = at_ns..at_ns + limits::CONNECTED_MARK_NS;
        let soon = wakes.iter().copied().filter(|wake| held.contains(&wake.0));
        let (for_it, for_others): (Vec<_>, Vec<_>) = soon.partition(|wake| wake.1 == conn);
        assert_eq!(for_it.len(), 0, "refused at {at_ns}: {for_it:?}");
        others += for_others.len();
    }
    assert!(others > 0, "nobody was woken soon after a connection was refused");
}
