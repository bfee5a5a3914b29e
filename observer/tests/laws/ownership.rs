//! For which connection's request threads provably ran, read off a stream that lost nothing.
//!
//! A thread that read a request in a task, and goes on with it in that task by the next that it does on a socket,
//! worked for it whenever it was seen running in the task in between. So did one of which no task is known, as long as
//! it does not wait.

use std::collections::{HashMap, HashSet};

use observer::event::Event;
use observer::model::cause::Cause;
use observer::model::id::Tid;
use observer::model::request::Request;
use observer_common::{Connection, SwitchOut, flags, task, tcp};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use syscalls::Sysno;

use super::machine;

/// A thread, and the task in which it works as its records are stamped.
type Worker = (u32, u64);

/// An interval in which somebody worked for a connection's request.
#[derive(Clone, Copy, Debug)]
struct Work<Who> {
    who: Who,
    from_ns: u64,
    to_ns: u64,
    /// When that work was over, of which this may be a part, ns.
    over_ns: u64,
    conn: u64,
}

/// Which threads ran for which connections' requests.
#[derive(Debug, Default)]
pub(crate) struct Ownership(Vec<Work<u32>>);

/// Reads it off the events in their order.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// The last operation on each connection, ns.
    operated_ns: HashMap<u64, u64>,
    /// What workers read last, if they did nothing else on a socket since: when, and on which connection.
    read: HashMap<Worker, (u64, u64)>,
    works: Vec<Work<Worker>>,
    /// In whom each thread was seen last, and since when it has run since then, ns; nothing while it waits for a CPU.
    seen: HashMap<u32, (Worker, Option<u64>)>,
    /// Who ran, from when to when, ns.
    ran: Vec<(Worker, u64, u64)>,
    /// Tasks that waited for work: they are workers of a runtime.
    of_runtime: HashSet<Worker>,
}

impl Reading {
    /// The next event.
    pub(crate) fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Receive(event, _) => {
                let worker = self.seen_in(event.header.tid, event.task, event.header.at_ns);
                let begins = event.result > 0 && event.flags & flags::PEEK == 0;
                self.operates(worker, event.header.at_ns, event.conn, begins);
            }
            Event::Send(event, _) => {
                let worker = self.seen_in(event.header.tid, event.task, event.header.at_ns);
                self.operates(worker, event.header.at_ns, event.conn, false);
            }
            Event::Seen(event) => {
                self.seen_in(event.header.tid, event.task, event.header.at_ns);
            }
            Event::PollStart(event) => {
                self.seen_in(event.header.tid, event.task, event.header.at_ns);
            }
            Event::Readied(event) => {
                self.seen_in(event.header.tid, event.task, event.header.at_ns);
            }
            Event::Waking(event) => {
                self.seen_in(event.waker_tid, event.waker_task, event.header.at_ns);
            }
            Event::SwitchOut(event) => self.leaves(event),
            Event::SwitchIn(event) => match self.seen.get_mut(&event.header.tid) {
                Some((_, since_ns @ None)) => *since_ns = Some(event.header.at_ns),
                _ => self.forget(event.header.tid),
            },
            Event::Connection(Connection {
                conn,
                new_state: tcp::CLOSE,
                ..
            }) => {
                self.operated_ns.remove(conn);
            }
            // Any thread may have turned to another connection unseen.
            Event::Lost(_) => {
                self.read.clear();
                self.seen.clear();
            }
            _ => {}
        }
    }

    /// What it comes to.
    pub(crate) fn end(self) -> Ownership {
        let of_tasks = self
            .works
            .iter()
            .filter(|work| !self.of_runtime.contains(&work.who));
        let of_threads = of_tasks.flat_map(|work| {
            let ran = self.ran.iter().filter(|(worker, ..)| *worker == work.who);
            ran.map(|&((tid, _), from_ns, to_ns)| Work {
                who: tid,
                from_ns: from_ns.max(work.from_ns),
                to_ns: to_ns.min(work.to_ns),
                over_ns: work.to_ns,
                conn: work.conn,
            })
        });
        Ownership(of_threads.filter(|work| work.from_ns < work.to_ns).collect())
    }

    fn forget(&mut self, tid: u32) {
        self.seen.remove(&tid);
        self.read.remove(&(tid, task::UNKNOWN));
    }

    /// A thread runs with this stamp.
    fn seen_in(&mut self, tid: u32, stamp: u64, at_ns: u64) -> Option<Worker> {
        let worker = (stamp != task::NONE).then_some((tid, stamp));
        match (worker, self.seen.get(&tid)) {
            (Some(worker), Some(&(before, Some(since_ns)))) if before == worker => {
                self.ran.push((worker, since_ns, at_ns));
            }
            _ => self.forget(tid),
        }
        if let Some(worker) = worker {
            self.seen.insert(tid, (worker, Some(at_ns)));
        }
        worker
    }

    fn leaves(&mut self, event: &SwitchOut) {
        let tid = event.header.tid;
        let worker = self.seen_in(tid, event.task, event.header.at_ns);
        if event.flags & flags::PREEMPTED == 0 {
            self.forget(tid);
            let waits_for_work = [Sysno::epoll_pwait as i32, Sysno::futex as i32].contains(&event.syscall);
            self.of_runtime.extend(worker.filter(|_| waits_for_work));
        } else if let Some((_, since_ns)) = self.seen.get_mut(&tid) {
            *since_ns = None;
        }
    }

    /// Somebody did something on a connection, and perhaps took bytes of it in.
    fn operates(&mut self, worker: Option<Worker>, at_ns: u64, conn: u64, takes_in: bool) {
        let before_ns = self.operated_ns.insert(conn, at_ns);
        let Some(who) = worker else { return };
        if let Some((from_ns, read)) = self.read.remove(&who)
            && read == conn
            && before_ns == Some(from_ns)
        {
            self.works.push(Work {
                who,
                from_ns,
                to_ns: at_ns,
                over_ns: at_ns,
                conn,
            });
        }
        if takes_in && !machine::is_outbound(conn) {
            self.read.insert(who, (at_ns, conn));
        }
    }
}

impl Ownership {
    /// Nothing in which a thread ran for another request is charged to this one as its own.
    pub(crate) fn supports(&self, request: &Request) -> Result<(), TestCaseError> {
        let read_ns = request.figures.arrival_ns + request.figures.receive_queue_ns;
        // Also what it was worked on before a read that is known, where one before that was lost.
        let own = |work: &Work<u32>| work.conn == request.conn.id.0 && read_ns <= work.over_ns;
        let others = self.0.iter().filter(|work| !own(work));
        for (work, span) in others.flat_map(|work| request.timeline.iter().map(move |span| (work, span))) {
            let from_ns = request.figures.arrival_ns + span.at_ns;
            let meets = from_ns < work.to_ns && work.from_ns < from_ns + span.dur_ns;
            let is_own = span.cause == Cause::OnCpu && span.tid == Some(Tid(work.who));
            prop_assert!(
                !(meets && is_own),
                "another's: {work:?}\ncharged as own: {span:?}\nof {request:?}"
            );
        }
        Ok(())
    }

    /// For how much of what requests ran it is proved that they did, ns.
    pub(crate) fn proved_ns(&self) -> u64 {
        self.0.iter().map(|work| work.to_ns - work.from_ns).sum()
    }
}
