//! Tests of the bounds, as strangers open as many connections as they like, of who uses a connection to a peer, and of
//! connections that were there before.

mod calls;
mod descriptors;
mod found;

use bytemuck::Zeroable as _;
use observer_common::{Header, task};

use super::*;
use crate::model::id::TaskId;

fn header(at_ns: u64) -> Header {
    Header {
        at_ns,
        tid: 1,
        ..Header::zeroed()
    }
}

fn becomes(conn: u64, at_ns: u64, new_state: u8) -> common::Connection {
    common::Connection {
        header: header(at_ns),
        conn,
        new_state,
        ..common::Connection::zeroed()
    }
}

fn receive(conn: u64, at_ns: u64, result: i32) -> common::Receive {
    common::Receive {
        header: header(at_ns),
        conn,
        result,
        flags: flags::INBOUND,
        ..common::Receive::zeroed()
    }
}

fn send(conn: u64, at_ns: u64, result: i32) -> common::Send {
    common::Send {
        header: header(at_ns),
        conn,
        result,
        flags: flags::INBOUND,
        ..common::Send::zeroed()
    }
}

/// Turns of any protocol that were not answered.
fn unanswered(connections: &Connections) -> u64 {
    connections.counts.sum().unanswered.iter().sum()
}

#[test]
fn connections_whose_end_was_lost_make_room() {
    let mut connections = Connections::default();
    let last = MAX_CONNECTIONS as u64 + 1;
    connections.received(&receive(1, 1, 5), b"");
    for conn in 2..=last {
        connections.changed(&becomes(conn, conn, tcp::ESTABLISHED), None);
        // The first goes on, and has a request that is not answered.
        connections.received(&receive(1, conn, 0), b"");
    }
    assert_eq!(connections.connections.len(), MAX_CONNECTIONS - MAKES_ROOM + 1);
    assert_eq!(connections.counts.refused_connections, MAKES_ROOM as u64);
    let known = |conn| connections.get(ConnId(conn)).is_some();
    assert!(known(1) && known(last), "those in use stay");
    assert!(!known(2) && !known(MAKES_ROOM as u64));
    assert_eq!(unanswered(&connections), 0);
}

#[test]
fn connections_that_are_to_be_counted_do_not_make_room() {
    let mut connections = Connections::default();
    for conn in 1..=MAX_CONNECTIONS as u64 {
        connections.received(&receive(conn, 1, 5), b"");
        connections.sent(&send(conn, 2, 5), b"", || None, || None);
    }
    for conn in 1..=10 {
        let none = connections.received(&receive(u64::MAX - conn, 3, 5), b"");
        assert!(none.0.is_none());
    }
    assert_eq!(connections.counts.refused_connections, 10);
    let mut counted = 0;
    while connections.take_quiet(u64::MAX, |_, _| false).is_some() {
        counted += 1;
    }
    assert_eq!(counted, MAX_CONNECTIONS);
}

#[test]
fn an_answer_of_many_sends_is_waited_for_once() {
    let mut connections = Connections::default();
    let last_ns = 100_000;
    for conn in [1, 2] {
        connections.received(&receive(conn, 1, 5), b"");
        connections.sent(&send(conn, 2, 5), b"", || None, || None);
    }
    for at_ns in 3..=last_ns {
        connections.sent(&send(2, at_ns, 5), b"", || None, || None);
    }
    let most = endings::MOST_STALE + 2 * connections.connections.len();
    assert!(connections.quiet.len() <= most && connections.settling.len() <= most);
    let taken = |id: Option<RequestId>| id.map(|id| id.conn.0);
    for (conn, sent_ns) in [(1, 2), (2, last_ns)] {
        let before_ns = sent_ns - 1;
        assert_eq!(connections.take_settled(before_ns + SETTLED_NS), None);
        assert_eq!(taken(connections.take_settled(sent_ns + SETTLED_NS)), Some(conn));
        assert_eq!(connections.take_quiet(before_ns + QUIET_NS, |_, _| false), None);
        assert_eq!(
            taken(connections.take_quiet(sent_ns + QUIET_NS, |_, _| false)),
            Some(conn)
        );
    }
}

#[test]
fn a_request_that_is_read_in_many_parts_after_its_client_left_is_waited_for_once() {
    let mut connections = Connections::default();
    connections.received(&receive(1, 1, 5), b"");
    connections.changed(&becomes(1, 2, tcp::CLOSE), None);
    for at_ns in 3..=100_000 {
        connections.received(&receive(1, at_ns, 5), b"");
    }
    assert!(connections.leaving.len() <= endings::MOST_STALE + 2);
    connections.count_unanswered(1 + SETTLED_NS);
    assert_eq!(unanswered(&connections), 0);
    connections.count_unanswered(2 + SETTLED_NS);
    assert_eq!(unanswered(&connections), 1);
}

