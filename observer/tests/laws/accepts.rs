//! Who accepted which connection, and when, read off a stream: what a request says of its wait to be accepted must be
//! so.
//!
//! True only for streams without loss or disorder, as all that is read off them.

use std::collections::{HashMap, HashSet};

use observer::attribution::notes::ACCEPTER_NOT_SEEN;
use observer::connections::QUIET_NS;
use observer::event::Event;
use observer::model::cause::Cause;
use observer::model::request::{Request, Span};
use observer_common::{ProcessChange, conn, flags, tcp};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

/// A thread, and when it did what is told of it, ns.
type Sign = (u32, u64);

/// What is recorded of connections and their listener.
#[derive(Debug, Default)]
pub(crate) struct Accepts {
    /// When each connection was established, ns.
    established_ns: HashMap<u64, u64>,
    /// Accepts that were seen.
    accepted: HashMap<u64, Sign>,
    /// The first that a thread did on each connection, which it knows by then.
    known: HashMap<u64, Sign>,
    /// Threads that were woken by bytes on a connection: they watched it when the bytes came.
    watched: HashMap<u64, HashSet<u32>>,
    /// Threads that a new connection woke.
    acceptors: HashSet<u32>,
    /// By whom each thread was woken or begun.
    by: HashMap<u32, Vec<Sign>>,
    /// When a record tells what a thread does from then on, ns.
    seen_ns: HashMap<u32, Vec<u64>>,
    /// When threads ended, ns.
    ended_ns: HashMap<u32, u64>,
    /// When losses ended that are told of, ns: after one it is not known what threads do until they do something else.
    lost_ns: Vec<u64>,
}

