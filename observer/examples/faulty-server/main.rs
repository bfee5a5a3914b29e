//! An axum server in which every endpoint has one known fault, for demos, for tests of the explanation, and for the
//! lab that judges it.
//!
//! It knows nothing of observer. `faults` says what is wrong with each endpoint; with `--truth` the server writes
//! down what it really did.

mod blocked;
#[path = "../support/clock.rs"]
mod clock;
mod downstream;
mod faults;
mod gate;
#[path = "../support/server.rs"]
mod server;
mod truth;
mod visit;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::serve::ListenerExt as _;
use clap::Parser as _;
use tokio::net::TcpListener;

use downstream::Downstream;
use faults::Resources;
use gate::Gate;
use truth::Truth;

/// A server whose faults are known
#[derive(clap::Parser)]
struct Arguments {
    #[command(flatten)]
    common: server::Common,
    /// Worker threads of the tokio runtime
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: u16,
    /// Threads of the blocking pool, at most
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u16).range(1..=512))]
    pool_threads: u16,
    /// The peer that /downstream asks: a `slow-peer`
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
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(arguments.workers.into())
        .max_blocking_threads(arguments.pool_threads.into())
        .enable_all()
        .build()
        .context("cannot start the tokio runtime")?;
    runtime.block_on(serve(arguments))
}

async fn serve(arguments: Arguments) -> Result<()> {
    let Arguments {
        common,
        workers: _,
        pool_threads: _,
        downstream,
        downstream_connections,
        downstream_reconnects,
        files,
        data,
        truth,
    } = arguments;
    let truth = truth.map(Truth::new).transpose()?.map(Arc::new);
    let listener = TcpListener::bind(("127.0.0.1", common.port))
        .await
        .with_context(|| format!("cannot listen on port {}", common.port))?;
    let address = listener.local_addr().context("the listener has no address")?;
    let (gate, listener) = Gate::before(listener);
    let router = faults::router(Resources {
        truth: truth.clone(),
        downstream: downstream
            .map(|peer| Downstream::new(peer, downstream_connections.into(), !downstream_reconnects)),
        gate,
        files,
        data,
    })?;
    common.announce(address, move || truth.map_or(Ok(()), |truth| truth.write()))?;

    // With Nagle's algorithm a large response would wait for the client's delayed acknowledgement: a second fault.
    let listener = listener.tap_io(|connection| {
        // Slower without it, but served.
        let _ = connection.set_nodelay(true);
    });
    axum::serve(listener, router).await.context("the server stopped")
}
