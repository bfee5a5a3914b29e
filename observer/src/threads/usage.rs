//! What a worker did over an interval of time, and what kept it longest.

use super::state::{Block, Owner, Slice, State};
use super::thread::Thread;
use crate::model::id::{RequestId, Task};
use crate::model::report::Role;
use crate::runtime::tokio::JobCounts;
use crate::syscall::{self, Wait};

/// What a worker did since it was asked last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// It ran, ns.
    pub ran_ns: u64,
    /// It could have run, ns.
    pub runnable_ns: u64,
    /// It was blocked in a call, ns.
    pub blocked_ns: u64,
    /// It had nothing to do, ns.
    pub parked_ns: u64,
    /// How often it was seen to turn to a task; a poll in which nothing was recorded is not seen.
    pub turns: u64,
    /// What kept it longest.
    pub longest: Option<Longest>,
    /// Its jobs, if it is a thread of the blocking pool.
    pub jobs: Option<JobCounts>,
}

/// What kept a worker from other tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Longest {
    /// How long: it ran, or it was blocked, ns.
    pub dur_ns: u64,
    /// The task that did it.
    pub task: Task,
    /// For whom.
    pub owner: Owner,
    /// The system call that it was blocked in.
    pub syscall: Option<i32>,
}

/// What the time of a thread went on, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Times {
    /// It ran, ns.
    pub(super) ran_ns: u64,
    /// It had something to do, whatever it is to its program, ns.
    work_ns: u64,
    /// It had if it is one of a pool, ns.
    work_of_pool_ns: u64,
    /// All of it, ns.
    pub(super) known_ns: u64,
}

/// Whether a thread has something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AtWork {
    No,
    /// If it is one of a pool: such a thread is given what it does, and does not wait here for more.
    IfOfPool,
    Yes,
}

impl AtWork {
    /// Whether one has that is this to its program.
    fn holds(self, role: Option<Role>) -> bool {
        match self {
            Self::No => false,
            Self::IfOfPool => role == Some(Role::Pool),
            Self::Yes => true,
        }
    }
}

impl From<bool> for AtWork {
    fn from(is_at_work: bool) -> Self {
        if is_at_work { Self::Yes } else { Self::No }
    }
}

impl Times {
    /// It had something to do, as a thread that is this to its program, ns.
    pub(super) fn work_ns(&self, role: Role) -> u64 {
        match role {
            Role::Pool => self.work_ns.saturating_add(self.work_of_pool_ns),
            _ => self.work_ns,
        }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            ran_ns: self.ran_ns.saturating_add(other.ran_ns),
            work_ns: self.work_ns.saturating_add(other.work_ns),
            work_of_pool_ns: self.work_of_pool_ns.saturating_add(other.work_of_pool_ns),
            known_ns: self.known_ns.saturating_add(other.known_ns),
        }
    }

    /// Spent this much time so; whether it had something to do meanwhile.
    fn spend(&mut self, ns: u64, state: &State, at_work: AtWork) {
        let only = |spent: bool| if spent { ns } else { 0 };
        *self = self.plus(Self {
            ran_ns: only(matches!(state, State::Running { .. })),
            work_ns: only(at_work == AtWork::Yes),
            work_of_pool_ns: only(at_work == AtWork::IfOfPool),
            known_ns: only(!matches!(state, State::Unknown { .. })),
        });
    }
}

/// What a thread runs without a break that was seen.
#[derive(Clone, Copy, Debug)]
struct Run {
    task: Task,
    /// For which request, where no task is known.
    request: Option<RequestId>,
    /// For how long it did, ns.
    ns: u64,
}

/// What is metered of a thread.
#[derive(Debug, Default)]
pub(super) struct Metering {
    usage: Usage,
    /// In this window, and before.
    pub(super) window: Times,
    pub(super) before: Times,
    /// From here on it was not yet asked what it did, ns.
    from_ns: u64,
    /// What it runs now.
    run: Option<Run>,
    /// It had nothing to do, and did nothing since that was recorded.
    pub(super) free: bool,
    /// It has read a request, and not begun to answer since.
    pub(super) has_read: bool,
    /// It went to wait so, where threads keep what they have read until they have answered it.
    pub(super) keeps_request: bool,
    /// Whether it was free when that was counted.
    pub(super) counted_free: Option<bool>,
}

