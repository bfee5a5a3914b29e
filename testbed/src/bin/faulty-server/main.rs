//! A server in which every endpoint has one known fault, for demos, for tests of the explanation, and for the lab that
//! judges it. axum, hyper or actix-web stands before the endpoints, on runtimes of several kinds.
//!
//! It knows nothing of observer. `faults` says what is wrong with each endpoint; with `--truth` the server writes
//! down what it really did.

mod blocked;
mod downstream;
mod faults;
mod front;
mod incoming;
mod polled;
mod runtimes;
mod truth;
mod visit;

use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use testbed::{ran, server};

use downstream::Downstream;
use faults::{Resources, Shared};
use front::Framework;
use incoming::Gate;
use runtimes::{Flavour, Threads};
use truth::Truth;

/// A server whose faults are known
#[derive(clap::Parser)]
struct Arguments {
    #[command(flatten)]
    common: server::Common,
    /// What receives the requests
    #[arg(long, value_enum, default_value_t = Framework::Axum)]
    framework: Framework,
    /// The runtime below axum and hyper; actix-web brings its own
    #[arg(long, value_enum, default_value_t = Flavour::Multi)]
    runtime: Flavour,
    /// Worker threads of each tokio runtime that has such, or of actix-web
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: u16,
    /// Threads of each blocking pool, at most
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u16).range(1..=512))]
    pool_threads: u16,
    /// Leave Nagle's algorithm on: no TCP_NODELAY
    #[arg(long)]
    nagle: bool,
    /// The peer that /downstream and /ask ask: a `slow-peer`. Or the server of HTTP that /forward/PATH asks for /PATH
    #[arg(long, value_name = "HOST:PORT")]
    downstream: Option<String>,
    /// Connections to the peer, which requests then wait for; 0 for as many as they want
    #[arg(long, default_value_t = 0, value_name = "N")]
    downstream_connections: u16,
    /// A connection to the peer for every request
    #[arg(long)]
    downstream_reconnects: bool,
    /// Where /blocking-file writes; on a tmpfs its fsync would have nothing to wait for
    #[arg(long, default_value = "/var/tmp", value_name = "DIRECTORY")]
    files: PathBuf,
    /// What /direct and /cold read
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Write what was done to each request into this file, when standard input closes
    #[arg(long, value_name = "FILE", requires = "until_stdin_closes")]
    truth: Option<PathBuf>,
    /// Write when each task was queued and polled into this file, when standard input closes: with hyper before one
    /// runtime each task there is
    #[arg(long, value_name = "FILE", requires = "until_stdin_closes")]
    polls: Option<PathBuf>,
}

fn main() -> Result<()> {
    let Arguments {
        common,
        framework,
        runtime,
        workers,
        pool_threads,
        nagle,
        downstream,
        downstream_connections,
        downstream_reconnects,
        files,
        data,
        truth,
        polls,
    } = Arguments::parse();
    let truth = truth.map(|file| Truth::new(file, truth::SLOTS)).transpose()?;
    let truth = truth.map(Arc::new);
    if truth.is_some() {
        ran::count();
    }
    polls.map(polled::keep).transpose()?;
    let listener = TcpListener::bind(("127.0.0.1", common.port))
        .with_context(|| format!("cannot listen on port {}", common.port))?;
    let listener = with_nodelay(listener, !nagle)?;
    listener
        .set_nonblocking(true)
        .context("cannot keep the listener from blocking")?;
    let address = listener.local_addr().context("the listener has no address")?;
    let gate = Gate::new();
    let shared = Shared::new(Resources {
        truth: truth.clone(),
        downstream: downstream
            .map(|peer| Downstream::new(peer, downstream_connections.into(), !downstream_reconnects)),
        gate: (framework != Framework::Actix).then(|| gate.clone()),
        files,
        data,
    })?;
    common.announce(address, move || {
        truth.map_or(Ok(()), |truth| truth.write())?;
        polled::write()
    })?;
    let threads = Threads {
        workers,
        pool: pool_threads,
    };
    front::serve(framework, runtime, &threads, listener, &gate, Arc::new(shared))
}

/// Connections have it from their listener. Without it, what an answer sends last waits for the client's delayed
/// acknowledgement: a second fault of every endpoint.
fn with_nodelay(listener: TcpListener, nodelay: bool) -> Result<TcpListener> {
    // The standard library sets it on connections only; to the kernel both are sockets.
    let socket = TcpStream::from(OwnedFd::from(listener));
    socket.set_nodelay(nodelay).context("cannot set TCP_NODELAY")?;
    Ok(OwnedFd::from(socket).into())
}
