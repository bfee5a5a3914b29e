//! Each trouble by its evidence, and silence where it is not clear.

use super::*;
use crate::model::id::Tid;
use crate::model::report::WorkerTotals;

fn of(p99: &BandMeans, workers: &[ProcessWorkers]) -> Option<Diagnosis> {
    let at = AtQuantiles {
        p99: p99.clone(),
        ..AtQuantiles::default()
    };
    super::of(&at, workers)
}

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

pub(super) fn behind(cause: Cause, pid: u32, comm: &str) -> WaitedFor {
    WaitedFor {
        cause,
        requests: 1,
        mean_ns: 40,
        syscall: (cause == Cause::WorkerBlocked).then_some("clock_nanosleep"),
        object: None,
        peer: None,
        pid: Some(Pid(pid)),
        comm: Some(comm.to_owned()),
        request: Some("GET /slow".to_owned()),
        runtime: (cause == Cause::Runtime).then_some("safepoint"),
        pool: false,
        function: None,
        held_by: (cause == Cause::HeldBack).then_some(HeldBy::Nagle),
        waits_in: None,
        called_by: None,
    }
}

fn workers(shares: &[(f64, f64)]) -> Vec<ProcessWorkers> {
    let worker = |(index, &(busy, parked)): (usize, &(f64, f64))| WorkerTotals {
        tid: Tid(8 + index as u32),
        busy,
        parked,
        ..WorkerTotals::default()
    };
    let threads: Vec<_> = shares.iter().enumerate().map(worker).collect();
    vec![ProcessWorkers {
        pid: Pid(7),
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
        of(Cause::RunQueue, vec![behind(Cause::RunQueue, 7, "srv")], busy),
        of(
            Cause::WorkerBlocked,
            vec![behind(Cause::WorkerBlocked, 7, "srv")],
            busy,
        ),
        of(Cause::WorkerBusy, vec![], busy),
        of(Cause::WorkerBusy, vec![], &[(0.98, 0.0), (0.1, 0.9)]),
        of(Cause::Stolen, vec![], busy),
        of(Cause::HeldBack, vec![behind(Cause::HeldBack, 7, "srv")], busy),
        of(Cause::Runtime, vec![behind(Cause::Runtime, 7, "VM Thread")], busy),
    ];
    let kinds = found.each_ref().map(|found| found.as_ref().unwrap().kind);
    assert_eq!(
        kinds,
        [
            Trouble::Quota,
            Trouble::CpuTaken,
            Trouble::CpuShort,
            Trouble::BlockedWorkers,
            Trouble::Saturated,
            Trouble::Imbalanced,
            Trouble::Stolen,
            Trouble::HeldBack,
            Trouble::Stopped
        ]
    );
    let text = &found[3].as_ref().unwrap().text;
    assert_eq!(
        text,
        "workers were blocked: 60 % of the latency at the p99 was waiting behind clock_nanosleep for GET /slow"
    );
    let text = &found[7].as_ref().unwrap().text;
    assert!(
        text.contains("for 60 % of the latency") && text.contains("without TCP_NODELAY"),
        "{text}"
    );
}

#[test]
fn who_had_the_cpus_for_a_part_of_the_time_is_not_said_to_have_had_them_for_most() {
    let waited = |mean_ns| WaitedFor {
        mean_ns,
        ..behind(Cause::RunQueue, 99, "hog")
    };
    let found = |mean_ns| {
        let p99 = p99(
            &[(Cause::RunQueue, 60), (Cause::OnCpu, 40)],
            vec![waited(mean_ns)],
        );
        of(&p99, &workers(&[(0.5, 0.5)])).unwrap()
    };
    let text = |mean_ns| found(mean_ns).text;
    assert_eq!(
        [30, 6, 5].map(|mean_ns| found(mean_ns).kind),
        [Trouble::CpuTaken, Trouble::CpuTaken, Trouble::CpuShort]
    );
    assert_eq!(
        text(30),
        "CPUs were taken by others: 60 % of the latency at the p99 was waiting for one, mostly behind hog (99)"
    );
    assert_eq!(
        text(6),
        "CPUs were short: 60 % of the latency at the p99 was waiting for one, at least 10 % of that behind hog (99); \
         who else had them is not known"
    );
    for little in [0, 1, 5] {
        assert_eq!(
            text(little),
            "CPUs were short: 60 % of the latency at the p99 was waiting for one; who had them most is not known"
        );
    }
}

#[test]
fn threads_of_one_process_are_told_together_whatever_their_names_are() {
    let text = |pid| {
        let waits = ["one", "another"].map(|name| WaitedFor {
            mean_ns: 5,
            ..behind(Cause::RunQueue, pid, name)
        });
        let p99 = p99(&[(Cause::RunQueue, 60), (Cause::OnCpu, 40)], waits.to_vec());
        of(&p99, &workers(&[(0.5, 0.5)])).unwrap().text
    };
    assert_eq!(
        text(99),
        "CPUs were short: 60 % of the latency at the p99 was waiting for one, at least 17 % of that behind one (99); \
         who else had them is not known"
    );
    let own = "CPUs were short: 60 % of the latency at the p99 was waiting for one, at least 17 % of that behind the \
               program's own threads";
    assert_eq!(text(7), own);
}

#[test]
fn of_several_processes_that_had_the_cpus_the_one_that_had_them_for_longest_is_told() {
    let waited = |pid, name, mean_ns| WaitedFor {
        mean_ns,
        ..behind(Cause::RunQueue, pid, name)
    };
    let waits = vec![
        waited(99, "backup", 7),
        waited(7, "one", 5),
        waited(7, "another", 5),
    ];
    let p99 = p99(&[(Cause::RunQueue, 60), (Cause::OnCpu, 40)], waits);
    let found = of(&p99, &workers(&[(0.5, 0.5)])).unwrap();
    assert_eq!(found.kind, Trouble::CpuShort);
    assert!(
        found.text.ends_with("behind the program's own threads"),
        "{}",
        found.text
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
    let late = p99(&parts, vec![to_accept(None, None)]);
    assert_eq!(
        of(&late, &busy).unwrap().text,
        "connections were accepted late: 50 % of the latency at the p99 was waiting in the accept queue"
    );
    // The longest wait of each tells what the others were.
    let blocked_for = |mean_ns| WaitedFor {
        mean_ns,
        ..to_accept(Some("clock_nanosleep"), Some("GET /slow"))
    };
    let turns = p99(&parts, vec![blocked_for(25)]);
    assert!(
        of(&turns, &busy)
            .unwrap()
            .text
            .starts_with("workers were blocked: 60 % of")
    );
    // What is not listed says nothing.
    let mut many = turns.clone();
    many.waited_for_others_ns.charge(Cause::AcceptQueue, 900);
    assert_eq!(of(&many, &busy).unwrap().kind, Trouble::BlockedWorkers);
    // Nor is one to blame for more than its part.
    let late = p99(&parts, vec![blocked_for(2), to_accept(None, None)]);
    assert_eq!(of(&late, &busy).unwrap().kind, Trouble::AcceptedLate);
}

#[test]
fn what_the_usual_requests_wait_behind_is_in_the_sentence_too() {
    let waited = |request: &str| WaitedFor {
        request: Some(request.to_owned()),
        ..behind(Cause::WorkerBlocked, 7, "srv")
    };
    let blocked = |waited| p99(&[(Cause::WorkerBlocked, 60), (Cause::OnCpu, 40)], waited);
    let at = AtQuantiles {
        p99: blocked(vec![waited("GET /a")]),
        p50: blocked(vec![waited("GET /b")]),
        ..AtQuantiles::default()
    };
    let text = super::of(&at, &workers(&[(0.98, 0.0)])).unwrap().text;
    assert!(
        text.ends_with("was waiting behind clock_nanosleep for requests of several kinds"),
        "{text}"
    );
}

#[test]
fn behind_a_pool_that_computes_it_may_be_unknown_for_what() {
    let computing = |request: Option<&str>| WaitedFor {
        pool: true,
        request: request.map(str::to_owned),
        ..behind(Cause::WorkerBusy, 7, "srv")
    };
    let waits = vec![computing(Some("GET /a")), computing(None), computing(None)];
    let found = of(&p99(&[(Cause::WorkerBusy, 60)], waits), &workers(&[(0.1, 0.9)])).unwrap();
    assert_eq!(found.kind, Trouble::PoolExhausted);
    assert!(
        found.text.ends_with("at the p99 was waiting for one"),
        "{}",
        found.text
    );
}

#[test]
fn where_the_evidence_is_not_clear_nothing_is_said() {
    let half_busy = workers(&[(0.6, 0.4), (0.5, 0.5)]);
    let busy = p99(&[(Cause::WorkerBusy, 60), (Cause::OnCpu, 40)], vec![]);
    assert_eq!(of(&busy, &half_busy), None);
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
        runtime: (cause == Cause::Runtime).then_some("safepoint"),
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
        pid: Pid(9),
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

#[test]
fn a_pool_of_a_program_s_own_behind_which_requests_wait_is_exhausted() {
    let own = workers(&[(0.1, 0.9)]);
    let found = of(&behind_a_job(Cause::WorkerBlocked), &own).unwrap();
    assert_eq!(
        (found.kind, found.text.as_str()),
        (
            Trouble::PoolExhausted,
            "a pool of threads was exhausted: none of them was free, and 60 % of the latency at the \
             p99 was waiting behind clock_nanosleep for GET /slow"
        )
    );
}
