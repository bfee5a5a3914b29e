//! The clocks follow the watched threads: a CPU's runs while they are there, and rests while others have it.
//!
//! A thread of its own does so, because the kernel half, which sees a watched thread come, cannot start a clock: it
//! rings, and a clock is of use only if it is started within a fraction of a millisecond. Who is gone again by then
//! needs none.

use std::io::{PipeReader, PipeWriter, pipe};
use std::os::fd::{AsRawFd as _, RawFd};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use aya::Ebpf;
use aya::maps::{Array, MapData, PerCpuArray, RingBuf};
use observer_common::{Presence, limits, names};

use super::clock::Clocks;
use crate::model::own_threads;
use crate::source::live::kernel_half::map;
use crate::source::live::map_value::MapValue;

/// After a CPU rang, its clock is started if the watched thread is still there. Most of what comes to wait for
/// something else is gone by then.
const SETTLES: Duration = Duration::from_micros(200);

/// How often it is looked whether a clock that runs is still to run. To look takes some microseconds.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The first time after it was started sooner: most stay for less.
const LOOK_FIRST: Duration = Duration::from_millis(3);

/// Watched threads that come to a CPU more often than this keep its clock running: to be rung for each of them would
/// cost more.
const OFTEN: Duration = Duration::from_millis(10);

/// The thread that starts and stops the clocks, until this is dropped.
pub(super) struct Follower {
    _lives: PipeWriter,
}

impl Follower {
    /// Starts the clocks, which run from now on only where watched threads are.
    pub(super) fn begin(ebpf: &mut Ebpf, clocks: Clocks) -> Result<Self> {
        let presence: PerCpuArray<MapData, MapValue<Presence>> = map(ebpf, names::map::PRESENCE)?;
        let count = presence.get(&0, 0)?.len().min(limits::MAX_CPUS as usize);
        let (ends, lives) = pipe().context("cannot make a pipe")?;
        let mut state = Following {
            clocks,
            presence,
            rests: map(ebpf, names::map::RESTS)?,
            doorbell: map(ebpf, names::map::DOORBELL)?,
            cpus: vec![Cpu::new(Instant::now()); count],
        };
        state.start();
        thread::Builder::new()
            .name(own_threads::CLOCKS.to_owned())
            .spawn(move || state.follow(&ends))
            .context("cannot start the thread that starts and stops the clocks")?;
        Ok(Self { _lives: lives })
    }
}

struct Following {
    clocks: Clocks,
    presence: PerCpuArray<MapData, MapValue<Presence>>,
    rests: Array<MapData, u32>,
    doorbell: RingBuf<MapData>,
    cpus: Vec<Cpu>,
}

/// What is known of a CPU since it was last looked at.
#[derive(Clone, Copy)]
struct Cpu {
    runs: bool,
    looked: Instant,
    visits: u64,
    /// When it is to be looked at again, if its clock runs.
    looks: Instant,
}

impl Cpu {
    fn new(now: Instant) -> Self {
        Self {
            runs: false,
            looked: now,
            visits: 0,
            looks: now + LOOK_EVERY,
        }
    }

    /// Looks at it: whether its clock is to run.
    fn look(&mut self, presence: Presence, now: Instant) -> bool {
        let visits = presence.visits.saturating_sub(self.visits);
        let visits = u32::try_from(visits).unwrap_or(u32::MAX);
        let often = OFTEN.saturating_mul(visits) >= now.duration_since(self.looked);
        (self.visits, self.looked) = (presence.visits, now);
        self.looks = now + if self.runs { LOOK_EVERY } else { LOOK_FIRST };
        presence.is_here != 0 || (visits > 0 && often)
    }
}

impl Following {
    /// Starts all clocks: a thread that was on its CPU before has come to none.
    fn start(&mut self) {
        for number in 0..self.cpus.len() {
            self.run(number as u32, true);
        }
    }

    /// Until the other end of the pipe is closed.
    fn follow(&mut self, ends: &PipeReader) {
        hurry();
        loop {
            let running = self.cpus.iter().filter(|cpu| cpu.runs);
            let next_look = running.map(|cpu| cpu.looks).min();
            let patience = next_look.map(|next| next.saturating_duration_since(Instant::now()));
            if wait(self.doorbell.as_raw_fd(), ends.as_raw_fd(), patience) {
                return;
            }
            let mut rang = self.rang();
            if !rang.is_empty() {
                thread::sleep(SETTLES);
                rang.extend(self.rang());
            }
            let now = Instant::now();
            let due = (0..)
                .zip(&self.cpus)
                .filter(|(_, cpu)| cpu.runs && cpu.looks <= now);
            rang.extend(due.map(|(number, _)| number));
            self.look(&rang, now);
        }
    }

