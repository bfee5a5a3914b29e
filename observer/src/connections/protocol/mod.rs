//! Which protocol a connection speaks, told by the first bytes of a turn.
//!
//! It judges bytes and nothing else: what a connection was taken for before is remembered where connections are.

pub mod http1;

use self::http1::RequestLine;
use crate::model::protocol::Protocol;

/// What a client of HTTP/2 sends first (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// As much of the preface tells it: no other protocol has the method `PRI`.
const PREFACE_TELLS: usize = 4;

/// What the first inbound bytes of a turn are for certain; `None` where they are of no protocol that is known, as the
/// rest of a body is, which was being read when its response had been sent.
#[must_use]
pub(super) fn shown_by(head: &[u8]) -> Option<Protocol> {
    if PREFACE.starts_with(&head[..head.len().min(PREFACE.len())]) && head.len() >= PREFACE_TELLS {
        Some(Protocol::Http2)
    } else if is_record(head) {
        Some(Protocol::Tls)
    } else if begins_request(head) {
        Some(Protocol::Http1)
    } else if are_frames(head) {
        Some(Protocol::Http2)
    } else {
        None
    }
}

/// A request line of HTTP/1.x. One that is cut has to look like one as far as it goes: `get a-long-key` is Memcached's.
fn begins_request(head: &[u8]) -> bool {
    RequestLine::read(head).is_some_and(|line| {
        let looks_right = || {
            let target = line.target;
            target.starts_with(['/', '*']) || target.contains("://") || line.method == "CONNECT"
        };
        !line.target_cut || looks_right()
    })
}

/// The header of a TLS record (RFC 8446, section 5.1): its type, the version 3.0 to 3.4, its length.
fn is_record(head: &[u8]) -> bool {
    const MAX_LENGTH: u16 = (1 << 14) + 2048;
    let [0x14..=0x17, 3, 0..=4, high, low, ..] = *head else {
        return false;
    };
    (1..=MAX_LENGTH).contains(&u16::from_be_bytes([high, low]))
}

/// Frames of HTTP/2 from a client (RFC 9113, section 4.1), each as far as it is there: on a connection that was open
/// before it was watched nobody saw the preface.
fn are_frames(head: &[u8]) -> bool {
    let mut rest = head;
    let mut frames = 0;
    while let Some((header, payload)) = rest.split_at_checked(FRAME_HEADER) {
        let Some(length) = frame_length(header) else {
            return false;
        };
        frames += 1;
        rest = payload.get(length..).unwrap_or_default();
    }
    frames > 0
}

/// Bytes before the payload of a frame.
const FRAME_HEADER: usize = 9;

/// The largest payload that is believed: servers that raise the limit of 16 KiB take up to 1 MiB, as Go's does.
const MAX_PAYLOAD: usize = 1 << 20;

/// Length of the payload behind a frame's header, if that is possible.
fn frame_length(header: &[u8]) -> Option<usize> {
    let [high, middle, low, kind, flags, stream @ ..] = *header.first_chunk::<FRAME_HEADER>()?;
    let length = u32::from_be_bytes([0, high, middle, low]) as usize;
    let stream = u32::from_be_bytes(stream);
    // Clients begin the odd streams; the highest bit is reserved.
    let (connection, of_client) = (stream == 0, stream % 2 == 1);
    let possible = stream >> 31 == 0
        && match kind {
            // DATA: END_STREAM, PADDED.
            0 => of_client && flags & !0x09 == 0 && length <= MAX_PAYLOAD,
            // HEADERS: END_STREAM, END_HEADERS, PADDED, PRIORITY.
            1 => of_client && flags & !0x2d == 0 && (1..=MAX_PAYLOAD).contains(&length),
            // PRIORITY, RST_STREAM.
            2 => !connection && length == 5,
            3 => !connection && length == 4,
            // SETTINGS: ACK.
            4 => connection && flags & !1 == 0 && length.is_multiple_of(6) && length <= 6 * 64,
            // PING: ACK.
            6 => connection && flags & !1 == 0 && length == 8,
            // GOAWAY.
            7 => connection && (8..=MAX_PAYLOAD).contains(&length),
            // WINDOW_UPDATE.
            8 => length == 4,
            // CONTINUATION: END_HEADERS.
            9 => of_client && flags & !0x04 == 0 && length <= MAX_PAYLOAD,
            _ => false,
        };
    possible.then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut bytes = length[1..].to_vec();
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    #[track_caller]
    fn all_are(protocol: Option<Protocol>, heads: &[(&str, &[u8])]) {
        for (what, head) in heads {
            assert_eq!(shown_by(head), protocol, "{what}");
        }
    }

    #[test]
    fn http_1_is_shown_by_its_request_line() {
        all_are(
            Some(Protocol::Http1),
            &[
                ("a request", b"GET /a HTTP/1.1\r\nhost: x\r\n"),
                ("a method of one's own", b"PURGE /a HTTP/1.1\r\n"),
                ("a target that is cut", b"DELETE /very/long/path"),
                ("a proxy's target, cut", b"GET http://host/very/long"),
                ("a tunnel", b"CONNECT host:443 HTTP/1.1\r\n"),
            ],
        );
    }

    #[test]
    fn http_2_and_tls_are_told_by_how_their_clients_begin() {
        let frames = [
            frame(1, 0x25, 5, b"headers"),
            frame(0, 1, 5, b"message"),
            frame(8, 0, 0, &[0, 0, 0, 7]),
        ]
        .concat();
        all_are(
            Some(Protocol::Http2),
            &[
                ("the preface", PREFACE),
                ("a part of it", b"PRI * HT"),
                ("the preface and more", &[PREFACE, &frame(4, 0, 0, b"")].concat()),
                ("frames", &frames),
                ("frames that are cut", &frames[..20]),
                ("the header of a frame alone", &frame(6, 0, 0, &[0; 8])[..9]),
            ],
        );
        all_are(
            Some(Protocol::Tls),
            &[
                ("a hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
                ("a record's header alone", b"\x17\x03\x03\x00\x45"),
            ],
        );
    }

    #[test]
    fn what_begins_otherwise_is_none_of_these() {
        all_are(
            None,
            &[
                ("nothing", b""),
                ("the rest of a body", b"field=value&other=one%20more"),
                ("Redis", b"*1\r\n$4\r\nPING\r\n"),
                ("Redis, typed by a person", b"PING\r\n"),
                (
                    "Memcached, with a long key",
                    b"get a-key-longer-than-what-is-captured-of-it",
                ),
                ("PostgreSQL's beginning", b"\0\0\0\x08\x04\xd2\x16\x2f"),
                ("a query of PostgreSQL", b"Q\0\0\0\x0dSELECT 1\0"),
                ("a query of MySQL", b"\x09\0\0\0\x03SELECT 1"),
                ("a mail", b"EHLO example.org\r\n"),
            ],
        );
    }

    #[test]
    fn frames_that_no_client_of_http_2_sends_are_something_else() {
        for (what, bytes) in [
            ("a server's stream", frame(1, 4, 2, b"headers")),
            ("data of no stream", frame(0, 0, 0, b"x")),
            ("a ping of seven bytes", frame(6, 0, 0, &[0; 7])),
            ("a frame that is promised", frame(5, 4, 3, b"push")),
            ("a flag that is not there", frame(0, 0x80, 1, b"x")),
            (
                "a second frame that is none",
                [frame(6, 0, 0, &[0; 8]), vec![0xff; 9]].concat(),
            ),
        ] {
            assert_eq!(shown_by(&bytes), None, "{what}");
        }
    }
}
