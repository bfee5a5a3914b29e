//! What is told of requests of watched processes that call each other: threads of the one ask the other on connections
//! of their own, at random times. Whoever waits for an answer names the request that gave it, or none.

use bytemuck::Zeroable as _;
use observer::event::Tick;
use observer::model::cause::Cause;
use observer::model::id::ConnId;
use observer::model::request::{Answer, Culprit, Figures, Request, Span};
use observer_common::{
    Connection, Header, Kind, Receive, ReceiveHead, Send, SwitchIn, SwitchOut, Waking, conn, flags, tcp,
};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use syscalls::Sysno;

use super::cases;
use super::check::Law;
use super::machine::{PIDS, START_NS};
use super::run::{Explained, explain};
use super::stream::{self, Stream};

/// Each has a thread in both processes, a client and a connection between them.
const LANES: usize = 2;

/// After so long a request that was answered is taken for over, ns.
const LONG_NS: u64 = 30_000_000;

/// One call, with all that happens from the request of the caller's client to the answer to it.
#[derive(Clone, Copy, Debug)]
struct Call {
    /// How long after what came before each of it came, ns.
    gaps_ns: [u64; 10],
    how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// As calls are.
    Plain,
    /// The callee's send returns when the caller's client has its answer.
    LateSend,
    /// The caller asks a second time before it reads, when the first time is answered already.
    Twice,
    /// The callee sends the head of its answer, and the rest when the head was taken for all of it.
    InParts,
}

/// A call as it happened.
#[derive(Clone, Copy, Debug)]
struct Happened {
    lane: usize,
    how: How,
    /// While the caller waited, ns.
    from_ns: u64,
    to_ns: u64,
    /// When what it asked came to the callee, ns; where it asked twice, the second time.
    came_ns: u64,
}

fn calls() -> impl Strategy<Value = [Vec<Call>; LANES]> {
    let how = prop_oneof![6 => Just(How::Plain), 1 => Just(How::LateSend), 1 => Just(How::Twice), 1 => Just(How::InParts)];
    let call = (prop::array::uniform10(5..200_000_u64), how).prop_map(|(gaps_ns, how)| Call { gaps_ns, how });
    prop::array::uniform2(prop::collection::vec(call, 1..8))
}

/// The connection of a client, of the caller to the callee, and that one as the callee has it.
const fn client(lane: usize) -> u64 {
    10 + lane as u64
}
const fn outbound(lane: usize) -> u64 {
    1_000_000 + lane as u64
}
const fn inbound(lane: usize) -> u64 {
    20 + lane as u64
}

/// What is recorded, in the order of time.
#[derive(Default)]
struct Recorder(Vec<(u64, Vec<u8>)>);

impl Recorder {
    fn add(&mut self, header: Header, record: &impl bytemuck::NoUninit) {
        self.0.push((header.at_ns, bytemuck::bytes_of(record).to_vec()));
    }

    fn stream(mut self) -> Stream {
        self.0.sort_by_key(|&(at_ns, _)| at_ns);
        let mut stream = Stream::default();
        self.0.iter().for_each(|(_, record)| stream.push(record));
        stream
    }
}

/// The calls of one lane.
struct Lane<'a> {
    lane: usize,
    now_ns: u64,
    recorder: &'a mut Recorder,
}

