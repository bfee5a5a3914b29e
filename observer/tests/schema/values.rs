//! Values for each kind of line, and the lines that become of them.
//!
//! They are spelled out field by field: a new field fails to compile here until it is filled, and then the
//! page has to explain it.

use std::collections::BTreeMap;
use std::sync::Arc;

use observer::model::cause::{Budget, Cause};
use observer::model::header::{Header, Options, Requests, RuntimeInfo, SignalInfo, TargetInfo};
use observer::model::hint::{Hint, HintKind};
use observer::model::id::{ConnId, Pid, Tid};
use observer::model::process::{ProcessEvent, ProcessLine, Successor};
use observer::model::protocol::Protocol;
use observer::model::report::{
    AtQuantiles, BandMeans, ByConfidence, ByStatus, Diagnosis, End, FaultMeans, LongPoll, LongestTurn,
    OwnCost, PathTotals, PollTotals, PoolTotals, ProbeCost, ProcessFigures, ProcessMemory, ProcessWorkers,
    ProtocolTotals, Quantiles, RssMeans, TargetTotals, Totals, Trouble, WaitedFor, Window, WorkerTotals,
};
use observer::model::request::HeldBy;
use observer::model::request::{
    Confidence, Conn, Culprit, Detail, Faults, Figures, HeldBack, Http, Request, Rss, Span,
};
use observer::model::runtime::Flavour;
use observer::model::runtime::{RuntimeAtWork, RuntimeLine, RuntimeThread};
use observer::output::{JsonLines, Sink as _, Why};
use serde_json::Value;

/// One value for each kind of line.
pub(crate) struct Lines {
    header: Header,
    request: Request,
    window: Window,
    process: ProcessLine,
    runtime: RuntimeLine,
    end: End,
}

/// The lines as they are written, by kind.
pub(crate) fn written(lines: &Lines) -> BTreeMap<&'static str, Value> {
    let mut bytes = Vec::new();
    let mut sink = JsonLines::new(&mut bytes);
    sink.header(&lines.header).unwrap();
    sink.request(&Arc::new(lines.request.clone()), Why::Tail).unwrap();
    sink.window(&lines.window).unwrap();
    sink.process(&lines.process).unwrap();
    sink.runtime(&lines.runtime).unwrap();
    sink.end(&lines.end).unwrap();
    drop(sink);
    let values = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut values = values.map(|line| serde_json::from_slice::<Value>(line).unwrap());
    let written = ["header", "request", "window", "process", "runtime", "end"].map(|kind| {
        let value = values.next().unwrap();
        assert_eq!(value["type"], kind);
        (kind, value)
    });
    assert_eq!(values.next(), None);
    BTreeMap::from(written)
}

