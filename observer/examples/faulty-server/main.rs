//! An axum server in which every endpoint has one known fault, for demos and for tests of the explanation.
//!
//! It knows nothing of observer. `faults` says what is wrong with each endpoint.

mod downstream;
mod faults;
#[path = "../support/server.rs"]
mod server;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use axum::serve::ListenerExt as _;
use clap::Parser as _;
use tokio::net::TcpListener;

/// A server whose faults are known
#[derive(clap::Parser)]
struct Arguments {
    #[command(flatten)]
    common: server::Common,
    /// Worker threads of the tokio runtime
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: u16,
    /// The peer that /downstream asks: a `slow-peer`
    #[arg(long, value_name = "HOST:PORT")]
    downstream: Option<String>,
    /// Where /blocking-file writes; on a tmpfs its fsync would have nothing to wait for
    #[arg(long, default_value = "/var/tmp", value_name = "DIRECTORY")]
    files: PathBuf,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(arguments.workers.into())
        .enable_all()
        .build()
        .context("cannot start the tokio runtime")?;
    runtime.block_on(serve(arguments))
}

async fn serve(arguments: Arguments) -> Result<()> {
    let Arguments {
        common,
        workers: _,
        downstream,
        files,
    } = arguments;
    let listener = TcpListener::bind(("127.0.0.1", common.port))
        .await
        .with_context(|| format!("cannot listen on port {}", common.port))?;
    common.announce(listener.local_addr().context("the listener has no address")?)?;

    // With Nagle's algorithm a large response would wait for the client's delayed acknowledgement: a second fault.
    let listener = listener.tap_io(|connection| {
        // Slower without it, but served.
        let _ = connection.set_nodelay(true);
    });
    axum::serve(listener, faults::router(downstream, files))
        .await
        .context("the server stopped")
}