#[test]
fn a_failed_call_on_a_connection_that_is_over_is_nothing_new() {
    let mut connections = Connections::default();
    for conn in 1..=2 * MAX_CLOSED as u64 {
        connections.received(&receive(conn, 1, 5), b"");
        connections.changed(&becomes(conn, 2, tcp::CLOSE), None);
        connections.closed(ConnId(conn));
    }
    // The server answers clients that have left.
    for conn in 1..=2 * MAX_CLOSED as u64 {
        connections.sent(&send(conn, 3, -libc::EPIPE), b"", || None, || None);
        connections.received(&receive(conn, 4, 0), b"");
    }
    assert_eq!(connections.connections.len(), MAX_CLOSED);
    assert_eq!(connections.counts.sum().late_sends, 0);
}

#[test]
fn a_client_that_leaves_within_the_call_that_answers_it_was_answered() {
    let mut connections = Connections::default();
    connections.received(&receive(1, 1, 5), b"");
    connections.changed(&becomes(1, 2, tcp::CLOSE), None);
    connections.closed(ConnId(1));
    connections.sent(&send(1, 3, 5), b"", || None, || None);
    let ended = connections.answered_too_late(ConnId(1));
    assert_eq!(
        ended,
        Some(RequestId {
            conn: ConnId(1),
            nth: 1
        })
    );
    assert_eq!(connections.answered_too_late(ConnId(1)), None, "once");
    connections.count_unanswered(u64::MAX);
    assert_eq!(unanswered(&connections), 0);
}

#[test]
fn a_request_that_is_not_answered_is_counted_once_though_its_client_is_forgotten() {
    let mut connections = Connections::default();
    let count = 2 * MAX_CLOSED as u64;
    for conn in 1..=count {
        connections.received(&receive(conn, 1, 5), b"");
        connections.changed(&becomes(conn, 2, tcp::CLOSE), None);
        connections.closed(ConnId(conn));
    }
    connections.count_unanswered(3);
    assert_eq!(
        unanswered(&connections),
        MAX_CLOSED as u64,
        "of the others it is not certain yet"
    );
    connections.count_unanswered(2 + SETTLED_NS);
    assert_eq!(unanswered(&connections), count);
    connections.count_unanswered(u64::MAX);
    assert_eq!(unanswered(&connections), count);
}

#[test]
fn a_connection_to_a_peer_is_used_by_the_request_whose_task_sends_before_the_former_one_is_answered() {
    const PEER: u64 = 9;
    let mut connections = Connections::default();
    let mut begin = |conn| {
        let (operation, _) = connections.received(&receive(conn, 1, 5), b"");
        operation.and_then(|operation| operation.request)
    };
    let (first, second) = (begin(1), begin(2));
    let event = common::Connection {
        old_state: tcp::CLOSE,
        ..becomes(PEER, 2, tcp::SYN_SENT)
    };
    connections.changed(&event, None);
    let mut user_of_send = |at_ns, served, owner| {
        let sent = common::Send {
            flags: flags::OUTBOUND,
            ..send(PEER, at_ns, 5)
        };
        let sent = connections.sent(&sent, b"", || served, || owner);
        sent.and_then(|operation| operation.request)
    };
    assert_eq!(user_of_send(3, first, None), first);
    // By the order of events alone the second is not believed: its thread may have turned to it since.
    assert_eq!(user_of_send(4, None, second), first);
    assert_eq!(user_of_send(5, second, None), second);
    assert!(first.is_some() && first != second);
}

/// The tables that were full, with their counts.
fn full_tables(full: &Full) -> Vec<(Table, u64)> {
    full.counts().collect()
}

#[test]
fn descriptors_and_ports_that_find_no_place_are_counted() {
    let mut connections = Connections::default();
    for fd in 0..=MAX_CONNECTIONS as i32 {
        connections.fds.add(Pid(1), fd, ConnId(5), &connections.full);
    }
    connections.fds.add(Pid(1), 0, ConnId(6), &connections.full);
    for pid in [1, 2].map(Pid) {
        (0..=u16::MAX).for_each(|port| connections.listens(pid, port));
    }
    connections.listens(Pid(1), 8080);
    assert_eq!(
        full_tables(&connections.full),
        [(Table::Descriptors, 1), (Table::Listeners, 1 << 16)]
    );
}

#[test]
fn what_belongs_to_no_request_of_too_many_processes_is_counted_together() {
    let mut connections = Connections::default();
    for pid in 1..=5_000 {
        connections.counts.unknown_direction(Pid(pid));
    }
    assert_eq!(connections.counts.sum().unknown_direction, 5_000);
    let together = connections.counts.by_process[&Pid::NONE].unknown_direction;
    assert!(together > 0);
    assert_eq!(
        full_tables(&connections.counts.full),
        [(Table::Processes, together)]
    );
}

#[test]
fn a_request_on_which_more_threads_work_than_are_remembered_says_so() {
    let mut connections = Connections::default();
    connections.received(&receive(1, 1, 5), b"");
    let id = connections
        .turn(RequestId {
            conn: ConnId(1),
            nth: 1,
        })
        .unwrap()
        .id;
    (2..=768).for_each(|tid| connections.touched(id, Tid(tid)));
    assert!(!connections.turn(id).unwrap().has_more_tids());
    assert_eq!(connections.turn(id).unwrap().tids().count(), 768);
    connections.touched(id, Tid(769));
    assert!(connections.turn(id).unwrap().has_more_tids());
}

