//! One request, which waited behind another one's system call and for a CPU.

use super::{PID, SECOND_NS};
use crate::model::cause::{Budget, Cause};
use crate::model::id::{ConnId, Pid, TaskId, Tid};
use crate::model::protocol::Protocol;
use crate::model::request::{Confidence, Conn, Culprit, Detail, Faults, Figures, Http, Request, Rss, Span};

/// The `nth` request of a connection: a blocked worker, then a wait for a CPU, then its own work.
pub(in crate::output) fn blocked(nth: u64) -> Request {
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
            tid: Some(Tid(4124)),
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
            id: ConnId(17),
            local: Some(([127, 0, 0, 1], 8080).into()),
            peer: Some(([127, 0, 0, 1], 51212).into()),
            nth,
        },
        task: Some(TaskId(52)),
        http: Some(Http {
            method: "GET".into(),
            target: "/work".into(),
            target_cut: false,
        }),
        timeline,
        gc: None,
    }
}

fn blocking() -> Culprit {
    Culprit {
        pid: PID,
        tid: Tid(4124),
        comm: Some("axum-srv".into()),
        task: Some(TaskId(31)),
        request: Some("GET /blocking".into()),
        role: None,
        syscall: Some("clock_nanosleep"),
        object: None,
        function: None,
        answer: None,
    }
}

fn hog() -> Culprit {
    Culprit {
        pid: Pid(77),
        tid: Tid(77),
        comm: Some("hog".into()),
        task: None,
        request: None,
        role: None,
        syscall: None,
        object: None,
        function: None,
        answer: None,
    }
}
