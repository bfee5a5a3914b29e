//! The endpoints. Each has exactly one fault, of a size that the request chooses.

use std::fmt::Display;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use serde::{Deserialize, Deserializer, de};

use crate::downstream::Downstream;

/// A minute.
const MOST_MS: u64 = 60_000;
const MOST_US: u64 = MOST_MS * 1000;
const MOST_KIB: u64 = 64 * 1024;
/// Between two looks at the clock more than this did not pass in `burn` itself: the thread was taken off its CPU.
const LONGEST_STEP: Duration = Duration::from_micros(20);

type Failure = (StatusCode, String);

/// What requests share.
struct Shared {
    lock: Mutex<()>,
    downstream: Option<Downstream>,
    files: PathBuf,
}

/// All endpoints.
pub(crate) fn router(downstream: Option<String>, files: PathBuf) -> Router {
    let shared = Shared {
        lock: Mutex::new(()),
        downstream: downstream.map(Downstream::new),
        files,
    };
    Router::new()
        .route("/ping", get(async || "pong"))
        .route("/burn", get(burn))
        .route("/blocking", get(blocking))
        .route("/timer", get(timer))
        .route("/blocking-file", get(blocking_file))
        .route("/lock", get(lock))
        .route("/downstream", get(downstream_reply))
        .route("/pool", get(pool))
        .route("/large", get(large))
        .with_state(Arc::new(shared))
}

#[derive(Deserialize)]
struct Microseconds {
    #[serde(deserialize_with = "at_most::<MOST_US, _>")]
    us: u64,
}

#[derive(Deserialize)]
struct Milliseconds {
    #[serde(deserialize_with = "at_most::<MOST_MS, _>")]
    ms: u64,
}

impl Milliseconds {
    fn duration(&self) -> Duration {
        Duration::from_millis(self.ms)
    }
}

#[derive(Deserialize)]
struct Kibibytes {
    #[serde(deserialize_with = "at_most::<MOST_KIB, _>")]
    kib: u64,
}

impl Kibibytes {
    fn filler(&self) -> Vec<u8> {
        let bytes = usize::try_from(self.kib * 1024).unwrap_or(0);
        vec![b'x'; bytes]
    }
}

fn at_most<'a, const MOST: u64, D: Deserializer<'a>>(deserializer: D) -> Result<u64, D::Error> {
    let number = u64::deserialize(deserializer)?;
    if number > MOST {
        return Err(de::Error::custom(format_args!("{number} is more than {MOST}")));
    }
    Ok(number)
}

/// Computes on the worker, for this long on the CPU: time in which another thread has the CPU does not count, as
/// it would not for work.
async fn burn(Query(query): Query<Microseconds>) -> &'static str {
    let wanted = Duration::from_micros(query.us);
    let mut burned = Duration::ZERO;
    let mut last = Instant::now();
    while burned < wanted {
        let now = Instant::now();
        burned += (now - last).min(LONGEST_STEP);
        last = now;
    }
    "burned\n"
}

/// Sleeps on the worker.
async fn blocking(Query(query): Query<Milliseconds>) -> &'static str {
    thread::sleep(query.duration());
    "blocked\n"
}

/// Waits without the worker.
async fn timer(Query(query): Query<Milliseconds>) -> &'static str {
    tokio::time::sleep(query.duration()).await;
    "waited\n"
}

/// Waits for the disk on the worker.
async fn blocking_file(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<Kibibytes>,
) -> Result<&'static str, Failure> {
    // Without a name, so that it is gone however this process ends.
    let written = tempfile::tempfile_in(&shared.files).and_then(|mut file| {
        file.write_all(&query.filler())?;
        file.sync_all()
    });
    written.map_err(|error| {
        let what = format!("cannot write a file in {}: {error}\n", shared.files.display());
        (StatusCode::INTERNAL_SERVER_ERROR, what)
    })?;
    Ok("written\n")
}

/// Sleeps on the worker with a lock in its hand that the next such request blocks its own worker on.
async fn lock(State(shared): State<Arc<Shared>>, Query(query): Query<Milliseconds>) -> &'static str {
    let held = shared.lock.lock().unwrap_or_else(PoisonError::into_inner);
    thread::sleep(query.duration());
    drop(held);
    "unlocked\n"
}

/// Waits for another server, without the worker.
async fn downstream_reply(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<Milliseconds>,
) -> Result<String, Failure> {
    let Some(downstream) = &shared.downstream else {
        return Err(unavailable("start the server with --downstream HOST:PORT"));
    };
    downstream.ask(query.ms).await.map_err(unavailable)
}

fn unavailable(why: impl Display) -> Failure {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{why:#}\n"))
}

/// Sleeps on the blocking pool and not on a worker.
async fn pool(Query(query): Query<Milliseconds>) -> Result<&'static str, Failure> {
    let slept = tokio::task::spawn_blocking(move || thread::sleep(query.duration()));
    slept.await.map_err(unavailable)?;
    Ok("slept in the pool\n")
}

/// Sends more than the socket may take at once.
async fn large(Query(query): Query<Kibibytes>) -> Vec<u8> {
    query.filler()
}
