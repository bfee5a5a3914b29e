//! The closed list of causes that a request's time is charged to, and the budget that adds them up.

/// What a request was waiting for or doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// Its connection to be accepted, with its bytes already there.
    AcceptQueue,
    /// A CPU: its thread was runnable and not running.
    RunQueue,
    /// Its control group's CPU quota.
    Throttled,
    /// A worker: those that could serve it were running other work.
    WorkerBusy,
    /// A worker: those that could serve it were blocked in a system call for other work.
    WorkerBlocked,
    /// A poll: its own runtime task was ready and not yet polled.
    TaskQueue,
    /// A futex that another thread of the process holds.
    Lock,
    /// A blocking system call in its own service.
    Syscall,
    /// Bytes from a peer on a connection that the process opened.
    Downstream,
    /// A timer that its own code set.
    Timer,
    /// Memory being brought in.
    PageFault,
    /// The language runtime itself.
    Runtime,
    /// The client: the rest of the request has not arrived.
    Client,
    /// Room in its socket's send buffer.
    SendBlocked,
    /// A hypervisor, which had the CPU while its thread, or the worker that it waited for, was on it.
    Stolen,
    /// TCP, which kept the last bytes of the response after the last send had returned.
    HeldBack,
    /// Nothing: it was running.
    OnCpu,
    /// What evidence does not cover.
    Unexplained,
}

impl Cause {
    /// Every cause, in the order in which people read them: queues first, own work last.
    pub const ALL: [Self; 18] = [
        Self::AcceptQueue,
        Self::RunQueue,
        Self::Throttled,
        Self::WorkerBusy,
        Self::WorkerBlocked,
        Self::TaskQueue,
        Self::Lock,
        Self::Syscall,
        Self::Downstream,
        Self::Timer,
        Self::PageFault,
        Self::Runtime,
        Self::Client,
        Self::SendBlocked,
        Self::Stolen,
        Self::HeldBack,
        Self::OnCpu,
        Self::Unexplained,
    ];

    /// The name that records, summaries and documents use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AcceptQueue => "accept_queue",
            Self::RunQueue => "run_queue",
            Self::Throttled => "throttled",
            Self::WorkerBusy => "worker_busy",
            Self::WorkerBlocked => "worker_blocked",
            Self::TaskQueue => "task_queue",
            Self::Lock => "lock",
            Self::Syscall => "syscall",
            Self::Downstream => "downstream",
            Self::Timer => "timer",
            Self::PageFault => "page_fault",
            Self::Runtime => "runtime",
            Self::Client => "client",
            Self::SendBlocked => "send_blocked",
            Self::Stolen => "stolen",
            Self::HeldBack => "held_back",
            Self::OnCpu => "on_cpu",
            Self::Unexplained => "unexplained",
        }
    }
}

/// Nanoseconds for each cause. For one request they add up to its latency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget([u64; Cause::ALL.len()]);

impl Budget {
    /// Charges `ns` more to `cause`.
    pub fn charge(&mut self, cause: Cause, ns: u64) {
        self.0[cause as usize] += ns;
    }

    /// What `cause` was charged so far, ns.
    #[must_use]
    pub fn get(&self, cause: Cause) -> u64 {
        self.0[cause as usize]
    }

    /// Adds another budget to this one, cause by cause.
    pub fn add(&mut self, other: &Self) {
        for (sum, ns) in self.0.iter_mut().zip(other.0) {
            *sum = sum.saturating_add(ns);
        }
    }

    /// Sum over all causes, ns.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The cause that was charged most, if any was.
    #[must_use]
    pub fn largest(&self) -> Option<Cause> {
        let largest = self.charged().max_by_key(|&(_, ns)| ns);
        largest.map(|(cause, _)| cause)
    }

    /// The causes that were charged anything, with their ns, in the order of [`Cause::ALL`].
    pub fn charged(&self) -> impl Iterator<Item = (Cause, u64)> + '_ {
        Cause::ALL
            .into_iter()
            .map(|cause| (cause, self.get(cause)))
            .filter(|&(_, ns)| ns > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_indexes_its_own_slot() {
        let mut budget = Budget::default();
        for (index, cause) in Cause::ALL.into_iter().enumerate() {
            assert_eq!(cause as usize, index);
            budget.charge(cause, 1 << index);
        }
        assert_eq!(budget.total(), (1 << Cause::ALL.len()) - 1);
        assert_eq!(budget.get(Cause::Lock), 1 << (Cause::Lock as usize));
    }
}
