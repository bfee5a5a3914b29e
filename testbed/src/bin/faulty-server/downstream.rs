//! The client of a `slow-peer`, or of another server of HTTP: a request takes an idle connection or opens one. Unless
//! the number of connections is bounded, requests never wait for each other here.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use testbed::peer::{self, Answer, question};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, SemaphorePermit};

type Stream = BufReader<TcpStream>;

/// A peer and the connections to it that nobody uses at the moment.
pub(crate) struct Downstream {
    address: String,
    idle: Mutex<Vec<Stream>>,
    /// One permit for each connection that may be used.
    allowed: Semaphore,
    /// Connections are kept for the next request.
    keeps: bool,
}

/// A connection that one request uses.
pub(crate) struct Connection<'a> {
    downstream: &'a Downstream,
    stream: Stream,
    _permit: SemaphorePermit<'a>,
}

impl Downstream {
    /// At most so many connections, 0 for as many as are asked for.
    pub(crate) fn new(address: String, connections: usize, keeps: bool) -> Self {
        let allowed = if connections == 0 {
            Semaphore::MAX_PERMITS
        } else {
            connections
        };
        Self {
            address,
            idle: Mutex::new(Vec::new()),
            allowed: Semaphore::new(allowed),
            keeps,
        }
    }

    /// A connection to ask on. One that is dropped and not given back is not used again.
    pub(crate) async fn connection(&self) -> Result<Connection<'_>> {
        let permit = self.allowed.acquire().await.context("the semaphore is closed")?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let stream = match idle {
            Some(stream) => stream,
            None => self.connect().await?,
        };
        Ok(Connection {
            downstream: self,
            stream,
            _permit: permit,
        })
    }

    /// Asks on a connection of its own, and keeps its thread waiting in `poll`, as a client with a time limit does.
    pub(crate) fn ask_in_poll(&self, sleep: Duration) -> Result<Answer> {
        peer::ask_in_poll(&self.address, sleep)
    }

    async fn connect(&self) -> Result<Stream> {
        let stream = TcpStream::connect(&self.address)
            .await
            .with_context(|| format!("cannot connect to {}", self.address))?;
        Ok(BufReader::new(stream))
    }
}

impl Connection<'_> {
    /// Has the peer sleep; gives what it answers.
    pub(crate) async fn ask(&mut self, sleep: Duration) -> Result<Answer> {
        let asked = exchange(&mut self.stream, sleep).await;
        asked.with_context(|| format!("{} does not answer", self.downstream.address))
    }

    /// Has another server answer a request of HTTP; gives the body.
    pub(crate) async fn get(&mut self, target: &str) -> Result<Vec<u8>> {
        let answered = got(&mut self.stream, target).await;
        answered.with_context(|| format!("{} does not answer", self.downstream.address))
    }

    pub(crate) fn give_back(self) {
        let Self {
            downstream, stream, ..
        } = self;
        if downstream.keeps {
            let mut idle = downstream.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.push(stream);
        }
    }
}

async fn exchange(stream: &mut Stream, sleep: Duration) -> Result<Answer> {
    // In one piece: one request is one segment.
    stream.write_all(question(sleep).as_bytes()).await?;
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    Answer::read(line)
}

async fn got(stream: &mut Stream, target: &str) -> Result<Vec<u8>> {
    let request = format!("GET {target} HTTP/1.1\r\nHost: peer\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let (mut bytes, mut line) = (0, String::new());
    while line != "\r\n" {
        line.clear();
        ensure!(stream.read_line(&mut line).await? > 0, "it closed the connection");
        let field = line.to_ascii_lowercase();
        if let Some(length) = field.strip_prefix("content-length:") {
            bytes = length.trim().parse()?;
        }
    }
    let mut body = vec![0; bytes];
    stream.read_exact(&mut body).await?;
    Ok(body)
}
