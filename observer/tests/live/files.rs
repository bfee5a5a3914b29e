//! Answers that the kernel itself takes out of a file.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

use crate::observation::Observation;
use crate::{client, kernel, laws};

const FILE_BYTES: u64 = 1 << 20;

/// Answers one request with this file, which std hands to `sendfile(2)`.
fn serve(stream: &mut TcpStream, file: &mut File) -> u64 {
    let mut request = [0; 4096];
    let read = stream.read(&mut request).unwrap();
    assert!(
        request[..read].ends_with(b"\r\n\r\n"),
        "the request comes in one piece"
    );
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {FILE_BYTES}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(io::copy(file, stream).unwrap(), FILE_BYTES);
    head.len() as u64 + FILE_BYTES
}

#[test]
fn what_sendfile_sends_belongs_to_the_answer() {
    let Some(_turn) = kernel::turn() else { return };
    let mut file = tempfile::tempfile().unwrap();
    file.set_len(FILE_BYTES).unwrap();
    // This process is the server, and the client, whose own connection is no server's.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let observation = Observation::of(std::process::id(), &[]);
    let server = thread::spawn(move || serve(&mut listener.accept().unwrap().0, &mut file));
    client::Connection::open(address).get("/file");
    let sent = server.join().unwrap();
    let lines = observation.finish();
    assert_eq!(lines.without_loss().count(), 1);
    let request = &lines.requests[0];
    assert_eq!(laws::number(&request["bytes_out"]), sent, "{request}");
    assert_eq!(request["http"]["path"], "/file");
    assert_eq!(request["http"]["status"], 200);
}
