//! What every watched thread did: running, runnable, or blocked in what and woken by whom; and, while it ran,
//! for which request, judged from the order of its socket operations.
//!
//! A thread's past is a row of slices without gap. How long it reaches back is bounded by [`MAX_SLICES`]; what
//! a request needs from before that is `unexplained`.

use std::collections::VecDeque;

use observer_common::{SwitchIn, SwitchOut, Waking, flags, limits::COMM_BYTES};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::syscall::{self, Wait};

/// Slices kept for each thread.
///
/// A saturated worker makes some 90,000 a second, so this is a tenth of a second then, and 1 MiB.
pub const MAX_SLICES: usize = 8192;

/// Threads kept at once. More than this many at a time are counted and not followed.
pub const MAX_THREADS: usize = 16_384;

/// Futexes that are remembered.
const MAX_FUTEXES: usize = 65_536;

/// `TASK_DEAD`: the thread leaves its CPU for the last time.
const DEAD: u32 = 0x80;

/// Identity of a request: its connection and its place on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId {
    /// Connection.
    pub conn: u64,
    /// Place on the connection, from 1.
    pub nth: u64,
}

/// For whom a thread ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Owner {
    /// Not known.
    #[default]
    Nobody,
    /// This request.
    Request(RequestId),
    /// Woken by a thread that ran for this request, and nothing says otherwise: a blocking pool's thread, or a
    /// worker that looks for work.
    WokenFor(RequestId),
    /// More than one request, and no event says where one ended.
    Mixed,
}

impl Owner {
    /// The request, if it is one.
    #[must_use]
    pub const fn request(self) -> Option<RequestId> {
        match self {
            Self::Request(id) | Self::WokenFor(id) => Some(id),
            Self::Nobody | Self::Mixed => None,
        }
    }
}

/// A thread that ran somewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occupant {
    /// Thread; 0 is the idle thread.
    pub tid: u32,
    /// Process.
    pub pid: u32,
    /// Name.
    pub comm: [u8; COMM_BYTES],
}

/// What ended a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wake {
    /// In whose context the wakeup ran.
    pub by: Occupant,
    /// System call that it was in.
    pub syscall: i32,
    /// Connection whose data became ready just before, see [`observer_common::conn`].
    pub conn: u64,
}

/// What a blocked thread was in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Kind of the wait.
    pub wait: Wait,
    /// System call, -1 for none.
    pub syscall: i32,
    /// First argument of the call: descriptor or futex address.
    pub arg0: u64,
    /// What ended it; `None` while it lasts or when that was not seen.
    pub wake: Option<Wake>,
    /// For whom the thread ran when it blocked.
    pub owner: Owner,
}

impl Block {
    /// The thread that ended the block by what it did, as opposed to one that was only interrupted by whoever
    /// did. It need not be a watched one.
    #[must_use]
    pub fn handed_off_by(&self) -> Option<Occupant> {
        let wake = self.wake?;
        let acts = if syscall::is_futex(self.syscall) {
            // Only a futex call or an exit wakes a futex; anything else was interrupted by the timeout.
            syscall::is_futex(wake.syscall) || syscall::exits(wake.syscall)
        } else {
            syscall::hands_off(wake.syscall) && wake.conn == observer_common::conn::NONE
        };
        acts.then_some(wake.by)
    }
}

/// What the socket operation at the start of a running slice found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Began {
    /// Nothing of interest, or there was none.
    #[default]
    Plain,
    /// Bytes, received on this connection.
    Received {
        /// Connection.
        conn: u64,
        /// Their arrival, ns; 0 when unknown.
        arrived_ns: u64,
    },
    /// No room in the send buffer of an accepted connection.
    Stalled,
}

