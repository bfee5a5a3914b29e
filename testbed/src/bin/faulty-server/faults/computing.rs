//! Work on the CPU.

use std::time::{Duration, Instant};

use testbed::ran::Computing;
use testbed::truth::Stretch;

use super::size::{Time, Times};
use super::waiting;
use crate::truth;
use crate::visit::Visit;

/// Between two looks at the clock more than this did not pass in `burned` itself: the thread was taken off its CPU.
const LONGEST_STEP: Duration = Duration::from_micros(20);

/// Computes on the worker, for this long on the CPU: time in which another thread has the CPU does not count, as
/// it would not for work.
pub(super) fn burn(visit: &mut Visit, time: &Time) -> &'static str {
    visit.injected_all(burned(time.duration()));
    "burned\n"
}

/// Computes and then sleeps, both on the worker.
pub(super) fn both(visit: &mut Visit, times: &Times) -> &'static str {
    visit.injected_all(burned(times.burn()));
    visit.injected(waiting::slept(times.block()));
    "burned and blocked\n"
}

/// Computes; gives how long, how long it was kept from it, and how long a hypervisor had its CPU.
pub(super) fn burned(wanted: Duration) -> [Stretch; 3] {
    let computing = Computing::begins();
    // Nothing but the standard library is called: who looks at this thread sees this function.
    let (mut burned, mut last) = (Duration::ZERO, Instant::now());
    while burned < wanted {
        let now = Instant::now();
        burned += now.saturating_duration_since(last).min(LONGEST_STEP);
        last = now;
    }
    let task = truth::current_task();
    computing.ends(0).map(|stretch| stretch.by(task))
}
