//! One thread: the row of slices that is its past, the slice that is not over, and for whom it runs.

use observer_common::{SwitchIn, SwitchOut, Waking, flags};

use super::past::{Back, Crossed, Past};
use super::roles::Role;
use super::state::{Began, Block, Occupant, Owner, Slice, State, Wake};
use super::tasks::Tasks;
use super::usage::{Meter, Usage};
use crate::model::id::RequestId;
use crate::model::id::Task;
use crate::syscall::Wait;

/// What is known of a thread before its first event, and across a loss.
pub(super) const NOTHING: State = State::Unknown { owner: Owner::Nobody };

const ANY_WORK: Crossed = Crossed::Work { longest_ns: u64::MAX };

/// One thread.
#[derive(Debug)]
pub struct Thread {
    /// Its process.
    pub pid: u32,
    /// Its name, where known.
    pub comm: Option<std::sync::Arc<str>>,
    pub(super) past: Past,
    /// Start and state of the slice that is not over.
    pub(super) since_ns: u64,
    pub(super) state: State,
    pub(super) owner: Owner,
    /// Runtime task in which it was seen last.
    pub(super) task: Task,
    /// When it was last seen in that task without anything else being recorded, ns.
    pub(super) seen_ns: u64,
    /// Task whose poll it is in, where polls are recorded.
    pub(super) polled: Task,
    /// The task that a worker of tokio's multi-threaded runtime itself is: it is in it between those that it runs.
    pub(super) worker_task: Task,
    /// The owner's last operation was a send: what follows may already be another's.
    pub(super) owner_sent: bool,
    /// It received from clients: it is a worker, of whatever runtime.
    pub(super) serves: bool,
    /// Thread that began it, and when, ns.
    pub(super) begun_by: Option<(u32, u64)>,
    /// It had nothing to do, and did nothing since that was recorded.
    pub(super) free: bool,
    /// Whether it was free when that was counted.
    pub(super) counted_free: Option<bool>,
    pub(super) usage: Meter,
    pub(super) role: Role,
    /// From here on it was not yet asked what it did, ns.
    used_from_ns: u64,
    faults: Option<(u32, u32)>,
    /// What CPU quotas had kept waiting when it became runnable, ns.
    pub(super) throttled_ns: u64,
    /// A wakeup that came while it was still on its way to sleep: the waker does not wait for the switch.
    early_wake: Option<Wake>,
    /// Up to here events may be missing: what began before that is not known to have gone on, ns.
    pub(super) lost_until_ns: u64,
}

impl Thread {
    /// A thread of which nothing is known before `lost_until_ns`.
    pub(super) fn new(pid: u32, lost_until_ns: u64) -> Self {
        Self {
            pid,
            comm: None,
            past: Past::default(),
            since_ns: 0,
            state: NOTHING,
            owner: Owner::Nobody,
            task: Task::UNKNOWN,
            seen_ns: 0,
            polled: Task::UNKNOWN,
            worker_task: Task::UNKNOWN,
            owner_sent: false,
            serves: false,
            begun_by: None,
            free: false,
            counted_free: None,
            usage: Meter::default(),
            role: Role::default(),
            used_from_ns: 0,
            faults: None,
            throttled_ns: 0,
            early_wake: None,
            lost_until_ns,
        }
    }

    pub(super) fn close(&mut self, at_ns: u64, state: State, next: State, faults: Option<(u32, u32)>) {
        let delta = match (self.faults, faults) {
            (Some(before), Some(after)) => (after.0.wrapping_sub(before.0), after.1.wrapping_sub(before.1)),
            _ => (0, 0),
        };
        if faults.is_some() {
            self.faults = faults;
        }
        let (state, task) = if self.since_ns < self.lost_until_ns {
            (NOTHING, Task::UNKNOWN)
        } else {
            (state, self.task)
        };
        // Two CPUs' clocks can differ by nanoseconds: time never runs backwards in a thread's past.
        let at_ns = at_ns.max(self.since_ns);
        if at_ns > self.since_ns && self.since_ns > 0 {
            let used_ns = at_ns.saturating_sub(self.since_ns.max(self.used_from_ns));
            self.usage.add(&state, task, used_ns);
            self.past.push(&Slice {
                from_ns: self.since_ns,
                to_ns: at_ns,
                state,
                faults: delta,
                task,
            });
        }
        self.since_ns = at_ns;
        self.state = next;
    }

    /// What it did until `now_ns`, since this was asked last.
    pub(super) fn take_usage(&mut self, now_ns: u64) -> Usage {
        let used_ns = now_ns.saturating_sub(self.since_ns.max(self.used_from_ns));
        if self.since_ns >= self.lost_until_ns && self.since_ns > 0 {
            self.usage.add(&self.state, self.task, used_ns);
        }
        self.used_from_ns = self.used_from_ns.max(now_ns);
        Usage {
            jobs: self.is_of_pool().then(|| self.role.take_jobs()),
            ..self.usage.take()
        }
    }

