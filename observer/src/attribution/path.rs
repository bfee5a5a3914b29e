//! The path of one request, filled from its end to its start.
//!
//! The only place that makes steps: each begins where the one found before it began, so that they have no gap
//! and no overlap whatever the walk does, and what the walk leaves over is unexplained. A step holds what its
//! evidence *is*; names for people are looked up by [`super::names`], for the requests that are written.

use super::stolen::Stolen;
use crate::model::cause::{Budget, Cause};
use crate::model::id::Task;
use crate::threads::{Occupant, Owner, Sums, Theft};

/// The system call that a thread blocked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// Process.
    pub(super) pid: u32,
    /// System call, -1 for none.
    pub(super) syscall: i32,
    /// First argument.
    pub(super) arg0: u32,
}

/// What supports the cause of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The cause says it all.
    Plain,
    /// A remark, where the cause alone would mislead.
    Note(&'static str),
    /// The peer of this connection had not sent or not taken bytes.
    Peer(u64),
    /// This thread had the CPU.
    Occupied(Occupant),
    /// The thread ran for somebody else, in this task.
    RanFor(Owner, Task),
    /// The thread was in this call for somebody else, in this task.
    BlockedFor(Call, Owner, Task),
    /// The request's own thread was in this call.
    Blocked(Call),
    /// The same, until this thread woke it.
    WokenBy(Call, Occupant),
}

/// One stretch of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) from_ns: u64,
    pub(super) to_ns: u64,
    pub(super) cause: Cause,
    pub(super) tid: Option<u32>,
    pub(super) cpu: Option<u16>,
    pub(super) reason: Reason,
}

impl Step {
    pub(super) fn dur_ns(&self) -> u64 {
        self.to_ns - self.from_ns
    }
}

/// What a path keeps besides its sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// Nothing: the request is only counted. At saturation a request waits behind dozens of others, and keeping
    /// each step costs more than finding it.
    #[default]
    Sums,
    /// Every step, for the timeline.
    Steps,
}

/// The path of a request, from its end as far back as it was walked.
#[derive(Debug, Default)]
pub(super) struct Path {
    keep: Keep,
    arrival_ns: u64,
    cursor_ns: u64,
    budget: Budget,
    longest_wait: Option<Step>,
    stolen: Stolen,
    /// The last one first.
    steps: Vec<Step>,
    faults: (u64, u64),
    partial: bool,
    by_order: bool,
}

