//! What every watched thread did: running, runnable, or blocked in what and woken by whom; and, while it ran,
//! for which request, judged from the order of its socket operations.
//!
//! A thread's past is a row of slices without gap. How many there are of all threads together is bounded by
//! a [`SliceLimit`]: whoever needs the oldest for longer asks for them before they are forgotten
//! ([`Threads::to_forget`]).

mod acceptors;
mod availability;
mod back;
mod claim;
mod comms;
mod ended;
mod event_loop;
mod events;
mod facts;
mod fed;
mod forgetting;
mod hands;
mod history;
mod index;
mod judgement;
mod locks;
mod occupancy;
mod packed;
mod past;
mod queued;
mod readied;
mod returns;
mod roles;
mod samples;
mod started;
mod state;
mod stops;
mod tasks;
mod thefts;
mod thinned;
mod thread;
mod unseen;
mod usage;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

pub use back::{Back, Crossed, Interval};
pub use comms::Comm;
pub use fed::FREE_NS;
pub use forgetting::{LastRun, ToForget};
pub use index::Sums;
pub use occupancy::Occupation;
pub use queued::QueuedPoll;
pub use samples::Samples;
pub use state::{Began, Block, Occupant, Owner, Slice, State, Wake};
pub use stops::Stop;
pub use thefts::Theft;
pub use thinned::Thinned;
pub use thread::Thread;
pub use usage::{Longest, Usage};

use self::acceptors::Acceptors;
use self::availability::Availability;
use self::comms::Comms;
use self::ended::EndedThreads;
use self::fed::Fed;
use self::hands::Hands;
use self::locks::Locks;
use self::occupancy::Occupancy;
use self::packed::Packed;
use self::queued::Queue;
use self::returns::Returns;
use self::roles::Casts;
use self::stops::Stops;
use self::tasks::Tasks;
use self::thefts::Thefts;
use crate::model::full::{Full, Table};
use crate::model::id::{Pid, RequestId, Task, Tid};
use crate::runtime::tokio::{self, Roles, ThreadRole};
use crate::runtime::{Runtime, ThreadInRuntime};

/// Threads kept at once. More than this many at a time are counted and not followed.
pub const MAX_THREADS: usize = 16_384;

/// Slices kept of all threads together, the newest.
#[derive(Clone, Copy, Debug)]
pub struct SliceLimit(pub usize);

impl SliceLimit {
    /// 4 MiB. A saturated worker makes some 200,000 a second.
    const OF_A_RUN: usize = 65_536;
}

impl Default for SliceLimit {
    fn default() -> Self {
        const { assert!(Self::OF_A_RUN * size_of::<Packed>() <= 4 << 20) };
        Self(Self::OF_A_RUN)
    }
}

/// Intervals that are kept of slices that were forgotten, of all threads together: 1 MiB, but for two of each thread.
const MAX_THINNED: usize = 4_096;

const _: () = assert!(MAX_THINNED * size_of::<Thinned>() <= 1 << 20);

/// Slices that one event adds to a thread, at most.
const SLICES_AN_EVENT: usize = 2;

/// Whether workers are free, by process.
type Availabilities = FxHashMap<Pid, Availability>;

/// All watched threads.
#[derive(Debug, Default)]
pub struct Threads {
    threads: FxHashMap<Tid, Thread>,
    /// The same by process.
    of_processes: BTreeSet<(Pid, Tid)>,
    /// Those that begin to end, the first first: when, ns.
    exiting: VecDeque<(u64, Tid)>,
    ended: EndedThreads,
    /// Events of threads that were not followed because there were too many.
    pub refused: u64,
    lost_until_ns: u64,
    occupancy: Occupancy,
    thefts: Thefts,
    stops: Stops,
    comms: Comms,
    tasks: Tasks,
    queue: Queue,
    acceptors: Acceptors,
    hands: Hands,
    fed: Fed,
    returns: Returns,
    locks: Locks,
    casts: Casts,
    /// By process.
    availability: Availabilities,
    /// Slices kept of all threads together, or less.
    slices_at_most: usize,
    /// How many these may be.
    slice_limit: SliceLimit,
    /// Futexes that are no mutex, by process and address.
    no_mutexes: FxHashSet<(Pid, u64)>,
    /// Those that are known, by process.
    runtimes: FxHashMap<Pid, Runtime>,
    /// Those of which it is recorded which goroutine makes which ready.
    followed: FxHashSet<Pid>,
    /// What is not remembered any more.
    full: Full,
}

impl Threads {
    /// Threads of which no more than so many slices are remembered.
    #[must_use]
    pub fn remembering(slice_limit: SliceLimit) -> Self {
        Self {
            slice_limit,
            ..Self::default()
        }
    }

