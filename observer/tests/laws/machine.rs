//! A small machine that serves requests, step by step: its stream is one that a kernel could have recorded.
//!
//! Threads of two processes run on two CPUs, wait and are woken; bytes arrive, are read and answered. A step
//! that is not possible in the machine's state does nothing. No two events have the same time, so what every
//! thread did can be read off the stream. For whom it did that the machine says as far as it knows ([`works`]). It does
//! not know what the pipeline makes of it.

use observer_common::{Header, Kind};
use proptest::prelude::*;

use super::stream::Stream;

mod goroutines;
mod network;
mod processes;
mod scheduler;
mod serving;
mod theft;
mod traffic;
mod works;

use network::Socket;
use scheduler::Thread;
use theft::Look;
pub(crate) use works::{Served, Work, Works};

/// The processes that are watched.
pub(crate) const PIDS: [u32; 2] = [100, 200];

/// `CLOCK_MONOTONIC` when the observation begins, ns.
pub(crate) const START_NS: u64 = 5_000_000_000;

/// Where the server listens.
const PORT: u16 = 8080;

const CPUS: usize = 2;

/// Whether a cookie of this machine belongs to a connection that a watched process opened.
pub(crate) const fn is_outbound(conn: u64) -> bool {
    conn >= network::FIRST_OUTBOUND && conn != observer_common::conn::LISTENER
}

/// Something that happens, if it can.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// Index into [`ACTIONS`].
    action: usize,
    /// To which thread or connection, among those to which it can happen.
    who: u8,
    /// In which variant.
    how: u8,
    /// How long after the step before, ns.
    gap_ns: u64,
}

type Action = fn(&mut Machine, u8, u8);

/// What can happen, the more frequent more than once.
const ACTIONS: &[Action] = &[
    Machine::serve,
    Machine::serve,
    Machine::serve,
    Machine::serve,
    Machine::bytes_arrive,
    Machine::bytes_arrive,
    Machine::bytes_arrive,
    Machine::accept,
    Machine::receive,
    Machine::receive,
    Machine::receive,
    Machine::receive,
    Machine::send,
    Machine::send,
    Machine::send,
    Machine::send,
    Machine::connect,
    Machine::find_mid_turn,
    Machine::peer_answers,
    Machine::peer_answers,
    Machine::shut,
    Machine::bytes_leave,
    Machine::bytes_leave,
    Machine::block,
    Machine::block,
    Machine::block,
    Machine::preempt,
    Machine::make_ready,
    Machine::make_ready,
    Machine::turn_to_goroutine,
    Machine::turn_to_goroutine,
    Machine::see,
    Machine::steal,
    Machine::steal,
    Machine::wake,
    Machine::wake,
    Machine::wake,
    Machine::wake,
    Machine::run,
    Machine::run,
    Machine::run,
    Machine::run,
    Machine::change_process,
    Machine::sample,
    Machine::sample,
    Machine::tell_fact,
    Machine::tick,
    Machine::tell_loss,
];

/// Streams of up to `most` steps.
pub(crate) fn stream(most: usize) -> impl Strategy<Value = Stream> {
    known(most).prop_map(|known| known.stream)
}

/// A stream, and for whom the threads in it worked.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) stream: Stream,
    pub(crate) works: Works,
}

/// The same streams, with that.
pub(crate) fn known(most: usize) -> impl Strategy<Value = Known> {
    let gap_ns = prop_oneof![
        60 => 1..2_000_u64,
        30 => 1_000..1_000_000_u64,
        9 => 1_000_000..50_000_000_u64,
        1 => 400_000_000..2_000_000_000_u64,
    ];
    let step =
        (0..ACTIONS.len(), any::<u8>(), any::<u8>(), gap_ns).prop_map(|(action, who, how, gap_ns)| Step {
            action,
            who,
            how,
            gap_ns,
        });
    let steps = prop::collection::vec(step, 0..most);
    (steps, prop::bool::weighted(0.25)).prop_map(|(steps, runs_go)| Machine::run_through(&steps, runs_go))
}

/// The stream of `count` threads, each of which is begun by another, gets a CPU once, and ends.
pub(crate) fn short_lived_threads(count: usize) -> Stream {
    let mut machine = Machine::new();
    machine.begin();
    for _ in 0..count {
        machine.live_shortly();
    }
    machine.stream
}

/// The state of the machine, and what was recorded so far.
#[derive(Debug)]
struct Machine {
    stream: Stream,
    works: Works,
    now_ns: u64,
    threads: Vec<Thread>,
    /// Index of the thread on each CPU; others have it where there is none.
    running: [Option<usize>; CPUS],
    /// On each CPU.
    looks: [Look; CPUS],
    inbound: [Option<Socket>; 3],
    outbound: [Option<Socket>; 2],
    cookies: u64,
    next_tid: u32,
    /// What CPU quotas have kept waiting so far.
    throttled_ns: u64,
    /// Where the first process runs Go, and its goroutines are followed: those that are ready.
    ready: Option<goroutines::Ready>,
}

impl Machine {
    fn new() -> Self {
        Self {
            stream: Stream::default(),
            works: Works::default(),
            now_ns: START_NS,
            threads: Vec::new(),
            running: [Some(0), Some(1)],
            looks: [Look::default(); CPUS],
            inbound: [const { None }; 3],
            outbound: [const { None }; 2],
            cookies: 0,
            next_tid: PIDS[0],
            throttled_ns: 0,
            ready: None,
        }
    }

    fn run_through(steps: &[Step], runs_go: bool) -> Known {
        let mut machine = Self::new();
        if runs_go {
            machine.run_go();
        }
        machine.begin();
        for step in steps {
            machine.now_ns += step.gap_ns;
            ACTIONS[step.action](&mut machine, step.who, step.how);
        }
        machine.have_turned_away(|_| true);
        Known {
            stream: machine.stream,
            works: machine.works,
        }
    }

    /// The time of the next event.
    fn at_ns(&mut self) -> u64 {
        self.now_ns += 1;
        self.now_ns
    }

    /// The header of the next record.
    fn header(&mut self, kind: Kind, tid: u32, cpu: usize) -> Header {
        Header {
            at_ns: self.at_ns(),
            tid,
            kind: kind as u16,
            cpu: cpu as u16,
        }
    }

    fn record(&mut self, event: &impl bytemuck::NoUninit) {
        self.stream.push(bytemuck::bytes_of(event));
    }
}

/// One of `from`, chosen by `who`.
fn pick<T: Copy>(from: &[T], who: u8) -> Option<T> {
    from.get(usize::from(who).checked_rem(from.len())?).copied()
}
