//! What every watched thread did: running, runnable, or blocked in what and woken by whom; and, while it ran,
//! for which request, judged from the order of its socket operations.
//!
//! A thread's past is a row of slices without gap. How long it reaches back is bounded by [`MAX_SLICES`]; what
//! a request needs from before that is `unexplained`.

mod acceptors;
mod availability;
mod begun;
mod comms;
mod index;
mod judgement;
mod occupancy;
mod packed;
mod past;
mod queued;
mod roles;
mod samples;
mod state;
mod tasks;
mod thefts;
mod thread;
mod usage;

use std::sync::Arc;

use observer_common::{Occupied, Seen, SwitchIn, SwitchOut, Waking, conn, flags};
use rustc_hash::{FxHashMap, FxHashSet};

pub use comms::Comm;
pub use index::Sums;
pub use occupancy::Occupation;
pub use past::{Back, Crossed, MAX_SLICES, Stretch};
pub use queued::Queued;
pub use roles::{Counted, Roles, Workers};
pub use samples::Samples;
pub use state::{Began, Block, Direction, Occupant, Operation, Owner, Slice, State, Wake};
pub use thefts::Theft;
pub use thread::Thread;
pub use usage::{Longest, Usage};

use self::acceptors::Acceptors;
use self::availability::Availability;
use self::comms::Comms;
use self::occupancy::Occupancy;
use self::packed::Packed;
use self::queued::Queue;
use self::tasks::Tasks;
use self::thefts::Thefts;
use self::thread::NOTHING;
use crate::model::id::{RequestId, Task};
use crate::syscall::Wait;

/// Threads kept at once. More than this many at a time are counted and not followed.
pub const MAX_THREADS: usize = 16_384;

/// Slices kept of all threads together, the newest: 8 MiB. As many as 4 saturated workers have.
pub const MAX_SLICES_TOGETHER: usize = 4 * MAX_SLICES;

const _: () = assert!(MAX_SLICES_TOGETHER * size_of::<Packed>() <= 8 << 20);

/// Slices that one event adds to a thread, at most.
const SLICES_AN_EVENT: usize = 2;

/// Futexes that are remembered.
const MAX_FUTEXES: usize = 65_536;

/// `TASK_DEAD`: the thread leaves its CPU for the last time.
const DEAD: u32 = 0x80;

/// Whether workers are free, by process.
type Availabilities = FxHashMap<u32, Availability>;

/// All watched threads.
#[derive(Debug, Default)]
pub struct Threads {
    threads: FxHashMap<u32, Thread>,
    /// Threads that were not followed because there were too many.
    pub refused: u64,
    lost_until_ns: u64,
    occupancy: Occupancy,
    thefts: Thefts,
    comms: Comms,
    tasks: Tasks,
    queue: Queue,
    acceptors: Acceptors,
    /// By process.
    availability: Availabilities,
    /// Slices kept of all threads together, or less.
    slices_at_most: usize,
    /// Futexes that are no mutex, by process and address.
    no_mutexes: FxHashSet<(u32, u64)>,
}

impl Threads {
    /// The thread with this id.
    #[must_use]
    pub fn get(&self, tid: u32) -> Option<&Thread> {
        self.threads.get(&tid)
    }

    /// The request that a runtime task of process `pid` serves, where its socket operations said so.
    #[must_use]
    pub fn served_by(&self, pid: u32, task: Task) -> Option<RequestId> {
        self.tasks.serves(pid, task)
    }

    /// The request for which this thread runs now, by the order of events. What it does after a response may be
    /// another's.
    #[must_use]
    pub fn owner(&self, tid: u32) -> Option<RequestId> {
        let thread = self.get(tid)?;
        thread.owner.request().filter(|_| !thread.owner_sent)
    }

    /// The name of a thread that had a CPU or woke another, where it is still known.
    #[must_use]
    pub fn comm(&self, comm: Comm) -> Option<&Arc<str>> {
        self.comms.get(comm)
    }

    /// The thread that an event is about, with the tasks. Every event that changes a thread's past comes by here.
    fn known(&mut self, tid: u32, pid: u32) -> Option<(&mut Thread, &mut Tasks, &mut Availabilities)> {
        self.slices_at_most += SLICES_AN_EVENT;
        if self.slices_at_most > MAX_SLICES_TOGETHER {
            self.forget_oldest();
        }
        if self.threads.len() >= MAX_THREADS && !self.threads.contains_key(&tid) {
            self.refused += 1;
            return None;
        }
        let lost_until_ns = self.lost_until_ns;
        let thread = self
            .threads
            .entry(tid)
            .or_insert_with(|| Thread::new(pid, lost_until_ns));
        Some((thread, &mut self.tasks, &mut self.availability))
    }

