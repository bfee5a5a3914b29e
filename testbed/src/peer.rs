//! What a server and a `slow-peer` say to each other: a line with a time, and a line that says when it was sent.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::event::{PollFd, PollFlags, poll};

use crate::truth::{FaultKind, Stretch};

/// An answer is one segment, and no longer than this.
const LONGEST_ANSWER_BYTES: usize = 128;

/// What the peer says.
pub struct Answer {
    /// The line.
    pub line: String,
    /// When it was sent, by the peer's own clock, which is this machine's `CLOCK_MONOTONIC`.
    pub sent_ns: u64,
}

/// Has the peer sleep.
pub fn question(sleep: Duration) -> String {
    format!("{}\n", sleep.as_micros())
}

/// Asks on a connection of its own, and keeps its thread waiting in `poll`, as a client with a time limit does.
pub fn ask_in_poll(address: &str, sleep: Duration) -> Result<Answer> {
    let mut stream = connect(address)?;
    ask(&mut stream, sleep)?;
    poll(&mut [PollFd::new(&stream, PollFlags::IN)], None)?;
    receive(&mut stream)
}

/// A connection to ask on.
pub fn connect(address: &str) -> Result<TcpStream> {
    TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))
}

/// Asks, and does not wait for the answer.
pub fn ask(stream: &mut impl Write, sleep: Duration) -> Result<()> {
    // In one piece: one request is one segment.
    stream
        .write_all(question(sleep).as_bytes())
        .context("cannot ask the peer")
}

/// Takes the answer that is there.
pub fn receive(stream: &mut impl Read) -> Result<Answer> {
    let mut line = [0; LONGEST_ANSWER_BYTES];
    let length = stream.read(&mut line)?;
    Answer::read(String::from_utf8_lossy(line.get(..length).unwrap_or_default()).into_owned())
}

impl Answer {
    /// Finds in the line when it was sent.
    pub fn read(line: String) -> Result<Self> {
        ensure!(line.ends_with('\n'), "it closed the connection");
        let time = line.split_whitespace().next_back();
        let sent_ns = time.and_then(|time| time.parse().ok());
        let sent_ns = sent_ns.with_context(|| format!("it says `{}` and not when", line.trim_end()))?;
        Ok(Self { line, sent_ns })
    }

    /// The wait for it, which is over now, where the peer was asked then.
    pub fn waited(&self, asked_ns: u64) -> Stretch {
        Stretch::until_now(FaultKind::Peer, asked_ns, self.sent_ns.saturating_sub(asked_ns))
    }
}
