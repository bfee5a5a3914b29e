//! Which connection a descriptor was at which time.

use super::*;

const SERVER: Pid = Pid(7);
const FD: i32 = 12;

fn opens(connections: &mut Connections, conn: u64, at_ns: u64) {
    let event = common::Connection {
        old_state: tcp::CLOSE,
        ..becomes(conn, at_ns, tcp::SYN_SENT)
    };
    connections.changed(&event, None);
}

/// A process asks on a connection that it has as this descriptor.
fn asks_by(connections: &mut Connections, pid: Pid, fd: i32, conn: u64, at_ns: u64) {
    let event = common::Send {
        tgid: pid.0,
        fd,
        flags: flags::OUTBOUND,
        ..send(conn, at_ns, 5)
    };
    connections.sent(&event, b"", || None, || None);
}

fn asks(connections: &mut Connections, conn: u64, at_ns: u64) {
    asks_by(connections, SERVER, FD, conn, at_ns);
}

fn of_fd(connections: &Connections, at_ns: u64) -> Option<u64> {
    connections.by_fd(SERVER, FD, at_ns).map(|(conn, _)| conn.0)
}

#[test]
fn a_descriptor_is_a_connection_from_when_that_is_opened_until_this_side_closes_it() {
    let mut connections = Connections::default();
    opens(&mut connections, 1, 10);
    asks(&mut connections, 1, 20);
    connections.changed(&becomes(1, 30, tcp::LAST_ACK), None);
    connections.changed(&becomes(1, 40, tcp::CLOSE), None);
    assert_eq!(
        [9, 10, 29, 30, 50].map(|at_ns| of_fd(&connections, at_ns)),
        [None, Some(1), Some(1), None, None]
    );
}

#[test]
fn a_number_that_is_used_again_says_nothing_of_what_it_was_before() {
    let mut connections = Connections::default();
    opens(&mut connections, 1, 10);
    asks(&mut connections, 1, 20);
    connections.changed(&becomes(1, 30, tcp::CLOSE), None);
    opens(&mut connections, 2, 40);
    asks(&mut connections, 2, 50);
    assert_eq!(
        [25, 35, 45].map(|at_ns| of_fd(&connections, at_ns)),
        [None, None, Some(2)]
    );
}

#[test]
fn who_has_ended_what_it_sends_and_uses_the_connection_on_holds_it() {
    let mut connections = Connections::default();
    opens(&mut connections, 1, 10);
    asks(&mut connections, 1, 20);
    connections.changed(&becomes(1, 30, tcp::FIN_WAIT1), None);
    let answer = common::Receive {
        tgid: SERVER.0,
        fd: FD,
        flags: flags::OUTBOUND,
        ..receive(1, 40, 5)
    };
    connections.received(&answer, b"");
    assert_eq!(of_fd(&connections, 45), Some(1));
    connections.changed(&becomes(1, 50, tcp::CLOSE), None);
    connections.received(&answer, b"");
    assert_eq!(of_fd(&connections, 55), None);
}

#[test]
fn a_connection_that_was_there_before_was_open_before() {
    let mut connections = Connections::default();
    let found = common::Connection {
        tgid: SERVER.0,
        flags: flags::FOUND | flags::OUTBOUND,
        ..becomes(1, 30, tcp::ESTABLISHED)
    };
    connections.changed(&found, None);
    asks(&mut connections, 1, 30);
    assert_eq!(of_fd(&connections, 10), Some(1));
}

#[test]
fn a_process_that_ends_leaves_no_descriptor_to_the_next_with_its_number_nor_keeps_one_from_others() {
    let mut connections = Connections::default();
    opens(&mut connections, 1, 10);
    asks(&mut connections, 1, 20);
    connections.listens(SERVER, 80);
    connections.forget_process(SERVER);
    assert_eq!(of_fd(&connections, 25), None);
    let local = Some(SocketAddr::from(([127, 0, 0, 1], 80)));
    assert_eq!(connections.listeners.opened(SERVER, local), Opened::Unknown);
    // What it left open is used on under the same number.
    asks(&mut connections, 1, 30);
    assert_eq!(of_fd(&connections, 35), Some(1));
}

/// As with `io_uring`.
#[test]
fn a_call_that_does_not_tell_its_descriptor_says_nothing_of_that() {
    let mut connections = Connections::default();
    opens(&mut connections, 1, 10);
    asks_by(&mut connections, SERVER, -1, 1, 20);
    let is_behind_another = |connections: &Connections| {
        let connection = connections.get(ConnId(1)).unwrap();
        connection.is_behind_another(SERVER, FD + 1)
    };
    assert!(!is_behind_another(&connections));
    asks(&mut connections, 1, 30);
    asks_by(&mut connections, SERVER, -1, 1, 40);
    assert!(is_behind_another(&connections));
    assert_eq!(of_fd(&connections, 45), Some(1));
}

#[test]
fn processes_that_share_a_connection_each_have_it() {
    let mut connections = Connections::default();
    let child = Pid(8);
    opens(&mut connections, 1, 10);
    asks(&mut connections, 1, 20);
    asks_by(&mut connections, child, FD, 1, 30);
    assert!(connections.by_fd(child, FD, 30).is_some());
    connections.forget_process(child);
    assert_eq!(of_fd(&connections, 35), Some(1));
}

#[test]
fn descriptors_of_connections_that_are_forgotten_make_room() {
    let mut connections = Connections::default();
    for conn in 1..=MAX_CONNECTIONS as u64 + 1 {
        opens(&mut connections, conn, conn);
        asks_by(&mut connections, SERVER, conn as i32, conn, conn);
        connections.closed(ConnId(conn));
    }
    assert_eq!(connections.full, Full::default());
}