    /// CPUs that rang since the last call.
    fn rang(&mut self) -> Vec<u32> {
        let mut rang = Vec::new();
        while let Some(cpu) = self.doorbell.next() {
            if let Some(cpu) = cpu.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes)) {
                rang.extend(u32::try_from(cpu));
            }
        }
        rang
    }

    fn look(&mut self, at: &[u32], now: Instant) {
        for (number, presence) in self.present(at) {
            if let Some(cpu) = self.cpus.get_mut(number as usize) {
                let run = cpu.look(presence, now);
                self.run(number, run);
            }
        }
        // Who came since then may not have rung: whether to ring is only asked for now.
        for (number, presence) in self.present(at) {
            if presence.is_here != 0 {
                self.run(number, true);
            }
        }
    }

    /// Watched threads on these CPUs.
    fn present(&self, at: &[u32]) -> Vec<(u32, Presence)> {
        let Ok(all) = self.presence.get(&0, 0) else {
            return Vec::new();
        };
        let of = |&number: &u32| Some((number, all.get(number as usize)?.0));
        at.iter().filter_map(of).collect()
    }

    /// Starts a CPU's clock, or stops it and has the CPU ring when a watched thread comes.
    fn run(&mut self, number: u32, run: bool) {
        let Some(cpu) = self.cpus.get_mut(number as usize) else {
            return;
        };
        if run != cpu.runs && self.clocks.run(number, run).is_ok() {
            cpu.runs = run;
        }
        if !cpu.runs {
            // This fails for no CPU that there is.
            let _ = self.rests.set(number, 1, 0);
        }
    }
}

/// Has this thread run before others: on a busy machine it would wait for its CPU longer than most requests take. Where
/// that is not allowed, it waits.
fn hurry() {
    let lowest = libc::sched_param { sched_priority: 1 };
    let this_thread = 0;
    // SAFETY: the parameters live on the stack, and are only read.
    unsafe {
        libc::sched_setscheduler(
            this_thread,
            libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK,
            &raw const lowest,
        )
    };
}

/// Waits until something can be read from the first, or for so long; `true` if the other end of the second was closed.
fn wait(doorbell: RawFd, ends: RawFd, patience: Option<Duration>) -> bool {
    let entry = |fd| libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    let mut entries = [entry(doorbell), entry(ends)];
    let timeout = patience.map(|patience| libc::timespec {
        tv_sec: patience.as_secs().cast_signed(),
        tv_nsec: patience.subsec_nanos().into(),
    });
    let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: both entries, and the time if there is one, live on the stack.
    unsafe { libc::ppoll(entries.as_mut_ptr(), 2, timeout, std::ptr::null()) };
    entries[1].revents != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESTS: Presence = Presence {
        visits: 0,
        is_here: 0,
    };

    fn looked(presence: Presence, after: Duration) -> bool {
        let start = Instant::now();
        Cpu::new(start).look(presence, start + after)
    }

    #[test]
    fn a_clock_runs_where_a_watched_thread_is() {
        assert!(looked(
            Presence {
                visits: 1,
                is_here: 1
            },
            Duration::from_secs(9)
        ));
        assert!(!looked(RESTS, LOOK_EVERY));
    }

    #[test]
    fn a_clock_runs_where_watched_threads_come_often_and_rests_where_one_comes_now_and_then() {
        let came = |visits| Presence { visits, ..RESTS };
        assert!(looked(came(5), LOOK_EVERY));
        assert!(!looked(came(4), LOOK_EVERY));
        assert!(!looked(came(1), 2 * OFTEN));
    }

    #[test]
    fn visits_count_from_the_last_look() {
        let start = Instant::now();
        let mut cpu = Cpu::new(start);
        let came = Presence {
            visits: 1000,
            ..RESTS
        };
        assert!(cpu.look(came, start + LOOK_EVERY));
        assert!(!cpu.look(came, start + 2 * LOOK_EVERY));
    }
}
