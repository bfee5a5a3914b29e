//! Tests of what a window may write, with turns that go on after they were explained.

use std::sync::Arc;

use bytemuck::{Zeroable as _, bytes_of};
use observer_common::{
    Header as RecordHeader, Kind, LostReason, Process, ProcessChange, Receive, Send, flags,
};

use super::*;
use crate::event::{Full, Lost, Tick};
use crate::model::full::Table;
use crate::model::header::{Options, TargetInfo};
use crate::model::hint::HintKind;
use crate::model::id::ConnId;
use crate::model::report::{End, Window};
use crate::model::request::Request;
use crate::model::runtime::RuntimeLine;
use crate::output::{Sink, Why};

const MS: u64 = 1_000_000;

/// The connection whose requests are quick.
const QUICK: ConnId = ConnId(1);

/// Counts the lines of the tail, but for those of quick requests.
#[derive(Default)]
struct Tail {
    lines: usize,
    windows: Vec<Window>,
    end: Option<End>,
}

impl Sink for Tail {
    fn header(&mut self, _: &Header) -> io::Result<()> {
        Ok(())
    }
    fn request(&mut self, request: &Arc<Request>, why: Why) -> io::Result<()> {
        self.lines += usize::from(request.conn.id > QUICK && why == Why::Tail);
        Ok(())
    }
    fn window(&mut self, window: &Window) -> io::Result<()> {
        self.windows.push(window.clone());
        Ok(())
    }
    fn process(&mut self, _: &ProcessLine) -> io::Result<()> {
        Ok(())
    }
    fn runtime(&mut self, _: &RuntimeLine) -> io::Result<()> {
        Ok(())
    }
    fn end(&mut self, end: &End) -> io::Result<()> {
        self.end = Some(end.clone());
        Ok(())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn pipeline(header: &Header) -> Pipeline {
    Pipeline::new(header, &[header.options.requests], SliceLimit::default())
}

fn header() -> Header {
    Header {
        observer_version: String::new(),
        kernel: String::new(),
        machine: String::new(),
        started_unix_ns: 0,
        unix_offset_ns: 0,
        page_bytes: 4096,
        targets: Vec::new(),
        signals: Vec::new(),
        options: Options {
            requests: Requests::Tail,
            sample_one_in: 100,
            with_query: false,
            apart: false,
            ring_bytes: 4096,
            polls: false,
            goroutines: false,
            sample_hz: 0,
            follow: false,
            ports: Vec::new(),
        },
        replay: false,
    }
}

fn record(kind: Kind, at_ns: u64) -> RecordHeader {
    RecordHeader {
        at_ns,
        tid: 1,
        kind: kind as u16,
        cpu: 0,
    }
}

/// A receive of bytes that had come so long before.
fn receives(batch: &mut Batch, conn: u64, at_ns: u64, waited_ns: u64) {
    receives_in(batch, 1, conn, at_ns, waited_ns);
}

fn receives_in(batch: &mut Batch, pid: u32, conn: u64, at_ns: u64, waited_ns: u64) {
    batch.push(bytes_of(&Receive {
        header: record(Kind::Receive, at_ns),
        tgid: pid,
        conn,
        arrived_ns: at_ns - waited_ns,
        result: 5,
        flags: flags::INBOUND,
        ..Receive::zeroed()
    }));
}

fn sends(batch: &mut Batch, conn: u64, at_ns: u64) {
    sends_in(batch, 1, conn, at_ns);
}

fn sends_in(batch: &mut Batch, pid: u32, conn: u64, at_ns: u64) {
    batch.push(bytes_of(&Send {
        header: record(Kind::Send, at_ns),
        tgid: pid,
        conn,
        result: 5,
        flags: flags::INBOUND,
        ..Send::zeroed()
    }));
}

#[test]
fn a_turn_that_goes_on_after_it_was_explained_takes_the_place_of_one_in_the_tail() {
    // As many as one window writes.
    const SLOW: u64 = 1_000;
    let mut pipeline = pipeline(&header());
    let mut tail = Tail::default();
    let mut batch = Batch::default();
    // Quick ones: from then on it is known what is slow.
    let quick = (1..=1_000).map(|nth| MS + nth * 1_000);
    for at_ns in quick {
        receives(&mut batch, QUICK.0, at_ns, 100);
        sends(&mut batch, QUICK.0, at_ns + 100);
    }
    batch.push(bytes_of(&Tick::new(WINDOW_NS + 10 * MS)));
    // Each of the slow ones pauses for so long that it is taken for over, and then goes on.
    let begin_ns = WINDOW_NS + 20 * MS;
    for conn in 2..2 + SLOW {
        receives(&mut batch, conn, begin_ns + conn, 10 * MS);
        sends(&mut batch, conn, begin_ns + conn + 1);
    }
    for tick in 1..=4 {
        batch.push(bytes_of(&Tick::new(begin_ns + 30 * MS + tick)));
    }
    for conn in 2..2 + SLOW {
        sends(&mut batch, conn, begin_ns + 40 * MS + conn);
    }
    for conn in 2..2 + SLOW {
        receives(&mut batch, conn, begin_ns + 50 * MS + conn, 100);
    }
    pipeline.batch(&batch, &mut [&mut tail]).unwrap();
    assert_eq!(tail.lines, SLOW as usize);
}

fn fork(parent: u32, child: u32, flags: u32) -> Process {
    Process {
        header: record(Kind::Process, MS),
        tgid: parent,
        change: ProcessChange::Fork as u32,
        flags,
        child_tid: child,
        child_tgid: child,
        ..Process::zeroed()
    }
}

#[test]
fn a_child_that_is_not_watched_is_no_target() {
    let mut apart = header();
    apart.options.apart = true;
    let mut pipeline = pipeline(&apart);
    let mut batch = Batch::default();
    receives(&mut batch, 7, 2 * MS, 100);
    for (child, flags) in [(70, flags::WATCHED), (71, 0)] {
        batch.push(bytes_of(&fork(1, child, flags)));
    }
    sends(&mut batch, 7, 3 * MS);
    let mut tail = Tail::default();
    pipeline.batch(&batch, &mut [&mut tail]).unwrap();
    pipeline.finish(&mut [&mut tail]).unwrap();
    let targets = tail.end.unwrap().totals.targets;
    let pids: Vec<_> = targets.iter().map(|target| target.pid).collect();
    assert_eq!(pids, [Pid(1), Pid(70)]);
}

#[test]
fn what_a_forked_child_answers_is_of_its_parents_target() {
    const CHILD: u32 = 70;
    const OTHER: u32 = 9;
    let mut pipeline = pipeline(&header());
    let mut batch = Batch::default();
    batch.push(bytes_of(&fork(1, CHILD, flags::WATCHED)));
    for (pid, conn) in [(CHILD, 2), (OTHER, 3), (1, 4)] {
        let at_ns = 2 * MS + conn * 1_000;
        receives_in(&mut batch, pid, conn, at_ns, 100);
        sends_in(&mut batch, pid, conn, at_ns + 100);
        // Nobody knows what this answers.
        sends_in(&mut batch, pid, conn + 10, at_ns + 200);
    }
    let mut tail = Tail::default();
    pipeline.batch(&batch, &mut [&mut tail]).unwrap();
    pipeline.finish(&mut [&mut tail]).unwrap();
    let totals = tail.end.unwrap().totals;
    let told: Vec<_> = totals
        .targets
        .iter()
        .map(|target| {
            (
                target.pid,
                target.pids.clone(),
                target.figures.requests,
                target.figures.late_sends,
            )
        })
        .collect();
    let (parent, child, other) = (Pid(1), Pid(CHILD), Pid(OTHER));
    assert_eq!(
        told,
        [(parent, vec![parent, child], 2, 2), (other, vec![other], 1, 1)]
    );
}

fn of_a_server() -> Pipeline {
    let mut header = header();
    header.targets.push(TargetInfo {
        pid: Pid(1),
        comm: "server".to_owned(),
        exe: None,
        threads: 1,
        runtime: None,
    });
    pipeline(&header)
}

#[test]
fn what_cannot_be_read_of_a_batch_counts_as_lost_for_requests_of_that_time() {
    let (mut pipeline, mut tail) = (of_a_server(), Tail::default());
    let mut batch = Batch::default();
    receives(&mut batch, 7, 2 * MS, 100);
    batch.push(bytes_of(&RecordHeader {
        kind: u16::MAX,
        ..record(Kind::Receive, 3 * MS)
    }));
    pipeline.batch(&batch, &mut [&mut tail]).unwrap();
    let mut batch = Batch::default();
    sends(&mut batch, 7, 4 * MS);
    receives(&mut batch, 8, 2 * WINDOW_NS, 100);
    sends(&mut batch, 8, 2 * WINDOW_NS + MS);
    pipeline.batch(&batch, &mut [&mut tail]).unwrap();
    pipeline.finish(&mut [&mut tail]).unwrap();
    let totals = tail.end.unwrap().totals;
    assert_eq!(totals.lost, [(reason::UNKNOWN, 1)]);
    assert_eq!((totals.figures.requests, totals.figures.incomplete), (2, 1));
}

#[test]
fn the_descriptors_of_a_process_are_forgotten_with_it() {
    let change = |change, flags| Process {
        header: record(Kind::Process, 3 * MS),
        change: change as u32,
        tgid: 1,
        flags,
        ..Process::zeroed()
    };
    for event in [
        change(ProcessChange::Exec, 0),
        change(ProcessChange::Exit, flags::GROUP_DEAD),
    ] {
        let mut pipeline = of_a_server();
        let mut batch = Batch::default();
        receives(&mut batch, 7, 2 * MS, 100);
        pipeline.batch(&batch, &mut []).unwrap();
        let by_fd = |pipeline: &Pipeline| pipeline.connections.by_fd(Pid(1), 0, 2 * MS).is_some();
        assert!(by_fd(&pipeline));
        let mut batch = Batch::default();
        batch.push(bytes_of(&event));
        pipeline.batch(&batch, &mut []).unwrap();
        assert!(!by_fd(&pipeline));
    }
}

#[test]
fn records_that_found_no_room_are_told_at_the_end_with_a_hint() {
    const RECORDS: u64 = 7;
    let of = |lost: Option<LostReason>| {
        let mut pipeline = of_a_server();
        let mut batch = Batch::default();
        receives(&mut batch, 2, MS, 0);
        if let Some(reason) = lost {
            batch.push(bytes_of(&Lost::new(2 * MS, RECORDS, MS, 2 * MS, reason as u32)));
        }
        sends(&mut batch, 2, 3 * MS);
        batch.push(bytes_of(&Tick::new(WINDOW_NS)));
        pipeline.batch(&batch, &mut []).unwrap();
        pipeline.finish(&mut []).unwrap()
    };
    assert_eq!(of(None), []);
    assert_eq!(of(Some(LostReason::SocketState)), []);
    let hints = of(Some(LostReason::RingFull));
    let [hint] = &hints[..] else { panic!("{hints:?}") };
    assert_eq!(hint.kind, HintKind::RecordsLost);
    assert!(
        hint.text
            .contains("7 records found no room in their ring: 1 request is incomplete"),
        "{hint:?}"
    );
}

#[test]
fn a_table_that_was_full_is_told_in_its_window_and_at_the_end_with_a_hint() {
    let mut pipeline = of_a_server();
    let mut tail = Tail::default();
    let mut batch = Batch::default();
    batch.push(bytes_of(&Full::new(MS, Table::Serving, 3)));
    batch.push(bytes_of(&Tick::new(WINDOW_NS)));
    // One of the pipeline's own.
    for tid in 1..=769 {
        let mut event = Receive {
            header: record(Kind::Receive, WINDOW_NS + MS),
            tgid: 1,
            conn: 2,
            result: 5,
            flags: flags::INBOUND,
            ..Receive::zeroed()
        };
        event.header.tid = tid;
        batch.push(bytes_of(&event));
    }
    sends(&mut batch, 2, WINDOW_NS + 2 * MS);
    batch.push(bytes_of(&Tick::new(3 * WINDOW_NS)));
    pipeline.batch(&batch, &mut [&mut tail]).unwrap();
    let hints = pipeline.finish(&mut [&mut tail]).unwrap();
    let full: Vec<_> = tail.windows.iter().map(|window| &window.totals.full).collect();
    assert_eq!(full, [&vec![("serving", 3)], &vec![("request_threads", 1)]]);
    assert_eq!(tail.windows[1].run.full, [("request_threads", 1), ("serving", 3)]);
    let end = tail.end.unwrap();
    assert_eq!(end.totals.full, tail.windows[1].run.full);
    for hints in [&hints, &end.hints] {
        let told: Vec<_> = hints
            .iter()
            .filter(|hint| hint.kind == HintKind::FullTables)
            .collect();
        let [hint] = &told[..] else { panic!("{hints:?}") };
        let tables = "what some threads did for requests (request_threads, 1), who else serves (serving, 3)";
        assert!(hint.text.ends_with(tables), "{hint:?}");
    }
}
