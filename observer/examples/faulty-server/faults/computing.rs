//! Work on the CPU.

use std::time::Duration;

use axum::extract::Query;

use super::size::{Time, Times};
use super::waiting;
use crate::clock;
use crate::truth::{Kind, Stretch};
use crate::visit::Visit;

/// Between two looks at the clock more than this did not pass in `burned` itself: the thread was taken off its CPU.
const LONGEST_STEP_NS: u64 = 20_000;

/// Computes on the worker, for this long on the CPU: time in which another thread has the CPU does not count, as
/// it would not for work.
pub(super) async fn burn(mut visit: Visit, Query(time): Query<Time>) -> &'static str {
    burned(&mut visit, time.duration());
    "burned\n"
}

/// Computes and then sleeps, both on the worker.
pub(super) async fn both(mut visit: Visit, Query(times): Query<Times>) -> &'static str {
    burned(&mut visit, times.burn());
    visit.injected(waiting::slept(times.block()));
    "burned and blocked\n"
}

fn burned(visit: &mut Visit, wanted: Duration) {
    let wanted_ns = u64::try_from(wanted.as_nanos()).unwrap_or(u64::MAX);
    let (mut burned_ns, mut off_cpu_ns) = (0, 0);
    let start_ns = clock::now_ns();
    let mut last_ns = start_ns;
    while burned_ns < wanted_ns {
        let now_ns = clock::now_ns();
        let step_ns = now_ns.saturating_sub(last_ns);
        if step_ns <= LONGEST_STEP_NS {
            burned_ns += step_ns;
        } else {
            off_cpu_ns += step_ns;
        }
        last_ns = now_ns;
    }
    visit.injected(Stretch::exactly(Kind::Cpu, start_ns, burned_ns));
    visit.injected(Stretch::exactly(Kind::OffCpu, start_ns, off_cpu_ns));
}
