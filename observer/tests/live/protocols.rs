//! Turns that are not HTTP/1 are counted apart from its requests.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::client::{connect, request};
use crate::observation::Observation;
use crate::serving::server;
use crate::{kernel, laws};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HELLO: &[u8] = b"\x16\x03\x01\0\x05hello";
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";

/// Sends this, and waits until as much has come back, or a response.
fn turn(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).unwrap();
    let mut answer = [0; 4096];
    assert!(stream.read(&mut answer).expect("the server answers") > 0);
}

/// How many turns of a protocol that does not lead are counted.
fn beside(end: &Value, protocol: &str) -> u64 {
    let others = end["other_protocols"].as_array().unwrap();
    let other = others.iter().find(|other| other["protocol"] == protocol);
    other.map_or(0, |other| laws::number(&other["turns"]))
}

#[test]
fn what_is_not_http_1_is_not_among_its_requests() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("python3") {
        return;
    }
    let server = server(&["tongues"]);
    // Nobody will see how it began.
    let mut old = connect(server.address);
    turn(&mut old, PREFACE);
    let observation = Observation::of(server.pid(), &[]);
    let get = request("/a");
    let mut streams: Vec<TcpStream> = (0..5).map(|_| connect(server.address)).collect();
    let [http, new, tls, redis, web] = &mut streams[..] else {
        unreachable!()
    };
    for _ in 0..10 {
        turn(http, get.as_bytes());
        turn(&mut old, SETTINGS);
        turn(redis, b"*1\r\n$4\r\nPING\r\n");
        turn(tls, HELLO);
    }
    turn(new, PREFACE);
    turn(new, b"\xff\xff anything");
    turn(web, b"GET /b HTTP/1.1\r\nUpgrade: websocket\r\n\r\n");
    turn(web, b"\x81\x85abcdefghi");
    // The rest of a body, or what is taken for one.
    turn(http, b"name=value&");
    drop(streams);
    let lines = observation.finish();
    let end = &lines.end;
    assert_eq!((&end["protocol"], lines.count()), (&json!("http/1"), 12), "{end}");
    assert_eq!(lines.of_path("/a").len(), 10);
    assert_eq!(lines.of_path("/b").len(), 1);
    let counts = ["http/2", "tls", "other"].map(|protocol| beside(end, protocol));
    assert_eq!(counts, [12, 10, 11], "{end}");
    let other = lines.requests.iter().filter(|line| line["protocol"] == "other");
    assert_eq!(other.count(), 11, "a line says what it is");
}

#[test]
fn a_server_of_another_protocol_has_all_figures_under_its_name() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("python3") {
        return;
    }
    let server = server(&["tongues"]);
    let observation = Observation::of(server.pid(), &[]);
    let mut stream = connect(server.address);
    for _ in 0..20 {
        turn(&mut stream, b"*1\r\n$4\r\nPING\r\n");
    }
    drop(stream);
    let lines = observation.finish();
    assert_eq!((&lines.end["protocol"], lines.count()), (&json!("other"), 20));
    assert_eq!(lines.end["other_protocols"], json!([]));
    assert!(lines.end["at"]["p99"]["budget_ns"].is_object(), "{}", lines.end);
}
