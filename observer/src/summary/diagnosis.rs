//! One sentence on what is wrong, where the evidence is clear: what most of the time at the p99 went to, and what the
//! workers did meanwhile.

use crate::model::cause::Cause;
use crate::model::report::{BandMeans, Diagnosis, PoolTotals, ProcessWorkers, Trouble, WaitedFor};
use crate::model::request::HeldBy;

/// Part of the latency at the p99 from which on a cause is told.
const LARGE: f64 = 0.25;

/// Share of its time from which on a worker is busy all the time.
const ALWAYS: f64 = 0.9;

/// Share of its time from which on a worker has mostly nothing to do.
const MOSTLY: f64 = 0.5;

/// Part of the jobs from which on they mostly had to wait for a thread of the pool.
const MOST: f64 = 0.5;

/// What is wrong, judged from the requests at the p99.
pub(super) fn of(p99: &BandMeans, workers: &[ProcessWorkers]) -> Option<Diagnosis> {
    let part = |cause| p99.budget_ns.get(cause) as f64 / p99.latency_ns.max(1) as f64 + to_accept(p99, cause);
    let worst = [
        Cause::Throttled,
        Cause::RunQueue,
        Cause::WorkerBlocked,
        Cause::WorkerBusy,
        Cause::Stolen,
        Cause::HeldBack,
    ]
    .into_iter()
    .max_by(|one, other| part(*one).total_cmp(&part(*other)))
    .filter(|worst| part(*worst) >= LARGE)?;
    let of_latency = format!("{:.0} % of the latency at the p99", 100.0 * part(worst));
    let culprit = p99
        .waited_for
        .iter()
        .find(|waited| waited.cause == worst || is_worker_to_accept(waited, worst));
    let (kind, text) = match worst {
        Cause::Throttled => (
            Trouble::Quota,
            format!("the CPU quota was used up: {of_latency} was throttled"),
        ),
        Cause::Stolen => (
            Trouble::Stolen,
            format!("the hypervisor took CPUs away: {of_latency} was stolen from running threads"),
        ),
        Cause::RunQueue => {
            let taken_by = culprit.filter(|culprit| is_other(culprit, workers))?;
            let name = taken_by.comm.as_deref()?;
            let pid = taken_by.pid?;
            (
                Trouble::CpuTaken,
                format!(
                    "CPUs were taken by others: {of_latency} was waiting for one, mostly behind {name} ({pid})"
                ),
            )
        }
        Cause::HeldBack => (Trouble::HeldBack, held_back(culprit?.held_by?, &of_latency)),
        _ => match behind_pool(culprit, workers) {
            Some(pool) => exhausted(pool?, &of_latency)?,
            None if worst == Cause::WorkerBlocked => blocked(culprit?, &of_latency),
            None => busy(process_of(culprit, workers)?, &of_latency)?,
        },
    };
    Some(Diagnosis { kind, text })
}

/// Whether a connection waited to be accepted by a worker that was blocked or busy, as `cause` has it, for a request.
fn is_worker_to_accept(waited: &WaitedFor, cause: Cause) -> bool {
    let kept_by = match waited.syscall {
        Some(_) => Cause::WorkerBlocked,
        None => Cause::WorkerBusy,
    };
    waited.cause == Cause::AcceptQueue && waited.request.is_some() && cause == kept_by
}

/// Part of the latency in such waits, as far as each was the longest of its request.
fn to_accept(p99: &BandMeans, cause: Cause) -> f64 {
    let waits = p99
        .waited_for
        .iter()
        .filter(|waited| is_worker_to_accept(waited, cause));
    let waited_ns: f64 = waits
        .map(|waited| waited.requests as f64 * waited.mean_ns as f64)
        .sum();
    let mean_ns = waited_ns / p99.requests.max(1) as f64;
    mean_ns.min(p99.budget_ns.get(Cause::AcceptQueue) as f64) / p99.latency_ns.max(1) as f64
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
        .is_some_and(|pid| pid != 0 && workers.iter().all(|process| process.pid != pid))
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
                && process.is_some_and(|process| process.threads.iter().all(|worker| worker.parked >= MOSTLY))
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
    (jobs > 0 && busy >= ALWAYS && queued as f64 >= MOST * jobs as f64).then(|| {
        let text = format!(
            "the blocking pool was exhausted: {each} was in a job {:.0} % of the time or more, {queued} of {jobs} jobs \
             began right where another one had ended, and {of_latency} was waiting behind them",
            100.0 * busy
        );
        (Trouble::PoolExhausted, text)
    })
}

