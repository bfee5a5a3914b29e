//! Values for the tests of the outputs: one run of one server, made up, in figures that agree with each
//! other.

use super::SAMPLE_ONE_IN;
use crate::model::cause::{Budget, Cause};
use crate::model::header::{Header, Options, Requests, SignalInfo, TargetInfo};
use crate::model::hint::{Hint, HintKind};
use crate::model::process::{ProcessEvent, ProcessLine};
use crate::model::protocol::Protocol;
use crate::model::report::{
    AtQuantiles, BandMeans, ByConfidence, ByStatus, Diagnosis, End, FaultMeans, LongestTurn, OwnCost,
    PathTotals, PoolTotals, ProcessFigures, ProcessMemory, ProcessWorkers, ProtocolTotals, Quantiles,
    RssMeans, TargetTotals, Totals, Trouble, WaitedFor, Window, WorkerTotals,
};
use crate::model::request::{Confidence, Conn, Culprit, Detail, Faults, Figures, Http, Request, Rss, Span};

const STARTED_UNIX_NS: u64 = 1_790_000_000_000_000_000;
const SECOND_NS: u64 = 1_000_000_000;
const PID: u32 = 4120;

/// The header of a live run.
pub(super) fn header() -> Header {
    Header {
        observer_version: "0.1.0".to_owned(),
        kernel: "6.12.0".to_owned(),
        machine: "x86_64".to_owned(),
        page_bytes: 4096,
        started_unix_ns: STARTED_UNIX_NS,
        unix_offset_ns: STARTED_UNIX_NS - 5 * SECOND_NS,
        targets: vec![TargetInfo {
            pid: PID,
            comm: "axum-srv".to_owned(),
            exe: None,
            threads: 5,
            runtime: None,
        }],
        signals: vec![SignalInfo {
            signal: "accept".to_owned(),
            hook: Some("fexit:inet_csk_accept".to_owned()),
            note: None,
        }],
        options: Options {
            requests: Requests::Tail,
            sample_one_in: SAMPLE_ONE_IN,
            with_query: false,
            ring_bytes: 1 << 20,
            polls: false,
            sample_hz: 99,
            follow: true,
            ports: Vec::new(),
        },
        replay: false,
    }
}

/// The end of the server, seven seconds after the start.
pub(super) fn process() -> ProcessLine {
    ProcessLine {
        unix_ns: STARTED_UNIX_NS + 7 * SECOND_NS,
        event: ProcessEvent::Exit,
        pid: PID,
        comm: Some("axum-srv".to_owned()),
        parent: None,
        watched: None,
        exe: None,
        successors: Vec::new(),
    }
}

/// The `nth` request of a connection: a blocked worker, then a wait for a CPU, then its own work.
pub(super) fn blocked(nth: u64) -> Request {
    let parts = [
        (Cause::WorkerBlocked, 30_800_000, Some(blocking())),
        (Cause::RunQueue, 4_100_331, Some(hog())),
        (Cause::OnCpu, 5_220_000, None),
    ];
    let mut budget = Budget::default();
    let mut timeline = Vec::new();
    for (cause, dur_ns, culprit) in parts {
        let detail = Detail {
            syscall: culprit.as_ref().and_then(|culprit| culprit.syscall),
            ..Detail::default()
        };
        let at_ns = budget.total();
        timeline.push(Span {
            at_ns,
            dur_ns,
            cause,
            tid: Some(4124),
            cpu: None,
            detail,
            culprit,
        });
        budget.charge(cause, dur_ns);
    }
    Request {
        figures: Figures {
            pid: PID,
            protocol: Protocol::Http1,
            status: Some(200),
            arrival_ns: 6 * SECOND_NS,
            latency_ns: budget.total(),
            receive_queue_ns: 31_002_112,
            bytes_in: 71,
            bytes_out: 142,
            unsent_bytes: 0,
            confidence: Confidence::Exact,
            complete: true,
            rss: Rss {
                start: 12_914_688,
                end: 12_914_688,
            },
            faults: Faults::default(),
            budget,
        },
        conn: Conn {
            id: 17,
            local: Some(([127, 0, 0, 1], 8080).into()),
            peer: Some(([127, 0, 0, 1], 51212).into()),
            nth,
        },
        task: Some(52),
        http: Some(Http {
            method: "GET".into(),
            target: "/work".into(),
            target_cut: false,
        }),
        timeline,
    }
}

