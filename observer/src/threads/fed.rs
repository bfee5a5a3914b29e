//! Pools of a program's own that event loops feed: a loop reads a request, and a thread that reads none answers it. A
//! thread that waits for connections, and reads a request on each, is such a loop, too.
//! Told by what threads do, where no runtime's tasks are known.

mod queues;
mod turns;

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use self::queues::Queues;
use self::turns::{Turn, Turns};
use super::Threads;
use super::state::{Block, Slice, State};
use super::thread::Thread;
use crate::model::full::{Full, Table};
use crate::model::id::{Pid, Tid};
use crate::newest::Newest;
use crate::syscall::{self, Wait};

/// Threads of pools that are remembered of a process. Of more it is not told whether one was free.
const MAX_MEMBERS: usize = 256;

/// Event loops that are remembered of a process.
pub(super) const MAX_LOOPS: usize = 64;

/// Times at which a loop was awake for something else than to read requests that are remembered, the newest.
const MAX_OTHERWISE: usize = 1024;

/// So many answers by threads that read nothing are needed before they are believed to be of a pool.
const ENOUGH: u32 = 16;

/// A thread that had nothing to do for less than this was about to be given something, ns.
pub const FREE_NS: u64 = 1_000_000;

/// What is known of the pools of all processes.
#[derive(Debug, Default)]
pub(super) struct Fed(FxHashMap<Pid, Pools>);

/// The loops and pools of one process.
#[derive(Debug, Default)]
struct Pools {
    loops: BTreeMap<Tid, Loop>,
    /// Threads that answered what a loop had read, and since when each can be at what it does now, ns: when it last
    /// began to answer, or had nothing to do.
    members: BTreeMap<Tid, u64>,
    /// There were more of them than are remembered.
    has_more: bool,
    /// So many times.
    answers: u32,
    /// Threads do now one thing and now another: there is no pool.
    mixes: bool,
    /// When a loop last began a thread, ns.
    grown_ns: u64,
    waits: Waits,
    queues: Queues,
    turns: Turns,
}

/// When an event loop was awake, and what for.
#[derive(Debug, Default)]
struct Loop {
    /// It is awake, and has read no request since it was woken.
    is_unread: bool,
    /// When it went to wait again without having read one, ns.
    otherwise_ns: Newest<u64, MAX_OTHERWISE>,
}

/// How threads of pools were seen to wait until a loop gave them something.
#[derive(Clone, Copy, Debug, Default)]
struct Waits {
    for_ever: bool,
    for_a_time: bool,
}

impl Loop {
    fn waits(&mut self, at_ns: u64) {
        if std::mem::take(&mut self.is_unread) {
            self.otherwise_ns.push(at_ns);
        }
    }
}

impl Pools {
    /// Of threads that do now one thing and now another.
    fn mixed() -> Self {
        Self {
            mixes: true,
            ..Self::default()
        }
    }

    /// A thread did what a loop had it do, and began to answer then. Gives since when it can have begun with it, ns.
    fn works(&mut self, tid: Tid, at_ns: u64, full: &Full) -> Option<u64> {
        self.answers = self.answers.saturating_add(1);
        let is_new = !self.members.contains_key(&tid);
        if is_new && self.members.len() == MAX_MEMBERS {
            self.has_more = true;
            full.count(Table::PoolThreads, 1);
            return None;
        }
        let free_ns = self.members.entry(tid).or_default();
        let before_ns = *free_ns;
        *free_ns = before_ns.max(at_ns);
        (!is_new).then_some(before_ns)
    }

    /// The threads that may be of the pool of this one.
    fn of_pool(&self, tid: Tid) -> Vec<Tid> {
        self.queues.of_pool(tid, self.members.keys().copied())
    }

    fn is_loop(&self, tid: Tid) -> bool {
        self.loops.contains_key(&tid)
    }

    /// Whether a thread of a pool that waited for so long waits for something to do, or may do so.
    fn is_free(&self, waited_ns: u64, block: &Block) -> bool {
        match block.wait {
            Wait::Park { .. } if waited_ns < FREE_NS => false,
            Wait::Park { timeout: false } => true,
            Wait::Park { timeout: true } => match block.wake {
                Some(_) => self.is_given(block),
                None => !self.waits.for_ever || self.waits.for_a_time,
            },
            _ => false,
        }
    }

    /// Whether a loop ended the wait of a thread.
    fn is_given(&self, block: &Block) -> bool {
        block.handed_off_by().is_some_and(|by| self.is_loop(by.tid))
    }
}

