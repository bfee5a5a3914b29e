//! Clients that send anything but requests: no crash, the laws hold, and the server answers afterwards.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use crate::client::{self, connect};
use crate::observation::{Lines, Observation};
use crate::server::{Server, load};
use crate::{kernel, laws};

/// Watches a server while `client` does what it does, then has 50 requests answered. Gives what was written.
fn observe(client: impl FnOnce(SocketAddr)) -> Lines {
    let server = Server::faulty(&[]);
    let observation = Observation::of(server.pid(), &[]);
    client(server.address);
    assert_eq!(load(&server.url("/timer?ms=1"), &["--requests", "50"]), 50);
    let lines = observation.finish();
    assert_eq!(lines.of_path("/timer").len(), 50);
    lines
}

/// Reads until the server closes, in whichever way it does.
fn read_to_end(mut stream: &TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) => assert_eq!(
            error.kind(),
            ErrorKind::ConnectionReset,
            "the server does not close"
        ),
    }
    answer
}

/// Numbers without a pattern, the same each time (Marsaglia's xorshift).
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

#[test]
fn random_bytes_are_no_request_and_no_crash() {
    let Some(_turn) = kernel::turn() else { return };
    let lines = observe(|address| {
        let noise = noise(20_000);
        for (index, bytes) in noise.chunks(1_000).enumerate() {
            let mut stream = connect(address);
            // The server may have closed already.
            let _ = stream.write_all(&bytes[..(index + 1) * 50]);
            let _ = stream.shutdown(Shutdown::Write);
            read_to_end(&stream);
        }
    });
    for request in lines
        .requests
        .iter()
        .filter(|request| request.get("http").is_none())
    {
        assert!(laws::number(&request["bytes_in"]) > 0, "{request}");
    }
}

#[test]
fn a_hostile_path_is_written_as_json_without_control_characters() {
    let Some(_turn) = kernel::turn() else { return };
    let lines = observe(|address| {
        let mut stream = connect(address);
        stream
            .write_all(b"GET /\x1b[2J\xff\"\\ HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            .unwrap();
        read_to_end(&stream);
        client::get(address, "/%1b%00?secret=1");
    });
    for line in &lines.written {
        assert!(!line.contains(|c: char| c.is_control()), "{line}");
        assert!(!line.contains("secret"), "{line}");
    }
}

#[test]
fn a_client_that_closes_its_half_is_counted_if_it_is_answered() {
    let Some(_turn) = kernel::turn() else { return };
    let mut answered = 0;
    let lines = observe(|address| {
        for _ in 0..10 {
            let mut stream = connect(address);
            stream.write_all(client::request("/ping").as_bytes()).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            // The server may take it for a client that left.
            answered += usize::from(!read_to_end(&stream).is_empty());
        }
    });
    assert_eq!(lines.of_path("/ping").len(), answered);
    assert_eq!(lines.without_loss().end["unanswered"], 10 - answered as u64);
}

#[test]
fn a_client_that_leaves_before_its_answer_disturbs_no_other() {
    let Some(_turn) = kernel::turn() else { return };
    let lines = observe(|address| {
        for _ in 0..20 {
            let mut stream = connect(address);
            stream
                .write_all(client::request("/pool?ms=10").as_bytes())
                .unwrap();
            // Unread, unanswered, gone.
            drop(stream);
        }
        for _ in 0..20 {
            drop(connect(address));
        }
        assert!(client::get(address, "/ping").ends_with("pong"));
    });
    assert_eq!(lines.of_path("/ping").len(), 1);
    let answered = lines.of_path("/pool").len() as u64;
    assert_eq!(lines.count(), 51 + answered);
    assert_eq!(lines.without_loss().end["unanswered"], 20 - answered);
}

#[test]
fn pipelined_requests_are_answered_and_keep_the_laws() {
    let Some(_turn) = kernel::turn() else { return };
    let lines = observe(|address| {
        let mut connection = client::Connection::open(address);
        for _ in 0..10 {
            connection.send(&client::request("/ping").repeat(3));
            for _ in 0..3 {
                connection.answer();
            }
        }
    });
    // A request is one turn on its connection: three in one piece may be one turn.
    let pings = lines.of_path("/ping").len();
    assert!((10..=30).contains(&pings), "{pings}");
    lines.without_loss();
}

#[test]
fn a_request_that_never_ends_holds_up_nobody() {
    let Some(_turn) = kernel::turn() else { return };
    let mut open = Vec::new();
    let lines = observe(|address| {
        for _ in 0..5 {
            let mut stream = connect(address);
            stream.write_all(b"GET /never HTTP/1.1\r\nHost: te").unwrap();
            open.push(stream);
        }
    });
    assert_eq!(
        lines.of_path("/never").len(),
        0,
        "what was not answered is no request"
    );
    assert_eq!(lines.end["under_way"], 5, "{}", lines.end);
}

#[test]
fn a_request_that_comes_in_pieces_is_one_request_with_its_path() {
    let Some(_turn) = kernel::turn() else { return };
    let lines = observe(|address| {
        let mut connection = client::Connection::open(address);
        let text = client::request("/ping");
        for cut in [1, 4, 7, text.len() - 2] {
            connection.send(&text[..cut]);
            // What the client does, and long enough for the server to read each piece by itself.
            thread::sleep(Duration::from_millis(50));
            connection.send(&text[cut..]);
            connection.answer();
        }
    });
    assert_eq!(lines.without_loss().count(), 54);
    let others = lines
        .requests
        .iter()
        .filter(|request| request["http"]["path"] != "/timer");
    let paths: Vec<_> = others.map(|request| request["http"]["path"].as_str()).collect();
    assert_eq!(paths, [Some("/ping"); 4]);
}