/// What a thread did in a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing is known: before the first event, or across a loss.
    Unknown,
    /// It ran.
    Running {
        /// On this CPU.
        cpu: u16,
        /// For whom.
        owner: Owner,
        /// What the socket operation at its start found.
        began: Began,
    },
    /// It could have run.
    Runnable {
        /// On this CPU it ran next.
        cpu: u16,
        /// Who ran there last before it.
        behind: Occupant,
        /// For how long that thread had run there, ns; 0 when unknown.
        behind_ran_ns: u64,
        /// Who took the CPU from it, when it was preempted.
        preempted_by: Option<Occupant>,
    },
    /// It waited.
    Blocked(Block),
}

/// One stretch of a thread's past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Start, ns.
    pub from_ns: u64,
    /// End, ns.
    pub to_ns: u64,
    /// What it did.
    pub state: State,
    /// Minor and major faults meanwhile.
    pub faults: (u32, u32),
}

/// Whether an operation took bytes in or put them out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Receive.
    In,
    /// Send.
    Out,
}

/// A socket operation, as far as it says for whom a thread runs.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// When it ended, ns.
    pub at_ns: u64,
    /// Direction.
    pub direction: Direction,
    /// The connection, and the arrival of what was received.
    pub conn: u64,
    /// Arrival of the received bytes, ns; 0 when unknown.
    pub arrived_ns: u64,
    /// On an inbound connection: its request. On an outbound one: for whom it is used, where known.
    pub request: Option<RequestId>,
    /// The connection was opened by the process.
    pub outbound: bool,
    /// A send found no room.
    pub stalled: bool,
    /// Fault counters of the thread.
    pub faults: (u32, u32),
}

/// One thread.
#[derive(Debug)]
pub struct Thread {
    /// Its process.
    pub pid: u32,
    /// Its name, where known.
    pub comm: Option<std::rc::Rc<str>>,
    past: VecDeque<Slice>,
    /// Start and state of the slice that is not over.
    since_ns: u64,
    state: State,
    owner: Owner,
    /// The owner's last operation was a send: what follows may already be another's.
    owner_sent: bool,
    faults: Option<(u32, u32)>,
    /// A wakeup that came while it was still on its way to sleep: the waker does not wait for the switch.
    early_wake: Option<Wake>,
    /// Up to here events may be missing: what began before that is not known to have gone on, ns.
    lost_until_ns: u64,
}

impl Thread {
    fn new(pid: u32) -> Self {
        Self {
            pid,
            comm: None,
            past: VecDeque::new(),
            since_ns: 0,
            state: State::Unknown,
            owner: Owner::Nobody,
            owner_sent: false,
            faults: None,
            early_wake: None,
            lost_until_ns: 0,
        }
    }

    fn close(&mut self, at_ns: u64, state: State, next: State, faults: Option<(u32, u32)>) {
        let delta = match (self.faults, faults) {
            (Some(before), Some(after)) => (after.0.wrapping_sub(before.0), after.1.wrapping_sub(before.1)),
            _ => (0, 0),
        };
        if faults.is_some() {
            self.faults = faults;
        }
        let state = if self.since_ns < self.lost_until_ns {
            State::Unknown
        } else {
            state
        };
        // Two CPUs' clocks can differ by nanoseconds: time never runs backwards in a thread's past.
        let at_ns = at_ns.max(self.since_ns);
        if at_ns > self.since_ns && self.since_ns > 0 {
            if self.past.len() == MAX_SLICES {
                self.past.pop_front();
            }
            self.past.push_back(Slice {
                from_ns: self.since_ns,
                to_ns: at_ns,
                state,
                faults: delta,
            });
        }
        self.since_ns = at_ns;
        self.state = next;
    }

    fn switch_in(&mut self, event: &SwitchIn) {
        let at_ns = event.header.at_ns;
        if let (State::Blocked(block), Some(wake)) = (self.state, self.early_wake.take()) {
            // Nothing else ended the block, so this did, as soon as it had begun.
            let block = Block {
                wake: Some(wake),
                ..block
            };
            self.end_block(self.since_ns.saturating_add(1), block, event.header.cpu);
        }
        let behind = Occupant {
            tid: event.prev_tid,
            pid: event.prev_tgid,
            comm: event.prev_comm,
        };
        let closed = match self.state {
            State::Runnable { preempted_by, .. } => State::Runnable {
                cpu: event.header.cpu,
                behind,
                behind_ran_ns: event.prev_ran_ns,
                preempted_by,
            },
            // A wakeup was lost: how long it could have run is not known.
            State::Blocked(block) => State::Blocked(block),
            _ => State::Unknown,
        };
        let running = State::Running {
            cpu: event.header.cpu,
            owner: self.owner,
            began: Began::Plain,
        };
        self.close(at_ns, closed, running, None);
    }

