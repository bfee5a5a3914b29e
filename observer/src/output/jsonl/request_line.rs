//! The `request` line: a view of a request that serializes as `docs/schema.md` describes it.
//!
//! Everything is borrowed. What a field means is said where the request is defined.

use std::net::SocketAddr;

use serde::{Serialize, Serializer};

use crate::model::cause::{Budget, Cause};
use crate::model::id::{Pid, TaskId, Tid};
use crate::model::protocol::Protocol;
use crate::model::request::{
    Answer, Confidence, Conn, Culprit, Faults, Figures, GcOverlap, HeldBy, Http, Request, Rss, Span,
};
use crate::output::{SCHEMA_VERSION, Why};
use crate::summary::without_query;

#[derive(Serialize)]
pub(super) struct RequestView<'a> {
    v: u32,
    r#type: &'static str,
    pid: Pid,
    #[serde(skip_serializing_if = "Option::is_none")]
    comm: Option<&'a str>,
    conn: &'a Conn,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<TaskId>,
    #[serde(skip_serializing_if = "is_http1")]
    protocol: Protocol,
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<HttpView<'a>>,
    start_unix_ns: u64,
    latency_ns: u64,
    receive_queue_ns: u64,
    bytes_in: u64,
    bytes_out: u64,
    #[serde(skip_serializing_if = "is_zero")]
    unsent_bytes: u32,
    why: Why,
    confidence: Confidence,
    complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    rss: Option<&'a Rss>,
    faults: &'a Faults,
    budget_ns: &'a Budget,
    #[serde(skip_serializing_if = "Option::is_none")]
    gc: Option<&'a GcOverlap>,
    timeline: Timeline<'a>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_http1(protocol: &Protocol) -> bool {
    *protocol == Protocol::Http1
}

#[derive(Serialize)]
struct HttpView<'a> {
    method: &'a str,
    path: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    path_cut: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

struct Timeline<'a> {
    spans: &'a [Span],
    with_query: bool,
}

#[derive(Serialize)]
struct SpanView<'a> {
    at_ns: u64,
    dur_ns: u64,
    cause: Cause,
    #[serde(skip_serializing_if = "Option::is_none")]
    tid: Option<Tid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    syscall: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    held_by: Option<HeldBy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cycle: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unsent_bytes: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_in: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    called_by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    culprit: Option<CulpritView<'a>>,
}

#[derive(Serialize)]
struct CulpritView<'a> {
    pid: Pid,
    tid: Tid,
    #[serde(skip_serializing_if = "Option::is_none")]
    comm: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<TaskId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    syscall: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<&'a Answer>,
}

impl<'a> RequestView<'a> {
    pub(super) fn new(
        request: &'a Request,
        why: Why,
        comm: Option<&'a str>,
        unix_offset_ns: u64,
        with_query: bool,
    ) -> Self {
        let Request {
            figures,
            conn,
            task,
            http,
            timeline,
            gc,
        } = request;
        let Figures {
            pid,
            protocol,
            status,
            arrival_ns,
            latency_ns,
            receive_queue_ns,
            bytes_in,
            bytes_out,
            unsent_bytes,
            confidence,
            complete,
            rss,
            faults,
            budget,
        } = figures;
        Self {
            v: SCHEMA_VERSION,
            r#type: "request",
            pid: *pid,
            comm,
            conn,
            task: *task,
            protocol: *protocol,
            http: http.as_ref().map(|http| HttpView::new(http, *status, with_query)),
            start_unix_ns: arrival_ns.saturating_add(unix_offset_ns),
            latency_ns: *latency_ns,
            receive_queue_ns: *receive_queue_ns,
            bytes_in: *bytes_in,
            bytes_out: *bytes_out,
            unsent_bytes: *unsent_bytes,
            why,
            confidence: *confidence,
            complete: *complete,
            rss: Some(rss).filter(|rss| was_read(rss)),
            faults,
            budget_ns: budget,
            gc: gc.as_ref(),
            timeline: Timeline {
                spans: timeline,
                with_query,
            },
        }
    }
}

/// No process has no resident memory: 0 is a figure that could not be read.
fn was_read(rss: &Rss) -> bool {
    rss.start > 0 && rss.end > 0
}

impl<'a> HttpView<'a> {
    fn new(http: &'a Http, status: Option<u16>, with_query: bool) -> Self {
        let path = if with_query {
            &http.target
        } else {
            without_query(&http.target)
        };
        // Where a query string begins, the path before it is whole, whatever was cut behind.
        let path_cut = http.target_cut && path.len() == http.target.len();
        Self {
            method: &http.method,
            path,
            path_cut,
            status,
        }
    }
}

impl Serialize for Timeline<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.spans.iter().map(|span| SpanView::new(span, self.with_query)))
    }
}

impl<'a> SpanView<'a> {
    fn new(span: &'a Span, with_query: bool) -> Self {
        let Span {
            at_ns,
            dur_ns,
            cause,
            tid,
            cpu,
            detail,
            culprit,
        } = span;
        Self {
            at_ns: *at_ns,
            dur_ns: *dur_ns,
            cause: *cause,
            tid: *tid,
            cpu: *cpu,
            syscall: detail.syscall,
            object: detail.object.as_deref(),
            function: detail.function.as_deref(),
            peer: detail.peer,
            held_by: detail.held.map(|held| held.by),
            runtime: detail.runtime.map(|runtime| runtime.what),
            cycle: detail.runtime.and_then(|runtime| runtime.cycle),
            unsent_bytes: detail.held.map(|held| held.unsent_bytes),
            waits_in: detail.waits_in.as_ref().map(|waits| &*waits.function),
            called_by: detail
                .waits_in
                .as_ref()
                .and_then(|waits| waits.called_by.as_deref()),
            note: detail.note,
            culprit: culprit
                .as_ref()
                .map(|culprit| CulpritView::new(culprit, with_query)),
        }
    }
}

impl<'a> CulpritView<'a> {
    fn new(culprit: &'a Culprit, with_query: bool) -> Self {
        let Culprit {
            pid,
            tid,
            comm,
            task,
            request,
            role,
            syscall,
            object,
            function,
            answer,
        } = culprit;
        Self {
            pid: *pid,
            tid: *tid,
            comm: comm.as_deref(),
            task: *task,
            request: request
                .as_deref()
                .map(|text| if with_query { text } else { without_query(text) }),
            role: *role,
            syscall: *syscall,
            object: object.as_deref(),
            function: function.as_deref(),
            answer: answer.as_deref(),
        }
    }
}