    /// Counts the slices of all threads, and if they are many forgets the oldest, down to three quarters of what
    /// may be kept: a thousand threads together must not be remembered as well as one.
    fn forget_oldest(&mut self) {
        const KEPT: usize = MAX_SLICES_TOGETHER / 4 * 3;
        let ends = self.threads.values().flat_map(Thread::ends);
        let mut ends_ns: Vec<u64> = ends.collect();
        if ends_ns.len() > KEPT {
            let forgotten = ends_ns.len() - KEPT;
            let (_, &mut until_ns, _) = ends_ns.select_nth_unstable(forgotten - 1);
            self.threads
                .values_mut()
                .for_each(|thread| thread.forget(until_ns));
        }
        self.slices_at_most = ends_ns.len().min(KEPT);
    }

    /// A thread got a CPU.
    pub fn switch_in(&mut self, event: &SwitchIn) {
        let behind = Occupant {
            tid: event.prev_tid,
            pid: event.prev_tgid,
            comm: self.comms.number(&event.prev_comm),
        };
        if let Some((thread, ..)) = self.known(event.header.tid, event.tgid) {
            thread.switch_in(event, behind);
        }
    }

    /// A thread was seen running.
    pub fn seen(&mut self, event: &Seen) {
        let at_ns = event.header.at_ns;
        if let Some((thread, tasks, _)) = self.known(event.header.tid, event.tgid) {
            let task = thread.task_in(Task::new(event.task));
            thread.seen_running(at_ns, event.header.cpu, None);
            if task == thread.task {
                thread.still_in_task(at_ns);
            } else {
                thread.seen_in(at_ns, task, None, tasks);
            }
        }
    }

    /// A thread that is not watched had a CPU for which a watched one waited.
    pub fn occupied(&mut self, event: &Occupied) {
        self.occupancy.add(event, self.comms.number(&event.comm));
    }

