//! Connections that were open, as a rule in the middle of something, when observing began.

use super::*;

const CONN: ConnId = ConnId(7);
const PID: Pid = Pid(100);
const PORT: u16 = 8080;

/// What is told of a connection that was there before, by a socket that says so much of who opened it.
fn found(opened: u32) -> common::Connection {
    common::Connection {
        tgid: PID.0,
        old_state: tcp::ESTABLISHED,
        family: tcp::AF_INET,
        local_port: PORT,
        flags: flags::FOUND | opened,
        ..becomes(CONN.0, 1, tcp::ESTABLISHED)
    }
}

/// Connections of which one was there before.
fn with_found(opened: u32) -> Connections {
    let mut connections = Connections::default();
    connections.changed(&found(opened), None);
    connections
}

impl Connections {
    fn gets(&mut self, opened: u32, at_ns: u64, head: &[u8]) -> Option<RequestId> {
        let event = common::Receive {
            tgid: PID.0,
            flags: opened,
            arrived_ns: at_ns - 1,
            ..receive(CONN.0, at_ns, 5)
        };
        self.received(&event, head).0?.request
    }

    fn gives(&mut self, opened: u32, at_ns: u64, head: &[u8]) -> Option<RequestId> {
        let event = common::Send {
            tgid: PID.0,
            flags: opened,
            ..send(CONN.0, at_ns, 5)
        };
        self.sent(&event, head, || None, || None)?.request
    }

    fn opened_of_it(&self) -> Opened {
        self.get(CONN).unwrap().opened
    }
}

const FIRST: Option<RequestId> = Some(RequestId { conn: CONN, nth: 1 });

#[test]
fn the_answer_to_what_was_read_before_is_counted_once_and_what_follows_is_a_request() {
    let mut connections = with_found(flags::INBOUND);
    assert_eq!(connections.gives(flags::INBOUND, 10, b"HTTP/1.1 200 OK\r"), None);
    assert_eq!(connections.gives(flags::INBOUND, 20, b""), None, "its body");
    assert_eq!(connections.gets(flags::INBOUND, 30, b"\x16\x03\x01"), FIRST);
    assert!(connections.turn(FIRST.unwrap()).unwrap().arrival_seen);
    assert_eq!(connections.gives(flags::INBOUND, 40, b""), FIRST);
    let counts = connections.counts.sum();
    assert_eq!(
        (counts.begun_before, counts.late_sends, counts.unknown_direction),
        (1, 0, 0)
    );
}

#[test]
fn what_was_read_or_sent_before_both_are_recorded_is_part_of_no_request() {
    for opens in [Some(found(flags::INBOUND)), None] {
        let mut connections = Connections::whole_since(100);
        if let Some(event) = opens {
            connections.changed(&event, None);
        }
        for at_ns in [10, 20, 30] {
            assert_eq!(
                connections.gets(flags::INBOUND, at_ns, b"GET /x HTTP/1.1\r\n"),
                None
            );
        }
        assert_eq!(connections.gives(flags::INBOUND, 90, b"HTTP/1.1 200 OK\r"), None);
        assert_eq!(connections.gives(flags::INBOUND, 110, b"HTTP/1.1 200 OK\r"), None);
        assert_eq!(
            connections.gets(flags::INBOUND, 120, b"GET /y HTTP/1.1\r\n"),
            FIRST
        );
        assert_eq!(
            connections.gives(flags::INBOUND, 130, b"HTTP/1.1 200 OK\r"),
            FIRST
        );
        let counts = connections.counts.sum();
        assert_eq!((counts.begun_before, counts.late_sends), (1, 0));
    }
}

/// It can have been read before, unseen, and what is read now can have come later.
#[test]
fn what_came_before_all_is_recorded_has_no_arrival_that_was_seen() {
    for (arrived_ns, arrival_ns) in [(90, 120), (110, 110)] {
        let mut connections = Connections::whole_since(100);
        let of_nobody = common::Connection {
            tgid: 0,
            ..found(flags::INBOUND)
        };
        connections.changed(&of_nobody, None);
        let event = common::Receive {
            tgid: PID.0,
            flags: flags::INBOUND,
            arrived_ns,
            ..receive(CONN.0, 120, 5)
        };
        connections.received(&event, b"GET /y HTTP/1.1\r\n");
        let turn = connections.turn(FIRST.unwrap()).unwrap();
        assert_eq!(
            (turn.arrival_ns, turn.arrival_seen),
            (arrival_ns, arrival_ns == arrived_ns)
        );
        assert_eq!(turn.accepted, None, "it can have been in use for long");
    }
}

