//! A made-up recording, written by the library's own writer: always the same bytes.
//!
//! One thread of one server answers requests on one connection, a millisecond apart, and runs on one CPU all
//! the time. What a recording of something more interesting means is tested elsewhere.

use bytemuck::bytes_of;
use observer::event::{End, Port, ThreadName, Tick, text_field};
use observer::model::header::{Header, Options, Requests, TargetInfo};
use observer::model::id::{Pid, Tid};
use observer::output::SAMPLE_ONE_IN;
use observer::source::Batch;
use observer::source::recording::Writer;
use observer_common::{self as common, Kind, flags, tcp};

pub(crate) const PID: u32 = 100;
const TID: u32 = 101;
const PORT: u16 = 8080;
const CONN: u64 = 7;
const BEGIN_NS: u64 = 1_000_000_000;
const APART_NS: u64 = 1_000_000;

/// A recording of so many requests.
pub(crate) fn bytes(requests: u64) -> Vec<u8> {
    let mut batch = Batch::default();
    batch.push(bytes_of(&Port::new(BEGIN_NS, Pid(PID), PORT)));
    batch.push(bytes_of(&ThreadName::new(
        BEGIN_NS,
        Pid(PID),
        Tid(TID),
        text_field("worker"),
    )));
    batch.push(bytes_of(&accepted(BEGIN_NS + 1_000)));
    for nth in 0..requests {
        let at_ns = BEGIN_NS + (nth + 1) * APART_NS;
        batch.push(bytes_of(&receive(at_ns)));
        // Not all alike, so that there is a tail.
        batch.push(bytes_of(&send(at_ns + 100_000 + nth % 100 * 1_000)));
        batch.push(bytes_of(&Tick::new(at_ns + APART_NS / 2)));
    }
    batch.push(bytes_of(&End::new(BEGIN_NS + (requests + 1) * APART_NS)));
    let mut writer = Writer::new(Vec::new(), &header()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap()
}

/// Where the events begin in a recording.
pub(crate) fn events_at(recording: &[u8]) -> usize {
    let length = u32::from_ne_bytes(recording[12..16].try_into().unwrap());
    16 + length as usize
}

/// The same recording with `to` in its header in the place of `from`.
pub(crate) fn with_header(recording: &[u8], from: &str, to: &str) -> Vec<u8> {
    let (fixed_bytes, events_at) = (16, events_at(recording));
    let header = std::str::from_utf8(&recording[fixed_bytes..events_at]).unwrap();
    assert!(header.contains(from), "{header}");
    let mut header = header.replace(from, to);
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    let length = u32::try_from(header.len()).unwrap().to_ne_bytes();
    [
        &recording[..12],
        &length,
        header.as_bytes(),
        &recording[events_at..],
    ]
    .concat()
}

fn header() -> Header {
    let target = TargetInfo {
        pid: Pid(PID),
        comm: "made-up".to_owned(),
        exe: None,
        threads: 2,
        runtime: None,
    };
    let options = Options {
        requests: Requests::default(),
        sample_one_in: SAMPLE_ONE_IN,
        with_query: false,
        apart: false,
        ring_bytes: 1 << 22,
        polls: false,
        goroutines: false,
        sample_hz: 99,
        follow: true,
        ports: Vec::new(),
    };
    Header {
        observer_version: "0.0.0".to_owned(),
        kernel: "6.1.0".to_owned(),
        machine: "x86_64".to_owned(),
        page_bytes: 4096,
        started_unix_ns: 1_790_000_000_000_000_000 + BEGIN_NS,
        unix_offset_ns: 1_790_000_000_000_000_000,
        targets: vec![target],
        signals: Vec::new(),
        options,
        replay: false,
    }
}

const fn head(kind: Kind, at_ns: u64) -> common::Header {
    common::Header {
        at_ns,
        tid: TID,
        kind: kind as u16,
        cpu: 0,
    }
}

fn accepted(at_ns: u64) -> common::Connection {
    let mut address = [0; 16];
    address[..4].copy_from_slice(&[127, 0, 0, 1]);
    common::Connection {
        header: head(Kind::Connection, at_ns),
        conn: CONN,
        tgid: PID,
        old_state: tcp::SYN_RECV,
        new_state: tcp::ESTABLISHED,
        family: tcp::AF_INET,
        local_port: PORT,
        remote_port: 50_000,
        flags: flags::ACCEPTED,
        local_addr: address,
        remote_addr: address,
        network: 0,
        reserved: 0,
    }
}

fn receive(at_ns: u64) -> common::ReceiveHead {
    let text = b"GET /ping?secret=1 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let receive = common::Receive {
        header: head(Kind::ReceiveHead, at_ns),
        tgid: PID,
        fd: 9,
        conn: CONN,
        arrived_ns: at_ns - 5_000,
        task: common::task::UNKNOWN,
        result: i32::try_from(text.len()).unwrap(),
        flags: flags::INBOUND,
        min_flt: 0,
        maj_flt: 0,
        rss_pages: 1_000,
        head_bytes: u32::try_from(text.len()).unwrap(),
    };
    common::ReceiveHead {
        receive,
        head: text_field(std::str::from_utf8(text).unwrap()),
    }
}

fn send(at_ns: u64) -> common::SendHead {
    let text = "HTTP/1.1 200 OK\r\n";
    let send = common::Send {
        header: head(Kind::SendHead, at_ns),
        tgid: PID,
        fd: 9,
        conn: CONN,
        task: common::task::UNKNOWN,
        result: 120,
        flags: flags::INBOUND,
        min_flt: 0,
        maj_flt: 0,
        rss_pages: 1_000,
        head_bytes: u32::try_from(text.len()).unwrap(),
    };
    common::SendHead {
        send,
        head: text_field(&text[..text.len().min(16)]),
    }
}
