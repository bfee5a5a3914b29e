//! How many goroutines a process has, and how many of them could run and have no thread, as its own runtime counts
//! them. That is read once a second, while it goes on.
//!
//! What stands where the symbols say is proved first: the goroutines are gone through once, and as many of them must
//! have ended, and as many be ready, as the runtime's counts and queues say.

mod counts;

use counts::{Counts, Reader};

use super::offsets::Offsets;
use super::program::GPlace;
use crate::event;
use crate::model::id::Pid;
use crate::source::Merge;
use crate::source::live::facts::SECOND_NS;

/// Between two attempts at a proof, ns.
const PAUSE_NS: u64 = SECOND_NS / 10;

/// So much longer for each goroutine that is gone through, ns: that takes a hundredth of it.
const PAUSE_FOR_EACH_NS: u64 = 20_000;

/// Attempts, until nothing more is expected.
const MOST_ATTEMPTS: u32 = 600;

/// Goroutines that are gone through, at most.
const MOST_WALKED: u64 = 1 << 17;

/// The scheduler of one process.
pub(in super::super) struct Scheduler {
    pid: Pid,
    /// `None` where the symbols are gone.
    reader: Option<Reader>,
    state: State,
    next_ns: u64,
}

enum State {
    /// So many attempts have proved nothing.
    Sought(u32),
    Proved,
    /// It is not to be had.
    Over,
}

impl Scheduler {
    /// Of process `pid`, of which this was found.
    pub(in super::super) fn new(pid: Pid, place: &GPlace) -> Self {
        Self {
            pid,
            reader: place.globals.map(|globals| Reader {
                pid,
                globals,
                offsets: Offsets::of(place.version),
            }),
            state: State::Sought(0),
            next_ns: 0,
        }
    }

    /// Looks if it is time to, and tells what is new.
    pub(in super::super) fn look(&mut self, now_ns: u64, merge: &mut Merge) {
        if now_ns < self.next_ns || matches!(self.state, State::Over) {
            return;
        }
        let Some(reader) = &self.reader else {
            let reason = "its symbols are gone, and with them where runtime.sched is";
            return self.give_up(now_ns, reason, merge);
        };
        let counts = match reader.counts() {
            Ok(counts) => counts,
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
                return self.give_up(now_ns, "its memory cannot be read without CAP_SYS_PTRACE", merge);
            }
            // It has ended, or its variables are elsewhere.
            Err(_) => None,
        };
        match self.state {
            State::Sought(attempts) => self.prove(counts, attempts, now_ns, merge),
            State::Proved => self.tell(counts, now_ns, merge),
            State::Over => {}
        }
    }

    fn prove(&mut self, counts: Option<Counts>, attempts: u32, now_ns: u64, merge: &mut Merge) {
        let all = counts.map_or(0, |counts| counts.all);
        if all > MOST_WALKED {
            return self.give_up(now_ns, "it has too many goroutines to go through them", merge);
        }
        self.next_ns = now_ns + PAUSE_NS + all * PAUSE_FOR_EACH_NS;
        let reader = self.reader.as_ref();
        let walk = counts.and_then(|counts| Some((counts, reader?.walk(&counts).ok()?)));
        if let Some((counts, walk)) = walk
            && counts.is_proved_by(walk)
        {
            let Counts { all, free, ps, .. } = counts;
            let evidence = format!(
                "runtime.allgs, allp and sched by their symbols: of {all} goroutines {free} are free and {} runnable, by what each \
                 of them is and by what is counted in {ps} Ps and for all",
                counts.runnable
            );
            let fact = event::GoScheduler::new(now_ns, self.pid, true, &evidence);
            merge.push(bytemuck::bytes_of(&fact));
            self.state = State::Proved;
            self.tell(Some(counts), now_ns, merge);
        } else if attempts + 1 >= MOST_ATTEMPTS {
            let reason = "what runtime.sched and runtime.allp count does not agree with what goroutines are";
            self.give_up(now_ns, reason, merge);
        } else {
            self.state = State::Sought(attempts + 1);
        }
    }

    /// Tells what was counted. Where what is counted changed meanwhile, the next look comes soon.
    fn tell(&mut self, counts: Option<Counts>, now_ns: u64, merge: &mut Merge) {
        if let Some((counts, goroutines)) = counts.and_then(|counts| Some((counts, counts.goroutines()?))) {
            // Looks do not come later and later.
            self.next_ns = (now_ns / SECOND_NS + 1) * SECOND_NS;
            let fact = event::GoGoroutines::new(now_ns, self.pid, goroutines, counts.runnable);
            merge.push(bytemuck::bytes_of(&fact));
        }
    }

    fn give_up(&mut self, now_ns: u64, reason: &str, merge: &mut Merge) {
        let fact = event::GoScheduler::new(now_ns, self.pid, false, reason);
        merge.push(bytemuck::bytes_of(&fact));
        self.state = State::Over;
    }
}