/// The totals of so many requests.
pub(super) fn totals(requests: u64) -> Totals {
    Totals {
        figures: figures(requests),
        polls: None,
        lost: Vec::new(),
        full: Vec::new(),
        cost: Some(OwnCost {
            ebpf_ns: Some(3_100_000),
            cpu_ns: 8_200_000,
            rss_bytes: 14_889_779,
            records: 12_300,
            probes: None,
            samples: Some(31),
            samples_lost: Some(0),
            ticks_on_others: Some(0),
        }),
        targets: vec![TargetTotals {
            pid: PID,
            comm: Some("axum-srv".to_owned()),
            processes: 1,
            pids: vec![PID],
            figures: figures(requests),
        }],
        targets_other: 0,
    }
}

/// The same, with 300 quick requests more, of another server.
pub(super) fn totals_of_two(requests: u64) -> Totals {
    let mut totals = totals(requests);
    let mut quick = TargetTotals {
        pid: 99,
        comm: Some("gin-srv".to_owned()),
        processes: 3,
        pids: vec![99, 101, 102],
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
pub(super) fn figures(requests: u64) -> ProcessFigures {
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

/// The second window of a run.
pub(super) fn window() -> Window {
    Window {
        start_unix_ns: STARTED_UNIX_NS + SECOND_NS,
        duration_ns: SECOND_NS,
        totals: totals(130),
        hints: Vec::new(),
        run: totals(1_180),
    }
}

/// The end of a run of twelve seconds.
pub(super) fn end() -> End {
    End {
        start_unix_ns: STARTED_UNIX_NS,
        duration_ns: 12 * SECOND_NS,
        under_way: 3,
        totals: totals(12_345),
        hints: vec![Hint {
            kind: HintKind::Children,
            pid: PID,
            pids: vec![4121],
            text:
                "what its child 4121 answers is not counted: 4121 holds the same socket that listens on port \
                   8080 as axum-srv (4120)"
                    .to_owned(),
            remedy: "sudo observer attach --pid 4120 --pid 4121".to_owned(),
        }],
    }
}

fn at() -> AtQuantiles {
    let waits = vec![
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
            pool: false,
            function: None,
            held_by: None,
        },
        WaitedFor {
            cause: Cause::RunQueue,
            requests: 3,
            mean_ns: 4_100_000,
            syscall: None,
            object: None,
            peer: None,
            pid: Some(77),
            comm: Some("hog".to_owned()),
            request: None,
            pool: false,
            function: None,
            held_by: None,
        },
    ];
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
        p99: band(13, &slow, 14_680_064, tail_faults, waits),
        p999: band(1, &slower, 14_680_064, tail_faults, Vec::new()),
    }
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
    }
}

fn blocking() -> Culprit {
    Culprit {
        pid: PID,
        tid: 4124,
        comm: Some("axum-srv".into()),
        task: Some(31),
        request: Some("GET /blocking".into()),
        syscall: Some("clock_nanosleep"),
        object: None,
        function: None,
    }
}

fn hog() -> Culprit {
    Culprit {
        pid: 77,
        tid: 77,
        comm: Some("hog".into()),
        task: None,
        request: None,
        syscall: None,
        object: None,
        function: None,
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
                longest: Some(LongestTurn {
                    dur_ns: 30_800_000,
                    task: Some(31),
                    request: Some("GET /blocking".to_owned()),
                    syscall: Some("clock_nanosleep"),
                }),
                ..worker(4124, 0.61)
            },
            worker(4125, 0.12),
        ],
        idlest: Some(worker(4125, 0.12)),
        pool: Some(PoolTotals {
            threads: 3,
            busy: 0.25,
            jobs: 400,
            queued: 2,
        }),
    }
}
