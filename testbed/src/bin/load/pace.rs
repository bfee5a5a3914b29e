//! When the next request goes out, and whether there is one.
//!
//! A schedule is kept by a thread of its own: tokio's timers, and the `epoll_wait` under them, know milliseconds
//! only, and a request that this program sends a millisecond late would look like a slow server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::sync::Semaphore;

/// A scheduled request whose turn comes this long after the end is not sent. It is not nothing: a wake-up for the
/// last request may be a little late.
const LATEST: Duration = Duration::from_millis(100);

/// The times of all requests, handed out one by one.
pub(crate) struct Pace {
    start: Instant,
    end: Option<Instant>,
    /// Requests at most.
    total: u64,
    taken: AtomicU64,
    unsent: AtomicU64,
    schedule: Option<Schedule>,
}

struct Schedule {
    rate: u32,
    /// One permit a request, given at its time; and one more a connection, for the news that there are no more.
    due: Arc<Semaphore>,
}

impl Pace {
    /// Begins now.
    pub(crate) fn start(
        duration: Option<Duration>,
        requests: Option<u64>,
        rate: Option<u32>,
        connections: u16,
    ) -> Result<Self> {
        let mut total = requests.unwrap_or(u64::MAX);
        if let (Some(duration), Some(rate)) = (duration, rate) {
            let scheduled = (duration.as_nanos() * u128::from(rate)).div_ceil(1_000_000_000);
            total = total.min(u64::try_from(scheduled).unwrap_or(u64::MAX));
        }
        let start = Instant::now();
        let schedule = rate.map(|rate| Schedule::keep(start, rate, total, connections));
        Ok(Self {
            start,
            end: duration.and_then(|duration| start.checked_add(duration)),
            total,
            taken: AtomicU64::new(0),
            unsent: AtomicU64::new(0),
            schedule: schedule.transpose()?,
        })
    }

    /// Waits for the time of the next request and gives the instant from which its latency counts; nothing when
    /// there are no more.
    pub(crate) async fn next(&self) -> Option<Instant> {
        let Some(schedule) = &self.schedule else {
            let now = Instant::now();
            let over = self.end.is_some_and(|end| now >= end);
            return (!over && self.take().is_some()).then_some(now);
        };
        // An error would mean that the semaphore is closed, which nobody does.
        schedule.due.acquire().await.ok()?.forget();
        let index = self.take()?;
        if self.end.is_some_and(|end| Instant::now() > end + LATEST) {
            self.unsent.fetch_add(1, Ordering::Relaxed);
            // The others of the backlog are no earlier.
            self.unsent.fetch_add(
                self.total - self.taken.swap(self.total, Ordering::Relaxed),
                Ordering::Relaxed,
            );
            return None;
        }
        Some(self.start + time_of(index, schedule.rate))
    }

    /// Requests of the schedule for which there was no connection free until it was over.
    pub(crate) fn unsent(&self) -> u64 {
        self.unsent.load(Ordering::Relaxed)
    }

    fn take(&self) -> Option<u64> {
        let index = self.taken.load(Ordering::Relaxed);
        if index >= self.total {
            return None;
        }
        self.taken.store(index + 1, Ordering::Relaxed);
        Some(index)
    }
}

impl Schedule {
    fn keep(start: Instant, rate: u32, total: u64, connections: u16) -> Result<Self> {
        let due = Arc::new(Semaphore::new(0));
        let permits = Arc::clone(&due);
        let keep = move || {
            let mut given = 0;
            while given < total {
                let next = start + time_of(given, rate);
                thread::sleep(next.saturating_duration_since(Instant::now()));
                given += 1;
                permits.add_permits(1);
            }
            permits.add_permits(connections.into());
        };
        thread::Builder::new()
            .name("pace".to_owned())
            .spawn(keep)
            .context("cannot start the thread that keeps the schedule")?;
        Ok(Self { rate, due })
    }
}

/// When a request is due, after the start.
fn time_of(index: u64, rate: u32) -> Duration {
    let nanoseconds = u128::from(index) * 1_000_000_000 / u128::from(rate);
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}
