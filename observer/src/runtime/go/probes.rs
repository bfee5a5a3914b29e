//! What it costs a program that its goroutines are followed.

use crate::model::report::ProbeCost;

/// What a probe costs each time that a thread comes by it, ns: one trap, mostly, where those of tokio take two.
/// Measured, see `docs/cost.md`.
pub const PROBE_NS: u64 = 1_600;

/// The probes on functions of Go's runtime.
#[derive(Debug)]
pub(crate) struct Probes {
    /// There are some.
    asked_for: bool,
    hits: u64,
}

impl Probes {
    pub(crate) const fn new(asked_for: bool) -> Self {
        Self { asked_for, hits: 0 }
    }

    /// A thread came by one.
    pub(crate) const fn hit(&mut self) {
        self.hits += 1;
    }

    /// What they cost since the last time; `None` where there are none.
    pub(crate) fn take_cost(&mut self) -> Option<ProbeCost> {
        let hits = std::mem::take(&mut self.hits);
        self.asked_for.then_some(ProbeCost {
            hits,
            estimated_ns: hits.saturating_mul(PROBE_NS),
        })
    }
}
