//! One sentence on what is wrong, where the evidence is clear: what most of the time at the p99 went to, and what the
//! workers did meanwhile.

use crate::model::cause::Cause;
use crate::model::id::Pid;
use crate::model::report::{
    AtQuantiles, BandMeans, Diagnosis, PoolTotals, ProcessWorkers, Trouble, WaitedFor,
};
use crate::model::request::HeldBy;

mod behind;

use behind::behind;

/// Part of the latency at the p99 from which on a cause is reported.
const LARGE: f64 = 0.25;

/// Share of its time from which on a worker is busy all the time.
const ALWAYS: f64 = 0.9;

/// Part of the wait for CPUs from which on it is told who had them for that long.
const TELLING: f64 = 0.1;

/// Part from which on it is most of a whole: of a worker's time, of a pool's jobs, of a wait.
const MOST: f64 = 0.5;

/// What is wrong, judged from the requests at the p99.
pub(super) fn of(at: &AtQuantiles, workers: &[ProcessWorkers]) -> Option<Diagnosis> {
    let p99 = &at.p99;
    let part = |cause| part(p99, cause);
    let worst = [
        Cause::AcceptQueue,
        Cause::Throttled,
        Cause::RunQueue,
        Cause::WorkerBlocked,
        Cause::WorkerBusy,
        Cause::Stolen,
        Cause::HeldBack,
        Cause::Runtime,
    ]
    .into_iter()
    .max_by(|one, other| part(*one).total_cmp(&part(*other)))
    .filter(|worst| part(*worst) >= LARGE)?;
    let of_latency = format!("{:.0} % of the latency at the p99", 100.0 * part(worst));
    let culprit = waits_for(p99, worst).next();
    let (kind, text) = match worst {
        Cause::AcceptQueue => (
            Trouble::AcceptedLate,
            format!("connections were accepted late: {of_latency} was waiting in the accept queue"),
        ),
        Cause::Throttled => (
            Trouble::Quota,
            format!("the CPU quota was used up: {of_latency} was throttled"),
        ),
        Cause::Stolen => (
            Trouble::Stolen,
            format!("the hypervisor took CPUs away: {of_latency} was stolen from running threads"),
        ),
        Cause::RunQueue => {
            let behind = most_behind(p99).filter(|behind| behind.part >= TELLING);
            match behind {
                Some(behind) if is_other(behind.by, workers) => {
                    (Trouble::CpuTaken, cpu_taken(&behind, &of_latency))
                }
                own => (Trouble::CpuShort, cpu_short(own.map(|own| own.part), &of_latency)),
            }
        }
        Cause::Runtime => {
            let what = culprit?.runtime?;
            (
                Trouble::Stopped,
                format!(
                    "the language's runtime had requests wait, as for a garbage collection: {of_latency} was {what}"
                ),
            )
        }
        Cause::HeldBack => (Trouble::HeldBack, held_back(culprit?.held_by?, &of_latency)),
        _ => match behind_pool(culprit, workers) {
            Some(Some(pool)) => exhausted(pool, &of_latency)?,
            Some(None) => own_exhausted(culprit?, behind(at, worst), workers, &of_latency)?,
            None if worst == Cause::WorkerBlocked => {
                culprit?;
                blocked(behind(at, worst), &of_latency)
            }
            None => busy(process_of(culprit, workers)?, &of_latency)?,
        },
    };
    Some(Diagnosis { kind, text })
}

/// Part of the latency that is this cause's. Where a connection waited to be accepted by a worker, that is what kept
/// the worker.
fn part(p99: &BandMeans, cause: Cause) -> f64 {
    let charged = p99.budget_ns.get(cause) as f64 / p99.latency_ns.max(1) as f64;
    match cause {
        Cause::AcceptQueue => {
            charged - to_accept(p99, Cause::WorkerBlocked) - to_accept(p99, Cause::WorkerBusy)
        }
        _ => charged + to_accept(p99, cause),
    }
}

/// Whether a connection waited to be accepted by a worker that was blocked or busy, as `cause` has it, for a request.
fn is_worker_to_accept(waited: &WaitedFor, cause: Cause) -> bool {
    let kept_by = match waited.syscall {
        Some(_) => Cause::WorkerBlocked,
        None => Cause::WorkerBusy,
    };
    waited.cause == Cause::AcceptQueue && waited.request.is_some() && cause == kept_by
}

