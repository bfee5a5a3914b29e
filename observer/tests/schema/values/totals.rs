//! Totals with everything that may be absent, and without.

use observer::model::cause::{Budget, Cause};
use observer::model::id::{Pid, TaskId, Tid};
use observer::model::protocol::Protocol;
use observer::model::report::{
    AtQuantiles, BandMeans, ByConfidence, ByStatus, CycleTotals, Diagnosis, FaultMeans, FedBy,
    GoroutineTotals, LongPoll, LongestTask, LookCost, OwnCost, PathTotals, PollTotals, PoolTotals, ProbeCost,
    ProcessFigures, ProcessMemory, ProcessRoles, ProcessWorkers, ProtocolTotals, Quantiles, Role, RoleThread,
    RoleTotals, RssMeans, TargetTotals, Totals, Trouble, WaitedFor, WorkerTotals,
};
use observer::model::request::HeldBy;

/// Takes away whatever may be absent.
pub(super) fn strip(totals: &mut Totals) {
    (totals.polls, totals.cost) = (None, None);
    totals.targets[0].comm = None;
    totals.gc[0].goal_bytes = None;
    strip_figures(&mut totals.figures);
    strip_figures(&mut totals.targets[0].figures);
}

fn strip_figures(figures: &mut ProcessFigures) {
    (figures.latency_ns, figures.at) = (None, None);
    (figures.diagnosis, figures.protocol) = (None, None);
    let other = &mut figures.other_protocols[0];
    (other.p50_ns, other.p99_ns) = (None, None);
    let workers = &mut figures.workers[0];
    (workers.pool, workers.by_role) = (None, None);
    for worker in &mut workers.threads {
        (worker.comm, worker.longest) = (None, None);
    }
}

/// With everything.
pub(super) fn full() -> Totals {
    Totals {
        figures: figures(),
        targets: vec![TargetTotals {
            pid: Pid(7),
            comm: Some("server".to_owned()),
            processes: 1,
            pids: vec![Pid(7)],
            ended: true,
            figures: figures(),
        }],
        targets_other: 1,
        polls: Some(polls()),
        gc: vec![CycleTotals {
            pid: Pid(7),
            cycles: 12,
            missed: 1,
            mark_ns: 1,
            stopped_ns: 1,
            longest_stop_ns: 1,
            assist_ns: 1,
            heap_bytes: 1,
            goal_bytes: Some(1),
        }],
        goroutines: vec![GoroutineTotals {
            pid: Pid(7),
            count: 11,
            count_max: 12,
            runnable: 1,
            runnable_max: 2,
        }],
        lost: vec![("ring_full", 1)],
        full: vec![("futexes", 1)],
        cost: Some(OwnCost {
            ebpf_ns: Some(1),
            cpu_ns: 1,
            rss_bytes: 1,
            records: 1,
            probes: Some(ProbeCost {
                hits: 9,
                estimated_ns: 9_000,
            }),
            looks: Some(LookCost {
                count: 9,
                parked: 5,
                changed: 1,
                skipped: 2,
                spent_ns: 90_000,
            }),
            samples: Some(1),
            samples_lost: Some(1),
            ticks_on_others: Some(20),
        }),
    }
}

fn polls() -> PollTotals {
    PollTotals {
        polls: 3,
        unqueued: 1,
        long: 1,
        p50_ns: Some(1),
        p99_ns: Some(2),
        max_ns: Some(2),
        queue_p50_ns: Some(1),
        queue_p99_ns: Some(2),
        queue_max_ns: Some(2),
        longest: vec![LongPoll {
            pid: Pid(7),
            tid: Tid(9),
            task: Some(TaskId(31)),
            start_unix_ns: 3,
            dur_ns: 2,
            request: Some("GET /slow".to_owned()),
        }],
    }
}

fn figures() -> ProcessFigures {
    ProcessFigures {
        protocol: Some(Protocol::Http1),
        requests: 1,
        incomplete: 1,
        unanswered: 2,
        late_sends: 1,
        unsent: 1,
        begun_before: 6,
        unknown_direction: 1,
        clamped: 1,
        confidence: ByConfidence::default(),
        status: ByStatus::default(),
        latency_ns: Some(Quantiles::default()),
        at: Some(AtQuantiles {
            p50: band(),
            p99: band(),
            p999: band(),
        }),
        paths: vec![PathTotals::default()],
        paths_other: 1,
        paths_overflow: 1,
        other_protocols: vec![ProtocolTotals {
            protocol: Protocol::Tls,
            turns: 1,
            unanswered: 1,
            p50_ns: Some(1),
            p99_ns: Some(1),
        }],
        workers: vec![workers()],
        diagnosis: Some(Diagnosis {
            kind: Trouble::Quota,
            text: "clear".to_owned(),
        }),
        memory: vec![ProcessMemory::default()],
    }
}

fn budget(cause: Cause) -> Budget {
    let mut budget_ns = Budget::default();
    budget_ns.charge(cause, 5);
    budget_ns
}

fn band() -> BandMeans {
    BandMeans {
        requests: 1,
        latency_ns: 5,
        receive_queue_ns: 1,
        budget_ns: budget(Cause::OnCpu),
        rss: Some(RssMeans {
            start: 4_096,
            end: 4_096,
        }),
        faults: FaultMeans {
            minor: 0.5,
            major: 0.0,
        },
        waited_for: vec![waited_for()],
        waited_for_others_ns: budget(Cause::Lock),
    }
}

fn waited_for() -> WaitedFor {
    WaitedFor {
        cause: Cause::Lock,
        requests: 1,
        mean_ns: 5,
        syscall: Some("futex"),
        object: Some("/srv/data".to_owned()),
        peer: "127.0.0.1:80".parse().ok(),
        pid: Some(Pid(7)),
        comm: Some("worker".to_owned()),
        request: Some("GET /slow".to_owned()),
        runtime: Some("GC worker"),
        pool: true,
        function: Some("app::report".to_owned()),
        held_by: Some(HeldBy::Nagle),
        waits_in: Some("database/sql.(*DB).conn".to_owned()),
        called_by: Some("main.order".to_owned()),
    }
}

fn workers() -> ProcessWorkers {
    ProcessWorkers {
        pid: Pid(7),
        count: 1,
        none_free_ns: 1,
        threads: vec![WorkerTotals {
            tid: Tid(9),
            comm: Some("worker".to_owned()),
            longest: Some(LongestTask {
                dur_ns: 1,
                task: Some(TaskId(31)),
                request: Some("GET /slow".to_owned()),
                syscall: Some("read"),
            }),
            ..WorkerTotals::default()
        }],
        idlest: None,
        pool: Some(PoolTotals::default()),
        by_role: Some(ProcessRoles {
            roles: vec![RoleTotals {
                role: Role::EventLoop,
                count: 1,
                ended: 0,
                at_work: 0.5,
                epolls: Some(1),
                fed_by: vec![FedBy {
                    tid: Tid(9),
                    comm: Some("worker".to_owned()),
                    role: Some(Role::EventLoop),
                    syscall: Some("futex"),
                    times: 1,
                }],
                threads: vec![RoleThread {
                    tid: Tid(9),
                    comm: Some("worker".to_owned()),
                    busy: 0.5,
                    at_work: 0.5,
                    epoll: Some(4),
                    evidence: vec![("event_waits", 9)],
                }],
            }],
            no_role: 1,
        }),
    }
}