/// Lines with everything that may be absent.
pub(crate) fn full() -> Lines {
    let totals = full_totals();
    Lines {
        header: Header {
            observer_version: "0.1.0".to_owned(),
            kernel: "6.12.0".to_owned(),
            machine: "x86_64".to_owned(),
            page_bytes: 4_096,
            started_unix_ns: 2,
            unix_offset_ns: 1,
            targets: vec![TargetInfo {
                pid: Pid(7),
                comm: "server".to_owned(),
                exe: Some("/srv/server".to_owned()),
                threads: 4,
                runtime: Some(RuntimeInfo {
                    name: "tokio".to_owned(),
                    version: Some("1.48.0".to_owned()),
                    found_by: "symbols".to_owned(),
                }),
            }],
            signals: vec![SignalInfo {
                signal: "arrival".to_owned(),
                hook: Some("tp_btf:sk_data_ready".to_owned()),
                note: Some("late".to_owned()),
            }],
            options: Options {
                requests: Requests::Tail,
                sample_one_in: 100,
                with_query: false,
                ring_bytes: 1 << 20,
                polls: true,
                sample_hz: 99,
                follow: true,
                ports: vec![8080],
            },
            replay: false,
        },
        request: full_request(),
        window: Window {
            start_unix_ns: 2,
            duration_ns: 1,
            totals: totals.clone(),
            hints: vec![hint()],
            run: totals.clone(),
        },
        process: ProcessLine {
            unix_ns: 3,
            event: ProcessEvent::Fork,
            pid: Pid(8),
            comm: Some("server".to_owned()),
            parent: Some(Pid(7)),
            watched: Some(true),
            exe: Some("/srv/server".to_owned()),
            successors: vec![Successor {
                pid: Pid(9),
                comm: "server".to_owned(),
                port: 80,
                same_socket: true,
            }],
        },
        runtime: RuntimeLine {
            unix_ns: 3,
            pid: Pid(7),
            name: "tokio".to_owned(),
            version: Some("1.48.0".to_owned()),
            task_ids: true,
            evidence: "word 6".to_owned(),
            runtimes: vec![RuntimeAtWork {
                flavour: Some(Flavour::MultiThread),
                count: 1,
                threads: vec![RuntimeThread {
                    tid: Tid(9),
                    comm: Some("worker".to_owned()),
                }],
                evidence: "descriptor 4".to_owned(),
            }],
            pool_threads: Some(1),
        },
        end: End {
            start_unix_ns: 2,
            duration_ns: 1,
            under_way: 1,
            totals,
            hints: vec![hint()],
        },
    }
}

fn hint() -> Hint {
    Hint {
        kind: HintKind::Children,
        pid: Pid(7),
        pids: vec![Pid(8)],
        text: "its child".to_owned(),
        remedy: "watch it".to_owned(),
    }
}

fn full_request() -> Request {
    let address = "[::1]:8080".parse().ok();
    let culprit = Culprit {
        pid: Pid(7),
        tid: Tid(9),
        comm: Some("worker".into()),
        task: Some(31),
        request: Some("GET /slow".into()),
        syscall: Some("read"),
        object: Some("/srv/data".into()),
        function: Some("app::report".into()),
    };
    let detail = Detail {
        syscall: Some("read"),
        object: Some("/srv/data".into()),
        function: Some("app::report".into()),
        peer: address,
        held: Some(HeldBack {
            by: HeldBy::Nagle,
            unsent_bytes: 1,
        }),
        note: Some("sure"),
    };
    let span = |cause| Span {
        at_ns: cause as u64,
        dur_ns: 1,
        cause,
        tid: Some(Tid(8)),
        cpu: Some(1),
        detail: detail.clone(),
        culprit: Some(culprit.clone()),
    };
    let mut budget = Budget::default();
    for cause in Cause::ALL {
        budget.charge(cause, 1);
    }
    Request {
        figures: Figures {
            pid: Pid(7),
            protocol: Protocol::Http2,
            status: Some(200),
            arrival_ns: 1,
            latency_ns: budget.total(),
            receive_queue_ns: 1,
            bytes_in: 1,
            bytes_out: 1,
            unsent_bytes: 1,
            confidence: Confidence::Exact,
            complete: true,
            rss: Rss {
                start: 4_096,
                end: 4_096,
            },
            faults: Faults { minor: 1, major: 1 },
            budget,
        },
        conn: Conn {
            id: ConnId(1),
            local: address,
            peer: address,
            nth: 1,
        },
        task: Some(30),
        http: Some(Http {
            method: "GET".into(),
            target: "/long".into(),
            target_cut: true,
        }),
        timeline: Cause::ALL.map(span).to_vec(),
    }
}

