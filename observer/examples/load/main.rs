//! An HTTP/1.1 load that says what its requests took, as one line of JSON.
//!
//! Closed loop: a connection sends its next request when the last is answered. With `--rate` requests have a
//! schedule, and latency counts from the time at which a request should have been sent, so that a slow server
//! cannot hide the requests that it kept from being sent ("coordinated omission").
//!
//! Every request that was begun is finished: without errors the server served exactly `requests`.

mod connection;
#[path = "../support/duration.rs"]
mod duration;
mod outcome;
mod pace;
mod url;

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use clap::Parser as _;
use tokio::task::JoinSet;

use connection::Connection;
use outcome::Outcome;
use pace::Pace;
use url::Url;

/// How long, if neither a duration nor a number of requests is given.
const DEFAULT_DURATION: Duration = Duration::from_secs(5);
/// A server that is gone refuses connections in microseconds: without a pause there would be a million errors.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(10);

/// Load a server over HTTP/1.1 and print the latencies as JSON
///
/// Prints {"requests":…,"errors":…,"latency_ns":{"p50":…,"p90":…,"p99":…,"p999":…,"max":…}}, in nanoseconds with
/// three digits. `errors` counts requests without a whole answer of status 2xx; the latencies leave them out.
#[derive(clap::Parser)]
struct Arguments {
    /// What to request, for example http://127.0.0.1:8080/ping
    #[arg(long)]
    url: Url,
    /// Connections, each with one request at a time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// No request is begun after this time [default: 5s, or none with --requests]
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    duration: Option<Duration>,
    /// End after this many requests
    #[arg(long, value_name = "N")]
    requests: Option<NonZeroU64>,
    /// Requests per second of all connections together; latency then counts from the scheduled time
    #[arg(long, value_name = "PER-SECOND", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: Option<u32>,
    /// How long one request may take before it is an error
    #[arg(long, default_value = "30s", value_name = "TIME", value_parser = duration::parse)]
    timeout: Duration,
}

/// What the connections share.
struct Run {
    url: Url,
    timeout: Duration,
    pace: Pace,
    outcome: Outcome,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the tokio runtime")?;
    runtime.block_on(load(arguments))
}

async fn load(arguments: Arguments) -> Result<()> {
    let Arguments {
        url,
        connections,
        duration,
        requests,
        rate,
        timeout,
    } = arguments;
    let requests = requests.map(NonZeroU64::get);
    let duration = duration.or(requests.is_none().then_some(DEFAULT_DURATION));

    let mut opened = Vec::new();
    for _ in 0..connections {
        opened.push(Connection::open(&url).await?);
    }
    let run = Arc::new(Run {
        url,
        timeout,
        pace: Pace::start(duration, requests, rate, connections)?,
        outcome: Outcome::new()?,
    });
    let mut tasks = JoinSet::new();
    for connection in opened {
        tasks.spawn(drive(Arc::clone(&run), connection));
    }
    while let Some(ended) = tasks.join_next().await {
        ended.context("a connection's task failed")?;
    }
    if run.pace.unsent() > 0 {
        eprintln!(
            "{} scheduled requests were never sent, and the latencies leave them out: the server is slower than \
             --rate, or --connections are too few",
            run.pace.unsent()
        );
    }
    run.outcome.print()
}

/// Sends requests over one connection, which is opened again if it breaks or the server closes it.
async fn drive(run: Arc<Run>, connection: Connection) {
    let mut open = Some(connection);
    while let Some(begin) = run.pace.next().await {
        let answer = tokio::time::timeout(run.timeout, request(&run.url, &mut open)).await;
        match answer.unwrap_or_else(|_| Err(anyhow!("no answer in {:?}", run.timeout))) {
            Ok(200..=299) => run
                .outcome
                .answered(Instant::now().saturating_duration_since(begin)),
            Ok(status) => run
                .outcome
                .failed(&format_args!("the server answers with status {status}")),
            Err(error) => {
                run.outcome.failed(&format_args!("{error:#}"));
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
            }
        }
    }
}

/// One request and its status. The connection is put back only if it can take another: not after an error, nor if
/// this is given up on the way.
async fn request(url: &Url, open: &mut Option<Connection>) -> Result<u16> {
    let mut connection = match open.take() {
        Some(connection) => connection,
        None => Connection::open(url).await?,
    };
    let answer = connection.exchange(url).await?;
    if answer.keeps_open {
        *open = Some(connection);
    }
    Ok(answer.status)
}
