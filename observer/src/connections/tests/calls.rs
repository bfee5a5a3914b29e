//! Calls of watched processes to each other: the request that answered is named where no other can have.

use super::super::calls::MAX_FINISHED;
use super::super::connection::MAX_SENDS;
use super::*;
use crate::model::cause::Cause;

const NETWORK: u32 = 7;

/// Both ends of one connection, among all.
struct Both {
    all: Connections,
    caller: u64,
    callee: u64,
}

/// One end is opened at 1 ns, on the loopback device of a network.
fn opens(conn: u64, network: u32, [local_port, remote_port]: [u16; 2], opened: u32) -> common::Connection {
    let mut local_addr = [0; 16];
    local_addr[..4].copy_from_slice(&[127, 0, 0, 1]);
    common::Connection {
        old_state: tcp::SYN_SENT,
        family: tcp::AF_INET,
        local_port,
        remote_port,
        flags: opened,
        local_addr,
        remote_addr: local_addr,
        network,
        ..becomes(conn, 1, tcp::ESTABLISHED)
    }
}

impl Both {
    fn new() -> Self {
        Self::in_networks(NETWORK, NETWORK)
    }

    /// Its ends are in these.
    fn in_networks(caller: u32, callee: u32) -> Self {
        let mut both = Self {
            all: Connections::default(),
            caller: 0,
            callee: 0,
        };
        both.open(40_000, [caller, callee]);
        both
    }

    /// Another connection is opened, from this port, and used from now on.
    fn open(&mut self, port: u16, networks: [u32; 2]) {
        self.open_between([[127, 0, 0, 1]; 2], port, networks);
    }

    fn open_between(&mut self, [from, to]: [[u8; 4]; 2], port: u16, [caller, callee]: [u32; 2]) {
        (self.caller, self.callee) = (u64::from(port), u64::from(port) + 1);
        let at = |mut end: common::Connection, local: [u8; 4], remote: [u8; 4]| {
            end.local_addr[..4].copy_from_slice(&local);
            end.remote_addr[..4].copy_from_slice(&remote);
            end
        };
        let opened = opens(self.caller, caller, [port, 80], flags::OUTBOUND);
        self.all.changed(&at(opened, from, to), None);
        let accepted = opens(self.callee, callee, [80, port], flags::INBOUND);
        self.all.changed(&at(accepted, to, from), None);
    }

    fn asks(&mut self, at_ns: u64) {
        let sent = common::Send {
            flags: flags::OUTBOUND,
            ..send(self.caller, at_ns, 5)
        };
        self.all.sent(&sent, b"", || None, || None);
    }

    fn is_answered(&mut self, at_ns: u64) {
        let read = common::Receive {
            flags: flags::OUTBOUND,
            ..receive(self.caller, at_ns, 5)
        };
        self.all.received(&read, b"");
    }

    /// The other end reads at this time what had come a nanosecond before; the turn before that is over.
    fn reads(&mut self, at_ns: u64, head: &[u8]) {
        let read = common::Receive {
            arrived_ns: at_ns - 1,
            ..receive(self.callee, at_ns, 5)
        };
        let (_, ended) = self.all.received(&read, head);
        if let Some(ended) = ended {
            self.all.finished(ended, Some(Cause::Timer));
        }
    }

    fn answers(&mut self, at_ns: u64) {
        self.all.sent(&send(self.callee, at_ns, 5), b"", || None, || None);
    }

    /// All of one call, from when it is asked to when the answer is read, ns.
    fn call(&mut self, from_ns: u64, to_ns: u64) {
        self.asks(from_ns);
        self.reads(from_ns + 2, b"GET /a HTTP/1.1\r\n");
        self.answers(to_ns - 1);
        self.is_answered(to_ns);
    }

    /// Which turn answered, where it was waited for then, and what it was mostly spent on.
    fn named(&self, from_ns: u64, to_ns: u64) -> Option<(u64, Option<Cause>)> {
        let callee = self.all.callee(ConnId(self.caller), from_ns, to_ns)?;
        assert_eq!(callee.id.conn, ConnId(self.callee));
        Some((callee.id.nth, callee.mostly))
    }
}

#[test]
fn each_call_names_its_own_request_also_when_others_came_after_it() {
    let mut both = Both::new();
    both.call(100, 200);
    assert_eq!(both.named(100, 199), Some((1, None)), "it is not finished yet");
    both.call(300, 400);
    both.call(500, 600);
    assert_eq!(both.named(100, 199), Some((1, Some(Cause::Timer))));
    assert_eq!(both.named(300, 399), Some((2, Some(Cause::Timer))));
    assert_eq!(both.named(500, 599), Some((3, None)));
    let callee = both.all.callee(ConnId(both.caller), 300, 399).unwrap();
    assert_eq!(callee.name.as_deref(), Some("GET /a"));
    assert_eq!(callee.latency_ns, 98);
    assert_eq!(both.named(400, 499), None, "nothing was asked meanwhile");
}