    /// The thread with this id; also one that has ended lately.
    #[must_use]
    pub fn get(&self, tid: Tid) -> Option<&Thread> {
        self.threads.get(&tid).or_else(|| self.ended.get(tid))
    }

    /// The threads of process `pid` that have not ended, in the order of their ids.
    fn of_process(&self, pid: Pid) -> impl Iterator<Item = (Tid, &Thread)> {
        let all = self.of_processes.range((pid, Tid(0))..=(pid, Tid(u32::MAX)));
        all.filter_map(|&(_, tid)| Some((tid, self.threads.get(&tid)?)))
    }

    /// The request that a runtime task of process `pid` serves, where its socket operations said so.
    #[must_use]
    pub fn served_by(&self, pid: Pid, task: Task) -> Option<RequestId> {
        self.tasks.serves(pid, task)
    }

    /// The request for which this thread runs now, by the order of events. What it does after a response may be
    /// another's.
    #[must_use]
    pub fn owner(&self, tid: Tid) -> Option<RequestId> {
        self.get(tid)?.belief.works_for()
    }

    /// Whether a thread is blocked in a call that sends on this descriptor.
    #[must_use]
    pub fn is_sending(&self, tid: Tid, fd: i32) -> bool {
        self.get(tid).is_some_and(|thread| thread.facts.is_sending(fd))
    }

    /// The name of a thread that had a CPU or woke another, where it is still known.
    #[must_use]
    pub fn comm(&self, comm: Comm) -> Option<&Arc<str>> {
        let name = self.comms.get(comm);
        if name.is_none() {
            self.full.count(Table::ThreadNames, 1);
        }
        name
    }

    /// The thread that an event is about, with the tasks.
    fn known(&mut self, tid: Tid, pid: Pid) -> Option<(&mut Thread, &mut Tasks, &mut Availabilities)> {
        self.slices_at_most += SLICES_AN_EVENT;
        if self.threads.len() >= MAX_THREADS && !self.threads.contains_key(&tid) {
            self.refused += 1;
            return None;
        }
        let lost_until_ns = self.lost_until_ns;
        let thread = self.threads.entry(tid).or_insert_with(|| {
            self.of_processes.insert((pid, tid));
            let runtime = self.runtimes.get(&pid).copied().unwrap_or_default();
            Thread::new(pid, lost_until_ns, runtime)
        });
        Some((thread, &mut self.tasks, &mut self.availability))
    }

    /// What was not remembered since the last time.
    pub fn take_full(&self) -> Full {
        let full = self.full.take();
        full.add(&self.tasks.full.take());
        full.add(&self.locks.full.take());
        full.add(&self.returns.full.take());
        full
    }

