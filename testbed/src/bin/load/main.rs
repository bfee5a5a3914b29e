//! An HTTP/1.1 load that says what its requests took, as one line of JSON.
//!
//! Closed loop: a connection sends its next request when the last is answered. With `--rate` requests have a
//! schedule, and latency counts from the time at which a request should have been sent, so that a slow server
//! cannot hide the requests that it kept from being sent ("coordinated omission").
//!
//! Every request that was begun is finished: without errors the server served exactly `requests`.

mod answer;
mod connection;
mod log;
mod manner;
mod outcome;
mod pace;
mod url;

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use clap::Parser as _;
use testbed::duration;
use tokio::task::JoinSet;

use connection::Connection;
use log::Log;
use manner::Manner;
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
    /// Give every request an `id` in its query, and write what came of each into this file at the end
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// The first of the ids
    #[arg(long, default_value_t = 1, value_name = "N", requires = "log")]
    first_id: u64,
    #[command(flatten)]
    manner: Manner,
}

/// What the connections share.
struct Run {
    url: Url,
    timeout: Duration,
    pace: Pace,
    outcome: Outcome,
    log: Option<Log>,
    manner: Manner,
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
        log,
        first_id,
        manner,
    } = arguments;
    let log = log.map(|file| Log::new(file, first_id)).transpose()?;
    let requests = requests.map(NonZeroU64::get);
    let duration = duration.or(requests.is_none().then_some(DEFAULT_DURATION));

    let mut opened = Vec::new();
    for _ in 0..connections {
        opened.push(if manner.reconnect {
            None
        } else {
            Some(Connection::open(&url, &manner).await?)
        });
    }
    let run = Arc::new(Run {
        url,
        timeout,
        pace: Pace::start(duration, requests, rate, connections)?,
        outcome: Outcome::new()?,
        log,
        manner,
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
    if let Some(log) = &run.log {
        log.write()?;
    }
    run.outcome.print()
}

/// Sends requests over one connection, which is opened again if it breaks or the server closes it.
async fn drive(run: Arc<Run>, mut open: Option<Connection>) {
    while let Some(begin) = run.pace.next().await {
        let answers = tokio::time::timeout(run.timeout, exchange(&run, &mut open, begin)).await;
        let answers = answers.unwrap_or_else(|_| Err(anyhow!("no answer in {:?}", run.timeout)));
        if let Err(error) = answers {
            run.outcome.failed(&format_args!("{error:#}"));
            tokio::time::sleep(PAUSE_AFTER_ERROR).await;
        }
    }
}

/// One request and its answer, or several at once. The connection is put back only if it can take another: not
/// after an error, nor if this is given up on the way.
async fn exchange(run: &Run, open: &mut Option<Connection>, begin: Instant) -> Result<()> {
    let mut connection = match open.take() {
        Some(connection) => connection,
        None => Connection::open(&run.url, &run.manner).await?,
    };
    let ids: Vec<_> = (0..run.manner.pipeline)
        .map(|_| run.log.as_ref().map(Log::next_id))
        .collect();
    let body = vec![b'b'; run.manner.body_bytes as usize];
    let request = |id: &Option<u64>| [run.url.request(*id, &run.manner).into_bytes(), body.clone()];
    let mut times = if run.manner.expect_continue {
        let [head, body] = request(&ids[0]);
        connection.ask_and_send(&head, &body, &run.manner).await?
    } else {
        let requests: Vec<u8> = ids.iter().flat_map(request).flatten().collect();
        connection.send(&requests, &run.manner).await?
    };
    let mut keeps_open = !run.manner.reconnect;
    for id in ids {
        let answer = connection.receive(&run.manner, &mut times).await?;
        if let (Some(log), Some(id)) = (&run.log, id) {
            log.answered(id, answer.status, times);
        }
        match answer.status {
            200..=299 => run
                .outcome
                .answered(Instant::now().saturating_duration_since(begin)),
            status => run
                .outcome
                .failed(&format_args!("the server answers with status {status}")),
        }
        keeps_open &= answer.keeps_open;
    }
    ensure!(connection.is_quiet(), "the answer is longer than it says");
    if keeps_open {
        *open = Some(connection);
    }
    Ok(())
}
