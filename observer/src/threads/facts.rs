//! What is recorded of a thread: the slices that are its past, the one that is not over, and the counters with which
//! it came into that.

use super::back::Back;
use super::past::Past;
use super::state::{Began, Block, Occupant, Owner, Slice, State, Wake};
use crate::model::id::Task;
use crate::syscall::{self, Wait};

/// What is known of a thread before its first event, and across a loss.
const NOTHING: State = State::Unknown { owner: Owner::Nobody };

/// What is recorded of a thread.
#[derive(Debug)]
pub(super) struct ThreadFacts {
    pub(super) past: Past,
    /// Start and state of the slice that is not over.
    pub(super) since_ns: u64,
    pub(super) state: State,
    faults: Option<(u32, u32)>,
    /// What CPU quotas had kept waiting when it became runnable, ns.
    pub(super) throttled_ns: u64,
    /// How long it had waited for CPUs when it left its last one, by the kernel's account, ns.
    pub(super) queued_ns: u64,
    /// A wakeup that came while it was still on its way to sleep: the waker does not wait for the switch.
    pub(super) early_wake: Option<Wake>,
    /// Up to here events may be missing: what began before that is not known to have gone on, ns.
    lost_until_ns: u64,
}

impl ThreadFacts {
    /// Of a thread of which nothing is known before `lost_until_ns`.
    pub(super) fn new(lost_until_ns: u64) -> Self {
        Self {
            past: Past::default(),
            since_ns: 0,
            state: NOTHING,
            faults: None,
            throttled_ns: 0,
            queued_ns: 0,
            early_wake: None,
            lost_until_ns,
        }
    }

    /// Since when it runs, if it does, ns.
    pub(super) fn running_since_ns(&self) -> Option<u64> {
        matches!(self.state, State::Running { .. }).then_some(self.since_ns)
    }

    /// Whether it runs since it made a goroutine ready.
    pub(super) fn made_ready(&self) -> bool {
        matches!(
            self.state,
            State::Running {
                began: Began::Readied(_),
                ..
            }
        )
    }

    /// It was in `state` and `task` until `at_ns`, where its counters of faults were `faults`, and is `next` from then
    /// on. Gives the slice that this makes, which is not yet part of the past.
    pub(super) fn close(
        &mut self,
        at_ns: u64,
        state: State,
        task: Task,
        next: State,
        faults: Option<(u32, u32)>,
    ) -> Option<Slice> {
        let meanwhile = match (self.faults, faults) {
            (Some(before), Some(after)) => (after.0.wrapping_sub(before.0), after.1.wrapping_sub(before.1)),
            _ => (0, 0),
        };
        self.faults = faults.or(self.faults);
        let (state, task) = if self.is_lost() {
            (NOTHING, Task::UNKNOWN)
        } else {
            (state, task)
        };
        let from_ns = self.since_ns;
        // Two CPUs' clocks can differ by nanoseconds: time never runs backwards in a thread's past.
        self.since_ns = at_ns.max(from_ns);
        self.state = next;
        (at_ns > from_ns && from_ns > 0).then_some(Slice {
            from_ns,
            to_ns: at_ns,
            state,
            faults: meanwhile,
            task,
        })
    }

    /// Events up to `to_ns` were lost.
    pub(super) fn lost(&mut self, to_ns: u64) {
        self.lost_until_ns = to_ns;
        self.state = NOTHING;
    }

    /// Whether it is not known what it did since its last event, because others were lost.
    fn is_lost(&self) -> bool {
        self.since_ns < self.lost_until_ns
    }

    /// Whether it was seen, and nothing was lost since.
    pub(super) fn is_known(&self) -> bool {
        self.since_ns > 0 && !self.is_lost()
    }

    /// Whether it is blocked in a call that sends on this descriptor.
    pub(super) fn is_sending(&self, fd: i32) -> bool {
        match self.state {
            State::Blocked(block) => {
                let is_on_it =
                    block.wait == Wait::Send || block.fd().is_some() && !syscall::receives(block.syscall);
                is_on_it && block.arg0 as i32 == fd && !self.is_lost()
            }
            _ => false,
        }
    }

    /// The slice that is not over, up to `at_ns`, in `task`.
    pub(super) fn open(&self, at_ns: u64, task: Task) -> Slice {
        Slice {
            from_ns: self.since_ns,
            to_ns: at_ns,
            state: if self.is_lost() { NOTHING } else { self.state },
            faults: (0, 0),
            task,
        }
    }

    /// The slices from `at_ns` back; the one that is not over is in `task`.
    pub(super) fn back_from(&self, at_ns: u64, task: Task) -> Back<'_> {
        let open = (at_ns > self.since_ns).then(|| self.open(at_ns, task));
        Back::new(&self.past, open, at_ns)
    }
}

impl State {
    /// It can run on `cpu`; behind whom is not known before it does.
    pub(super) fn runnable(cpu: u16, preempted: bool) -> Self {
        Self::Runnable {
            cpu,
            behind: Occupant::default(),
            behind_ran_ns: 0,
            preempted,
            throttled_ns: 0,
        }
    }
}

impl Block {
    /// The same, ended by this.
    pub(super) fn ended_by(self, wake: Wake) -> Self {
        Self {
            wake: Some(wake),
            ..self
        }
    }
}
