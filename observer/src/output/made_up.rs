//! Values for the tests of the outputs: one run of one server, made up, in figures that agree with each
//! other.

mod request;
mod totals;

use super::SAMPLE_ONE_IN;
use crate::model::header::{Header, Options, Requests, SignalInfo, TargetInfo};
use crate::model::hint::{Hint, HintKind};
use crate::model::id::Pid;
use crate::model::process::{ProcessEvent, ProcessLine};
use crate::model::report::{End, Window};

pub(super) use request::blocked;
pub(super) use totals::{by_role, figures, totals, totals_of_two};

const STARTED_UNIX_NS: u64 = 1_790_000_000_000_000_000;
const SECOND_NS: u64 = 1_000_000_000;
const PID: Pid = Pid(4120);

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
            apart: false,
            ring_bytes: 1 << 20,
            polls: false,
            goroutines: false,
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
        truncated: false,
        totals: totals(12_345),
        hints: vec![Hint {
            kind: HintKind::Children,
            pid: Some(PID),
            pids: vec![Pid(4121)],
            text:
                "what its child 4121 answers is not counted: it holds the same socket that listens on port \
                   8080 as axum-srv (4120)"
                    .to_owned(),
            remedy: "sudo observer attach --pid 4120 --pid 4121".to_owned(),
        }],
    }
}
