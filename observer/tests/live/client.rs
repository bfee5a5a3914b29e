//! A client for what `load` does not do: single requests, wrong ones, and connections in odd states.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use crate::run::DEADLINE;

/// Opens a connection on which nothing waits for ever.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server takes connections");
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// The text of a request for `path`.
pub(crate) fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")
}

/// Requests `path` on a connection of its own, which closes then. Gives the whole answer.
pub(crate) fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = connect(address);
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream
        .read_to_end(&mut answer)
        .expect("the server answers and closes");
    String::from_utf8_lossy(&answer).into_owned()
}

/// A connection that is kept open.
pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Self {
        Self(BufReader::new(connect(address)))
    }

    /// Requests `path`, and reads the answer, which has a `Content-Length`. Gives its body.
    pub(crate) fn get(&mut self, path: &str) -> String {
        self.send(&request(path));
        self.answer()
    }

    /// Sends this, in one piece.
    pub(crate) fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// Reads one answer. Gives its body.
    pub(crate) fn answer(&mut self) -> String {
        let mut content_bytes = 0;
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            assert!(
                self.0.read_line(&mut line).expect("the server answers") > 0,
                "the server closed"
            );
            let lower = line.to_ascii_lowercase();
            if let Some(length) = lower.strip_prefix("content-length:") {
                content_bytes = length.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; content_bytes];
        self.0.read_exact(&mut body).expect("the answer is whole");
        String::from_utf8_lossy(&body).into_owned()
    }
}
