//! One connection to the server: a request goes out, an answer comes back whole.
//!
//! It reads answers with a `Content-Length`, or without content. Others are an error, not a guess.

use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::url::Url;

const BUFFER_BYTES: usize = 64 * 1024;
const MOST_HEADERS: usize = 64;

/// An open connection on which nothing is on its way.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// What this client wants to know of an answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Whether the connection takes another request.
    pub(crate) keeps_open: bool,
}

struct Head {
    answer: Answer,
    head_bytes: usize,
    content_bytes: usize,
}

impl Connection {
    pub(crate) async fn open(url: &Url) -> Result<Self> {
        let stream = TcpStream::connect(&url.address)
            .await
            .with_context(|| format!("cannot connect to {}", url.address))?;
        stream.set_nodelay(true).context("cannot set TCP_NODELAY")?;
        Ok(Self {
            stream,
            buffer: vec![0; BUFFER_BYTES],
        })
    }

    /// Sends the request and reads the answer to its last byte. After an error the connection is of no more use.
    pub(crate) async fn exchange(&mut self, url: &Url) -> Result<Answer> {
        let written = self.stream.write_all(&url.request).await;
        written.context("cannot send the request")?;
        let mut filled = 0;
        let head = loop {
            ensure!(filled < self.buffer.len(), "the answer's head is too long");
            filled += self.read(filled).await?;
            if let Some(head) = head(&self.buffer[..filled])? {
                break head;
            }
        };
        let answer_bytes = head.head_bytes + head.content_bytes;
        let mut received = filled;
        while received < answer_bytes {
            received += self.read(0).await?;
        }
        ensure!(received == answer_bytes, "the answer is longer than it says");
        Ok(head.answer)
    }

    async fn read(&mut self, from: usize) -> Result<usize> {
        let read = self.stream.read(&mut self.buffer[from..]).await;
        match read.context("cannot read the answer")? {
            0 => bail!("the server closed the connection before its answer was whole"),
            bytes => Ok(bytes),
        }
    }
}

/// The answer's head, once all of it is there.
fn head(bytes: &[u8]) -> Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head_bytes) = response.parse(bytes).context("the answer is not HTTP")?
    else {
        return Ok(None);
    };
    let status = response.code.context("the answer has no status")?;
    let value = |name: &str| {
        let header = response
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name));
        header.map(|header| header.value)
    };
    let content_bytes = match value("content-length") {
        _ if matches!(status, 204 | 304) => 0,
        Some(length) => parse(length).context("the answer's Content-Length is not a number")?,
        None => bail!("the answer has no Content-Length, and this client reads no other answers"),
    };
    let closes = value("connection").is_some_and(|value| value.eq_ignore_ascii_case(b"close"));
    Ok(Some(Head {
        answer: Answer {
            status,
            keeps_open: !closes && response.version == Some(1),
        },
        head_bytes,
        content_bytes,
    }))
}

fn parse(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.trim().parse().ok()
}
