//! What a connection speaks, as its turns tell it one after the other.

use super::protocol::shown_by;
use super::turn::Turn;
use crate::model::protocol::Protocol;

/// The protocol of a connection, as soon as the bytes of one of its turns were of a protocol for certain.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Speech(Option<Protocol>);

impl Speech {
    /// What `turn` is spoken in.
    ///
    /// What was told once holds: a turn can begin with the rest of a body, which may look like anything. A response of
    /// HTTP/1 tells it too.
    pub(super) fn of(self, turn: &Turn) -> Option<Protocol> {
        self.0
            .or_else(|| shown_by(turn.head()))
            .or_else(|| turn.status.map(|_| Protocol::Http1))
    }

    /// `turn` is answered, with its status where there is one.
    pub(super) fn answered(&mut self, turn: &mut Turn) {
        let told = self.of(turn);
        turn.protocol = told.unwrap_or_default();
        // What follows such a response is of another protocol.
        self.0 = told.filter(|_| !hands_over(turn));
    }
}

/// Whether the response gives the connection to another protocol: web sockets, HTTP/2, what goes through a tunnel.
fn hands_over(turn: &Turn) -> bool {
    match turn.status {
        Some(101) => true,
        Some(200..=299) => turn.head().starts_with(b"CONNECT "),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable as _;
    use observer_common::Receive;

    use super::*;
    use crate::model::id::{ConnId, RequestId};

    /// What turns that begin so, and are answered with such a status, are taken for one after the other.
    fn spoken(turns: &[(&[u8], Option<u16>)]) -> Vec<Protocol> {
        let mut speech = Speech::default();
        let one = |(head, status): &(&[u8], Option<u16>)| {
            let mut turn = Turn::begin(
                RequestId {
                    conn: ConnId(1),
                    nth: 1,
                },
                &Receive::zeroed(),
                0,
                None,
            );
            turn.add_head(head);
            turn.status = *status;
            speech.answered(&mut turn);
            turn.protocol
        };
        turns.iter().map(one).collect()
    }

    const GET: &[u8] = b"GET / HTTP/1.1\r\n\r\n";
    const HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00";

    #[test]
    fn the_rest_of_a_body_is_of_the_protocol_of_its_request() {
        let put: &[u8] = b"PUT /a HTTP/1.1\r\ncontent-length: 99\r\n\r\n";
        let turns = [
            (put, Some(100)),
            (b"\0\x01\x02", Some(200)),
            (HELLO, None),
            (GET, None),
        ];
        assert_eq!(spoken(&turns), [Protocol::Http1; 4]);
    }

    #[test]
    fn where_the_middle_of_a_body_is_seen_first_its_response_tells() {
        assert_eq!(
            spoken(&[(b"of a body", Some(200)), (b"", None)]),
            [Protocol::Http1; 2]
        );
        assert_eq!(
            spoken(&[(b"of a body", None), (GET, Some(200))]),
            [Protocol::Other, Protocol::Http1]
        );
    }

    #[test]
    fn after_an_upgrade_a_connection_is_of_another_protocol() {
        let web_socket: &[u8] = b"\x81\x85abcd";
        assert_eq!(
            spoken(&[(GET, Some(101)), (web_socket, None), (web_socket, None)]),
            [Protocol::Http1, Protocol::Other, Protocol::Other]
        );
        let preface: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        assert_eq!(
            spoken(&[(GET, Some(101)), (preface, None), (b"\xff", None)]),
            [Protocol::Http1, Protocol::Http2, Protocol::Http2]
        );
    }

    #[test]
    fn what_goes_through_a_tunnel_is_not_the_protocol_that_made_it() {
        let connect: &[u8] = b"CONNECT host:443 HTTP/1.1\r\n\r\n";
        assert_eq!(
            spoken(&[(connect, Some(200)), (HELLO, None)]),
            [Protocol::Http1, Protocol::Tls]
        );
        assert_eq!(
            spoken(&[(connect, Some(407)), (connect, Some(200))]),
            [Protocol::Http1; 2]
        );
    }

    #[test]
    fn a_connection_can_turn_to_tls_in_its_middle() {
        let asks_for_tls: &[u8] = b"\0\0\0\x08\x04\xd2\x16\x2f";
        assert_eq!(
            spoken(&[(asks_for_tls, None), (HELLO, None), (b"\x17\x03\x03\0\x20", None)]),
            [Protocol::Other, Protocol::Tls, Protocol::Tls]
        );
    }
}