    /// The thread left its CPU, to wait for `wait` unless it was preempted.
    fn switch_out(&mut self, event: &SwitchOut, wait: Wait) {
        let at_ns = event.header.at_ns;
        let faults = (event.min_flt, event.maj_flt);
        let next = if event.flags & flags::PREEMPTED != 0 {
            self.early_wake = None;
            State::Runnable {
                cpu: event.header.cpu,
                behind: Occupant::default(),
                behind_ran_ns: 0,
                preempted_by: Some(Occupant {
                    tid: event.next_tid,
                    pid: event.next_tgid,
                    comm: event.next_comm,
                }),
            }
        } else {
            State::Blocked(Block {
                wait,
                syscall: event.syscall,
                arg0: event.args[0],
                wake: None,
                owner: self.owner,
            })
        };
        let closed = match self.state {
            running @ State::Running { .. } => running,
            _ => State::Unknown,
        };
        self.close(at_ns, closed, next, Some(faults));
        if let State::Blocked(block) = next
            && block.wait.is_idle()
        {
            self.owner = Owner::Nobody;
            self.owner_sent = false;
        }
    }

    /// Takes a wakeup, by a thread that ran for `waker_owner`.
    fn woken(&mut self, event: &Waking, waker_owner: Owner) {
        let wake = Wake {
            by: Occupant {
                tid: event.waker_tid,
                pid: event.waker_tgid,
                comm: event.waker_comm,
            },
            syscall: event.waker_syscall,
            conn: event.conn,
        };
        let State::Blocked(block) = self.state else {
            self.early_wake = Some(wake);
            return;
        };
        self.early_wake = None;
        let block = Block {
            wake: Some(wake),
            ..block
        };
        if block.wait.is_idle()
            && block.handed_off_by().is_some()
            && let Some(id) = waker_owner.request()
        {
            self.owner = Owner::WokenFor(id);
        }
        self.end_block(event.header.at_ns, block, event.header.cpu);
    }

    fn end_block(&mut self, at_ns: u64, block: Block, cpu: u16) {
        let runnable = State::Runnable {
            cpu,
            behind: Occupant::default(),
            behind_ran_ns: 0,
            preempted_by: None,
        };
        self.close(at_ns, State::Blocked(block), runnable, None);
    }

    /// Splits the running slice at a socket operation, and judges for whom the part before it and the part
    /// after it ran.
    fn operated(&mut self, operation: &Operation) {
        let State::Running { cpu, began, .. } = self.state else {
            return;
        };
        let request = operation.request.map_or(Owner::Nobody, Owner::Request);
        let before = match (operation.direction, self.owner) {
            // The first operation since the thread was idle says for whom it ran until here.
            (_, Owner::Nobody | Owner::WokenFor(_)) => {
                self.claim_unowned(request);
                request
            }
            (Direction::Out, owner) if request != Owner::Nobody && owner != request => {
                // The turn of the former owner had ended; else it was put aside somewhere in between.
                if self.owner_sent { request } else { Owner::Mixed }
            }
            (_, owner) => owner,
        };
        let unused = operation.outbound && request == Owner::Nobody;
        let after = if unused && operation.direction == Direction::Out {
            before
        } else {
            request
        };
        self.owner = after;
        self.owner_sent = !operation.outbound && operation.direction == Direction::Out;
        let found = match operation.direction {
            Direction::In => Began::Received {
                conn: operation.conn,
                arrived_ns: operation.arrived_ns,
            },
            Direction::Out if operation.stalled && !operation.outbound => Began::Stalled,
            Direction::Out => Began::Plain,
        };
        let closed = State::Running {
            cpu,
            owner: before,
            began,
        };
        let next = State::Running {
            cpu,
            owner: after,
            began: found,
        };
        self.close(operation.at_ns, closed, next, Some(operation.faults));
    }

