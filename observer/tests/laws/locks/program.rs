//! A program whose threads all need one lock, event by event.
//!
//! Each thread has a client. It reads a request without the lock, runs with it for as long as the request takes, and
//! answers without it. Whoever wants the lock waits for five milliseconds and asks again; whoever has it then lets go,
//! and waits until another has taken it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use bytemuck::Zeroable as _;
use observer::model::cause::Cause;
use observer::model::id::Tid;
use observer::model::request::Request;
use observer_common::{
    Connection, Header, Kind, Receive, Send, SwitchIn, SwitchOut, Waking, conn, flags, task, tcp,
};
use syscalls::Sysno;

use super::super::machine::{PIDS, START_NS};
use super::super::stream::Stream;

const LOCK: u64 = 0x7000;
const ASIDE: u64 = 0x9000;
const PRIVATE_WAIT: u64 = 137;
const POLL_NS: u64 = 5_000_000;
const STEP_NS: u64 = 1_000;

/// Who lets go without a word is seen to have done so a moment later, ns.
const UNSEEN_NS: u64 = 2 * STEP_NS;

/// What a request takes: how long its client waits before it, how long it runs, and how late its thread gets a CPU.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) after_ns: u64,
    pub(super) runs_ns: u64,
    pub(super) late_ns: u64,
}

/// What comes next for a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    BytesCome,
    Reads,
    /// Its wait for the lock is over, or its time is.
    Looks,
    LooksAgain,
    TimesOut(u32),
    /// What it runs with the lock is done, or another wants the lock.
    LetsGo(u32),
    /// The lock that it had let go of was taken.
    WasTaken,
}

#[derive(Clone, Copy, Debug, Default)]
struct Thread {
    asked: Option<Asked>,
    /// What is left to run, ns.
    left_ns: u64,
    /// How often it waited for the lock: what was to come of a wait that is over does not.
    waits: u32,
    /// How often it took it, and when last, ns.
    takes: u32,
    took_ns: u64,
}

/// Such a program as it runs.
#[derive(Default)]
pub(super) struct Program {
    pub(super) stream: Stream,
    now_ns: u64,
    next: BinaryHeap<Reverse<(u64, usize, Next)>>,
    threads: Vec<Thread>,
    asked: VecDeque<Asked>,
    has: Option<usize>,
    waiting: VecDeque<usize>,
    aside: Option<usize>,
    /// Who had the lock, from when to when, ns.
    pub(super) had: Vec<(u32, u64, u64)>,
}

fn tid(thread: usize) -> u32 {
    PIDS[0] + 1 + thread as u32
}

impl Program {
    /// What so many threads do until all that was asked is answered.
    pub(super) fn run(threads: usize, asked: Vec<Asked>) -> Self {
        let mut program = Self {
            now_ns: START_NS,
            threads: vec![Thread::default(); threads],
            asked: asked.into(),
            ..Self::default()
        };
        for thread in 0..threads {
            program.gets_a_cpu(thread);
            program.accepts(thread);
            program.is_asked(thread);
        }
        while let Some(Reverse((at_ns, thread, next))) = program.next.pop() {
            program.now_ns = program.now_ns.max(at_ns);
            program.goes_on(thread, next);
        }
        program
    }

    fn header(&mut self, kind: Kind, of: usize, on: usize) -> Header {
        self.now_ns += STEP_NS;
        Header {
            at_ns: self.now_ns,
            tid: tid(of),
            kind: kind as u16,
            cpu: on as u16,
        }
    }

    fn record(&mut self, event: &impl bytemuck::NoUninit) {
        self.stream.push(bytemuck::bytes_of(event));
    }

    fn later(&mut self, thread: usize, ns: u64, next: Next) {
        self.next.push(Reverse((self.now_ns + ns, thread, next)));
    }

    fn gets_a_cpu(&mut self, thread: usize) {
        let event = SwitchIn {
            header: self.header(Kind::SwitchIn, thread, thread),
            tgid: PIDS[0],
            ..SwitchIn::zeroed()
        };
        self.record(&event);
    }

    fn accepts(&mut self, thread: usize) {
        let event = Connection {
            header: self.header(Kind::Connection, thread, thread),
            conn: thread as u64 + 1,
            tgid: PIDS[0],
            old_state: tcp::ESTABLISHED,
            new_state: tcp::ESTABLISHED,
            flags: flags::ACCEPTED,
            local_port: 8080,
            ..Connection::zeroed()
        };
        self.record(&event);
    }

    fn leaves(&mut self, thread: usize, call: Sysno, args: [u64; 4]) {
        let event = SwitchOut {
            header: self.header(Kind::SwitchOut, thread, thread),
            tgid: PIDS[0],
            state: 1,
            syscall: call as i32,
            args,
            task: task::UNKNOWN,
            ..SwitchOut::zeroed()
        };
        self.record(&event);
    }

    /// A thread is woken by another, by bytes, or by its time.
    fn woken(&mut self, thread: usize, by: Option<usize>, conn: u64) {
        let event = Waking {
            header: self.header(Kind::Waking, thread, by.unwrap_or(thread)),
            tgid: PIDS[0],
            waker_tid: by.map_or(0, tid),
            waker_tgid: by.map_or(0, |_| PIDS[0]),
            waker_syscall: by.map_or(-1, |_| Sysno::futex as i32),
            waker_task: task::UNKNOWN,
            conn,
            ..Waking::zeroed()
        };
        self.record(&event);
    }