impl Metering {
    /// The thread did this; whether it had something to do meanwhile, and what it is to its program.
    pub(super) fn add(&mut self, slice: &Slice, at_work: AtWork, role: Option<Role>) {
        let task = slice.task;
        let ns = slice.to_ns.saturating_sub(slice.from_ns.max(self.from_ns));
        // Of threads whose runtime tells what they do, nothing asks.
        if !task.is_known() {
            self.window.spend(ns, &slice.state, at_work);
        }
        match slice.state {
            State::Running { owner, .. } => {
                self.usage.ran_ns = self.usage.ran_ns.saturating_add(ns);
                let is_task = task.id().is_some();
                let request = owner.request().filter(|_| !task.is_known());
                if !is_task && request.is_none() {
                    self.end_run();
                    return;
                }
                let goes_on = |run: &Run| (run.task, run.request) == (task, request);
                let before = self.run.filter(goes_on);
                self.usage.turns += u64::from(is_task && before.is_none());
                let ns = before.map_or(0, |run| run.ns).saturating_add(ns);
                self.run = Some(Run { task, request, ns });
                self.consider(ns, task, owner, None);
            }
            State::Runnable { .. } => self.usage.runnable_ns = self.usage.runnable_ns.saturating_add(ns),
            // Of one that is stopped its call says nothing.
            State::Unknown { .. }
            | State::Blocked(Block {
                wait: Wait::Stopped, ..
            }) => self.end_run(),
            State::Blocked(block) if block.wait.is_idle() && !at_work.holds(role) => {
                self.usage.parked_ns = self.usage.parked_ns.saturating_add(ns);
                self.end_run();
            }
            State::Blocked(block) => {
                self.usage.blocked_ns = self.usage.blocked_ns.saturating_add(ns);
                self.run = self.run.map(|run| Run { ns: 0, ..run });
                self.consider(ns, task, block.owner, Some(block.syscall));
            }
        }
    }

    /// What it runs from now on is another run, though it may be of the same task.
    pub(super) fn end_run(&mut self) {
        self.run = None;
    }

    fn consider(&mut self, dur_ns: u64, task: Task, owner: Owner, syscall: Option<i32>) {
        if self.usage.longest.is_none_or(|longest| longest.dur_ns < dur_ns) {
            self.usage.longest = Some(Longest {
                dur_ns,
                task,
                owner,
                syscall,
            });
        }
    }

    /// What it did until `now_ns` was added.
    pub(super) fn added_until(&mut self, now_ns: u64) {
        self.from_ns = self.from_ns.max(now_ns);
    }

    /// What was done; begins anew.
    pub(super) fn take(&mut self) -> Usage {
        std::mem::take(&mut self.usage)
    }

    /// The window is over.
    pub(super) fn close_window(&mut self) {
        self.before = self.before.plus(std::mem::take(&mut self.window));
    }
}

impl Thread {
    /// Meters what it did until `now_ns`.
    pub(super) fn meter(&mut self, now_ns: u64) {
        if self.facts.is_known() {
            let open = self.facts.open(now_ns, self.belief.task);
            let at_work = self.at_work(&open.state);
            self.metering.add(&open, at_work, self.deeds.role);
        }
        self.metering.added_until(now_ns);
    }

    /// Meters what it did until `at_ns`, where it began to end: what it does from then on is nobody's work, and when it
    /// leaves its CPU for the last time is not seen where its process is over by then.
    pub(super) fn meter_for_the_last_time(&mut self, at_ns: u64) {
        self.meter(at_ns);
        self.metering.added_until(u64::MAX);
    }

    /// What it did until `now_ns`, since this was asked last.
    pub(super) fn take_usage(&mut self, now_ns: u64) -> Usage {
        self.meter(now_ns);
        let jobs = self.is_of_pool().then(|| self.in_runtime.take_jobs());
        Usage {
            jobs,
            ..self.metering.take()
        }
    }

    /// Whether it has something to do in this state. One that reads requests and has none in hand waits for the next in
    /// whatever call takes bytes in, and others where they were given something to do before.
    pub(super) fn at_work(&self, state: &State) -> AtWork {
        match state {
            State::Unknown { .. }
            | State::Blocked(Block {
                wait: Wait::Stopped, ..
            }) => AtWork::No,
            State::Running { .. } | State::Runnable { .. } => AtWork::Yes,
            // An event loop can wait so for few clients.
            State::Blocked(block) if block.wait.is_idle() && self.deeds.waits_for_few() => {
                if self.waits_for_work(block, self.metering.keeps_request) {
                    AtWork::No
                } else {
                    AtWork::IfOfPool
                }
            }
            State::Blocked(block) if block.wait.is_idle() => AtWork::No,
            // What looks like a mutex can be where it waits for work.
            State::Blocked(block) if block.wait == Wait::Mutex => block.owner.request().is_some().into(),
            // Nobody can give it anything there. For whom it sleeps is not known where others let go of an
            // interpreter's lock for it before.
            State::Blocked(block) if syscall::sleeps(block.syscall) => match block.owner.request() {
                Some(_) => AtWork::Yes,
                None => AtWork::IfOfPool,
            },
            State::Blocked(block) if syscall::receives(block.syscall) => {
                (!self.waits_for_work(block, matches!(block.owner, Owner::Request(_)))).into()
            }
            State::Blocked(block) if self.waits_for_the_next(block) => AtWork::No,
            State::Blocked(_) => AtWork::Yes,
        }
    }

    /// Whether it was woken for a request, and waits again where others gave it something to do.
    pub(super) fn waits_for_the_next(&self, block: &Block) -> bool {
        let was_given = matches!(
            (block.wait, block.owner),
            (Wait::Condition { timeout: false }, Owner::WokenFor(_))
        );
        was_given && self.deeds.is_given_work_at(block)
    }

    /// Whether it takes in its next request here, or is given something to do.
    fn waits_for_work(&self, block: &Block, has_request: bool) -> bool {
        self.serves && !has_request || self.deeds.waits_for_work_at(block.arg0)
    }
}

#[cfg(test)]
mod tests;