    /// Who had a CPU between two times, as far as a watched thread waited for it; the last first.
    pub fn occupants(&self, cpu: u16, from_ns: u64, to_ns: u64) -> impl Iterator<Item = Occupation> + '_ {
        let was_forgotten = self.occupancy.forgotten_until_ns(cpu) > from_ns;
        let end = self.full.end_of(Table::Occupancy, was_forgotten);
        self.occupancy.between(cpu, from_ns, to_ns).chain(end)
    }

    /// What the threads of each process are to its runtimes, as far as they were seen at it.
    #[must_use]
    pub fn roles(&self) -> BTreeMap<Pid, Roles> {
        tokio::by_process(self.threads.iter().filter_map(|(&tid, thread)| {
            Some(ThreadRole {
                tid,
                pid: thread.pid,
                comm: thread.comm.as_ref(),
                thread: thread.in_runtime.tokio()?,
                is_of_pool: thread.is_of_pool(),
            })
        }))
    }

    /// The runtime of process `pid`, as far as it is known.
    #[must_use]
    pub fn runtime(&self, pid: Pid) -> Runtime {
        self.runtimes.get(&pid).copied().unwrap_or_default()
    }

    /// Whether a thread of a program in Go was not seen in a goroutine: above all, the one by which the runtime watches
    /// itself.
    #[must_use]
    pub fn is_in_no_goroutine(&self, tid: Tid) -> bool {
        self.get(tid).is_some_and(|thread| {
            self.runtime(thread.pid).go_version().is_some() && !thread.in_runtime.ran_goroutine()
        })
    }

    /// Whether a thread of process `pid` waited for a timer that was due at `at_ns`, or up to so long before or after,
    /// and did so since `since_ns` at the earliest.
    #[must_use]
    pub fn waited_for_timer(&self, pid: Pid, since_ns: u64, at_ns: u64, slack_ns: u64) -> bool {
        let mut slices = self.of_process(pid).flat_map(|(_, thread)| {
            let back = thread.back_from(at_ns);
            back.take_while(|slice| slice.to_ns.saturating_add(slack_ns) >= at_ns)
        });
        slices.any(|slice| match slice.state {
            State::Blocked(block) if slice.from_ns >= since_ns => block
                .wait
                .due_ns(slice.from_ns)
                .is_some_and(|due_ns| due_ns.abs_diff(at_ns) <= slack_ns),
            _ => false,
        })
    }

    /// The threads that were seen in goroutines, with their names where known.
    pub fn in_goroutines(&self) -> impl Iterator<Item = (Pid, Tid, Option<&Arc<str>>)> {
        let threads = self.threads.iter();
        threads
            .filter(|(_, thread)| thread.in_runtime.ran_goroutine())
            .map(|(&tid, thread)| (thread.pid, tid, thread.comm.as_ref()))
    }

    /// Process `pid` runs on this runtime, which was found out now.
    pub fn runs_on(&mut self, pid: Pid, runtime: Runtime) {
        self.runtimes.insert(pid, runtime);
        let threads = self.threads.values_mut();
        threads
            .filter(|thread| thread.pid == pid)
            .for_each(|thread| thread.in_runtime = ThreadInRuntime::of(runtime));
        if runtime.switches_threads() {
            self.hands.switches(pid);
            self.fed.switches(pid);
            self.returns.switches(pid);
            self.casts.switches(pid);
        }
    }

    /// Process `pid` became another program, or ended.
    fn forget_roles(&mut self, pid: Pid) {
        let threads = self.threads.values_mut();
        threads
            .filter(|thread| thread.pid == pid)
            .for_each(Thread::forget_role);
    }

    /// What workers and threads of blocking pools did until `now_ns`, since this was asked last, each with its id.
    pub fn take_usage(&mut self, now_ns: u64) -> Vec<(Tid, Usage)> {
        let is_told = |thread: &Thread| thread.serves || thread.is_of_pool();
        let workers = self.threads.iter_mut().filter(|(_, thread)| is_told(thread));
        let mut used: Vec<_> = workers
            .map(|(&tid, thread)| (tid, thread.take_usage(now_ns)))
            .collect();
        used.sort_unstable_by_key(|&(tid, _)| tid);
        used
    }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable;
    use observer_common::{Header, SwitchIn, SwitchOut};

    use super::*;

    const FIRST: u32 = 41;

    fn header(tid: u32, at_ns: u64) -> Header {
        Header {
            at_ns,
            tid,
            ..Header::zeroed()
        }
    }

    /// Each of so many threads in turn gets a CPU and sleeps, until there were so many switches. Gives when.
    fn take_turns(threads: &mut Threads, count: u32, switches: u32) -> u64 {
        let mut at_ns = 100;
        for switch in 0..switches {
            let tid = FIRST + switch % count;
            at_ns += 10;
            threads.switch_in(&SwitchIn {
                header: header(tid, at_ns),
                ..SwitchIn::zeroed()
            });
            at_ns += 10;
            threads.switch_out(&SwitchOut {
                header: header(tid, at_ns),
                syscall: libc::SYS_clock_nanosleep as i32,
                ..SwitchOut::zeroed()
            });
            if threads.is_full()
                && let Some(to_forget) = threads.to_forget()
            {
                threads.forget(to_forget.until_ns);
            }
        }
        at_ns
    }

    fn slices(threads: &Threads) -> usize {
        threads.threads.values().map(|thread| thread.ends().count()).sum()
    }

    #[test]
    fn many_threads_together_are_remembered_for_as_long_as_each_other_and_no_more_than_a_few() {
        let (mut threads, count) = (Threads::default(), 1_000);
        let now_ns = take_turns(&mut threads, count, 2 * SliceLimit::OF_A_RUN as u32);
        let kept = slices(&threads);
        assert!(
            (SliceLimit::OF_A_RUN / 2..=SliceLimit::OF_A_RUN).contains(&kept),
            "{kept}"
        );
        // Half of the slices that there may be: each thread knows of itself for that long.
        let back_ns = 20 * SliceLimit::OF_A_RUN as u64 / 4;
        for tid in FIRST..FIRST + count {
            assert!(
                threads.get(Tid(tid)).unwrap().before(now_ns - back_ns).is_some(),
                "{tid}"
            );
        }
    }

    #[test]
    fn one_thread_may_have_all_that_is_remembered() {
        let mut threads = Threads::default();
        take_turns(&mut threads, 1, SliceLimit::OF_A_RUN as u32);
        let kept = slices(&threads);
        assert!(
            (SliceLimit::OF_A_RUN / 4 * 3..=SliceLimit::OF_A_RUN).contains(&kept),
            "{kept}"
        );
    }
}
