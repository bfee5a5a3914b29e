//! For what a thread was woken, where the network interrupted who wakes it. The test itself is what is watched.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use observer::event::Event;
use observer::source::{Batch, Source as _, Status, recording};
use observer_common::{limits, tcp};

use crate::kernel;
use crate::observation::Observation;
use crate::run::DEADLINE;
use crate::waits::full_peer;

/// The thread that wakes another computes for so long before it does. A few of these are within the time that the mark
/// of a connection holds.
const COMPUTES: Duration = Duration::from_micros(300);

/// Longer than the call that wakes takes: who is woken later was not woken by the call that was interrupted.
const CALL_NS: u64 = 20_000;

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

/// Wakes a thread again and again, and computes in between, until a connection that is asked for is refused, and once
/// more.
fn wake_others((listener, waiting): (TcpListener, TcpStream)) {
    stay_on_one_cpu();
    let (mut woken, mut wakes) = std::io::pipe().unwrap();
    let reader = thread::spawn(move || {
        let mut byte = [0];
        while woken.read(&mut byte).is_ok_and(|bytes| bytes > 0) {}
    });
    let connection = ask(&listener);
    // The kernel asks again a second later. Nobody listens then.
    drop((listener, waiting));
    let (begun, mut refused) = (Instant::now(), 0);
    while refused < 2 {
        assert!(begun.elapsed() < DEADLINE, "the connection is not refused");
        let computes = Instant::now();
        while computes.elapsed() < COMPUTES {}
        wakes.write_all(&[0]).unwrap();
        if refused > 0 || connection.take_error().unwrap().is_some() {
            refused += 1;
        }
    }
    drop(wakes);
    reader.join().unwrap();
}

/// The wakes by later calls while the mark of the connection to this peer held: when those for the connection were,
/// since it was refused, and how many others there were.
fn recorded(path: &Path, peer: SocketAddr) -> (Vec<u64>, usize) {
    let (mut reader, _) = recording::Reader::open(File::open(path).unwrap()).unwrap();
    let (mut batch, mut refused, mut waking) = (Batch::default(), None, Vec::new());
    while reader.next(&mut batch).unwrap() == Status::More {
        for event in batch.events() {
            match event.unwrap() {
                Event::Connection(event)
                    if event.remote_port == peer.port()
                        && (event.old_state, event.new_state) == (tcp::SYN_SENT, tcp::CLOSE) =>
                {
                    refused = Some((event.header.at_ns, event.conn));
                }
                Event::Waking(event) => waking.push(*event),
                _ => {}
            }
        }
    }
    let (at_ns, conn) = refused.unwrap();
    let held = at_ns + CALL_NS..at_ns + limits::CONNECTED_MARK_NS;
    waking.retain(|event| {
        i64::from(event.waker_syscall) == libc::SYS_write && held.contains(&event.header.at_ns)
    });
    let (for_it, others): (Vec<_>, Vec<_>) = waking.into_iter().partition(|event| event.conn == conn);
    let after_ns = for_it.iter().map(|event| event.header.at_ns - at_ns);
    (after_ns.collect(), others.len())
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
    thread::spawn(move || wake_others(full_peer)).join().unwrap();
    observation.finish();
    let (for_the_connection_after_ns, others) = recorded(&path, peer);
    assert_eq!(for_the_connection_after_ns, [0; 0]);
    assert!(others > 0, "nobody was woken within the time");
}
