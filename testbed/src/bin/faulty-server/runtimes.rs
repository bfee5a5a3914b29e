//! The tokio runtimes in which a framework serves, where it does not bring its own.

use std::future::Future;
use std::net::TcpListener;

use anyhow::{Context as _, Result};
use tokio::runtime::{Builder, Runtime};

use crate::incoming::{Gate, Incoming};

/// Which runtimes, and how many.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Flavour {
    /// One with workers that steal from each other
    Multi,
    /// One on the program's first thread
    Current,
    /// Two with workers, which share the connections: the first accepts for both
    Two,
}

/// Threads of one runtime, or of one of actix-web's workers.
pub(crate) struct Threads {
    pub(crate) workers: u16,
    /// Those of the blocking pool, at most.
    pub(crate) pool: u16,
}

/// Serves what comes to a listener, for as long as the process lives.
pub(crate) fn run<S>(
    flavour: Flavour,
    threads: &Threads,
    listener: TcpListener,
    gate: &Gate,
    serve: impl Fn(Incoming) -> S,
) -> Result<()>
where
    S: Future<Output = Result<()>> + Send + 'static,
{
    let address = listener.local_addr().context("the listener has no address")?;
    let gated = |runtime: &Runtime| {
        let _inside = runtime.enter();
        gate.before(listener).context("tokio does not take the listener")
    };
    match flavour {
        Flavour::Multi | Flavour::Current => {
            let runtime = runtime(flavour, threads)?;
            let incoming = Incoming::Gated(gated(&runtime)?);
            runtime.block_on(serve(incoming))
        }
        Flavour::Two => {
            let (first, second) = (runtime(flavour, threads)?, runtime(flavour, threads)?);
            let (to_first, for_first) = Incoming::dealt(address);
            let (to_second, for_second) = Incoming::dealt(address);
            first.spawn(gated(&first)?.deal([to_first, to_second]));
            second.spawn(serve(for_second));
            first.block_on(serve(for_first))
        }
    }
}

fn runtime(flavour: Flavour, threads: &Threads) -> Result<Runtime> {
    let mut builder = if flavour == Flavour::Current {
        Builder::new_current_thread()
    } else {
        Builder::new_multi_thread()
    };
    builder
        .worker_threads(threads.workers.into())
        .max_blocking_threads(threads.pool.into())
        .enable_all()
        .build()
        .context("cannot start the tokio runtime")
}