    /// The thread waits for its client's next request.
    fn is_asked(&mut self, thread: usize) {
        let asked = self.asked.pop_front();
        self.threads[thread].asked = asked;
        self.leaves(thread, Sysno::recvfrom, [thread as u64 + 5, 0, 0, 0]);
        if let Some(asked) = asked {
            self.later(thread, asked.after_ns, Next::BytesCome);
        }
    }

    fn goes_on(&mut self, thread: usize, next: Next) {
        let Thread {
            asked, waits, takes, ..
        } = self.threads[thread];
        let late_ns = asked.map_or(0, |asked| asked.late_ns);
        match next {
            Next::BytesCome => {
                self.woken(thread, None, thread as u64 + 1);
                self.later(thread, late_ns, Next::Reads);
            }
            Next::Reads => self.reads(thread),
            Next::Looks => {
                self.gets_a_cpu(thread);
                self.wants(thread);
            }
            Next::LooksAgain => {
                self.gets_a_cpu(thread);
                if let Some(has) = self.has {
                    // It is asked to let go.
                    let takes = self.threads[has].takes;
                    self.later(has, 3 * STEP_NS, Next::LetsGo(takes));
                }
                self.wants(thread);
            }
            Next::TimesOut(wait) if wait == waits && self.waiting.contains(&thread) => {
                self.waiting.retain(|&other| other != thread);
                self.woken(thread, None, conn::NONE);
                self.later(thread, late_ns, Next::LooksAgain);
            }
            Next::LetsGo(take) if take == takes && self.has == Some(thread) => self.lets_go(thread),
            Next::TimesOut(_) | Next::LetsGo(_) => {}
            Next::WasTaken => {
                self.gets_a_cpu(thread);
                self.wants(thread);
            }
        }
    }

    fn reads(&mut self, thread: usize) {
        self.gets_a_cpu(thread);
        let event = Receive {
            header: self.header(Kind::Receive, thread, thread),
            tgid: PIDS[0],
            fd: thread as i32 + 5,
            conn: thread as u64 + 1,
            arrived_ns: self.now_ns - STEP_NS,
            task: task::UNKNOWN,
            result: 5,
            flags: flags::INBOUND,
            ..Receive::zeroed()
        };
        self.record(&event);
        self.threads[thread].left_ns = self.threads[thread].asked.map_or(0, |asked| asked.runs_ns);
        self.wants(thread);
    }

    fn wants(&mut self, thread: usize) {
        if self.has.is_some() {
            self.leaves(thread, Sysno::futex, [LOCK, PRIVATE_WAIT, 0, 0x7fff]);
            self.waiting.push_back(thread);
            self.threads[thread].waits += 1;
            let waits = self.threads[thread].waits;
            self.later(thread, POLL_NS, Next::TimesOut(waits));
            return;
        }
        self.has = Some(thread);
        if let Some(aside) = self.aside.take() {
            self.woken(aside, Some(thread), conn::NONE);
            self.later(aside, 5_000, Next::WasTaken);
        }
        let own = &mut self.threads[thread];
        own.takes += 1;
        own.took_ns = self.now_ns;
        let (left_ns, takes) = (own.left_ns, own.takes);
        self.later(thread, left_ns, Next::LetsGo(takes));
    }

    fn lets_go(&mut self, thread: usize) {
        let took_ns = self.threads[thread].took_ns;
        self.has = None;
        if let Some(next) = self.waiting.pop_front() {
            self.woken(next, Some(thread), conn::NONE);
            let late_ns = self.threads[next].asked.map_or(0, |asked| asked.late_ns);
            self.later(next, late_ns, Next::Looks);
        }
        self.had.push((tid(thread), took_ns, self.now_ns));
        let own = &mut self.threads[thread];
        own.left_ns = own.left_ns.saturating_sub(self.now_ns - took_ns);
        if own.left_ns > 0 {
            self.leaves(thread, Sysno::futex, [ASIDE, PRIVATE_WAIT, 0, 0]);
            self.aside = Some(thread);
            return;
        }
        let event = Send {
            header: self.header(Kind::Send, thread, thread),
            tgid: PIDS[0],
            fd: thread as i32 + 5,
            conn: thread as u64 + 1,
            task: task::UNKNOWN,
            result: 5,
            flags: flags::INBOUND,
            ..Send::zeroed()
        };
        self.record(&event);
        self.is_asked(thread);
    }

    /// Of the time that a request is charged to wait for the lock: all of it, that of which it is told who had it, and
    /// that in which another thread had it, ns.
    pub(super) fn judge(&self, request: &Request) -> (u64, u64, u64) {
        let (mut all_ns, mut told_ns, mut wrong_ns) = (0, 0, 0);
        for span in request.timeline.iter().filter(|span| span.cause == Cause::Lock) {
            let from_ns = request.figures.arrival_ns + span.at_ns;
            let to_ns = from_ns + span.dur_ns;
            all_ns += span.dur_ns;
            let Some(culprit) = &span.culprit else { continue };
            told_ns += span.dur_ns;
            let others = self.had.iter().filter(|(tid, ..)| Tid(*tid) != culprit.tid);
            let met_ns = others
                .map(|&(_, since_ns, until_ns)| until_ns.min(to_ns).saturating_sub(since_ns.max(from_ns)));
            wrong_ns += met_ns.filter(|&ns| ns > UNSEEN_NS).sum::<u64>();
        }
        (all_ns, told_ns, wrong_ns)
    }
}