    /// Whether it was seen to take up requests.
    #[must_use]
    pub fn is_worker(&self) -> bool {
        self.serves
    }

    /// Whether it is one of a runtime's blocking pool.
    #[must_use]
    pub fn is_of_pool(&self) -> bool {
        self.role.is_of_pool() && !self.serves
    }

    /// Whether it has nothing to do, if it is a worker.
    pub(super) fn free(&self) -> Option<bool> {
        self.serves.then_some(self.free)
    }

    /// When each slice of the past ended, ns.
    pub(super) fn ends(&self) -> impl Iterator<Item = u64> + '_ {
        self.past.ends()
    }

    /// Forgets the slices that had ended by `until_ns`, and gives their memory back.
    pub(super) fn forget(&mut self, until_ns: u64) {
        self.past.forget_until(until_ns);
    }

    /// The thread got a CPU on which `behind` had run.
    pub(super) fn switch_in(&mut self, event: &SwitchIn, behind: Occupant) {
        let at_ns = event.header.at_ns;
        if let (State::Blocked(block), Some(wake)) = (self.state, self.early_wake.take()) {
            // Nothing else ended the block, so this did, as soon as it had begun.
            let block = Block {
                wake: Some(wake),
                ..block
            };
            self.end_block(self.since_ns.saturating_add(1), block, event.header.cpu);
        }
        let closed = match self.state {
            State::Runnable { preempted, .. } => State::Runnable {
                cpu: event.header.cpu,
                behind,
                behind_ran_ns: event.prev_ran_ns,
                preempted,
                throttled_ns: event.throttled_ns.saturating_sub(self.throttled_ns),
            },
            // A wakeup was lost: how long it could have run is not known.
            State::Blocked(block) => State::Blocked(block),
            _ => State::Unknown { owner: self.owner },
        };
        // A send that found no room is still the last thing that it did for its owner if it was preempted since.
        let began = match closed {
            State::Runnable { preempted: true, .. } if self.past.ends_stalled() => Began::Stalled,
            _ => Began::Plain,
        };
        let running = State::Running {
            cpu: event.header.cpu,
            owner: self.owner,
            began,
        };
        self.close(at_ns, closed, running, None);
    }

    /// The thread left its CPU, to wait for `wait` unless it was preempted.
    pub(super) fn switch_out(&mut self, event: &SwitchOut, wait: Wait, tasks: &mut Tasks) {
        let at_ns = event.header.at_ns;
        let faults = (event.min_flt, event.maj_flt);
        let was_of_pool = self.is_of_pool();
        self.role.left(event, wait);
        if self.is_of_pool() && !was_of_pool {
            // What it did before is no part of what the pool did.
            self.take_usage(at_ns);
        }
        if event.flags & flags::PREEMPTED == 0 {
            self.learn_worker_task(Task::new(event.task), wait, tasks);
        }
        let task = self.task_in(Task::new(event.task));
        let wait = match wait {
            // A worker parks between tasks.
            Wait::Park { timeout } if task.id().is_some() => Wait::Condition { timeout },
            // One in a task keeps its worker waiting.
            Wait::Accept if task.id().is_some() => Wait::Call,
            _ => wait,
        };
        self.seen_in(at_ns, task, Some(faults), tasks);
        self.throttled_ns = event.throttled_ns;
        let next = if event.flags & flags::PREEMPTED != 0 {
            self.early_wake = None;
            State::Runnable {
                cpu: event.header.cpu,
                behind: Occupant::default(),
                behind_ran_ns: 0,
                preempted: true,
                throttled_ns: 0,
            }
        } else {
            State::Blocked(Block {
                wait,
                syscall: event.syscall,
                arg0: event.args[0] as u32,
                wake: None,
                owner: self.owner,
            })
        };
        let idle = matches!(next, State::Blocked(block) if block.wait.is_idle());
        let closed = match self.state {
            State::Running { cpu, began, .. } if idle && !task.is_known() => State::Running {
                cpu,
                owner: self.until_it_left(at_ns),
                began,
            },
            running @ State::Running { .. } => running,
            _ => State::Unknown { owner: self.owner },
        };
        self.close(at_ns, closed, next, Some(faults));
        if idle {
            self.owner = Owner::Nobody;
            self.owner_sent = false;
        }
        if matches!(next, State::Blocked(_)) {
            self.free = idle;
        }
    }

    /// Takes a wakeup by a thread that ran for `waker_owner`. Tells whether that thread did it on purpose.
    pub(super) fn woken(&mut self, event: &Waking, by: Occupant, waker_owner: Owner) -> bool {
        let wake = Wake {
            by,
            syscall: event.waker_syscall,
            conn: event.conn,
        };
        let State::Blocked(block) = self.state else {
            self.early_wake = Some(wake);
            return false;
        };
        self.early_wake = None;
        self.throttled_ns = event.throttled_ns;
        let block = Block {
            wake: Some(wake),
            ..block
        };
        let handed_off = block.handed_off_by().is_some();
        if block.wait.is_idle()
            && handed_off
            && let Some(id) = waker_owner.request()
        {
            self.owner = Owner::WokenFor(id);
        }
        self.end_block(event.header.at_ns, block, event.header.cpu);
        handed_off
    }

    /// It woke another thread by what it did. A thread that was woken for a request may be done with it now.
    pub(super) fn handed_off(&mut self, at_ns: u64) {
        let State::Running { owner: before, .. } = self.state else {
            return;
        };
        if let Owner::WokenFor(_) = self.owner {
            self.owner = Owner::Nobody;
        }
        self.split(at_ns, before, self.owner, Began::HandedOff, None);
    }

    /// It did something on `cpu`, so it runs there. Where its switch was not seen, it is not known since when;
    /// nor, then, how long it waited before.
    pub(super) fn seen_running(&mut self, at_ns: u64, cpu: u16, faults: Option<(u32, u32)>) {
        match self.state {
            State::Running { cpu: on, .. } if on == cpu => return,
            // It left the other CPU unseen, and may have been idle since.
            State::Running { .. } => {
                self.owner = Owner::Nobody;
                self.owner_sent = false;
            }
            _ => {}
        }
        self.early_wake = None;
        let unseen = State::Unknown { owner: self.owner };
        let running = State::Running {
            cpu,
            owner: self.owner,
            began: Began::Plain,
        };
        self.close(at_ns, unseen, running, faults);
    }

    fn end_block(&mut self, at_ns: u64, block: Block, cpu: u16) {
        let runnable = State::Runnable {
            cpu,
            behind: Occupant::default(),
            behind_ran_ns: 0,
            preempted: false,
            throttled_ns: 0,
        };
        self.close(at_ns, State::Blocked(block), runnable, None);
    }

    /// The slices from `at_ns` back, as far as they follow each other without gap. The first is the one in
    /// which the thread was just before `at_ns`; a slice that is not over reaches to `at_ns`.
    pub fn back_from(&self, at_ns: u64) -> Back<'_> {
        let open = (at_ns > self.since_ns).then_some(Slice {
            from_ns: self.since_ns,
            to_ns: at_ns,
            state: if self.since_ns < self.lost_until_ns {
                NOTHING
            } else {
                self.state
            },
            faults: (0, 0),
            task: self.task,
        });
        Back::new(&self.past, open, at_ns)
    }

    /// The slice in which the thread was just before `at_ns`. A slice that is not over reaches to `at_ns`.
    #[must_use]
    pub fn before(&self, at_ns: u64) -> Option<Slice> {
        self.back_from(at_ns).next()
    }

    /// For whom the thread ran, or last ran, just before `at_ns`, and in which task.
    #[must_use]
    pub fn owner_before(&self, at_ns: u64) -> (Owner, Task) {
        let known = self.back_from(at_ns).find_map(|slice| match slice.state {
            State::Running { owner, .. } | State::Unknown { owner } => Some((owner, slice.task)),
            State::Blocked(block) => Some((block.owner, slice.task)),
            State::Runnable { .. } => None,
        });
        known.unwrap_or_default()
    }

    /// The request for which the thread did most between two times, where known.
    #[must_use]
    pub fn did_most_for(&self, from_ns: u64, to_ns: u64) -> Option<RequestId> {
        let mut done: Vec<(RequestId, u64)> = Vec::new();
        for slice in self.back_from(to_ns).take_while(|slice| slice.to_ns > from_ns) {
            let (State::Running { owner, .. } | State::Blocked(Block { owner, .. })) = slice.state else {
                continue;
            };
            let Some(request) = owner.request() else { continue };
            let took_ns = slice.to_ns.min(to_ns).saturating_sub(slice.from_ns.max(from_ns));
            match done.iter_mut().find(|(of, _)| *of == request) {
                Some((_, ns)) => *ns += took_ns,
                None => done.push((request, took_ns)),
            }
        }
        let (request, _) = done.into_iter().max_by_key(|(_, ns)| *ns)?;
        Some(request)
    }

    /// The last idle time that ended before `at_ns`, as far as it is known what ended it.
    #[must_use]
    pub fn last_idle(&self, at_ns: u64) -> Option<(Slice, Block)> {
        let mut back = self.back_from(at_ns);
        loop {
            // In a stretch at work there is nothing idle.
            if back.stretch(0, ANY_WORK).is_some() {
                continue;
            }
            let slice = back.next()?;
            match slice.state {
                State::Unknown { .. } => return None,
                State::Blocked(block) if block.wait.is_idle() => {
                    return (slice.to_ns <= at_ns && block.wake.is_some()).then_some((slice, block));
                }
                _ => {}
            }
        }
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
        self.past
            .back_from(at_ns)
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