/// The waits with this cause, or to be accepted by a worker that it kept, the most time first.
fn waits_for(band: &BandMeans, cause: Cause) -> impl Iterator<Item = &WaitedFor> {
    let waits = band.waited_for.iter();
    waits.filter(move |waited| waited.cause == cause || is_worker_to_accept(waited, cause))
}

/// Part of the latency in such waits to be accepted: as much of the time to be accepted as of the longest waits of that
/// kind that are listed.
fn to_accept(p99: &BandMeans, cause: Cause) -> f64 {
    let waits = || {
        p99.waited_for
            .iter()
            .filter(|waited| waited.cause == Cause::AcceptQueue)
    };
    let by_worker_ns = sum_ns(waits().filter(|waited| is_worker_to_accept(waited, cause)));
    let part = p99.budget_ns.get(Cause::AcceptQueue) as f64 / p99.latency_ns.max(1) as f64;
    part * by_worker_ns / sum_ns(waits()).max(1.0)
}

fn sum_ns<'a>(waits: impl Iterator<Item = &'a WaitedFor>) -> f64 {
    waits
        .map(|waited| waited.requests as f64 * waited.mean_ns as f64)
        .sum()
}

/// Part of the wait for CPUs that was spent behind threads of this process, whatever their names are, as far as it was
/// the longest wait of each request.
fn part_behind(p99: &BandMeans, pid: Pid) -> f64 {
    let waits = p99.waited_for.iter();
    let behind = waits.filter(|waited| waited.cause == Cause::RunQueue && waited.pid == Some(pid));
    sum_ns(behind) / p99.requests.max(1) as f64 / p99.budget_ns.get(Cause::RunQueue).max(1) as f64
}

/// A process behind which was waited for a CPU.
struct Behind<'a> {
    pid: Pid,
    /// The largest of the waits behind its threads.
    by: &'a WaitedFor,
    /// Part of the wait for CPUs that was spent behind it.
    part: f64,
}

/// The process with the largest part, whatever its threads are called.
fn most_behind(p99: &BandMeans) -> Option<Behind<'_>> {
    let waits = p99.waited_for.iter();
    let known = waits.filter_map(|by| {
        let pid = by
            .pid
            .filter(|&pid| pid != Pid::NONE && by.cause == Cause::RunQueue)?;
        let part = part_behind(p99, pid);
        Some(Behind { pid, by, part })
    });
    // Of equal ones the first.
    known.reduce(|most, next| if next.part > most.part { next } else { most })
}

/// Another process had the CPUs.
fn cpu_taken(Behind { pid, by, part }: &Behind<'_>, of_latency: &str) -> String {
    let comm = by.comm.as_ref();
    let who = comm.map_or_else(|| format!("pid {pid}"), |comm| format!("{comm} ({pid})"));
    if *part >= MOST {
        format!("CPUs were taken by others: {of_latency} was waiting for one, mostly behind {who}")
    } else {
        format!(
            "CPUs were short: {of_latency} was waiting for one, at least {:.0} % of that behind {who}; who else had them \
             is not known",
            100.0 * part
        )
    }
}

/// The target's own threads had the CPUs for this part of the wait, as far as that is known.
fn cpu_short(own: Option<f64>, of_latency: &str) -> String {
    let who = own.map_or_else(
        || "; who had them most is not known".to_owned(),
        |part| {
            format!(
                ", at least {:.0} % of that behind the program's own threads",
                100.0 * part
            )
        },
    );
    format!("CPUs were short: {of_latency} was waiting for one{who}")
}

/// What kept TCP from sending the last bytes, and what can be done where it is the server's doing.
fn held_back(by: HeldBy, of_latency: &str) -> String {
    let why = match by {
        HeldBy::Nagle => {
            "without TCP_NODELAY, Nagle's algorithm keeps what is sent last, less than a segment, until the client has \
             acknowledged what was sent before, such as head and body in two sends"
        }
        HeldBy::Cork => "the server set TCP_CORK, and TCP waits for a full segment",
        HeldBy::ClientWindow => "clients read their answers more slowly than the server sends them",
        HeldBy::CongestionWindow => "the congestion window is smaller than the answers",
        HeldBy::Pacing => "the congestion control spreads answers over time",
        HeldBy::Unknown => "what kept them is not known",
    };
    format!("TCP held back the last bytes of answers for {of_latency}: {why}")
}

