//! Work on the CPU.

use std::time::{Duration, Instant};

use testbed::clock;
use testbed::truth::{Kind, Stretch};

use super::size::{Time, Times};
use super::waiting;
use crate::blocked::Ran;
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
///
/// What the kernel counts as the thread's time on the CPU is the truth: a gap between two looks at the clock may be
/// another thread, or an interrupt, or a hypervisor, and only the first is a wait for the CPU. Of what a hypervisor
/// took, observer charges the least that is proved: the rest counts as computing.
pub(super) fn burned(wanted: Duration) -> [Stretch; 3] {
    let start_ns = clock::now_ns();
    let before = Ran::so_far();
    // Nothing but the standard library is called: who looks at this thread sees this function.
    let (mut burned, mut last) = (Duration::ZERO, Instant::now());
    while burned < wanted {
        let now = Instant::now();
        burned += now.saturating_duration_since(last).min(LONGEST_STEP);
        last = now;
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