fn blocked(culprit: &WaitedFor, of_latency: &str) -> (Trouble, String) {
    let call = culprit.syscall.unwrap_or("a system call");
    let request = culprit.request.as_deref();
    let by = request.map_or_else(String::new, |request| format!(" for {request}"));
    (
        Trouble::BlockedWorkers,
        format!("workers were blocked: {of_latency} was waiting behind {call}{by}"),
    )
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
    (most.busy >= ALWAYS && least.parked >= MOSTLY).then(|| {
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
mod tests {
    use super::*;
    use crate::model::report::WorkerTotals;

    fn p99(parts: &[(Cause, u64)], waited_for: Vec<WaitedFor>) -> BandMeans {
        let mut band = BandMeans {
            waited_for,
            ..BandMeans::default()
        };
        for &(cause, ns) in parts {
            band.budget_ns.charge(cause, ns);
        }
        band.latency_ns = band.budget_ns.total();
        band
    }

    fn behind(cause: Cause, pid: u32, comm: &str) -> WaitedFor {
        WaitedFor {
            cause,
            requests: 1,
            mean_ns: 1,
            syscall: (cause == Cause::WorkerBlocked).then_some("clock_nanosleep"),
            object: None,
            peer: None,
            pid: Some(pid),
            comm: Some(comm.to_owned()),
            request: Some("GET /slow".to_owned()),
            pool: false,
            function: None,
            held_by: (cause == Cause::HeldBack).then_some(HeldBy::Nagle),
        }
    }

    fn workers(shares: &[(f64, f64)]) -> Vec<ProcessWorkers> {
        let worker = |(index, &(busy, parked)): (usize, &(f64, f64))| WorkerTotals {
            tid: 8 + index as u32,
            busy,
            parked,
            ..WorkerTotals::default()
        };
        let threads: Vec<_> = shares.iter().enumerate().map(worker).collect();
        vec![ProcessWorkers {
            pid: 7,
            count: shares.len() as u64,
            idlest: threads.last().cloned(),
            threads,
            ..ProcessWorkers::default()
        }]
    }

    #[test]
    fn each_trouble_is_told_by_its_evidence() {
        let of = |cause, waited_for, shares: &[_]| {
            of(
                &p99(&[(cause, 60), (Cause::OnCpu, 40)], waited_for),
                &workers(shares),
            )
        };
        let busy = &[(0.98, 0.0), (0.95, 0.0)][..];
        let found = [
            of(Cause::Throttled, vec![], busy),
            of(Cause::RunQueue, vec![behind(Cause::RunQueue, 99, "hog")], busy),
            of(
                Cause::WorkerBlocked,
                vec![behind(Cause::WorkerBlocked, 7, "srv")],
                busy,
            ),
            of(Cause::WorkerBusy, vec![], busy),
            of(Cause::WorkerBusy, vec![], &[(0.98, 0.0), (0.1, 0.9)]),
            of(Cause::Stolen, vec![], busy),
            of(Cause::HeldBack, vec![behind(Cause::HeldBack, 7, "srv")], busy),
        ];
        let kinds = found.each_ref().map(|found| found.as_ref().unwrap().kind);
        assert_eq!(
            kinds,
            [
                Trouble::Quota,
                Trouble::CpuTaken,
                Trouble::BlockedWorkers,
                Trouble::Saturated,
                Trouble::Imbalanced,
                Trouble::Stolen,
                Trouble::HeldBack
            ]
        );
        let text = &found[2].as_ref().unwrap().text;
        assert_eq!(
            text,
            "workers were blocked: 60 % of the latency at the p99 was waiting behind clock_nanosleep for GET /slow"
        );
        let text = &found[6].as_ref().unwrap().text;
        assert!(
            text.contains("for 60 % of the latency") && text.contains("without TCP_NODELAY"),
            "{text}"
        );
    }

    #[test]
    fn who_waits_for_a_worker_to_accept_waits_for_a_worker() {
        let to_accept = |syscall, request: Option<&str>| WaitedFor {
            mean_ns: 50,
            syscall,
            request: request.map(str::to_owned),
            ..behind(Cause::AcceptQueue, 7, "srv")
        };
        let parts = [
            (Cause::AcceptQueue, 50),
            (Cause::WorkerBlocked, 10),
            (Cause::OnCpu, 40),
        ];
        let busy = workers(&[(0.98, 0.0), (0.95, 0.0)]);
        let blocked = to_accept(Some("clock_nanosleep"), Some("GET /slow"));
        assert_eq!(
            of(&p99(&parts, vec![blocked]), &busy).unwrap().text,
            "workers were blocked: 60 % of the latency at the p99 was waiting behind clock_nanosleep for GET /slow"
        );
        let computing = p99(&parts, vec![to_accept(None, Some("GET /slow"))]);
        assert_eq!(of(&computing, &busy).unwrap().kind, Trouble::Saturated);
        // A thread that serves nobody is no worker.
        assert_eq!(of(&p99(&parts, vec![to_accept(None, None)]), &busy), None);
    }

    #[test]
    fn where_the_evidence_is_not_clear_nothing_is_said() {
        let half_busy = workers(&[(0.6, 0.4), (0.5, 0.5)]);
        let busy = p99(&[(Cause::WorkerBusy, 60), (Cause::OnCpu, 40)], vec![]);
        assert_eq!(of(&busy, &half_busy), None);
        let own_threads = p99(&[(Cause::RunQueue, 60)], vec![behind(Cause::RunQueue, 7, "srv")]);
        assert_eq!(of(&own_threads, &half_busy), None);
        let little = p99(&[(Cause::Throttled, 10), (Cause::OnCpu, 90)], vec![]);
        assert_eq!(of(&little, &half_busy), None);
    }

    /// One process whose workers have nothing to do, with this pool.
    fn with_pool(pool: PoolTotals) -> Vec<ProcessWorkers> {
        let mut workers = workers(&[(0.1, 0.9)]);
        workers[0].pool = Some(pool);
        workers
    }

    const EXHAUSTED: PoolTotals = PoolTotals {
        threads: 2,
        busy: 0.97,
        jobs: 182,
        queued: 178,
    };

    fn behind_a_job(cause: Cause) -> BandMeans {
        let behind = WaitedFor {
            pool: true,
            ..behind(cause, 7, "srv")
        };
        p99(&[(cause, 60), (Cause::Syscall, 40)], vec![behind])
    }

    #[test]
    fn a_pool_whose_threads_go_from_job_to_job_while_requests_wait_is_exhausted() {
        let blocked = behind_a_job(Cause::WorkerBlocked);
        let found = of(&blocked, &with_pool(EXHAUSTED)).unwrap();
        assert_eq!(
            (found.kind, found.text.as_str()),
            (
                Trouble::PoolExhausted,
                "the blocking pool was exhausted: each of its 2 threads was in a job 97 % of the time or more, 178 of \
                 182 jobs began right where another one had ended, and 60 % of the latency at the p99 was waiting \
                 behind them"
            )
        );
        let computing = behind_a_job(Cause::WorkerBusy);
        let found = of(&computing, &with_pool(EXHAUSTED)).unwrap();
        assert_eq!(found.kind, Trouble::PoolExhausted);
        // Where each single wait is shorter than the request's own call, none of them is listed.
        let unlisted = BandMeans {
            waited_for: Vec::new(),
            ..blocked
        };
        let found = of(&unlisted, &with_pool(EXHAUSTED)).unwrap();
        assert_eq!(found.kind, Trouble::PoolExhausted);
        let mut busy_workers = with_pool(EXHAUSTED);
        busy_workers[0].threads[0].parked = 0.2;
        assert_eq!(of(&unlisted, &busy_workers), None, "it could be they");
    }

    #[test]
    fn a_pool_with_room_is_not_exhausted_and_its_threads_are_no_blocked_workers() {
        let blocked = behind_a_job(Cause::WorkerBlocked);
        let with_free_threads = PoolTotals {
            busy: 0.85,
            ..EXHAUSTED
        };
        let that_grows = PoolTotals {
            queued: 90,
            ..EXHAUSTED
        };
        for pool in [with_free_threads, that_grows] {
            assert_eq!(of(&blocked, &with_pool(pool)), None, "{pool:?}");
        }
        let workers_block = p99(
            &[(Cause::WorkerBlocked, 60), (Cause::OnCpu, 40)],
            vec![behind(Cause::WorkerBlocked, 7, "srv")],
        );
        let found = of(&workers_block, &with_pool(EXHAUSTED)).unwrap();
        assert_eq!(
            found.kind,
            Trouble::BlockedWorkers,
            "it was not the pool that was waited for"
        );
    }

    #[test]
    fn of_several_processes_the_one_that_was_waited_behind_is_judged() {
        let mut processes = workers(&[(0.98, 0.0), (0.95, 0.0)]);
        let idle = ProcessWorkers {
            pid: 9,
            ..workers(&[(0.1, 0.9)]).remove(0)
        };
        processes.push(idle);
        let kind = |pid| {
            let waits = vec![behind(Cause::WorkerBusy, pid, "srv")];
            let found = of(&p99(&[(Cause::WorkerBusy, 60)], waits), &processes);
            found.map(|found| found.kind)
        };
        assert_eq!(kind(7), Some(Trouble::Saturated));
        assert_eq!(kind(9), None);
        let of_nobody = p99(&[(Cause::WorkerBusy, 60)], Vec::new());
        assert_eq!(of(&of_nobody, &processes), None);
    }
}
