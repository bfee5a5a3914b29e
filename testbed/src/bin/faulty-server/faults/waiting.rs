//! Waits for time, for threads, and for another server.

use std::thread;
use std::time::Duration;

use testbed::clock;
use testbed::truth::{FaultKind, Stretch};

use super::size::{Jobs, Time};
use super::{Failure, Shared, unavailable};
use crate::truth;
use crate::visit::Visit;

/// Sleeps on the worker.
pub(super) fn blocking(visit: &mut Visit, time: &Time) -> &'static str {
    visit.injected(slept(time.duration()));
    "blocked\n"
}

/// Waits without the worker.
pub(super) async fn timer(visit: &mut Visit, time: &Time) -> &'static str {
    let from_ns = clock::now_ns();
    tokio::time::sleep(time.duration()).await;
    visit.injected(Stretch::until_now(
        FaultKind::Timer,
        from_ns,
        nanoseconds(time.duration()),
    ));
    "waited\n"
}

/// Sleeps on the blocking pool and not on a worker, in one job after the other.
pub(super) async fn pool(visit: &mut Visit, jobs: &Jobs) -> Result<&'static str, Failure> {
    let mut sums: Option<[Stretch; 3]> = None;
    for _ in 0..jobs.times {
        let job = slept_in_the_pool(jobs.each()).await?;
        match &mut sums {
            None => sums = Some(job),
            Some(sums) => sums
                .iter_mut()
                .zip(job)
                .for_each(|(sum, job)| *sum = sum.and(job)),
        }
    }
    visit.injected_all(sums.into_iter().flatten());
    Ok("slept in the pool\n")
}

/// The wait for a thread of the pool, the sleep, and the wait to be polled again.
async fn slept_in_the_pool(duration: Duration) -> Result<[Stretch; 3], Failure> {
    let asked_ns = clock::now_ns();
    let work = move || {
        (
            Stretch::until_now(FaultKind::PoolQueue, asked_ns, u64::MAX),
            slept(duration),
        )
    };
    let (queued, slept) = tokio::task::spawn_blocking(work).await.map_err(unavailable)?;
    let polled = Stretch::until_now(FaultKind::TaskQueue, slept.to_ns, u64::MAX);
    Ok([queued, slept, polled])
}

/// Waits for another server, without the worker.
pub(super) async fn downstream(visit: &mut Visit, shared: &Shared, time: &Time) -> Result<String, Failure> {
    let downstream = shared.downstream()?;
    let from_ns = clock::now_ns();
    let mut connection = downstream.connection().await.map_err(unavailable)?;
    visit.injected(Stretch::until_now(FaultKind::ConnectionQueue, from_ns, u64::MAX));

    let asked_ns = clock::now_ns();
    let answer = connection.ask(time.duration()).await.map_err(unavailable)?;
    visit.injected(answer.waited(asked_ns));
    connection.give_back();
    Ok(answer.line)
}

/// Has another server of HTTP answer, without the worker.
pub(super) async fn forward(shared: &Shared, path: &str, query: &str) -> Result<Vec<u8>, Failure> {
    let downstream = shared.downstream()?;
    let mut connection = downstream.connection().await.map_err(unavailable)?;
    let answer = connection
        .get(&format!("{path}?{query}"))
        .await
        .map_err(unavailable)?;
    connection.give_back();
    Ok(answer)
}

/// Waits for another server, on the worker.
pub(super) fn ask(visit: &mut Visit, shared: &Shared, time: &Time) -> Result<String, Failure> {
    let downstream = shared.downstream()?;
    let asked_ns = clock::now_ns();
    let answer = downstream.ask_in_poll(time.duration()).map_err(unavailable)?;
    visit.injected(answer.waited(asked_ns).by(truth::current_task()));
    Ok(answer.line)
}

/// Keeps the server from accepting connections.
pub(super) async fn not_accepting(
    visit: &mut Visit,
    shared: &Shared,
    time: &Time,
) -> Result<&'static str, Failure> {
    let Some(gate) = &shared.gate else {
        return Err(unavailable(
            "this framework accepts connections in a thread of its own",
        ));
    };
    let from_ns = clock::now_ns();
    gate.close();
    tokio::time::sleep(time.duration()).await;
    gate.open();
    visit.injected(Stretch::until_now(
        FaultKind::NotAccepting,
        from_ns,
        nanoseconds(time.duration()),
    ));
    Ok("accepts again\n")
}

/// Sleeps on this thread. The kernel lets it sleep no shorter.
pub(super) fn slept(duration: Duration) -> Stretch {
    let from_ns = clock::now_ns();
    thread::sleep(duration);
    Stretch::until_now(FaultKind::Sleep, from_ns, nanoseconds(duration)).by(truth::current_task())
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