impl Path {
    /// Starts anew: from `arrival_ns` to `end_ns`, of which nothing is charged yet, with the `thefts` of that time.
    pub(super) fn begin<'a>(
        &mut self,
        arrival_ns: u64,
        end_ns: u64,
        keep: Keep,
        thefts: impl Iterator<Item = &'a Theft>,
    ) {
        let mut steps = std::mem::take(&mut self.steps);
        steps.clear();
        let mut stolen = std::mem::take(&mut self.stolen);
        stolen.begin(thefts);
        *self = Self {
            keep,
            arrival_ns,
            cursor_ns: end_ns,
            stolen,
            steps,
            ..Self::default()
        };
    }

    /// What is kept.
    pub(super) fn keep(&self) -> Keep {
        self.keep
    }

    /// Everything from here on is charged.
    pub(super) fn cursor_ns(&self) -> u64 {
        self.cursor_ns
    }

    /// Something needed was not seen.
    pub(super) fn mark_partial(&mut self) {
        self.partial = true;
    }

    pub(super) fn is_partial(&self) -> bool {
        self.partial
    }

    /// For whom a thread worked is told by the order of events alone.
    pub(super) fn mark_by_order(&mut self) {
        self.by_order = true;
    }

    pub(super) fn is_by_order(&self) -> bool {
        self.by_order
    }

    /// Adds page faults that happened on the path.
    pub(super) fn add_faults(&mut self, faults: (u32, u32)) {
        self.faults.0 += u64::from(faults.0);
        self.faults.1 += u64::from(faults.1);
    }

    pub(super) fn faults(&self) -> (u64, u64) {
        self.faults
    }

    /// Charges from `from_ns` (not before the arrival) to the cursor, and moves the cursor there.
    pub(super) fn charge_until(
        &mut self,
        from_ns: u64,
        cause: Cause,
        tid: Option<u32>,
        cpu: Option<u16>,
        reason: Reason,
    ) {
        self.charge_telling(from_ns, cause, tid, cpu, reason, reason);
    }

    /// The same, where the timeline says something else: which requests are written must not change what is counted.
    pub(super) fn charge_telling(
        &mut self,
        from_ns: u64,
        cause: Cause,
        tid: Option<u32>,
        cpu: Option<u16>,
        reason: Reason,
        told: Reason,
    ) {
        let from_ns = from_ns.max(self.arrival_ns);
        if from_ns >= self.cursor_ns {
            return;
        }
        let step = Step {
            from_ns,
            to_ns: self.cursor_ns,
            cause,
            tid,
            cpu,
            reason,
        };
        // All of it was waited for, also what a hypervisor took of it.
        self.consider(step);
        let stolen = Step {
            cause: Cause::Stolen,
            reason: Reason::Plain,
            ..step
        };
        let told = Step { reason: told, ..step };
        let runs = match cause {
            Cause::OnCpu | Cause::WorkerBusy | Cause::TaskQueue => true,
            // The thread that accepts ran for others.
            Cause::AcceptQueue => cpu.is_some(),
            _ => false,
        };
        if let Some(tid) = tid.filter(|_| runs) {
            while let Some((first_ns, last_ns)) = self.stolen.walk(tid, from_ns, self.cursor_ns) {
                self.charge_step(last_ns, told);
                self.charge_step(first_ns, stolen);
            }
        }
        self.charge_step(from_ns, told);
    }

    /// Charges the part of `step` from `from_ns` to the cursor.
    fn charge_step(&mut self, from_ns: u64, step: Step) {
        if from_ns >= self.cursor_ns {
            return;
        }
        let part = Step {
            from_ns,
            to_ns: self.cursor_ns,
            ..step
        };
        self.cursor_ns = from_ns;
        self.budget.charge(part.cause, part.dur_ns());
        if self.keep == Keep::Steps {
            self.keep_step(part);
        }
    }

    /// The last theft from a thread that can have begun before the cursor.
    pub(super) fn last_theft(&mut self, tid: u32) -> Option<Theft> {
        self.stolen.last_before(tid, self.cursor_ns)
    }

    /// Charges from `from_ns` to the cursor in one step what a worker did, of which only sums are known: what it ran to
    /// `busy`, what it was blocked to `blocked`. Where there is a theft it did nothing but run.
    pub(super) fn charge_sums(&mut self, tid: u32, from_ns: u64, sums: Sums, busy: Cause, blocked: Cause) {
        let Sums {
            ran_ns,
            runnable_ns,
            throttled_ns,
            blocked_ns,
        } = sums;
        let mut left_ns = self.cursor_ns.saturating_sub(from_ns);
        let (mut to_ns, mut stolen_ns) = (self.cursor_ns, 0);
        while let Some((first_ns, last_ns)) = self.stolen.walk(tid, from_ns, to_ns) {
            stolen_ns += last_ns - first_ns;
            to_ns = first_ns;
        }
        self.cursor_ns = self.cursor_ns.min(from_ns);
        for (cause, ns) in [
            (Cause::Stolen, stolen_ns),
            (busy, ran_ns.saturating_sub(stolen_ns)),
            (Cause::RunQueue, runnable_ns),
            (Cause::Throttled, throttled_ns),
            (blocked, blocked_ns),
        ] {
            let ns = ns.min(left_ns);
            self.budget.charge(cause, ns);
            left_ns -= ns;
        }
        self.budget.charge(Cause::Unexplained, left_ns);
    }

    /// Takes a step for the longest wait, if it is and says what for.
    pub(super) fn consider(&mut self, step: Step) {
        let says_what_for = !matches!(step.reason, Reason::Plain | Reason::Note(_));
        if says_what_for && step.dur_ns() > self.longest_wait_ns() {
            self.longest_wait = Some(step);
        }
    }

    /// Length of the longest step so far that says what was waited for, ns.
    pub(super) fn longest_wait_ns(&self) -> u64 {
        self.longest_wait.map_or(0, |longest| longest.dur_ns())
    }

    fn keep_step(&mut self, step: Step) {
        match self.steps.last_mut() {
            Some(later)
                if (Step {
                    from_ns: step.from_ns,
                    ..*later
                }) == (Step {
                    to_ns: later.to_ns,
                    ..step
                }) =>
            {
                later.from_ns = step.from_ns;
            }
            _ => self.steps.push(step),
        }
    }

    /// Charges from `from_ns` to the cursor as unexplained, with a remark for people.
    pub(super) fn unexplained_until(&mut self, from_ns: u64, tid: Option<u32>, note: &'static str) {
        self.charge_until(from_ns, Cause::Unexplained, tid, None, Reason::Note(note));
    }

    /// Charges what is left. After it the budget sums to the latency.
    pub(super) fn end(&mut self) {
        self.unexplained_until(self.arrival_ns, None, "the walk ended before the arrival");
    }

    /// The sum of the steps by cause.
    pub(super) fn budget(&self) -> Budget {
        self.budget
    }

    /// The longest step that says what was waited for.
    pub(super) fn longest_wait(&self) -> Option<&Step> {
        self.longest_wait.as_ref()
    }

    /// The steps in the order of time, if they were kept.
    pub(super) fn steps(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().rev()
    }
}
