//! The frameworks. Each is a thin front before the same endpoints: what differs is which tasks, threads and sockets
//! stand between the kernel and a handler.

mod actix;
mod axum;
mod body;
mod hyper;

use std::net::TcpListener;
use std::sync::Arc;

use anyhow::Result;

use crate::faults::Shared;
use crate::incoming::Gate;
use crate::runtimes::{self, Flavour, Threads};

/// What receives the requests.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Framework {
    /// axum::serve
    Axum,
    /// hyper alone, a task for each connection
    Hyper,
    /// actix-web, which brings a current-thread runtime for each worker
    Actix,
}

/// Serves, for as long as the process lives.
pub(crate) fn serve(
    framework: Framework,
    flavour: Flavour,
    threads: &Threads,
    listener: TcpListener,
    gate: &Gate,
    shared: Arc<Shared>,
) -> Result<()> {
    match framework {
        Framework::Axum => runtimes::run(flavour, threads, listener, gate, |incoming| {
            axum::serve(incoming, Arc::clone(&shared))
        }),
        Framework::Hyper => runtimes::run(flavour, threads, listener, gate, |incoming| {
            hyper::serve(incoming, Arc::clone(&shared))
        }),
        Framework::Actix => actix::serve(listener, threads, shared),
    }
}
