//! What the observer itself cost.

/// What the observer itself cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnCost {
    /// Time inside its eBPF programs, ns; absent where the kernel does not tell.
    pub ebpf_ns: Option<u64>,
    /// CPU time of its process, ns.
    pub cpu_ns: u64,
    /// Its resident memory, bytes; over several windows, the most.
    pub rss_bytes: u64,
    /// Records that it read.
    pub records: u64,
    /// Samples of what threads run; absent where none are taken.
    pub samples: Option<u64>,
    /// Samples for which there was no room or no time.
    pub samples_lost: Option<u64>,
    /// Ticks of the clocks that interrupted threads that are not watched; absent where no samples are taken.
    pub ticks_on_others: Option<u64>,
    /// Probes on polls and goroutines; absent without them.
    pub probes: Option<ProbeCost>,
    /// Looks at goroutines that wait; absent without any.
    pub looks: Option<LookCost>,
}

/// What looks at goroutines of requests in flight cost observer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LookCost {
    /// How many.
    pub count: u64,
    /// Of these, those that saw where one waits.
    pub parked: u64,
    /// Those in which it went on, or its stack was moved.
    pub changed: u64,
    /// Looks that were due and not taken: there were too many, or the goroutine was not found.
    pub skipped: u64,
    /// How long they took, ns.
    pub spent_ns: u64,
}

impl LookCost {
    /// Both together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self {
            count: self.count.saturating_add(other.count),
            parked: self.parked.saturating_add(other.parked),
            changed: self.changed.saturating_add(other.changed),
            skipped: self.skipped.saturating_add(other.skipped),
            spent_ns: self.spent_ns.saturating_add(other.spent_ns),
        }
    }
}

/// What probes in the code of watched processes cost these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProbeCost {
    /// Times that threads came by one.
    pub hits: u64,
    /// What that took of their time, ns: an estimate.
    pub estimated_ns: u64,
}

impl ProbeCost {
    /// Both together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self {
            hits: self.hits.saturating_add(other.hits),
            estimated_ns: self.estimated_ns.saturating_add(other.estimated_ns),
        }
    }
}