impl Fed {
    /// Thread `tid` waits for its events with `epoll`, or for connections. False where there are as many already.
    pub(super) fn waits(&mut self, pid: Pid, tid: Tid, at_ns: u64, most: usize) -> bool {
        let pools = self.0.entry(pid).or_default();
        if let Some(own) = pools.loops.get_mut(&tid) {
            own.waits(at_ns);
        } else if pools.members.contains_key(&tid) {
            *pools = Pools::mixed();
        } else if !pools.mixes && pools.loops.len() < most {
            pools.loops.insert(tid, Loop::default());
        } else {
            return pools.mixes;
        }
        true
    }

    /// A thread was woken that had waited for so long.
    pub(super) fn woken(
        &mut self,
        pid: Pid,
        tid: Tid,
        (waited_ns, block): (u64, &Block),
        at_ns: u64,
        full: &Full,
    ) {
        let Some(pools) = self.0.get_mut(&pid) else {
            return;
        };
        if syscall::waits_for_events(block.syscall) || block.wait == Wait::Accept {
            if let Some(own) = pools.loops.get_mut(&tid) {
                own.is_unread = true;
            }
        } else if let Wait::Park { timeout } = block.wait
            && waited_ns >= FREE_NS
            && pools.is_given(block)
            && let Some(free_ns) = pools.members.get_mut(&tid)
        {
            *free_ns = at_ns;
            pools.waits.for_ever |= !timeout;
            pools.waits.for_a_time |= timeout;
            pools.queues.waited(tid, block.arg0, full);
        }
    }

    /// Thread `tid` read a request.
    pub(super) fn reads(&mut self, pid: Pid, tid: Tid) {
        if let Some(pools) = self.0.get_mut(&pid) {
            if let Some(own) = pools.loops.get_mut(&tid) {
                own.is_unread = false;
            } else if pools.members.contains_key(&tid) {
                *pools = Pools::mixed();
            }
        }
    }

    /// Thread `tid` began at `at_ns` to answer a request that another thread had read, by `read_by` and then.
    pub(super) fn answers(&mut self, pid: Pid, tid: Tid, read_by: (Tid, u64), at_ns: u64, full: &Full) {
        let (reader, read_ns) = read_by;
        let Some(pools) = self.0.get_mut(&pid).filter(|pools| pools.is_loop(reader)) else {
            return;
        };
        if pools.is_loop(tid) {
            return;
        }
        if let Some(free_ns) = pools.works(tid, at_ns, full) {
            let begun_ns = free_ns.max(read_ns);
            pools.turns.push(Turn {
                tid,
                read_ns,
                begun_ns,
            });
        }
    }

    /// Thread `tid` did a job, and handed it back to loop `to`, which answered.
    pub(super) fn hands_back(&mut self, pid: Pid, tid: Tid, to: Tid, at_ns: u64, full: &Full) {
        let Some(pools) = self.0.get_mut(&pid).filter(|pools| !pools.mixes) else {
            return;
        };
        pools.works(tid, at_ns, full);
        if let Some(own) = pools.loops.get_mut(&to) {
            // Whom it was awake for is known.
            own.is_unread = false;
        }
    }

    /// Thread `tid` and those that are told to be of its pool.
    pub(super) fn sharing_with(&self, pid: Pid, tid: Tid) -> Vec<Tid> {
        self.0
            .get(&pid)
            .map_or_else(Vec::new, |pools| pools.queues.sharing_with(tid))
    }

    /// Thread `by` of the process began another.
    pub(super) fn begins(&mut self, pid: Pid, by: Tid, at_ns: u64) {
        if let Some(pools) = self.0.get_mut(&pid).filter(|pools| pools.is_loop(by)) {
            pools.grown_ns = pools.grown_ns.max(at_ns);
        }
    }

    /// A thread ended.
    pub(super) fn ended(&mut self, pid: Pid, tid: Tid) {
        if let Some(pools) = self.0.get_mut(&pid) {
            pools.members.remove(&tid);
            pools.queues.ended(tid);
            pools.loops.remove(&tid);
        }
    }

    /// The process has a runtime that switches threads between requests.
    pub(super) fn switches(&mut self, pid: Pid) {
        self.0.insert(pid, Pools::mixed());
    }

    /// The process became another program, or ended.
    pub(super) fn forget(&mut self, pid: Pid) {
        self.0.remove(&pid);
    }
}

