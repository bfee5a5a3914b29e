//! One connection to the server: requests go out, answers come back whole.
//!
//! It knows nothing of HTTP but what `answer` tells, and misbehaves as its [`Manner`] says.

use std::io::{ErrorKind, Result as IoResult};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use testbed::clock;
use testbed::truth::Times;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream, lookup_host};

use crate::answer::{self, Answer};
use crate::manner::Manner;
use crate::url::Url;

const BUFFER_BYTES: usize = 64 * 1024;
const LITTLE_ROOM_BYTES: u32 = 256 * 1024;

/// An open connection on which nothing is on its way.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Bytes of the buffer that were received and not used.
    filled: usize,
}

impl Connection {
    pub(crate) async fn open(url: &Url, manner: &Manner) -> Result<Self> {
        let connected = connect(&url.address, manner.read_pause.is_some()).await;
        let stream = connected.with_context(|| format!("cannot connect to {}", url.address))?;
        stream.set_nodelay(true).context("cannot set TCP_NODELAY")?;
        Ok(Self {
            stream,
            buffer: vec![0; BUFFER_BYTES],
            filled: 0,
        })
    }

    /// Sends requests that follow each other without a pause, or in pieces.
    pub(crate) async fn send(&mut self, requests: &[u8], manner: &Manner) -> Result<Times> {
        let mut times = Times {
            send_ns: clock::now_ns(),
            ..Times::default()
        };
        for piece in requests.chunks(requests.len().div_ceil(manner.pieces.into())) {
            if times.sent_ns > 0 {
                times.withheld_ns += pause(manner.piece_pause).await;
            }
            let written = self.stream.write_all(piece).await;
            written.context("cannot send the request")?;
            if times.sent_ns == 0 {
                times.sent_ns = clock::now_ns();
            }
        }
        Ok(times)
    }

    /// Sends the head of a request, waits until the server wants the body, and sends that after a pause.
    pub(crate) async fn ask_and_send(&mut self, head: &[u8], body: &[u8], manner: &Manner) -> Result<Times> {
        let send_ns = clock::now_ns();
        let written = self.stream.write_all(head).await;
        written.context("cannot send the request's head")?;
        let sent_ns = clock::now_ns();
        while !self.buffer[..self.filled].ends_with(b"\r\n\r\n") {
            self.read().await?;
        }
        ensure!(
            self.buffer.starts_with(b"HTTP/1.1 100 "),
            "the server does not ask for the body"
        );
        self.filled = 0;
        let withheld_ns = pause(manner.piece_pause).await;
        let written = self.stream.write_all(body).await;
        written.context("cannot send the request's body")?;
        Ok(Times {
            send_ns,
            sent_ns,
            withheld_ns,
            ..Times::default()
        })
    }

    /// Reads the next answer to its last byte. After an error the connection is of no more use.
    pub(crate) async fn receive(&mut self, manner: &Manner, times: &mut Times) -> Result<Answer> {
        if self.filled == 0 {
            self.read().await?;
        }
        if let Some(read_pause) = manner.read_pause {
            times.unread_ns += pause(read_pause).await;
        }
        let head = loop {
            if let Some(head) = answer::head(&self.buffer[..self.filled])? {
                break head;
            }
            ensure!(self.filled < self.buffer.len(), "the answer's head is too long");
            self.read().await?;
        };
        let mut missing = head.head_bytes + head.content_bytes;
        while missing > self.filled {
            missing -= self.filled;
            self.filled = 0;
            self.read().await?;
        }
        self.buffer.copy_within(missing..self.filled, 0);
        self.filled -= missing;
        times.answered_ns = clock::now_ns();
        Ok(head.answer)
    }

    /// Whether nothing came that was not asked for.
    pub(crate) fn is_quiet(&self) -> bool {
        self.filled == 0
    }

    async fn read(&mut self) -> Result<()> {
        let read = self.stream.read(&mut self.buffer[self.filled..]).await;
        match read.context("cannot read the answer")? {
            0 => bail!("the server closed the connection before its answer was whole"),
            bytes => self.filled += bytes,
        }
        Ok(())
    }
}

/// A client that reads late has little room for what it does not read: otherwise the kernel takes some 30 MiB for it,
/// and no server ever notices.
async fn connect(address: &str, little_room: bool) -> IoResult<TcpStream> {
    if !little_room {
        return TcpStream::connect(address).await;
    }
    let address = lookup_host(address).await?.next().ok_or(ErrorKind::NotFound)?;
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    socket.set_recv_buffer_size(LITTLE_ROOM_BYTES)?;
    socket.connect(address).await
}

/// Pauses, and tells for how long.
async fn pause(duration: Duration) -> u64 {
    let from_ns = clock::now_ns();
    tokio::time::sleep(duration).await;
    clock::now_ns().saturating_sub(from_ns)
}
