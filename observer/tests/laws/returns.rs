//! Whose the time is of threads that do jobs for an event loop and hand them back: programs with the truth of who did
//! what for whom. The loop reads all that has come before it gives jobs, jobs wait in one queue where no thread is
//! free, and a thread that is done wakes the loop only where that waits.

use std::collections::{BTreeMap, VecDeque};

use bytemuck::Zeroable as _;
use observer::model::cause::Cause;
use observer::model::id::Tid;
use observer::model::request::{Request, Span};
use observer_common::{Connection, Kind, flags, tcp};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use syscalls::Sysno;

use super::check::Law;
use super::machine::START_NS;
use super::pools::{LOOP, Program, header};
use super::run::explain;
use super::script::PID;
use super::stream::Stream;

/// Requests that come one after the other before, so that it is known what the threads are.
const BEFORE: usize = 24;

/// From the first of them to the next, us.
const APART_US: u64 = 2_000;

/// What the loop does takes so long each, us.
const ACT_US: u64 = 4;

#[derive(Clone, Copy, Debug)]
struct Asked {
    at_us: u64,
    takes_us: u64,
    sleeps: bool,
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Wakes(u64),
    Reads(u64, u64),
    Gives(u32),
    Answers(u64),
    Loops,
    HandsBack(u32),
    Sleeps(u32),
    GoesOn(u32),
    Rests(u32),
}

/// A job: on which connection its request came, which thread had it, and when, us.
#[derive(Clone, Copy, Debug)]
struct Done {
    conn: u64,
    tid: u32,
    from_us: u64,
    to_us: u64,
}

/// A loop with its threads, as it goes on.
struct Pool {
    asked: Vec<Asked>,
    acts: BTreeMap<u64, Act>,
    /// What each thread does now.
    busy: BTreeMap<u32, Option<Done>>,
    queue: VecDeque<u64>,
    over: VecDeque<u64>,
    done: Vec<Done>,
    is_awake: bool,
}

impl Pool {
    /// At this time or right after.
    fn act(&mut self, mut at_us: u64, act: Act) -> u64 {
        while self.acts.contains_key(&at_us) || self.acts.contains_key(&(at_us - 1)) {
            at_us += 1;
        }
        self.acts.insert(at_us, act);
        at_us
    }

    /// A thread begins with the job of the request on `conn`.
    fn begins(&mut self, tid: u32, conn: u64, at_us: u64) {
        let asked = self.asked[conn as usize - 1];
        let done = Done {
            conn,
            tid,
            from_us: at_us,
            to_us: at_us + asked.takes_us,
        };
        if asked.sleeps {
            self.act(at_us + 10, Act::Sleeps(tid));
            self.act(done.to_us - 10, Act::GoesOn(tid));
        }
        self.busy.insert(tid, Some(done));
    }

    /// The thread that is done first by then, if one is.
    fn first_done(&self, until_us: u64) -> Option<Done> {
        let jobs = self.busy.values().flatten().copied();
        jobs.filter(|job| job.to_us <= until_us)
            .min_by_key(|job| job.to_us)
    }

    /// What threads do until then.
    fn go_on(&mut self, until_us: u64) {
        while let Some(job) = self.first_done(until_us) {
            self.ends(job);
        }
    }

    fn ends(&mut self, job: Done) {
        self.over.push_back(job.conn);
        self.done.push(job);
        let mut at_us = job.to_us;
        if !self.is_awake {
            at_us = self.act(at_us, Act::HandsBack(job.tid)) + 2;
            self.is_awake = true;
        }
        if let Some(next) = self.queue.pop_front() {
            self.begins(job.tid, next, at_us);
        } else {
            self.act(at_us + 2, Act::Rests(job.tid));
            self.busy.insert(job.tid, None);
        }
    }