impl Accepts {
    /// The next event.
    pub(crate) fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Connection(event) if event.flags & flags::ACCEPTED != 0 => {
                let sign = (event.header.tid, event.header.at_ns);
                self.accepted.entry(event.conn).or_insert(sign);
            }
            // Found without a process that holds it, it may be in the queue.
            Event::Connection(event)
                if event.new_state == tcp::ESTABLISHED
                    && (event.flags & flags::FOUND == 0 || event.tgid == 0) =>
            {
                let at_ns = event.header.at_ns;
                self.established_ns.entry(event.conn).or_insert(at_ns);
            }
            Event::Receive(event, _) => {
                let sign = (event.header.tid, event.header.at_ns);
                self.known.entry(event.conn).or_insert(sign);
            }
            Event::Waking(event) => {
                let woken = event.header.tid;
                let sign = (event.waker_tid, event.header.at_ns);
                self.by.entry(woken).or_default().push(sign);
                match event.conn {
                    conn::NONE => {}
                    conn::LISTENER => _ = self.acceptors.insert(woken),
                    conn => _ = self.watched.entry(conn).or_default().insert(woken),
                }
            }
            Event::Process(event) if event.change == ProcessChange::Fork as u32 => {
                let sign = (event.header.tid, event.header.at_ns);
                self.by.entry(event.child_tid).or_default().push(sign);
            }
            Event::Process(event) if event.change == ProcessChange::Exit as u32 => {
                self.ended_ns.insert(event.header.tid, event.header.at_ns);
            }
            Event::Lost(event) => self.lost_ns.push(event.to_ns),
            _ => {}
        }
    }

    /// By this event it is known what a thread does from then on; not by its wakeup, which can come before it waits,
    /// nor by a call that moved nothing.
    pub(crate) fn does(&mut self, tid: u32, at_ns: u64, event: &Event<'_>) {
        let says_nothing = match event {
            Event::Waking(event) => event.header.tid == tid,
            Event::Receive(event, _) => event.result <= 0 || event.flags & flags::PEEK != 0,
            Event::Send(event, _) => event.result <= 0,
            _ => false,
        };
        if !says_nothing {
            self.seen_ns.entry(tid).or_default().push(at_ns);
        }
    }

    /// What a request says of its wait to be accepted is so.
    pub(crate) fn supports(&self, request: &Request) -> Result<(), TestCaseError> {
        let conn = request.conn.id.0;
        // Of what came with the first request and was read later nothing is said.
        let accepted = self.accepted.get(&conn).filter(|_| request.conn.nth == 1);
        for span in &request.timeline {
            let from_ns = request.figures.arrival_ns + span.at_ns;
            let to_ns = from_ns + span.dur_ns;
            if span.cause != Cause::AcceptQueue {
                // A thread runs, waits for a CPU or is stopped on both sides of its accept.
                let both = matches!(
                    span.cause,
                    Cause::OnCpu | Cause::RunQueue | Cause::Throttled | Cause::Stolen | Cause::Runtime
                );
                let after = accepted.is_none_or(|&(_, at_ns)| at_ns <= from_ns);
                prop_assert!(both || after, "not accepted yet: {span:?}\nof {request:?}");
                continue;
            }
            let established = self.established_ns.get(&conn);
            prop_assert!(
                accepted.is_some() || established.is_some_and(|&at_ns| at_ns <= from_ns),
                "it was in no queue: {span:?}\nof {request:?}"
            );
            let until_ns = accepted.or(self.known.get(&conn)).map(|&(_, at_ns)| at_ns);
            prop_assert!(
                until_ns.is_some_and(|until_ns| to_ns <= until_ns),
                "accepted before: {span:?}\nof {request:?}"
            );
            prop_assert!(
                self.names_right(request, span),
                "nobody who accepts: {span:?}\nof {request:?}"
            );
        }
        Ok(())
    }

    /// Whether the thread that is named can have been the one that was to accept; or, where none is, whether what one
    /// of those that can did is not recorded.
    fn names_right(&self, request: &Request, span: &Span) -> bool {
        let from_ns = request.figures.arrival_ns + span.at_ns;
        let to_ns = from_ns + span.dur_ns;
        let threads = self.can_have_accepted(request.conn.id.0, to_ns);
        let end_ns = request.figures.arrival_ns + request.figures.latency_ns;
        match span.tid {
            Some(tid) => {
                let culprit = span.culprit.as_ref();
                threads.contains(&tid.0) && culprit.is_none_or(|culprit| culprit.tid == tid)
            }
            None => {
                span.culprit.is_none()
                    && span.detail.note == Some(ACCEPTER_NOT_SEEN)
                    && threads
                        .iter()
                        .any(|&tid| !self.is_seen(tid, from_ns, end_ns) || self.is_forgotten(tid, end_ns))
            }
        }
    }

    /// Whether it is recorded what a thread did from then on, when a request is explained that ends then: a second
    /// later at the latest. After a loss it is not known what threads did since they last turned to something else,
    /// which need not be when they were last seen.
    fn is_seen(&self, tid: u32, from_ns: u64, end_ns: u64) -> bool {
        let mut seen_ns = self.seen_ns.get(&tid).into_iter().flatten();
        let Some(&since_ns) = seen_ns.rfind(|&&at_ns| at_ns <= from_ns) else {
            return false;
        };
        let mut lost_ns = self.lost_ns.iter();
        !lost_ns.any(|&at_ns| since_ns <= at_ns && at_ns < end_ns + QUIET_NS)
    }

    /// Whether it can be forgotten what a thread did when a request is explained that ends then: threads that ended are
    /// known for two seconds, and a request is explained a second after its end at the latest.
    fn is_forgotten(&self, tid: u32, end_ns: u64) -> bool {
        const LONG_NS: u64 = 2_000_000_000 - QUIET_NS;
        let ended_ns = self.ended_ns.get(&tid);
        ended_ns.is_some_and(|ended_ns| ended_ns + LONG_NS <= end_ns)
    }

    /// Who accepted, or where that was not seen, whose doing is a sign of it; and who woke or began these after
    /// `since_ns`, so that what they did before was waited for.
    fn can_have_accepted(&self, conn: u64, since_ns: u64) -> HashSet<u32> {
        let mut threads: Vec<u32> = match self.accepted.get(&conn) {
            Some(&(tid, _)) => vec![tid],
            None => {
                let known = self.known.get(&conn).map(|&(tid, _)| tid);
                let others = self
                    .watched
                    .get(&conn)
                    .into_iter()
                    .flatten()
                    .chain(&self.acceptors);
                known.into_iter().chain(others.copied()).collect()
            }
        };
        let until = self.accepted.get(&conn).or(self.known.get(&conn));
        let period = since_ns..=until.map_or(since_ns, |&(_, at_ns)| at_ns);
        let mut found = HashSet::new();
        while let Some(tid) = threads.pop() {
            if found.insert(tid) {
                let by = self.by.get(&tid).into_iter().flatten();
                threads.extend(by.filter(|(_, at_ns)| period.contains(at_ns)).map(|&(by, _)| by));
            }
        }
        found
    }
}
