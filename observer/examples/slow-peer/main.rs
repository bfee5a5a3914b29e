//! A plain TCP server that is as slow as it is asked to be: the downstream of `faulty-server`.
//!
//! A line with a number of milliseconds is answered with a line after that time. One thread a connection.

#[path = "../support/server.rs"]
mod server;

use std::io::{BufRead as _, BufReader, Read as _, Result as IoResult, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser as _;

/// Longer lines are no numbers.
const LONGEST_LINE_BYTES: u64 = 64;
const MOST_MS: u64 = 60_000;

/// A TCP server that sleeps as many milliseconds as a line says, then answers a line
#[derive(clap::Parser)]
struct Arguments {
    #[command(flatten)]
    common: server::Common,
}

fn main() -> Result<()> {
    let Arguments { common } = Arguments::parse();
    let listener = TcpListener::bind(("127.0.0.1", common.port))
        .with_context(|| format!("cannot listen on port {}", common.port))?;
    common.announce(listener.local_addr().context("the listener has no address")?)?;
    loop {
        let (stream, _) = listener.accept().context("cannot accept a connection")?;
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
        let mut line = String::new();
        lines.by_ref().take(LONGEST_LINE_BYTES).read_line(&mut line)?;
        let Ok(ms @ 0..=MOST_MS) = line.trim_end().parse() else {
            return Ok(());
        };
        thread::sleep(Duration::from_millis(ms));
        answers.write_all(format!("slept {ms} ms\n").as_bytes())?;
    }
}