    /// Who had a CPU between two times, as far as a watched thread waited for it; the last first.
    pub fn occupants(&self, cpu: u16, from_ns: u64, to_ns: u64) -> impl Iterator<Item = Occupation> + '_ {
        self.occupancy.between(cpu, from_ns, to_ns)
    }

    /// What a thread that left its CPU waits in. A condition variable counts, and sometimes stands at the value
    /// that a contended mutex has; a futex on which anybody waited at another value is no mutex.
    fn wait(&mut self, event: &SwitchOut) -> Wait {
        let wait = Wait::of(event.syscall, &event.args, event.state);
        let futex = (event.tgid, event.args[0]);
        match wait {
            Wait::Mutex if self.no_mutexes.contains(&futex) => Wait::Park {
                timeout: event.args[3] != 0,
            },
            // One that was preempted is not waiting: it may be in the call that wakes.
            Wait::Park { .. } if event.flags & flags::PREEMPTED == 0 => {
                if self.no_mutexes.len() == MAX_FUTEXES {
                    self.no_mutexes.clear();
                }
                self.no_mutexes.insert(futex);
                wait
            }
            _ => wait,
        }
    }

    /// A thread left its CPU.
    pub fn switch_out(&mut self, event: &SwitchOut) {
        if event.state & DEAD != 0 {
            // Its end was told of just before: nothing more comes of it.
            self.ended(event.header.tid, event.header.at_ns);
            return;
        }
        let wait = self.wait(event);
        if let Some((thread, tasks, availability)) = self.known(event.header.tid, event.tgid) {
            thread.switch_out(event, wait, tasks);
            count_free(thread, availability, event.header.at_ns);
        }
    }

    /// A thread was woken. Returns the request for which it will run, if its waker ran for one and handed it on.
    pub fn woken(&mut self, event: &Waking) -> Option<RequestId> {
        let waker_owner = match self.threads.get_mut(&event.waker_tid) {
            Some(waker) if waker.pid == event.waker_tgid => {
                let (at_ns, task) = (event.header.at_ns, waker.task_in(Task::new(event.waker_task)));
                waker.seen_running(at_ns, event.header.cpu, None);
                // What ended just before the task did is still its doing.
                let before = if waker.owner_sent {
                    Owner::Others
                } else {
                    waker.owner
                };
                waker.seen_in(at_ns, task, None, &mut self.tasks);
                if task.id().is_some() { waker.owner } else { before }
            }
            _ => Owner::Nobody,
        };
        let by = Occupant {
            tid: event.waker_tid,
            pid: event.waker_tgid,
            comm: self.comms.number(&event.waker_comm),
        };
        if event.conn == conn::LISTENER {
            self.acceptors.woken(event.tgid, event.header.tid);
        }
        let (thread, ..) = self.known(event.header.tid, event.tgid)?;
        let handed_off = thread.woken(event, by, waker_owner);
        let woken_for = match thread.owner {
            Owner::WokenFor(id) => Some(id),
            _ => None,
        };
        if handed_off
            && let Some(waker) = self.threads.get_mut(&event.waker_tid)
            && waker.pid == event.waker_tgid
        {
            waker.handed_off(event.header.at_ns);
        }
        woken_for
    }

    /// A thread finished a socket operation on `cpu`.
    pub fn operated(&mut self, tid: u32, pid: u32, cpu: u16, operation: &Operation) {
        let Some((thread, tasks, availability)) = self.known(tid, pid) else {
            return;
        };
        if let Some(request) = operation.request.filter(|_| !operation.outbound) {
            let answered = operation.direction == Direction::Out && !operation.stalled;
            tasks.took(pid, Task::new(operation.task), request, answered);
        }
        thread.seen_running(operation.at_ns, cpu, Some(operation.faults));
        thread.operated(operation);
        if !operation.outbound {
            thread.role.ran(Task::new(operation.task));
        }
        count_free(thread, availability, operation.at_ns);
        if operation.direction == Direction::In && !operation.outbound && operation.arrived_ns > 0 {
            let availability = availability.entry(pid).or_default();
            availability.waited(operation.arrived_ns, operation.at_ns);
        }
    }

    /// What workers and threads of blocking pools did until `now_ns`, since this was asked last, each with its id.
    pub fn take_usage(&mut self, now_ns: u64) -> Vec<(u32, Usage)> {
        let is_told = |thread: &Thread| thread.serves || thread.is_of_pool();
        let workers = self.threads.iter_mut().filter(|(_, thread)| is_told(thread));
        let mut used: Vec<_> = workers
            .map(|(&tid, thread)| (tid, thread.take_usage(now_ns)))
            .collect();
        used.sort_unstable_by_key(|&(tid, _)| tid);
        used
    }

    /// A thread's name.
    pub fn named(&mut self, tid: u32, pid: u32, comm: &str) {
        if let Some((thread, ..)) = self.known(tid, pid) {
            thread.comm = Some(comm.into());
        }
    }

    /// A thread ended.
    pub fn ended(&mut self, tid: u32, at_ns: u64) {
        let Some(thread) = self.threads.remove(&tid) else {
            return;
        };
        self.acceptors.ended(thread.pid, tid);
        if let Some(availability) = self.availability.get_mut(&thread.pid) {
            availability.change(at_ns, thread.counted_free, None);
            if availability.is_empty() {
                self.availability.remove(&thread.pid);
            }
        }
    }

    /// A process became another program, or ended.
    pub fn process_ended(&mut self, pid: u32) {
        self.tasks.forget_process(pid);
        self.forget_roles(pid);
    }

    /// Events up to `to_ns` were lost: what threads did since they were last seen is not known.
    pub fn lost(&mut self, to_ns: u64) {
        self.lost_until_ns = self.lost_until_ns.max(to_ns);
        for thread in self.threads.values_mut() {
            thread.lost_until_ns = self.lost_until_ns;
            thread.owner = Owner::Nobody;
            thread.task = Task::UNKNOWN;
            thread.polled = Task::UNKNOWN;
            thread.state = NOTHING;
            thread.role.lost();
        }
    }
}

