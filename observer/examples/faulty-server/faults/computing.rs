//! Work on the CPU.

use std::time::Duration;

use axum::extract::Query;

use super::size::{Time, Times};
use super::waiting;
use crate::blocked;
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

/// What the scheduler counts as the thread's time on the CPU is the truth: a gap between two looks at the clock may
/// be another thread, or an interrupt, or a hypervisor, and only the first is a wait for the CPU.
fn burned(visit: &mut Visit, wanted: Duration) {
    let wanted_ns = u64::try_from(wanted.as_nanos()).unwrap_or(u64::MAX);
    let start_ns = clock::now_ns();
    let cpu_ns = blocked::cpu_ns();
    let (mut burned_ns, mut last_ns) = (0, start_ns);
    while burned_ns < wanted_ns {
        let now_ns = clock::now_ns();
        burned_ns += now_ns.saturating_sub(last_ns).min(LONGEST_STEP_NS);
        last_ns = now_ns;
    }
    let cpu_ns = blocked::cpu_ns().saturating_sub(cpu_ns);
    // Last of all: the CPU may well be taken away on the way out of a system call.
    let off_cpu_ns = clock::now_ns().saturating_sub(start_ns + cpu_ns);
    visit.injected(Stretch::exactly(Kind::Cpu, start_ns, cpu_ns));
    visit.injected(Stretch::exactly(Kind::OffCpu, start_ns, off_cpu_ns));
}