/// Whether it was not a watched process that was waited behind.
fn is_other(culprit: &WaitedFor, workers: &[ProcessWorkers]) -> bool {
    culprit
        .pid
        .is_some_and(|pid| pid != Pid::NONE && workers.iter().all(|process| process.pid != pid))
}

/// The process in which was waited: that of the culprit, or else the only one.
fn process_of<'a>(culprit: Option<&WaitedFor>, workers: &'a [ProcessWorkers]) -> Option<&'a ProcessWorkers> {
    match (culprit.and_then(|culprit| culprit.pid), workers) {
        (Some(pid), _) => workers.iter().find(|process| process.pid == pid),
        (None, [process]) => Some(process),
        (None, _) => None,
    }
}

/// The pool behind whose threads requests waited, if it was one and not the workers; what it did, where that is known.
fn behind_pool(culprit: Option<&WaitedFor>, workers: &[ProcessWorkers]) -> Option<Option<PoolTotals>> {
    let process = process_of(culprit, workers);
    let pool = process.and_then(|process| process.pool);
    let is_pool = culprit.map_or_else(
        // None of the longest waits tells. Where the workers have nothing to do, nobody waits for them.
        || {
            pool.is_some()
                && process.is_some_and(|process| process.threads.iter().all(|worker| worker.parked >= MOST))
        },
        |culprit| culprit.pool,
    );
    is_pool.then_some(pool)
}

/// A pool with room starts a thread for a job that finds none free. So one whose threads go from job to job has none.
fn exhausted(pool: PoolTotals, of_latency: &str) -> Option<(Trouble, String)> {
    let PoolTotals {
        threads,
        busy,
        jobs,
        queued,
    } = pool;
    let each = if threads == 1 {
        "its only thread".to_owned()
    } else {
        format!("each of its {threads} threads")
    };
    let of_jobs = if jobs == 1 { "job" } else { "jobs" };
    (jobs > 0 && busy >= ALWAYS && queued as f64 >= MOST * jobs as f64).then(|| {
        let text = format!(
            "the blocking pool was exhausted: {each} was in a job {:.0} % of the time or more, {queued} of {jobs} \
             {of_jobs} began right where another one had ended, and {of_latency} was waiting behind them",
            100.0 * busy
        );
        (Trouble::PoolExhausted, text)
    })
}

/// Requests wait for a thread of a pool that the program's event loops feed only where none is free.
fn own_exhausted(
    culprit: &WaitedFor,
    behind: Option<String>,
    workers: &[ProcessWorkers],
    of_latency: &str,
) -> Option<(Trouble, String)> {
    // Of a process that is watched.
    process_of(Some(culprit), workers)?;
    let behind = behind.unwrap_or_else(|| "for one".to_owned());
    let text = format!(
        "a pool of threads was exhausted: none of them was free, and {of_latency} was waiting {behind}"
    );
    (culprit.syscall.is_some() || culprit.request.is_some()).then_some((Trouble::PoolExhausted, text))
}

fn blocked(behind: Option<String>, of_latency: &str) -> (Trouble, String) {
    let behind = behind.unwrap_or_else(|| "behind a system call".to_owned());
    let text = format!("workers were blocked: {of_latency} was waiting {behind}");
    (Trouble::BlockedWorkers, text)
}

fn busy(process: &ProcessWorkers, of_latency: &str) -> Option<(Trouble, String)> {
    let most = process.threads.first()?;
    let least = process.idlest.as_ref()?;
    if least.busy + least.run_queue >= ALWAYS {
        let text = format!(
            "workers were saturated: each ran or waited for a CPU {:.0} % of the time or more, and \
             {of_latency} was waiting for one",
            100.0 * (least.busy + least.run_queue)
        );
        return Some((Trouble::Saturated, text));
    }
    (most.busy >= ALWAYS && least.parked >= MOST).then(|| {
        let text = format!(
            "work was not balanced: worker {} ran {:.0} % of the time while worker {} had nothing to do for {:.0} % of it, \
             and {of_latency} was waiting for a worker",
            most.tid,
            100.0 * most.busy,
            least.tid,
            100.0 * least.parked
        );
        (Trouble::Imbalanced, text)
    })
}

#[cfg(test)]
mod tests;