impl Lane<'_> {
    /// Its thread in the caller's process, or the callee's; each has a CPU of its own.
    fn header(&self, kind: Kind, process: usize, at_ns: u64) -> Header {
        Header {
            at_ns,
            tid: PIDS[process] + 1 + self.lane as u32,
            kind: kind as u16,
            cpu: (2 * self.lane + process) as u16,
        }
    }

    fn opens(&mut self, conn: u64, [local_port, remote_port]: [u16; 2], opened: u32) {
        self.now_ns += 1;
        let header = self.header(Kind::Connection, 0, self.now_ns);
        let event = Connection {
            header,
            conn,
            old_state: if opened == flags::OUTBOUND {
                tcp::SYN_SENT
            } else {
                tcp::SYN_RECV
            },
            new_state: tcp::ESTABLISHED,
            family: tcp::AF_INET,
            local_port,
            remote_port,
            flags: opened,
            local_addr: [127; 16],
            remote_addr: [127; 16],
            ..Connection::zeroed()
        };
        self.recorder.add(header, &event);
    }

    fn runs(&mut self, process: usize, at_ns: u64) {
        let header = self.header(Kind::SwitchIn, process, at_ns);
        let record = SwitchIn {
            header,
            tgid: PIDS[process],
            ..SwitchIn::zeroed()
        };
        self.recorder.add(header, &record);
    }

    /// Bytes that had come then are read by the caller's thread or the callee's.
    fn reads(&mut self, process: usize, conn: u64, arrived_ns: u64, opened: u32) {
        let head = b"GET /a HTTP/1.1\r\n";
        let header = self.header(Kind::ReceiveHead, process, self.now_ns);
        let mut record = ReceiveHead::zeroed();
        record.head[..head.len()].copy_from_slice(head);
        record.receive = Receive {
            header,
            tgid: PIDS[process],
            fd: conn as i32,
            conn,
            arrived_ns,
            result: 17,
            flags: opened,
            head_bytes: head.len() as u32,
            ..Receive::zeroed()
        };
        self.recorder.add(header, &record);
    }

    fn sends(&mut self, process: usize, conn: u64, at_ns: u64, opened: u32) {
        let header = self.header(Kind::Send, process, at_ns);
        let record = Send {
            header,
            tgid: PIDS[process],
            fd: conn as i32,
            conn,
            result: 5,
            flags: opened,
            ..Send::zeroed()
        };
        self.recorder.add(header, &record);
    }

    /// The thread in this process waits in a call.
    fn waits_in(&mut self, process: usize, syscall: Sysno, args: [u64; 4]) {
        let header = self.header(Kind::SwitchOut, process, self.now_ns);
        let record = SwitchOut {
            header,
            tgid: PIDS[process],
            state: 1,
            syscall: syscall as i32,
            args,
            ..SwitchOut::zeroed()
        };
        self.recorder.add(header, &record);
    }

    /// Until something comes on this connection, or on none.
    fn is_woken_by(&mut self, process: usize, conn: u64) {
        let header = self.header(Kind::Waking, process, self.now_ns);
        let record = Waking {
            header,
            tgid: PIDS[process],
            waker_syscall: -1,
            conn,
            ..Waking::zeroed()
        };
        self.recorder.add(header, &record);
        self.runs(process, self.now_ns + 1);
    }

    /// The caller waits for an answer.
    fn waits(&mut self) {
        self.waits_in(0, Sysno::recvfrom, [outbound(self.lane), 0, 0, 0]);
    }

    /// Until it comes.
    fn is_woken(&mut self) {
        self.is_woken_by(0, outbound(self.lane));
    }

    /// The callee sends the head of its answer, and sleeps before the rest. The caller takes the head and waits on.
    fn sends_head(&mut self) {
        self.is_woken();
        self.sends(1, inbound(self.lane), self.now_ns + 2, flags::INBOUND);
        self.now_ns += 3;
        self.reads(0, outbound(self.lane), self.now_ns - 3, flags::OUTBOUND);
        self.now_ns += 1;
        self.waits();
        for _ in 0..2 {
            self.waits_in(1, Sysno::clock_nanosleep, [0; 4]);
            self.now_ns += LONG_NS;
            let tick = Tick::new(self.now_ns);
            self.recorder.add(tick.header, &tick);
            self.is_woken_by(1, conn::NONE);
            self.now_ns += 2;
        }
    }

    /// What is sent to a socket of the same machine is there before the call returns.
    fn asks(&mut self) -> u64 {
        self.sends(0, outbound(self.lane), self.now_ns, flags::OUTBOUND);
        self.now_ns - 1
    }

    fn calls(&mut self, Call { gaps_ns, how }: Call) -> Happened {
        let (lane, mut gaps_ns) = (self.lane, gaps_ns.into_iter());
        let mut next = |now_ns: &mut u64| *now_ns += gaps_ns.next().unwrap_or(5);
        next(&mut self.now_ns);
        self.reads(0, client(lane), self.now_ns - 1, flags::INBOUND);
        next(&mut self.now_ns);
        let mut came_ns = self.asks();
        if how == How::Twice {
            next(&mut self.now_ns);
            self.reads(1, inbound(lane), came_ns, flags::INBOUND);
            next(&mut self.now_ns);
            self.sends(1, inbound(lane), self.now_ns, flags::INBOUND);
            next(&mut self.now_ns);
            came_ns = self.asks();
        }
        next(&mut self.now_ns);
        self.waits();
        let mut from_ns = self.now_ns;
        next(&mut self.now_ns);
        self.reads(1, inbound(lane), came_ns, flags::INBOUND);
        next(&mut self.now_ns);
        if how == How::InParts {
            from_ns = self.now_ns + 4;
            self.sends_head();
            next(&mut self.now_ns);
        }
        self.is_woken();
        let to_ns = self.now_ns;
        let mut sent_ns = to_ns + 2;
        self.now_ns += 3;
        self.reads(0, outbound(lane), to_ns, flags::OUTBOUND);
        next(&mut self.now_ns);
        self.sends(0, client(lane), self.now_ns, flags::INBOUND);
        if how == How::LateSend {
            self.now_ns += 1;
            sent_ns = self.now_ns;
        }
        self.sends(1, inbound(lane), sent_ns, flags::INBOUND);
        Happened {
            lane,
            how,
            from_ns,
            to_ns,
            came_ns,
        }
    }
}