#[test]
fn threads_of_all_requests_together_are_bounded_and_those_that_are_explained_make_room() {
    let mut connections = Connections::default();
    let requests = MAX_EXTRA_TIDS as u64 / 1000;
    let id = |conn| RequestId {
        conn: ConnId(conn),
        nth: 1,
    };
    let extra = |connections: &Connections| {
        let turns = (1..=2 * requests).map(|conn| connections.turn(id(conn)).unwrap());
        turns.map(Turn::extra_tids).sum::<usize>()
    };
    for conn in 1..=2 * requests {
        connections.received(&receive(conn, 1, 5), b"");
        (2..=768).for_each(|tid| connections.touched(id(conn), Tid(tid)));
    }
    let kept = extra(&connections);
    assert!(
        (MAX_EXTRA_TIDS / 8 * 7..=MAX_EXTRA_TIDS).contains(&kept),
        "{kept}"
    );
    assert!(connections.turn(id(2 * requests)).unwrap().has_more_tids());
    (1..=requests).for_each(|conn| connections.forget_details(id(conn)));
    assert!(extra(&connections) < MAX_EXTRA_TIDS / 3);
    // Looked for again after a while.
    (2..=MAX_EXTRA_TIDS as u32).for_each(|tid| connections.touched(id(2 * requests), Tid(tid)));
    assert_eq!(connections.turn(id(2 * requests)).unwrap().tids().count(), 768);
}

#[test]
fn a_send_to_a_peer_that_is_asked_for_after_many_later_ones_is_counted() {
    const PEER: u64 = 7;
    let mut connections = Connections::default();
    connections.changed(&becomes(PEER, 1, tcp::SYN_SENT), None);
    let request = RequestId {
        conn: ConnId(1),
        nth: 1,
    };
    let asks = |connections: &mut Connections, at_ns| {
        let event = common::Send {
            flags: flags::OUTBOUND,
            ..send(PEER, at_ns, 5)
        };
        connections.sent(&event, b"", || Some(request), || None);
    };
    (10..70).for_each(|at_ns| asks(&mut connections, at_ns));
    let last = connections.last_send_for(ConnId(PEER), request, 1, 11);
    assert_eq!(last.map(|send| send.at_ns), Some(10));
    assert_eq!(connections.full, Full::default());
    (70..100).for_each(|at_ns| asks(&mut connections, at_ns));
    assert_eq!(connections.last_send_for(ConnId(PEER), request, 1, 11), None);
    assert_eq!(full_tables(&connections.full), [(Table::PeerSends, 1)]);
}

#[test]
fn a_turn_does_not_end_while_a_thread_is_in_a_call_that_sends_for_it() {
    let mut connections = Connections::default();
    connections.received(&receive(1, 1, 5), b"");
    connections.sent(&send(1, 2, 5), b"", || None, || None);
    let sends = |turn: &Turn, fd| turn.tids().any(|tid| (tid, fd) == (Tid(1), 0));
    assert_eq!(connections.take_quiet(2 + QUIET_NS, sends), None);
    assert_eq!(connections.take_quiet(1 + 2 * QUIET_NS, |_, _| false), None);
    let ended = connections.take_quiet(2 + 2 * QUIET_NS, |_, _| false);
    assert_eq!(ended.map(|turn| turn.nth), Some(1));
}

#[test]
fn the_byte_that_net_http_reads_beside_a_request_is_the_first_of_the_next_and_nobody_works_for_it() {
    const GOROUTINE: u64 = task::HAS_STAY | 7;
    const BESIDE: u64 = task::HAS_STAY | 8;
    let mut connections = Connections::default();
    let mut receive = |at_ns, task, head: &[u8]| {
        let event = common::Receive {
            arrived_ns: at_ns - 1,
            task,
            ..receive(1, at_ns, head.len() as i32)
        };
        let operation = connections.received(&event, head).0;
        if at_ns == 10 {
            let answer = common::Send {
                task: GOROUTINE,
                ..send(1, 15, 5)
            };
            connections.sent(&answer, b"", || None, || None);
        }
        operation.and_then(|operation| Some(operation.request?.nth))
    };
    assert_eq!(receive(10, GOROUTINE, b"GET /a HTTP/1.1"), Some(1));
    assert_eq!(receive(20, BESIDE, b"G"), None);
    assert_eq!(receive(30, GOROUTINE, b"ET /b HTTP/1.1"), Some(2));
    let turn = connections
        .turn(RequestId {
            conn: ConnId(1),
            nth: 2,
        })
        .unwrap();
    assert_eq!((turn.arrival_ns, turn.read_ns, turn.bytes_in), (19, 30, 15));
    assert_eq!(turn.request_line().unwrap().target, "/b");
    assert_eq!(turn.read_task.id(), Some(TaskId(7)));
}