impl Threads {
    /// Whether a thread is of a pool that event loops of process `pid` feed.
    #[must_use]
    pub fn is_fed(&self, pid: Pid, tid: Tid) -> bool {
        let pools = self.fed.0.get(&pid);
        pools.is_some_and(|pools| pools.answers >= ENOUGH && pools.members.contains_key(&tid))
    }

    /// Since when, between two times, event loop `tid` was awake for nothing but to read requests: before that, a
    /// request that it had read may have waited for something else.
    #[must_use]
    pub fn only_read_since(&self, pid: Pid, tid: Tid, from_ns: u64, to_ns: u64) -> u64 {
        let own = self.fed.0.get(&pid).and_then(|pools| pools.loops.get(&tid));
        own.map_or(to_ns, |own| {
            let before = own.otherwise_ns.partition_point(|&at_ns| at_ns < to_ns);
            match before.checked_sub(1) {
                Some(last) => own.otherwise_ns[last].max(from_ns),
                // What was before is forgotten.
                None if own.otherwise_ns.is_full() => {
                    self.full.count(Table::PoolThreads, 1);
                    to_ns
                }
                None => from_ns,
            }
        })
    }

    /// Whether of the pool of thread `tid`, which event loops of process `pid` feed, no thread was free between two
    /// times, as far as all of them are known. Where nothing tells which pool they are of, all can be of this one.
    #[must_use]
    pub fn none_is_free(&self, pid: Pid, tid: Tid, from_ns: u64, to_ns: u64) -> bool {
        let Some(pools) = self.fed.0.get(&pid) else {
            return false;
        };
        let had_something_to_do = |&tid: &Tid| {
            let thread = self.get(tid);
            thread.is_some_and(|thread| is_busy(pools, thread, from_ns, to_ns))
        };
        let has_grown = pools.grown_ns >= from_ns;
        !has_grown
            && !pools.has_more
            && !pools.members.is_empty()
            && pools.of_pool(tid).iter().all(had_something_to_do)
    }

    /// Whether a thread of a pool may have had nothing to do in a wait, or was about to be given something.
    #[must_use]
    pub fn may_be_free(&self, pid: Pid, slice: &Slice, block: &Block) -> bool {
        let pools = self.fed.0.get(&pid);
        pools.is_none_or(|pools| pools.is_free(slice.duration_ns(), block))
    }

    /// Whether the pool of thread `tid` takes up what loops of process `pid` have read in that order.
    #[must_use]
    pub fn takes_in_order(&self, pid: Pid, tid: Tid) -> bool {
        let pools = self.fed.0.get(&pid);
        pools.is_some_and(|pools| pools.turns.are_in_order(&pools.of_pool(tid)))
    }
}

/// Whether a thread of a pool had something to do all the time between two times.
fn is_busy(pools: &Pools, thread: &Thread, from_ns: u64, to_ns: u64) -> bool {
    let mut reached_ns = to_ns;
    for slice in thread.back_from(to_ns) {
        let may_be_free = match slice.state {
            State::Unknown { .. } => true,
            State::Blocked(block) => pools.is_free(slice.duration_ns(), &block),
            State::Running { .. } | State::Runnable { .. } => false,
        };
        if may_be_free {
            return false;
        }
        reached_ns = slice.from_ns;
        if reached_ns <= from_ns {
            break;
        }
    }
    reached_ns <= from_ns
}

impl Thread {
    /// Whether it waits for its events with `epoll`.
    #[must_use]
    pub fn is_event_loop(&self) -> bool {
        self.event_loop.is_some()
    }

    /// Whether it waits for events with `epoll`, in no runtime whose tasks are known.
    pub(super) fn waits_for_events(&self) -> bool {
        match self.facts.state {
            State::Blocked(block) => syscall::waits_for_events(block.syscall) && !self.belief.task.is_known(),
            _ => false,
        }
    }

    /// Whether it waits for connections, in no runtime whose tasks are known.
    pub(super) fn waits_for_connections(&self) -> bool {
        let waits = matches!(self.facts.state, State::Blocked(block) if block.wait == Wait::Accept);
        waits && !self.belief.task.is_known()
    }

    /// The wait that it has now, and for how long it does, ns.
    pub(super) fn waiting(&self, at_ns: u64) -> Option<(u64, Block)> {
        match self.facts.state {
            State::Blocked(block) => Some((at_ns.saturating_sub(self.facts.since_ns), block)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