/// The stream of these calls, and how they happened.
fn recorded(calls: &[Vec<Call>; LANES]) -> (Stream, Vec<Happened>) {
    let (mut recorder, mut happened) = (Recorder::default(), Vec::new());
    for (lane, calls) in calls.iter().enumerate() {
        let port = 40_000 + lane as u16;
        let mut lane = Lane {
            lane,
            now_ns: START_NS + lane as u64,
            recorder: &mut recorder,
        };
        lane.opens(client(lane.lane), [8080, port], flags::INBOUND);
        lane.opens(outbound(lane.lane), [port, 80], flags::OUTBOUND);
        lane.opens(inbound(lane.lane), [80, port], flags::INBOUND);
        (0..2).for_each(|process| lane.runs(process, START_NS + 10 + process as u64));
        lane.now_ns += 10;
        happened.extend(calls.iter().map(|&call| lane.calls(call)));
    }
    (recorder.stream(), happened)
}

/// The wait of a call, and what it names.
fn wait<'a>(explained: &'a Explained, call: &Happened) -> Option<(&'a Request, Option<&'a Culprit>)> {
    let waits = |request: &Request, span: &Span| {
        let from_ns = request.figures.arrival_ns + span.at_ns;
        span.cause == Cause::Downstream && from_ns <= call.from_ns && call.to_ns <= from_ns + span.dur_ns
    };
    let requests = explained.requests.iter().map(|(request, _)| request);
    let mut of_lane = requests.filter(|request| request.conn.id == ConnId(client(call.lane)));
    of_lane.find_map(|request| {
        let span = request.timeline.iter().find(|span| waits(request, span))?;
        Some((request, span.culprit.as_ref()))
    })
}

/// What the request that is named says of itself.
fn named(explained: &Explained, answer: &Answer) -> Result<Figures, TestCaseError> {
    let mut requests = explained.requests.iter().map(|(request, _)| request);
    let other = requests.find(|other| (other.conn.id, other.conn.nth) == (answer.conn, answer.nth));
    let other = other.ok_or_else(|| TestCaseError::fail("no such request"))?;
    Ok(other.figures)
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn each_wait_for_another_watched_process_names_the_request_that_answered(calls in calls()) {
        let (stream, happened) = recorded(&calls);
        let explained = explain(&stream)?;
        explained.obeys_the_laws()?;
        for call in &happened {
            let Some((_, culprit)) = wait(&explained, call) else {
                return Err(TestCaseError::fail("it waited, and no span says so"));
            };
            let answer = culprit.and_then(|culprit| culprit.answer.as_deref());
            match (call.how, answer) {
                (How::Twice, answer) => prop_assert_eq!(answer, None),
                (How::LateSend, None) => {}
                (How::Plain | How::InParts, None) => return Err(TestCaseError::fail("no request is named")),
                (_, Some(answer)) => {
                    let figures = named(&explained, answer)?;
                    prop_assert_eq!(figures.arrival_ns, call.came_ns);
                    prop_assert_eq!(figures.latency_ns, answer.latency_ns);
                    prop_assert_eq!(figures.budget.largest(), answer.mostly);
                }
            }
        }
    }

    #[test]
    fn where_records_are_missing_no_complete_request_names_another(
        calls in calls(),
        holes in stream::holes(),
    ) {
        let (stream, happened) = recorded(&calls);
        let explained = explain(&stream.with_holes(&holes, true))?;
        explained.obeys_the_laws()?;
        for call in &happened {
            if let Some((request, Some(culprit))) = wait(&explained, call)
                && let Some(answer) = &culprit.answer
                && request.figures.complete
            {
                prop_assert_eq!(named(&explained, answer)?.arrival_ns, call.came_ns);
            }
        }
    }
}

/// Where requests say which others answered them, these are there, and overlap the wait.
pub(crate) fn answers_overlap(requests: &[(Request, usize)]) -> Law {
    let spans = requests
        .iter()
        .flat_map(|(request, _)| request.timeline.iter().map(move |span| (request, span)));
    for (request, span) in spans {
        let Some(culprit) = &span.culprit else { continue };
        let Some(answer) = &culprit.answer else { continue };
        prop_assert_eq!(span.cause, Cause::Downstream);
        let from_ns = request.figures.arrival_ns.saturating_add(span.at_ns);
        let is_it = |other: &Request| {
            let figures = &other.figures;
            (other.conn.id, other.conn.nth, figures.pid) == (answer.conn, answer.nth, culprit.pid)
                && figures.latency_ns >= answer.latency_ns
                && figures.arrival_ns < from_ns.saturating_add(span.dur_ns)
                && figures.arrival_ns.saturating_add(figures.latency_ns) > from_ns
        };
        let is_told = requests.iter().any(|(other, _)| is_it(other));
        prop_assert!(is_told, "no such request: {span:?}\nof {request:?}");
    }
    Ok(())
}