    /// The loop is awake from then on, until there is nothing to do. Gives when it waits again.
    fn loops(&mut self, mut now_us: u64, next: &mut usize) -> u64 {
        self.is_awake = true;
        loop {
            now_us += ACT_US;
            self.go_on(now_us);
            let mut read = Vec::new();
            while let Some(asked) = self.asked.get(*next).filter(|asked| asked.at_us < now_us) {
                *next += 1;
                read.push(*next as u64);
                now_us = ACT_US + self.act(now_us, Act::Reads(*next as u64, asked.at_us));
            }
            let is_idle = read.is_empty() && self.over.is_empty();
            for conn in read {
                now_us += ACT_US;
                self.go_on(now_us);
                match self.busy.iter().find(|(_, job)| job.is_none()) {
                    Some((&tid, _)) => {
                        // It may still be on its way to rest.
                        now_us = self.act(now_us + 8, Act::Gives(tid));
                        self.begins(tid, conn, now_us);
                    }
                    None => self.queue.push_back(conn),
                }
            }
            while let Some(conn) = self.over.pop_front() {
                now_us = ACT_US + self.act(now_us, Act::Answers(conn));
            }
            if is_idle {
                self.is_awake = false;
                return self.act(now_us, Act::Loops);
            }
        }
    }

    /// From the first request to the last answer.
    fn run(mut self) -> (Stream, Vec<Done>) {
        let (mut next, mut now_us) = (0, 1_000);
        loop {
            let comes_us = self.asked.get(next).map(|asked| asked.at_us.max(now_us + 2));
            let done_us = self.first_done(u64::MAX).map(|job| job.to_us.max(now_us + 2));
            now_us = match (comes_us, done_us) {
                (None, None) => break,
                (Some(comes_us), done_us) if done_us.is_none_or(|done_us| comes_us < done_us) => {
                    let at_us = self.act(comes_us, Act::Wakes(next as u64 + 1));
                    self.loops(at_us + 2, &mut next)
                }
                (_, Some(done_us)) => {
                    self.go_on(done_us);
                    self.loops(done_us + 4, &mut next)
                }
                _ => break,
            };
        }
        (self.stream(), self.done)
    }

    fn stream(&self) -> Stream {
        let mut program = Program(Stream::default());
        program.gets_a_cpu(LOOP, 1);
        for conn in 1..=self.asked.len() as u64 {
            program.record(&Connection {
                header: header(Kind::Connection, LOOP, 1 + conn),
                conn,
                tgid: PID,
                old_state: tcp::ESTABLISHED,
                new_state: tcp::ESTABLISHED,
                flags: flags::ACCEPTED,
                local_port: 8080,
                ..Connection::zeroed()
            });
        }
        for &tid in self.busy.keys() {
            program.gets_a_cpu(tid, 700);
            program = program.waits_for_a_job(710, tid);
        }
        program = program.loops(900);
        for (&at_us, &act) in &self.acts {
            program = match act {
                Act::Wakes(conn) => program.wakes(at_us, LOOP, conn),
                Act::Reads(conn, arrived_us) => program.reads(at_us, LOOP, conn, arrived_us),
                Act::Gives(tid) => program.gives(at_us, tid),
                Act::Answers(conn) => program.answers(at_us, LOOP, conn),
                Act::Loops => program.loops(at_us),
                // By a byte for it.
                Act::HandsBack(tid) => program.ends_wait(at_us, tid, Sysno::sendto, LOOP),
                Act::Sleeps(tid) => program.sleeps(at_us, tid),
                Act::GoesOn(tid) => program.goes_on(at_us, tid),
                Act::Rests(tid) => program.waits_for_a_job(at_us, tid),
            };
        }
        program.0
    }
}

fn asked() -> impl Strategy<Value = Vec<(u64, u64, bool)>> {
    prop::collection::vec((0..3_000_u64, 60..5_000_u64, any::<bool>()), 1..40)
}

