//! Values for each kind of line, and the lines that become of them.
//!
//! They are spelled out field by field: a new field fails to compile here until it is filled, and then the
//! page has to explain it.

mod request;
mod totals;

use std::collections::BTreeMap;
use std::sync::Arc;

use observer::model::header::{Header, Options, Requests, RuntimeInfo, SignalInfo, TargetInfo};
use observer::model::hint::{Hint, HintKind};
use observer::model::id::{Pid, Tid};
use observer::model::process::{ProcessEvent, ProcessLine, Successor};
use observer::model::report::{End, Window};
use observer::model::request::Request;
use observer::model::runtime::Flavour;
use observer::model::runtime::{GoProcess, RuntimeAtWork, RuntimeLine, RuntimeThread};
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
    let totals = totals::full();
    Lines {
        header: header(),
        request: request::full(),
        window: Window {
            start_unix_ns: 2,
            duration_ns: 1,
            totals: totals.clone(),
            hints: vec![hint()],
            run: totals.clone(),
        },
        process: process(),
        runtime: runtime(),
        end: End {
            start_unix_ns: 2,
            duration_ns: 1,
            under_way: 1,
            truncated: true,
            totals,
            hints: vec![hint()],
        },
    }
}

fn header() -> Header {
    Header {
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
            apart: false,
            ring_bytes: 1 << 20,
            polls: true,
            goroutines: true,
            sample_hz: 99,
            follow: true,
            ports: vec![8080],
        },
        replay: false,
    }
}

fn process() -> ProcessLine {
    ProcessLine {
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
    }
}

fn runtime() -> RuntimeLine {
    RuntimeLine {
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
        go: Some(GoProcess {
            max_procs: Some(2),
            cycles: Some(true),
            evidence: Some("runtime.work".to_owned()),
            goroutines: Some(true),
            goroutines_evidence: Some("counted".to_owned()),
        }),
    }
}

fn hint() -> Hint {
    Hint {
        kind: HintKind::Children,
        pid: Some(Pid(7)),
        pids: vec![Pid(8)],
        text: "its child".to_owned(),
        remedy: "watch it".to_owned(),
    }
}
/// Lines without anything that may be absent. What may be empty is not, to show its elements.
pub(crate) fn bare() -> Lines {
    let mut lines = full();
    lines.header.targets[0].exe = None;
    lines.header.targets[0].runtime = None;
    lines.header.signals[0].hook = None;
    lines.header.signals[0].note = None;

    request::strip(&mut lines.request);

    (lines.runtime.version, lines.runtime.pool_threads) = (None, None);
    lines.runtime.go = None;
    lines.runtime.runtimes[0].flavour = None;
    lines.runtime.runtimes[0].threads[0].comm = None;
    (lines.process.comm, lines.process.parent, lines.process.exe) = (None, None, None);
    lines.process.watched = None;
    lines.end.truncated = false;
    (lines.window.hints[0].pid, lines.end.hints[0].pid) = (None, None);
    for totals in [&mut lines.window.totals, &mut lines.end.totals] {
        totals::strip(totals);
    }
    lines
}