#[test]
fn between_networks_the_ends_of_routable_addresses_meet_and_those_of_an_own_address_do_not() {
    const FIRST: [u8; 4] = [10, 0, 0, 1];
    const SECOND: [u8; 4] = [10, 0, 0, 2];
    for (addresses, is_named) in [([FIRST, SECOND], true), ([FIRST, FIRST], false)] {
        let mut both = Both::new();
        both.open_between(addresses, 50_000, [NETWORK, NETWORK + 1]);
        both.call(100, 200);
        assert_eq!(both.named(100, 199).is_some(), is_named, "{addresses:?}");
    }
}

#[test]
fn a_call_before_all_that_are_remembered_is_counted() {
    let mut both = Both::new();
    let calls = MAX_SENDS as u64 + 1;
    for nth in 1..=calls {
        both.call(nth * 100, nth * 100 + 50);
    }
    assert!(both.named(200, 249).is_some());
    assert_eq!(full_tables(&both.all.full), []);
    assert_eq!(both.named(100, 149), None);
    assert_eq!(full_tables(&both.all.full), [(Table::PeerSends, 1)]);
}

#[test]
fn a_part_of_a_wait_before_the_answer_is_its_wait_too() {
    let mut both = Both::new();
    both.call(100, 200);
    both.call(300, 400);
    assert_eq!(both.named(320, 330), Some((2, None)));
    assert_eq!(both.named(301, 301), None, "it had not come yet");
}

#[test]
fn of_two_requests_that_came_before_the_answer_was_read_none_is_named() {
    let mut both = Both::new();
    both.asks(100);
    both.reads(102, b"");
    both.answers(150);
    both.asks(160);
    both.reads(162, b"");
    both.answers(190);
    both.is_answered(200);
    assert_eq!(both.named(100, 199), None);
    both.call(300, 400);
    assert_eq!([both.named(100, 199), both.named(160, 199)], [None; 2]);
    assert_eq!(both.named(300, 399), Some((3, None)));
}

/// The record of an answer is missing: what the next one answers is taken for one request.
#[test]
fn a_request_that_seems_to_be_answered_after_the_next_question_is_not_named() {
    let mut both = Both::new();
    both.asks(100);
    both.reads(102, b"");
    both.is_answered(200);
    assert_eq!(both.named(100, 199), None, "no answer was seen");
    both.call(300, 400);
    assert_eq!([both.named(100, 199), both.named(300, 399)], [None; 2]);
}

#[test]
fn a_request_that_came_before_records_were_lost_is_not_named() {
    let mut both = Both::new();
    both.call(100, 200);
    both.all.lost(150);
    both.call(300, 400);
    assert_eq!(
        [both.named(100, 199), both.named(300, 399)],
        [None, Some((2, None))]
    );
}

#[test]
fn protocols_that_carry_several_requests_at_once_name_none() {
    let mut both = Both::new();
    both.asks(100);
    both.reads(102, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    both.answers(190);
    both.is_answered(200);
    assert_eq!(both.named(100, 199), None);
}

#[test]
fn loopback_addresses_of_another_network_are_not_the_other_end() {
    let mut both = Both::in_networks(NETWORK, NETWORK + 1);
    both.call(100, 200);
    assert_eq!(both.named(100, 199), None);
    let mut before_it_was_recorded = Both::in_networks(0, 0);
    before_it_was_recorded.call(100, 200);
    assert_eq!(before_it_was_recorded.named(100, 199), Some((1, None)));
}

#[test]
fn a_connection_that_had_the_same_addresses_before_is_another() {
    let mut both = Both::new();
    both.call(100, 200);
    let again = common::Connection {
        header: header(1_000),
        ..opens(7, NETWORK, [40_000, 80], flags::OUTBOUND)
    };
    both.all.changed(&again, None);
    assert_eq!(both.named(100, 199), None);
    both.caller = 7;
    both.asks(1_100);
    both.is_answered(1_200);
    assert_eq!(
        both.named(1_100, 1_199),
        None,
        "the other end had an answer before"
    );
}

#[test]
fn what_is_asked_for_and_was_forgotten_is_counted() {
    let mut both = Both::new();
    both.call(100, 200);
    let first = both.caller;
    both.reads(250, b"");
    both.open(40_002, [NETWORK; 2]);
    for nth in 1..=MAX_FINISHED as u64 {
        both.call(1_000 * nth, 1_000 * nth + 100);
    }
    let named = |both: &Both| {
        both.all
            .callee(ConnId(first), 100, 199)
            .map(|callee| callee.id.nth)
    };
    assert_eq!(named(&both), Some(1));
    let last = 1_000 * (MAX_FINISHED as u64 + 1);
    both.call(last, last + 100);
    assert_eq!(named(&both), None);
    assert_eq!(full_tables(&both.all.full), [(Table::Calls, 1)]);
    assert_eq!(
        both.named(last - 1_000, last - 900),
        Some((MAX_FINISHED as u64, Some(Cause::Timer)))
    );
}
