//! Servers without a runtime, built as programs build their own: a pool of threads behind one that accepts or watches,
//! an event loop with helpers and without, threads that share one lock. Each endpoint has one known fault.
//!
//! It knows nothing of observer. `work` says what is wrong with each endpoint; with `--truth` the server writes down
//! what it really did.

mod clients;
mod errands;
mod event_loop;
mod interpreter;
mod pool;
mod threads;
mod work;

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use testbed::kept::Kept;
use testbed::{ran, server};

use clients::Endpoint;
use errands::Errands;
use event_loop::{Manner, Waits};
use interpreter::Interpreter;
use pool::Pool;
use work::Work;

/// Requests that are kept, at most.
const SLOTS: usize = 1 << 16;

/// A server of threads and event loops of its own, whose faults are known
#[derive(clap::Parser)]
struct Arguments {
    #[command(flatten)]
    common: server::Common,
    /// What its threads are
    #[arg(long, value_enum, default_value_t = ServerKind::Acceptor)]
    kind: ServerKind,
    /// Threads of each pool
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=512))]
    threads: u16,
    /// Also listen on 127.0.0.2, at the same port, for a pool or an event loop of its own
    #[arg(long)]
    second: bool,
    /// Event loops wait with `poll` instead of `epoll`
    #[arg(long)]
    poll: bool,
    /// The peer that /ask and /downstream ask: a `slow-peer`
    #[arg(long, value_name = "HOST:PORT")]
    downstream: Option<String>,
    /// Write what was done to each request into this file, when standard input closes
    #[arg(long, value_name = "FILE", requires = "until_stdin_closes")]
    truth: Option<PathBuf>,
}

/// How a server is built.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ServerKind {
    /// One thread accepts connections and hands each to a pool, of which a thread serves it until it is closed
    Acceptor,
    /// One thread accepts connections and watches them, and hands each that is readable to a pool for one request
    Dispatcher,
    /// An event loop serves all
    Loop,
    /// An event loop reads all requests, and a pool answers what it has read
    Fed,
    /// An event loop reads and answers all requests. A pool does for it what is asked for below `/job`, in as many jobs
    /// as `jobs` says, and hands each back; then some wait for a timer (`timer_us`)
    Returns,
    /// A thread for each connection, and one lock that whoever computes has, as in an interpreter
    Interpreter,
}

fn main() -> Result<()> {
    let Arguments {
        common,
        kind,
        threads,
        second,
        poll,
        downstream,
        truth,
    } = Arguments::parse();
    let truth = truth.map(|file| Kept::new(file, SLOTS)).transpose()?;
    let truth = truth.map(Arc::new);
    if truth.is_some() {
        ran::count();
    }
    let first = listen(Ipv4Addr::LOCALHOST, common.port)?;
    let address = first.local_addr().context("the listener has no address")?;
    let mut places = vec![Endpoint {
        listener: first,
        number: 0,
    }];
    if second {
        let listener = listen(Ipv4Addr::new(127, 0, 0, 2), address.port())?;
        places.push(Endpoint { listener, number: 1 });
    }
    let kept = truth.clone();
    common.announce(address, move || kept.map_or(Ok(()), |truth| truth.write()))?;
    let interpreter = (kind == ServerKind::Interpreter).then(Interpreter::default);
    let work = Arc::new(Work::new(truth, downstream, interpreter));
    let waits = if poll { Waits::Poll } else { Waits::Epoll };
    let count = places.len();
    let pools = || {
        let pools = (0..count).map(|_| Pool::start(threads, &work));
        pools.collect::<Result<Vec<_>>>()
    };
    match kind {
        ServerKind::Acceptor => threads::accept(places, pools()?),
        ServerKind::Dispatcher => event_loop::run(places, waits, Manner::Hands(pools()?), &work),
        ServerKind::Loop => event_loop::one_for_each(places, waits, &work),
        ServerKind::Fed => event_loop::run(places, waits, Manner::Feeds(pools()?), &work),
        ServerKind::Returns => {
            let manner = Manner::Employs(Errands::of(pools()?)?);
            event_loop::run(places, waits, manner, &work)
        }
        ServerKind::Interpreter => threads::one_for_each(places, &work),
    }
}

fn listen(host: Ipv4Addr, port: u16) -> Result<TcpListener> {
    TcpListener::bind((host, port)).with_context(|| format!("cannot listen on {host}:{port}"))
}