    /// Gives the running slices since the thread was last idle to `owner`.
    fn claim_unowned(&mut self, owner: Owner) {
        for slice in self.past.iter_mut().rev() {
            match &mut slice.state {
                State::Running {
                    owner: unowned @ (Owner::Nobody | Owner::WokenFor(_)),
                    ..
                } => *unowned = owner,
                State::Running { .. } | State::Unknown => return,
                State::Blocked(block) if block.wait.is_idle() => return,
                State::Blocked(block) => {
                    if matches!(block.owner, Owner::Nobody | Owner::WokenFor(_)) {
                        block.owner = owner;
                    }
                }
                State::Runnable { .. } => {}
            }
        }
    }

    /// The slices from `at_ns` back, as far as they follow each other without gap. The first is the one in
    /// which the thread was just before `at_ns`; a slice that is not over reaches to `at_ns`.
    pub fn back_from(&self, at_ns: u64) -> impl Iterator<Item = Slice> + '_ {
        let open = (at_ns > self.since_ns).then_some(Slice {
            from_ns: self.since_ns,
            to_ns: at_ns,
            state: if self.since_ns < self.lost_until_ns {
                State::Unknown
            } else {
                self.state
            },
            faults: (0, 0),
        });
        let end = if open.is_some() {
            self.past.len()
        } else {
            self.first_not_before(at_ns)
        };
        let mut reached_ns = if open.is_some() { self.since_ns } else { at_ns };
        let past = self.past.range(..end).rev().copied().take_while(move |slice| {
            let follows = slice.to_ns >= reached_ns;
            reached_ns = slice.from_ns;
            follows
        });
        open.into_iter().chain(past)
    }

    /// The slice in which the thread was just before `at_ns`. A slice that is not over reaches to `at_ns`.
    #[must_use]
    pub fn before(&self, at_ns: u64) -> Option<Slice> {
        self.back_from(at_ns).next()
    }

    /// The end of the last idle time that ended before `at_ns`, as far as it is known what ended it.
    #[must_use]
    pub fn last_idle(&self, at_ns: u64) -> Option<(u64, Block)> {
        self.back_from(at_ns)
            .take(MAX_SLICES)
            .find_map(|slice| match slice.state {
                State::Unknown => Some(None),
                State::Blocked(block) if block.wait.is_idle() => {
                    Some((slice.to_ns <= at_ns && block.wake.is_some()).then_some((slice.to_ns, block)))
                }
                _ => None,
            })?
    }

    /// Index of the first past slice that does not begin before `at_ns`.
    fn first_not_before(&self, at_ns: u64) -> usize {
        // What is asked for is mostly recent: a few steps back are quicker than halving.
        let recent = self
            .past
            .iter()
            .rev()
            .take(8)
            .position(|slice| slice.from_ns < at_ns);
        recent.map_or_else(
            || self.past.partition_point(|slice| slice.from_ns < at_ns),
            |steps| self.past.len() - steps,
        )
    }

    /// The end of the last slice, before `at_ns` and not before `since_ns`, in which the thread ran for
    /// `request`, and whether that slice began with a send that found no room. With `sure`, not those of which it
    /// is only known that the thread was woken for the request.
    #[must_use]
    pub fn last_ran_for(
        &self,
        request: RequestId,
        sure: bool,
        at_ns: u64,
        since_ns: u64,
    ) -> Option<(u64, bool)> {
        let index = self.first_not_before(at_ns);
        self.past
            .range(..index)
            .rev()
            .take_while(|slice| slice.to_ns > since_ns)
            .find_map(|slice| match slice.state {
                State::Running { owner, began, .. }
                    if owner == Owner::Request(request) || !sure && owner.request() == Some(request) =>
                {
                    Some((slice.to_ns.min(at_ns), began == Began::Stalled))
                }
                _ => None,
            })
    }
}

