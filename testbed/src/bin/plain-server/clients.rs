//! Connections: where they came from, requests in and answers out. No more of HTTP than the load sends.

use std::io::{Error, ErrorKind, Read as _, Result as IoResult, Write as _};
use std::net::{TcpListener, TcpStream};

use anyhow::{Context as _, Result};

/// A longer head is none.
const LONGEST_HEAD_BYTES: usize = 4096;
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// Where the server listens.
pub(crate) struct Endpoint {
    pub(crate) listener: TcpListener,
    /// Which of its pools or loops serves what comes there.
    pub(crate) number: usize,
}

/// A connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    /// The place at which it was accepted.
    pub(crate) place: usize,
}

/// What a client asks for.
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) query: String,
}

impl Endpoint {
    pub(crate) fn accept(&self) -> Result<Client> {
        let (stream, _) = self.listener.accept().context("cannot accept a connection")?;
        stream.set_nodelay(true).context("cannot set TCP_NODELAY")?;
        Ok(Client {
            stream,
            place: self.number,
        })
    }
}

impl Client {
    /// Reads the next request; nothing where the client has closed the connection.
    pub(crate) fn receive(&self) -> IoResult<Option<Request>> {
        let mut bytes = [0; LONGEST_HEAD_BYTES];
        let mut filled = 0;
        while !bytes[..filled].ends_with(END_OF_HEAD) {
            match (&self.stream).read(&mut bytes[filled..])? {
                0 => return Ok(None),
                read => filled += read,
            }
        }
        let head = String::from_utf8_lossy(&bytes[..filled]);
        let target = head
            .split(' ')
            .nth(1)
            .ok_or(Error::from(ErrorKind::InvalidData))?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Ok(Some(Request {
            path: path.to_owned(),
            query: query.to_owned(),
        }))
    }

    pub(crate) fn answer(&self, status: u16, body: &str) -> IoResult<()> {
        let bytes = body.len();
        let answer = format!("HTTP/1.1 {status} -\r\nContent-Length: {bytes}\r\n\r\n{body}");
        (&self.stream).write_all(answer.as_bytes())
    }
}