#[test]
fn what_a_server_sends_much_later_without_a_request_is_late() {
    let mut connections = with_found(flags::INBOUND);
    for at_ns in [10, 10 + 2 * QUIET_NS, 10 + 4 * QUIET_NS] {
        connections.gives(flags::INBOUND, at_ns, b"");
    }
    let counts = connections.counts.sum();
    assert_eq!((counts.begun_before, counts.late_sends), (1, 2));
}

#[test]
fn a_turn_that_can_be_the_rest_of_a_request_has_no_arrival_that_was_seen() {
    for (head, seen) in [(&b"GET /x HTTP/1.1\r\n"[..], true), (b"rest of a body", false)] {
        let mut connections = with_found(flags::INBOUND);
        assert_eq!(connections.gets(flags::INBOUND, 10, head), FIRST);
        let turn = connections.turn(FIRST.unwrap()).unwrap();
        assert_eq!(turn.arrival_seen, seen);
        assert_eq!(turn.accepted, None, "it had been accepted long ago");
    }
}

#[test]
fn a_peer_that_answers_what_was_asked_before_is_no_client() {
    let mut connections = with_found(flags::OUTBOUND);
    assert_eq!(
        connections.gets(flags::OUTBOUND, 10, b"GET /x HTTP/1.1\r\n"),
        None
    );
    assert_eq!(connections.opened_of_it(), Opened::Outbound);
}

#[test]
fn every_record_tells_who_opened_a_connection_whose_own_was_lost() {
    let mut connections = Connections::default();
    assert_eq!(connections.gets(flags::OUTBOUND, 10, b""), None);
    assert_eq!(connections.opened_of_it(), Opened::Outbound);
    let mut connections = Connections::default();
    assert_eq!(connections.gives(flags::INBOUND, 10, b""), None);
    assert_eq!(connections.opened_of_it(), Opened::Inbound);
}

#[test]
fn to_be_the_first_to_speak_is_no_evidence() {
    let mut connections = with_found(0);
    assert_eq!(connections.gives(0, 10, b"+PONG"), None);
    assert_eq!(connections.gets(0, 20, b"PING"), None);
    assert_eq!(connections.opened_of_it(), Opened::Unknown);
    assert_eq!(connections.counts.sum().unknown_direction, 1, "once");
    assert_eq!(connections.counts.sum().late_sends, 0);
}

#[test]
fn the_first_bytes_that_are_http_are_evidence() {
    const REQUEST: &[u8] = b"GET /x HTTP/1.1\r";
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r";
    let after = |use_it: fn(&mut Connections) -> Option<RequestId>| {
        let mut connections = with_found(0);
        use_it(&mut connections);
        connections.opened_of_it()
    };
    assert_eq!(after(|it| it.gets(0, 10, REQUEST)), Opened::Inbound);
    assert_eq!(after(|it| it.gets(0, 10, ANSWER)), Opened::Outbound);
    assert_eq!(after(|it| it.gives(0, 10, ANSWER)), Opened::Inbound);
    assert_eq!(after(|it| it.gives(0, 10, REQUEST)), Opened::Outbound);
}

#[test]
fn a_listener_on_its_port_is_evidence_for_the_processes_in_whose_network_it_is() {
    let mut connections = with_found(0);
    connections.listens(Pid(PID.0 + 1), PORT);
    assert_eq!(connections.gets(0, 10, b""), None);
    connections.listens(PID, PORT);
    assert_eq!(connections.gets(0, 20, b""), FIRST);
}

#[test]
fn one_that_is_found_while_it_connects_was_not_asked_for_by_a_request() {
    let mut connections = Connections::default();
    let event = common::Connection {
        new_state: tcp::SYN_SENT,
        old_state: tcp::SYN_SENT,
        ..found(flags::OUTBOUND)
    };
    connections.changed(&event, FIRST);
    assert!(connections.get(CONN).unwrap().sends.is_empty());
}