/// Keeps count of the workers that are free.
fn count_free(thread: &mut Thread, availability: &mut Availabilities, at_ns: u64) {
    let free = thread.free();
    if free != thread.counted_free {
        let availability = availability.entry(thread.pid).or_default();
        availability.change(at_ns, thread.counted_free, free);
        thread.counted_free = free;
    }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable;
    use observer_common::Header;

    use super::*;

    const PID: u32 = 40;
    const HOLDER: u32 = 41;
    const SERVED: RequestId = RequestId { conn: 5, nth: 1 };

    fn header(tid: u32, at_ns: u64) -> Header {
        Header {
            at_ns,
            tid,
            ..Header::zeroed()
        }
    }

    fn sleeps(at_ns: u64) -> SwitchOut {
        SwitchOut {
            header: header(HOLDER, at_ns),
            tgid: PID,
            state: 1,
            syscall: libc::SYS_clock_nanosleep as i32,
            ..SwitchOut::zeroed()
        }
    }

    fn wakes_another(at_ns: u64) -> Waking {
        Waking {
            header: header(HOLDER + 1, at_ns),
            tgid: PID,
            waker_tid: HOLDER,
            waker_tgid: PID,
            ..Waking::zeroed()
        }
    }

    /// A thread that read a request at 100 ns and sleeps since 200 ns; that it runs again is not recorded.
    fn asleep_for_a_request() -> Threads {
        let mut threads = Threads::default();
        let receive = Operation {
            at_ns: 100,
            direction: Direction::In,
            conn: SERVED.conn,
            arrived_ns: 50,
            request: Some(SERVED),
            outbound: false,
            stalled: false,
            faults: (0, 0),
            task: observer_common::task::UNKNOWN,
        };
        threads.operated(HOLDER, PID, 0, &receive);
        threads.switch_out(&sleeps(200));
        threads
    }

    fn before(threads: &Threads, at_ns: u64) -> (State, Owner) {
        let holder = threads.get(HOLDER).unwrap();
        (holder.before(at_ns).unwrap().state, holder.owner_before(at_ns).0)
    }

    #[test]
    fn a_thread_that_runs_unseen_runs_for_the_same_request_and_what_it_did_is_not_known() {
        let mut threads = asleep_for_a_request();
        threads.switch_out(&sleeps(300));
        let owner = Owner::Request(SERVED);
        assert_eq!(before(&threads, 250), (State::Unknown { owner }, owner));
    }

    #[test]
    fn a_thread_that_wakes_another_runs_though_its_switch_was_not_seen() {
        let mut threads = asleep_for_a_request();
        threads.woken(&wakes_another(300));
        threads.switch_out(&sleeps(400));
        let owner = Owner::Request(SERVED);
        let running = State::Running {
            cpu: 0,
            owner,
            began: Began::Plain,
        };
        assert_eq!(before(&threads, 250), (State::Unknown { owner }, owner));
        assert_eq!(before(&threads, 350), (running, owner));
    }

    #[test]
    fn after_a_loss_nobody_knows_for_whom_a_thread_runs() {
        let mut threads = asleep_for_a_request();
        threads.lost(250);
        threads.switch_out(&sleeps(300));
        assert_eq!(before(&threads, 275).1, Owner::Nobody);
    }

    /// Each of so many threads in turn gets a CPU and sleeps, until there were so many switches. Gives when.
    fn take_turns(threads: &mut Threads, count: u32, switches: u32) -> u64 {
        let mut at_ns = 100;
        for switch in 0..switches {
            let tid = HOLDER + switch % count;
            at_ns += 10;
            threads.switch_in(&SwitchIn {
                header: header(tid, at_ns),
                tgid: PID,
                ..SwitchIn::zeroed()
            });
            at_ns += 10;
            threads.switch_out(&SwitchOut {
                header: header(tid, at_ns),
                ..sleeps(at_ns)
            });
        }
        at_ns
    }

    fn slices(threads: &Threads) -> usize {
        threads.threads.values().map(|thread| thread.ends().count()).sum()
    }

    #[test]
    fn many_threads_together_are_remembered_for_as_long_as_each_other_and_no_more_than_a_few() {
        let (mut threads, count) = (Threads::default(), 1_000);
        let switches = 2 * MAX_SLICES_TOGETHER as u32;
        let now_ns = take_turns(&mut threads, count, switches);
        let kept = slices(&threads);
        assert!(
            (MAX_SLICES_TOGETHER / 2..=MAX_SLICES_TOGETHER).contains(&kept),
            "{kept}"
        );
        // Half of the slices that there may be: each thread knows of itself for that long.
        let back_ns = 20 * MAX_SLICES_TOGETHER as u64 / 4;
        for tid in HOLDER..HOLDER + count {
            assert!(
                threads.get(tid).unwrap().before(now_ns - back_ns).is_some(),
                "{tid}"
            );
        }
    }

    #[test]
    fn a_few_threads_are_remembered_as_well_as_one() {
        let mut threads = Threads::default();
        take_turns(&mut threads, 2, 3 * MAX_SLICES_TOGETHER as u32 / 2);
        assert_eq!(slices(&threads), 2 * MAX_SLICES);
    }
}
