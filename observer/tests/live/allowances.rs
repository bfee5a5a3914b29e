//! How much tests allow to be `unexplained`: one list, with what was seen when it was recorded beside what is allowed.
//! Whoever makes use of one prints what there is now.

use std::io::{self, Write as _};

use serde_json::Value;

use crate::laws::waited;

/// So much may be unexplained.
#[derive(Clone, Copy)]
pub(crate) struct Allowance {
    /// Of what, in words.
    what: &'static str,
    /// The most that was seen in the runs by which this was recorded.
    recorded: u64,
    /// The most that is allowed.
    most: u64,
}

const fn allowance(what: &'static str, recorded: u64, most: u64) -> Allowance {
    Allowance { what, recorded, most }
}

/// Its thread went on without having been seen to get a CPU, see [`crate::laws::is_unseen`].
pub(crate) const HIDDEN: Allowance = allowance("of 20 requests, hidden", 0, 2);

pub(crate) const PEER: Allowance = allowance("of 20 requests that wait for a peer, two at a time", 0, 2);
pub(crate) const TIMER: Allowance = allowance("of 20 requests that wait for a timer", 0, 0);
/// A timer that is due while its worker serves the other request.
pub(crate) const TWO_TIMERS: Allowance =
    allowance("of 20 requests that wait for timers, two at a time", 0, 2);
pub(crate) const POOL: Allowance = allowance("of 20 requests that block in the pool", 0, 1);
/// Which thread of the pool took which of two jobs, no event tells when none of them was asleep.
pub(crate) const TWO_IN_POOL: Allowance =
    allowance("of 20 requests that block in the pool, two at a time", 0, 10);
pub(crate) const OWN_WORKER: Allowance = allowance("of 20 requests that block their worker", 0, 0);

pub(crate) const UPLOAD_NS: Allowance =
    allowance("ns of a request whose client sends it in pieces", 0, 999_999);
pub(crate) const LOCK_NS: Allowance = allowance("ns of a request behind a lock", 0, 999_999);
pub(crate) const READY_NS: Allowance = allowance(
    "ns of a request whose task is ready while its worker is busy for 200 ms",
    0,
    9_999_999,
);
pub(crate) const POOL_QUEUE_NS: Allowance = allowance(
    "ns of a request that waits for a thread of the pool",
    0,
    9_999_999,
);

impl Allowance {
    /// Prints how much there is, past the capture of the test's output, and checks that it is allowed.
    #[track_caller]
    pub(crate) fn holds(self, seen: u64, example: Option<&Value>) {
        let Self { what, recorded, most } = self;
        let told = format!("unexplained: {seen} {what} ({recorded} when it was recorded, {most} allowed)");
        // There is nobody else to tell.
        let _ = writeln!(io::stderr(), "{told}");
        assert!(seen <= most, "{told}; one of them: {example:?}");
    }

    /// The same of the request that has most.
    #[track_caller]
    pub(crate) fn holds_for<'a>(self, requests: impl IntoIterator<Item = &'a Value>) {
        let unexplained_ns = |request: &&Value| waited(request, "unexplained");
        let worst = requests.into_iter().max_by_key(unexplained_ns);
        self.holds(worst.as_ref().map_or(0, unexplained_ns), worst);
    }
}
