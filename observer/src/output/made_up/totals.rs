//! The totals of some requests, of one server or of two.

use super::PID;
use crate::model::cause::{Budget, Cause};
use crate::model::id::{Pid, TaskId, Tid};
use crate::model::protocol::Protocol;
use crate::model::report::{
    AtQuantiles, BandMeans, ByConfidence, ByStatus, Diagnosis, FaultMeans, FedBy, LongestTask, OwnCost,
    PathTotals, PoolTotals, ProcessFigures, ProcessMemory, ProcessRoles, ProcessWorkers, ProtocolTotals,
    Quantiles, Role, RoleThread, RoleTotals, RssMeans, TargetTotals, Totals, Trouble, WaitedFor,
    WorkerTotals,
};

/// The totals of so many requests.
pub(in crate::output) fn totals(requests: u64) -> Totals {
    Totals {
        figures: figures(requests),
        polls: None,
        gc: Vec::new(),
        goroutines: Vec::new(),
        lost: Vec::new(),
        full: Vec::new(),
        cost: Some(OwnCost {
            ebpf_ns: Some(3_100_000),
            cpu_ns: 8_200_000,
            rss_bytes: 14_889_779,
            records: 12_300,
            probes: None,
            looks: None,
            samples: Some(31),
            samples_lost: Some(0),
            ticks_on_others: Some(0),
        }),
        targets: vec![TargetTotals {
            pid: PID,
            comm: Some("axum-srv".to_owned()),
            processes: 1,
            pids: vec![PID],
            ended: false,
            figures: figures(requests),
        }],
        targets_other: 0,
    }
}

/// The same, with 300 quick requests more, of another server.
pub(in crate::output) fn totals_of_two(requests: u64) -> Totals {
    let mut totals = totals(requests);
    let mut quick = TargetTotals {
        pid: Pid(99),
        comm: Some("gin-srv".to_owned()),
        processes: 3,
        pids: [99, 101, 102].map(Pid).to_vec(),
        ended: false,
        figures: ProcessFigures {
            protocol: Some(Protocol::Http1),
            requests: 300,
            latency_ns: Some(Quantiles {
                min: 210_000,
                mean: 330_000,
                p50: 310_000,
                p90: 400_000,
                p99: 1_900_000,
                p999: 2_000_000,
                max: 2_000_000,
            }),
            ..ProcessFigures::default()
        },
    };
    let usual = [(Cause::RunQueue, 310_000), (Cause::OnCpu, 930_000)];
    let band = band(3, &usual, 4_096, FaultMeans::default(), Vec::new());
    quick.figures.at = Some(AtQuantiles {
        p50: band.clone(),
        p99: band.clone(),
        p999: band,
    });
    totals.figures.requests += quick.figures.requests;
    totals.targets.insert(0, quick);
    totals
}

/// The figures of so many requests, all of them well.
pub(in crate::output) fn figures(requests: u64) -> ProcessFigures {
    ProcessFigures {
        protocol: Some(Protocol::Http1),
        requests,
        incomplete: 0,
        unanswered: 2,
        late_sends: 1,
        unsent: 0,
        begun_before: 6,
        unknown_direction: 1,
        clamped: 0,
        confidence: ByConfidence {
            exact: requests,
            ..ByConfidence::default()
        },
        status: ByStatus {
            success: requests,
            ..ByStatus::default()
        },
        latency_ns: Some(Quantiles {
            min: 310_000,
            mean: 1_900_000,
            p50: 1_240_000,
            p90: 3_100_000,
            p99: 40_100_000,
            p999: 41_000_000,
            max: 55_200_000,
        }),
        at: Some(at()),
        paths: vec![PathTotals {
            path: "/work".to_owned(),
            requests: 1_000,
            p50_ns: 1_210_000,
            p99_ns: 39_800_000,
        }],
        paths_other: 180,
        paths_overflow: 0,
        other_protocols: vec![ProtocolTotals {
            protocol: Protocol::Http2,
            turns: 4_983,
            unanswered: 0,
            p50_ns: Some(210_000),
            p99_ns: Some(9_800_000),
        }],
        workers: vec![workers()],
        diagnosis: Some(Diagnosis {
            kind: Trouble::BlockedWorkers,
            text: "workers were blocked: 77 % of the latency at the p99 was waiting behind clock_nanosleep"
                .to_owned(),
        }),
        memory: vec![ProcessMemory {
            pid: PID,
            rss_bytes: 12_914_688,
            rss_max_bytes: 13_631_488,
            minor_faults: 120,
            major_faults: 2,
        }],
    }
}