fn full_figures() -> ProcessFigures {
    let mut budget_ns = Budget::default();
    budget_ns.charge(Cause::OnCpu, 5);
    let waited_for = WaitedFor {
        cause: Cause::Lock,
        requests: 1,
        mean_ns: 5,
        syscall: Some("futex"),
        object: Some("/srv/data".to_owned()),
        peer: "127.0.0.1:80".parse().ok(),
        pid: Some(Pid(7)),
        comm: Some("worker".to_owned()),
        request: Some("GET /slow".to_owned()),
        pool: true,
        function: Some("app::report".to_owned()),
        held_by: Some(HeldBy::Nagle),
    };
    let band = BandMeans {
        requests: 1,
        latency_ns: 5,
        receive_queue_ns: 1,
        budget_ns,
        rss: Some(RssMeans {
            start: 4_096,
            end: 4_096,
        }),
        faults: FaultMeans {
            minor: 0.5,
            major: 0.0,
        },
        waited_for: vec![waited_for],
    };
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
            p50: band.clone(),
            p99: band.clone(),
            p999: band,
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
        workers: vec![ProcessWorkers {
            pid: Pid(7),
            count: 1,
            none_free_ns: 1,
            threads: vec![WorkerTotals {
                tid: Tid(9),
                comm: Some("worker".to_owned()),
                longest: Some(LongestTurn {
                    dur_ns: 1,
                    task: Some(31),
                    request: Some("GET /slow".to_owned()),
                    syscall: Some("read"),
                }),
                ..WorkerTotals::default()
            }],
            idlest: None,
            pool: Some(PoolTotals::default()),
        }],
        diagnosis: Some(Diagnosis {
            kind: Trouble::Quota,
            text: "clear".to_owned(),
        }),
        memory: vec![ProcessMemory::default()],
    }
}

fn full_totals() -> Totals {
    Totals {
        figures: full_figures(),
        targets: vec![TargetTotals {
            pid: Pid(7),
            comm: Some("server".to_owned()),
            processes: 1,
            pids: vec![Pid(7)],
            figures: full_figures(),
        }],
        targets_other: 1,
        polls: Some(PollTotals {
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
                task: Some(31),
                start_unix_ns: 3,
                dur_ns: 2,
                request: Some("GET /slow".to_owned()),
            }],
        }),
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
            samples: Some(1),
            samples_lost: Some(1),
            ticks_on_others: Some(20),
        }),
    }
}

/// Lines without anything that may be absent. What may be empty is not, to show its elements.
pub(crate) fn bare() -> Lines {
    let mut lines = full();
    lines.header.targets[0].exe = None;
    lines.header.targets[0].runtime = None;
    lines.header.signals[0].hook = None;
    lines.header.signals[0].note = None;

    let Request {
        figures,
        conn,
        task,
        http,
        timeline,
    } = &mut lines.request;
    // The name of a process comes from the lines before, which do not have this one.
    figures.pid = Pid(6);
    figures.unsent_bytes = 0;
    figures.protocol = Protocol::Http1;
    figures.rss = Rss::default();
    (conn.local, conn.peer) = (None, None);
    *task = None;
    *http = None;
    for span in timeline {
        (span.tid, span.cpu, span.culprit) = (None, None, None);
        span.detail = Detail::default();
    }

    (lines.runtime.version, lines.runtime.pool_threads) = (None, None);
    lines.runtime.runtimes[0].flavour = None;
    lines.runtime.runtimes[0].threads[0].comm = None;
    (lines.process.comm, lines.process.parent, lines.process.exe) = (None, None, None);
    lines.process.watched = None;
    for totals in [&mut lines.window.totals, &mut lines.end.totals] {
        (totals.polls, totals.cost) = (None, None);
        totals.targets[0].comm = None;
        bare_figures(&mut totals.figures);
        bare_figures(&mut totals.targets[0].figures);
    }
    lines
}

fn bare_figures(figures: &mut ProcessFigures) {
    (figures.latency_ns, figures.at) = (None, None);
    (figures.diagnosis, figures.protocol) = (None, None);
    let other = &mut figures.other_protocols[0];
    (other.p50_ns, other.p99_ns) = (None, None);
    let workers = &mut figures.workers[0];
    workers.pool = None;
    for worker in &mut workers.threads {
        (worker.comm, worker.longest) = (None, None);
    }
}