/// All watched threads.
#[derive(Debug, Default)]
pub struct Threads {
    threads: FxHashMap<u32, Thread>,
    /// Threads that were not followed because there were too many.
    pub refused: u64,
    lost_until_ns: u64,
    /// Futexes that are no mutex, by process and address.
    no_mutexes: FxHashSet<(u32, u64)>,
}

impl Threads {
    /// The thread with this id.
    #[must_use]
    pub fn get(&self, tid: u32) -> Option<&Thread> {
        self.threads.get(&tid)
    }

    /// The request for which this thread runs now, where known.
    #[must_use]
    pub fn owner(&self, tid: u32) -> Option<RequestId> {
        self.get(tid)?.owner.request()
    }

    fn known(&mut self, tid: u32, pid: u32) -> Option<&mut Thread> {
        if !self.threads.contains_key(&tid) && self.threads.len() >= MAX_THREADS {
            self.refused += 1;
            return None;
        }
        let thread = self.threads.entry(tid).or_insert_with(|| Thread::new(pid));
        thread.lost_until_ns = self.lost_until_ns;
        Some(thread)
    }

    /// A thread got a CPU.
    pub fn switch_in(&mut self, event: &SwitchIn) {
        if let Some(thread) = self.known(event.header.tid, event.tgid) {
            thread.switch_in(event);
        }
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
            self.ended(event.header.tid);
            return;
        }
        let wait = self.wait(event);
        if let Some(thread) = self.known(event.header.tid, event.tgid) {
            thread.switch_out(event, wait);
        }
    }

    /// A thread was woken. Returns the request for which it will run, if its waker ran for one and handed it on.
    pub fn woken(&mut self, event: &Waking) -> Option<RequestId> {
        let waker_owner = match self.get(event.waker_tid) {
            Some(waker) if waker.pid == event.waker_tgid => waker.owner,
            _ => Owner::Nobody,
        };
        let thread = self.known(event.header.tid, event.tgid)?;
        thread.woken(event, waker_owner);
        match thread.owner {
            Owner::WokenFor(id) => Some(id),
            _ => None,
        }
    }

    /// A thread finished a socket operation on `cpu`.
    pub fn operated(&mut self, tid: u32, pid: u32, cpu: u16, operation: &Operation) {
        let Some(thread) = self.known(tid, pid) else {
            return;
        };
        if !matches!(thread.state, State::Running { cpu: on, .. } if on == cpu) {
            // It runs, or it could not have called: its switch was before observing began, or lost.
            let running = State::Running {
                cpu,
                owner: Owner::Nobody,
                began: Began::Plain,
            };
            thread.close(operation.at_ns, State::Unknown, running, Some(operation.faults));
        }
        thread.operated(operation);
    }

    /// A thread started another of its process, which works for whom it ran, until it says otherwise. Returns
    /// the request, if that is one.
    pub fn started(&mut self, tid: u32, pid: u32, child_tid: u32, comm: &str) -> Option<RequestId> {
        let owner = self.get(tid)?.owner.request();
        let child = self.known(child_tid, pid)?;
        child.comm = Some(comm.into());
        child.owner = owner.map_or(Owner::Nobody, Owner::WokenFor);
        owner
    }

    /// A thread's name.
    pub fn named(&mut self, tid: u32, pid: u32, comm: &str) {
        if let Some(thread) = self.known(tid, pid) {
            thread.comm = Some(comm.into());
        }
    }

    /// A thread ended.
    pub fn ended(&mut self, tid: u32) {
        self.threads.remove(&tid);
    }

    /// Events up to `to_ns` were lost: what threads did since they were last seen is not known.
    pub fn lost(&mut self, to_ns: u64) {
        self.lost_until_ns = self.lost_until_ns.max(to_ns);
        for thread in self.threads.values_mut() {
            thread.owner = Owner::Nobody;
            thread.state = State::Unknown;
        }
    }
}