fn at() -> AtQuantiles {
    let tail_faults = FaultMeans {
        minor: 3.5,
        major: 0.5,
    };
    let usual = [(Cause::RunQueue, 310_000), (Cause::OnCpu, 930_000)];
    let slow = [
        (Cause::RunQueue, 4_100_000),
        (Cause::WorkerBlocked, 30_800_000),
        (Cause::OnCpu, 5_200_000),
    ];
    let slower = [
        (Cause::RunQueue, 4_100_000),
        (Cause::WorkerBlocked, 31_700_000),
        (Cause::OnCpu, 5_200_000),
    ];
    AtQuantiles {
        p50: band(
            120,
            &usual,
            12_914_688,
            FaultMeans {
                minor: 0.02,
                major: 0.0,
            },
            Vec::new(),
        ),
        p99: band(13, &slow, 14_680_064, tail_faults, waited_for()),
        p999: band(1, &slower, 14_680_064, tail_faults, Vec::new()),
    }
}

fn waited_for() -> Vec<WaitedFor> {
    vec![
        WaitedFor {
            cause: Cause::WorkerBlocked,
            requests: 12,
            mean_ns: 30_800_000,
            syscall: Some("clock_nanosleep"),
            object: None,
            peer: None,
            pid: Some(PID),
            comm: Some("axum-srv".to_owned()),
            request: Some("GET /blocking".to_owned()),
            runtime: None,
            pool: false,
            function: None,
            held_by: None,
            waits_in: None,
            called_by: None,
        },
        WaitedFor {
            cause: Cause::RunQueue,
            requests: 3,
            mean_ns: 4_100_000,
            syscall: None,
            object: None,
            peer: None,
            pid: Some(Pid(77)),
            comm: Some("hog".to_owned()),
            request: None,
            runtime: None,
            pool: false,
            function: None,
            held_by: None,
            waits_in: None,
            called_by: None,
        },
    ]
}

fn band(
    requests: u64,
    parts: &[(Cause, u64)],
    rss_bytes: u64,
    faults: FaultMeans,
    waited_for: Vec<WaitedFor>,
) -> BandMeans {
    let mut budget_ns = Budget::default();
    for &(cause, ns) in parts {
        budget_ns.charge(cause, ns);
    }
    BandMeans {
        requests,
        latency_ns: budget_ns.total(),
        receive_queue_ns: budget_ns.get(Cause::WorkerBlocked) + budget_ns.get(Cause::RunQueue),
        budget_ns,
        rss: Some(RssMeans {
            start: rss_bytes,
            end: rss_bytes,
        }),
        faults,
        waited_for,
        waited_for_others_ns: Budget::default(),
    }
}

fn workers() -> ProcessWorkers {
    let worker = |tid, busy| WorkerTotals {
        tid,
        comm: Some("tokio-rt-worker".to_owned()),
        busy,
        run_queue: 0.0,
        blocked: 0.3,
        parked: 0.7 - busy,
        turns: 1_200,
        longest: None,
    };
    ProcessWorkers {
        pid: PID,
        count: 2,
        none_free_ns: 310_220_112,
        threads: vec![
            WorkerTotals {
                longest: Some(LongestTask {
                    dur_ns: 30_800_000,
                    task: Some(TaskId(31)),
                    request: Some("GET /blocking".to_owned()),
                    syscall: Some("clock_nanosleep"),
                }),
                ..worker(Tid(4124), 0.61)
            },
            worker(Tid(4125), 0.12),
        ],
        idlest: Some(worker(Tid(4125), 0.12)),
        pool: Some(PoolTotals {
            threads: 3,
            busy: 0.25,
            jobs: 400,
            queued: 2,
        }),
        by_role: None,
    }
}

/// What the threads of a process are that has some of nearly all kinds.
pub(crate) fn by_role() -> ProcessRoles {
    let thread = |tid, busy| RoleThread {
        tid,
        comm: None,
        busy,
        at_work: busy,
        epoll: None,
        evidence: vec![("waits", 9)],
    };
    let role = |role, count, at_work| RoleTotals {
        role,
        count,
        ended: 0,
        at_work,
        epolls: None,
        fed_by: Vec::new(),
        threads: vec![thread(Tid(4124), at_work)],
    };
    ProcessRoles {
        roles: vec![
            role(Role::Acceptor, 1, 0.1),
            RoleTotals {
                epolls: Some(1),
                threads: vec![thread(Tid(4125), 0.96), thread(Tid(4126), 0.12)],
                ..role(Role::EventLoop, 2, 1.1)
            },
            RoleTotals {
                fed_by: vec![FedBy {
                    tid: Tid(4125),
                    comm: None,
                    role: Some(Role::EventLoop),
                    syscall: Some("futex"),
                    times: 400,
                }],
                ..role(Role::Pool, 4, 3.9)
            },
            RoleTotals {
                ended: 80,
                ..role(Role::Connection, 3, 1.2)
            },
            role(Role::Timer, 1, 0.0),
        ],
        no_role: 7,
    }
}
