//! A request with everything that may be absent, and without.

use std::net::SocketAddr;

use observer::model::cause::{Budget, Cause};
use observer::model::id::{ConnId, Pid, TaskId, Tid};
use observer::model::protocol::Protocol;
use observer::model::request::{
    Answer, Confidence, Conn, Culprit, Detail, Faults, Figures, GcOverlap, HeldBack, HeldBy, Http, Request,
    Rss, RuntimeWork, Span, WaitsIn,
};

/// Takes away whatever may be absent.
pub(super) fn strip(request: &mut Request) {
    let Request {
        figures,
        conn,
        task,
        http,
        timeline,
        gc,
    } = request;
    // The name of a process comes from the lines before, which do not have this one.
    figures.pid = Pid(6);
    figures.unsent_bytes = 0;
    figures.protocol = Protocol::Http1;
    figures.rss = Rss::default();
    (conn.local, conn.peer) = (None, None);
    *task = None;
    *http = None;
    *gc = None;
    for span in timeline {
        (span.tid, span.cpu, span.culprit) = (None, None, None);
        span.detail = Detail::default();
    }
}

/// With everything.
pub(super) fn full() -> Request {
    let span = |cause| Span {
        at_ns: cause as u64,
        dur_ns: 1,
        cause,
        tid: Some(Tid(8)),
        cpu: Some(1),
        detail: detail(),
        culprit: Some(culprit()),
    };
    Request {
        figures: figures(),
        conn: Conn {
            id: ConnId(1),
            local: address(),
            peer: address(),
            nth: 1,
        },
        task: Some(TaskId(30)),
        http: Some(Http {
            method: "GET".into(),
            target: "/long".into(),
            target_cut: true,
        }),
        timeline: Cause::ALL.map(span).to_vec(),
        gc: Some(GcOverlap {
            first: 12,
            last: 13,
            mark_ns: 1,
            stopped_ns: 1,
        }),
    }
}

fn figures() -> Figures {
    let mut budget = Budget::default();
    for cause in Cause::ALL {
        budget.charge(cause, 1);
    }
    Figures {
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
    }
}

fn address() -> Option<SocketAddr> {
    "[::1]:8080".parse().ok()
}

fn culprit() -> Culprit {
    Culprit {
        pid: Pid(7),
        tid: Tid(9),
        comm: Some("worker".into()),
        task: Some(TaskId(31)),
        request: Some("GET /slow".into()),
        role: Some("GC worker"),
        syscall: Some("read"),
        object: Some("/srv/data".into()),
        function: Some("app::report".into()),
        answer: Some(Box::new(Answer {
            conn: ConnId(2),
            nth: 1,
            latency_ns: 1,
            mostly: Some(Cause::Timer),
        })),
    }
}

fn detail() -> Detail {
    Detail {
        syscall: Some("read"),
        object: Some("/srv/data".into()),
        function: Some("app::report".into()),
        peer: address(),
        held: Some(HeldBack {
            by: HeldBy::Nagle,
            unsent_bytes: 1,
        }),
        runtime: Some(RuntimeWork {
            what: "stop of the world",
            cycle: Some(12),
        }),
        note: Some("sure"),
        waits_in: Some(WaitsIn {
            function: "database/sql.(*DB).conn".into(),
            called_by: Some("main.order".into()),
        }),
    }
}