/// So many threads, and requests that come so much after each other.
fn run(threads: u32, asked: &[(u64, u64, bool)]) -> (Stream, Vec<Done>) {
    let before = (0..BEFORE).map(|_| (APART_US, 500, true));
    let mut at_us = 1_000;
    let asked = before
        .chain(asked.iter().copied())
        .map(|(after_us, takes_us, sleeps)| {
            at_us += after_us;
            Asked {
                at_us,
                takes_us,
                sleeps,
            }
        });
    let pool = Pool {
        asked: asked.collect(),
        acts: BTreeMap::new(),
        busy: (1..=threads).map(|nth| (LOOP + nth, None)).collect(),
        queue: VecDeque::new(),
        over: VecDeque::new(),
        done: Vec::new(),
        is_awake: false,
    };
    pool.run()
}

/// When a span was, in us, if it is of a thread of the pool.
fn of_pool(request: &Request, span: &Span) -> Option<(u32, u64, u64)> {
    let Tid(tid) = span.tid.filter(|&tid| tid > Tid(LOOP))?;
    let from_ns = request.figures.arrival_ns + span.at_ns - START_NS;
    Some((tid, from_ns / 1_000, (from_ns + span.dur_ns) / 1_000))
}

/// How much of it was in the request's own jobs, us.
fn own_us(done: &[Done], request: &Request, (tid, from_us, to_us): (u32, u64, u64)) -> u64 {
    let own = done
        .iter()
        .filter(|job| job.tid == tid && job.conn == request.conn.id.0);
    own.map(|job| job.to_us.min(to_us).saturating_sub(job.from_us.max(from_us)))
        .sum()
}

/// Time that is charged to a request for what a thread of the pool did for another, or as a wait for what that did for
/// it, and all that is charged for these threads, us.
fn wrong_and_told_us(request: &Request, done: &[Done]) -> (u64, u64) {
    let of_span = |span: &Span| {
        let when = of_pool(request, span)?;
        let (own_us, all_us) = (own_us(done, request, when), when.2 - when.1);
        match span.cause {
            Cause::OnCpu | Cause::Syscall | Cause::Timer => Some((all_us - own_us, all_us)),
            Cause::WorkerBlocked | Cause::WorkerBusy => Some((own_us, all_us)),
            _ => None,
        }
    };
    let spans = request.timeline.iter().filter_map(of_span);
    spans.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

/// Whose a job was is concluded, and that can be wrong: of some hundred programs, of one or two requests.
#[test]
fn hardly_anything_that_threads_do_for_others_is_a_request_s_and_its_own_job_is_no_wait() -> Law {
    let mut runner = TestRunner::deterministic();
    let (mut wrong_us, mut told_us) = (0, 0);
    for threads in (1..4).cycle().take(300) {
        let asked = asked().new_tree(&mut runner).unwrap().current();
        let (stream, done) = run(threads, &asked);
        let explained = explain(&stream)?;
        explained.obeys_the_laws()?;
        for (request, _) in &explained.requests {
            let (wrong, told) = wrong_and_told_us(request, &done);
            (wrong_us, told_us) = (wrong_us + wrong, told_us + told);
        }
    }
    println!("{wrong_us} of {told_us} us are wrong");
    prop_assert!(wrong_us <= told_us / 1_000, "{wrong_us} of {told_us} us");
    Ok(())
}

/// Otherwise the law would hold of nothing.
#[test]
fn most_of_what_threads_do_for_a_request_is_told() -> Law {
    let mut runner = TestRunner::deterministic();
    let (mut told_us, mut all_us) = (0, 0);
    for threads in (1..4).cycle().take(60) {
        let asked = asked().new_tree(&mut runner).unwrap().current();
        let (stream, done) = run(threads, &asked);
        all_us += done
            .iter()
            .filter(|job| job.conn > BEFORE as u64)
            .map(|job| job.to_us - job.from_us)
            .sum::<u64>();
        for (request, _) in &explain(&stream)?.requests {
            let own = request.timeline.iter().filter(|span| {
                matches!(span.cause, Cause::OnCpu | Cause::Syscall) && request.conn.id.0 > BEFORE as u64
            });
            let own = own.filter_map(|span| of_pool(request, span));
            told_us += own.map(|when| own_us(&done, request, when)).sum::<u64>();
        }
    }
    prop_assert!(told_us > all_us / 10 * 7, "{told_us} of {all_us} us");
    Ok(())
}
