//! Work on the CPU.

use std::time::Duration;

use super::size::{Time, Times};
use super::waiting;
use crate::blocked::Ran;
use crate::clock;
use crate::truth::{self, Kind, Stretch};
use crate::visit::Visit;

/// Between two looks at the clock more than this did not pass in `burned` itself: the thread was taken off its CPU.
const LONGEST_STEP_NS: u64 = 20_000;

/// Computes on the worker, for this long on the CPU: time in which another thread has the CPU does not count, as
/// it would not for work.
pub(super) fn burn(visit: &mut Visit, time: &Time) -> &'static str {
    burned(time.duration())
        .into_iter()
        .for_each(|stretch| visit.injected(stretch));
    "burned\n"
}

/// Computes and then sleeps, both on the worker.
pub(super) fn both(visit: &mut Visit, times: &Times) -> &'static str {
    burned(times.burn())
        .into_iter()
        .for_each(|stretch| visit.injected(stretch));
    visit.injected(waiting::slept(times.block()));
    "burned and blocked\n"
}

/// Computes; gives how long, how long it was kept from it, and how long a hypervisor had its CPU.
///
/// What the kernel counts as the thread's time on the CPU is the truth: a gap between two looks at the clock may be
/// another thread, or an interrupt, or a hypervisor, and only the first is a wait for the CPU. Of what a hypervisor took,
/// observer charges the least that is proved: the rest counts as computing.
pub(super) fn burned(wanted: Duration) -> [Stretch; 3] {
    let wanted_ns = u64::try_from(wanted.as_nanos()).unwrap_or(u64::MAX);
    let start_ns = clock::now_ns();
    let before = Ran::so_far();
    let (mut burned_ns, mut last_ns) = (0, start_ns);
    while burned_ns < wanted_ns {
        let now_ns = clock::now_ns();
        burned_ns += now_ns.saturating_sub(last_ns).min(LONGEST_STEP_NS);
        last_ns = now_ns;
    }
    let Ran {
        on_cpu_ns,
        computed_ns,
    } = Ran::so_far().since(before);
    // Last of all: the CPU may well be taken away on the way out of a system call.
    let off_cpu_ns = clock::now_ns().saturating_sub(start_ns + on_cpu_ns);
    let task = truth::current_task();
    let computed = Stretch {
        least_ns: computed_ns,
        ..Stretch::exactly(Kind::Cpu, start_ns, on_cpu_ns)
    };
    let stolen = Stretch::exactly(Kind::Stolen, start_ns, on_cpu_ns - computed_ns);
    let off_cpu = Stretch::exactly(Kind::OffCpu, start_ns, off_cpu_ns);
    [computed, off_cpu, stolen].map(|stretch| stretch.by(task))
}
