//! One sentence on what is wrong, where the evidence is clear: what most of the time at the p99 went to, and what the
//! workers did meanwhile.

use super::report::{BandMeans, Diagnosis, ProcessWorkers, Trouble, WaitedFor};
use crate::cause::Cause;

/// Part of the latency at the p99 from which on a cause is told.
const LARGE: f64 = 0.25;

/// Share of its time from which on a worker is busy all the time.
const ALWAYS: f64 = 0.9;

/// Share of its time from which on a worker has mostly nothing to do.
const MOSTLY: f64 = 0.5;

/// What is wrong, judged from the requests at the p99.
pub(super) fn of(p99: &BandMeans, workers: &[ProcessWorkers]) -> Option<Diagnosis> {
    let part = |cause| p99.budget_ns.get(cause) as f64 / p99.latency_ns.max(1) as f64;
    let worst = [
        Cause::Throttled,
        Cause::RunQueue,
        Cause::WorkerBlocked,
        Cause::WorkerBusy,
    ]
    .into_iter()
    .max_by(|one, other| part(*one).total_cmp(&part(*other)))
    .filter(|worst| part(*worst) >= LARGE)?;
    let of_latency = format!("{:.0} % of the latency at the p99", 100.0 * part(worst));
    let culprit = p99.waited_for.iter().find(|waited| waited.cause == worst);
    let (kind, text) = match worst {
        Cause::Throttled => (
            Trouble::Quota,
            format!("the CPU quota was used up: {of_latency} was throttled"),
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
        Cause::WorkerBlocked => {
            let culprit = culprit?;
            let call = culprit.syscall.unwrap_or("a system call");
            let request = culprit.request.as_deref();
            let by = request.map_or_else(String::new, |request| format!(" for {request}"));
            (
                Trouble::BlockedWorkers,
                format!("workers were blocked: {of_latency} was waiting behind {call}{by}"),
            )
        }
        _ => busy(workers, &of_latency)?,
    };
    Some(Diagnosis { kind, text })
}

/// Whether it was not a watched process that was waited behind.
fn is_other(culprit: &WaitedFor, workers: &[ProcessWorkers]) -> bool {
    culprit
        .pid
        .is_some_and(|pid| pid != 0 && workers.iter().all(|process| process.pid != pid))
}

fn busy(workers: &[ProcessWorkers], of_latency: &str) -> Option<(Trouble, String)> {
    let [process] = workers else { return None };
    let count = process.count as usize;
    let most = process.threads.first()?;
    let least = process
        .threads
        .last()
        .filter(|_| count == process.threads.len())?;
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
    use super::super::report::WorkerTotals;
    use super::*;

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
            function: None,
        }
    }

    fn workers(shares: &[(f64, f64)]) -> Vec<ProcessWorkers> {
        let worker = |(index, &(busy, parked)): (usize, &(f64, f64))| WorkerTotals {
            tid: 8 + index as u32,
            busy,
            parked,
            ..WorkerTotals::default()
        };
        vec![ProcessWorkers {
            pid: 7,
            count: shares.len() as u64,
            none_free_ns: 0,
            threads: shares.iter().enumerate().map(worker).collect(),
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
        ];
        let kinds = found.each_ref().map(|found| found.as_ref().unwrap().kind);
        assert_eq!(
            kinds,
            [
                Trouble::Quota,
                Trouble::CpuTaken,
                Trouble::BlockedWorkers,
                Trouble::Saturated,
                Trouble::Imbalanced
            ]
        );
        let text = &found[2].as_ref().unwrap().text;
        assert_eq!(
            text,
            "workers were blocked: 60 % of the latency at the p99 was waiting behind clock_nanosleep for GET /slow"
        );
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
}
