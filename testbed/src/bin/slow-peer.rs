//! A plain TCP server that is as slow as it is asked to be: the downstream of `faulty-server`.
//!
//! A line with a number of microseconds is answered with a line after that time, which says when it was sent: the
//! peer's part of the truth about a wait for it. So is a request of HTTP whose path is that number. One thread a
//! connection.

use std::io::{BufRead, BufReader, Read as _, Result as IoResult, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use testbed::{clock, duration, server};

/// Longer lines are no numbers.
const LONGEST_LINE_BYTES: u64 = 64;
const MOST_US: u64 = 60_000_000;

/// A TCP server that sleeps as many microseconds as a line says, then answers a line
#[derive(clap::Parser)]
struct Arguments {
    #[command(flatten)]
    common: server::Common,
    /// How long each new connection waits, one after the other
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    accept_pause: Option<Duration>,
}

fn main() -> Result<()> {
    let Arguments { common, accept_pause } = Arguments::parse();
    let listener = TcpListener::bind(("127.0.0.1", common.port))
        .with_context(|| format!("cannot listen on port {}", common.port))?;
    let address = listener.local_addr().context("the listener has no address")?;
    common.announce(address, || Ok(()))?;
    loop {
        let (stream, _) = listener.accept().context("cannot accept a connection")?;
        if let Some(pause) = accept_pause {
            // To the client this is a late accept: the kernel completes connections and takes bytes by itself.
            thread::sleep(pause);
        }
        thread::Builder::new()
            .name("peer".to_owned())
            .spawn(move || serve(stream))
            .context("cannot start a thread")?;
    }
}

/// Until the client closes the connection or says something else than a number.
fn serve(stream: TcpStream) -> IoResult<()> {
    let mut answers = stream.try_clone()?;
    let mut lines = BufReader::new(stream);
    loop {
        let line = next(&mut lines)?;
        let path = line.strip_prefix("GET /").and_then(|rest| rest.split(' ').next());
        let Ok(us @ 0..=MOST_US) = path.unwrap_or(&line).parse() else {
            return Ok(());
        };
        while path.is_some() && !next(&mut lines)?.is_empty() {}
        thread::sleep(Duration::from_micros(us));
        let answer = format!("slept {us} us until {}\n", clock::now_ns());
        let head = path.map(|_| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", answer.len()));
        answers.write_all((head.unwrap_or_default() + &answer).as_bytes())?;
    }
}

/// The next line, which is empty at the end.
fn next(lines: &mut impl BufRead) -> IoResult<String> {
    let mut line = String::new();
    lines.take(LONGEST_LINE_BYTES).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}
