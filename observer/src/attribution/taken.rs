//! How much of a path the language's runtime took: time in which the program was stopped, in which its goroutine helped
//! to collect garbage, or waited to.
//!
//! While a Java virtual machine has stopped its program, whatever the program's threads were to do waits: the request's
//! own thread at the barrier, the one that would read it, whoever holds the lock. That is one wait for one reason,
//! whoever the walk is at. What goes on meanwhile by itself, such as a peer's answer or a timer, is waited for as ever.

use super::path::{Charge, Reason};
use crate::model::cause::Cause;
use crate::model::id::Tid;
use crate::model::request::RuntimeWork;
use crate::runtime::go::{Assist, MARK_ASSIST, Phase, PhaseKind};
use crate::syscall;
use crate::threads::{Occupant, Stop};

/// What Go's runtime does that every goroutine waits for.
const STOP: &str = "stop of the world";

/// What the runtime did in the time of one path, which is walked from its end back.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// The last to end first.
    times: Vec<TakenTime>,
    /// So many of them are behind the walk.
    passed: usize,
    /// Threads of a Java virtual machine that work for it, in the order of their ids.
    of_runtime: Vec<Tid>,
}

/// One time that it took.
#[derive(Clone, Copy, Debug)]
struct TakenTime {
    from_ns: u64,
    to_ns: u64,
    work: Work,
}

#[derive(Clone, Copy, Debug)]
enum Work {
    /// Go's did this, in the cycle of this number.
    Phase(PhaseKind, u32),
    /// Go's had this thread's goroutine mark.
    Assist(Tid, Option<u32>),
    /// Java's had stopped the program, by this thread.
    Stop(Occupant),
}

impl Taken {
    /// Nothing was taken, as far as is known.
    pub(super) fn clear(&mut self) {
        self.passed = 0;
        self.of_runtime.clear();
        self.times.clear();
    }

    /// Starts anew, with these times; `of_runtime` are threads of a Java virtual machine that work for it.
    pub(super) fn begin<'a>(
        &mut self,
        phases: impl Iterator<Item = Phase>,
        assists: impl Iterator<Item = Assist>,
        stops: impl Iterator<Item = &'a Stop>,
        of_runtime: impl Iterator<Item = Tid>,
    ) {
        let time = |from_ns, to_ns, work| TakenTime { from_ns, to_ns, work };
        self.clear();
        self.times
            .extend(stops.map(|stop| time(stop.from_ns, stop.to_ns, Work::Stop(stop.by))));
        if !self.times.is_empty() {
            self.of_runtime.extend(of_runtime);
            self.of_runtime.sort_unstable();
        }
        let of_phase = |phase: Phase| Work::Phase(phase.kind, phase.cycle);
        self.times
            .extend(phases.map(|phase| time(phase.from_ns, phase.to_ns, of_phase(phase))));
        let of_assist = |assist: Assist| Work::Assist(assist.tid, assist.cycle);
        self.times
            .extend(assists.map(|assist| time(assist.from_ns, assist.to_ns, of_assist(assist))));
        self.times.sort_by_key(|time| std::cmp::Reverse(time.to_ns));
    }

    /// Whether there may be times that the walk has not passed yet.
    pub(super) fn is_ahead(&self) -> bool {
        self.passed < self.times.len()
    }

    /// This is charged from `from_ns` to `to_ns`. Gives the last time of that which the runtime took, and what is
    /// charged there in its place; what is before that is still to be walked.
    pub(super) fn walk(&mut self, charge: &Charge, from_ns: u64, to_ns: u64) -> Option<(u64, u64, Charge)> {
        let ahead = self.times[self.passed..].iter();
        self.passed += ahead.take_while(|time| time.from_ns >= to_ns).count();
        let ahead = self.times[self.passed..].iter();
        let mut within = ahead.take_while(|time| time.to_ns > from_ns);
        within.find_map(|time| {
            let (first_ns, last_ns) = (time.from_ns.max(from_ns), time.to_ns.min(to_ns));
            // In a recording they can stand in any order.
            let is_met = first_ns < last_ns;
            let instead = is_met.then(|| self.instead(time, charge, from_ns, to_ns))??;
            Some((first_ns, last_ns, instead))
        })
    }

    /// Where the time in which no Java virtual machine had stopped its program begins that ends at `at_ns`, ns. `None`
    /// if one had then.
    pub(super) fn free_since_ns(&self, at_ns: u64) -> Option<u64> {
        let is_stop = |time: &&TakenTime| matches!(time.work, Work::Stop(_)) && time.from_ns < at_ns;
        let last_ns = self.times[self.passed..]
            .iter()
            .find(is_stop)
            .map_or(0, |stop| stop.to_ns);
        (last_ns < at_ns).then_some(last_ns)
    }

    /// What is charged where this time meets a charge from `from_ns` to `to_ns`, if it is the runtime's.
    fn instead(&self, time: &TakenTime, charge: &Charge, from_ns: u64, to_ns: u64) -> Option<Charge> {
        let (what, cycle) = match (time.work, charge.reason) {
            (Work::Stop(by), _) => {
                return self.waits_for_stop(by, charge).then_some(Charge {
                    cause: Cause::Runtime,
                    cpu: None,
                    reason: Reason::StoppedBy(by),
                    ..*charge
                });
            }
            (Work::Phase(PhaseKind::Stop, cycle), Reason::Idle(_) | Reason::IdleInMark(..)) => {
                (STOP, Some(cycle))
            }
            // Who stops the world waits for the others to stop.
            (Work::Phase(PhaseKind::Stop, cycle), Reason::Blocked(call))
                if syscall::is_futex(call.syscall) && time.from_ns <= from_ns && to_ns <= time.to_ns =>
            {
                (STOP, Some(cycle))
            }
            (Work::Phase(PhaseKind::Mark, cycle), Reason::IdleInMark(_, what)) => (what, Some(cycle)),
            (Work::Assist(tid, cycle), _) if charge.cause == Cause::OnCpu && charge.tid == Some(tid) => {
                (MARK_ASSIST, cycle)
            }
            _ => return None,
        };
        Some(Charge {
            cause: Cause::Runtime,
            reason: Reason::Runtime(RuntimeWork { what, cycle }),
            ..*charge
        })
    }

    /// Whether what is charged there waited for the end of a stop by this thread.
    fn waits_for_stop(&self, by: Occupant, charge: &Charge) -> bool {
        let works = |tid| tid == by.tid || self.of_runtime.binary_search(&tid).is_ok();
        let of_runtime = charge.tid.is_some_and(works);
        match charge.cause {
            Cause::OnCpu | Cause::RunQueue | Cause::WorkerBusy | Cause::Stolen => of_runtime,
            Cause::WorkerBlocked | Cause::Syscall | Cause::Lock => match charge.reason {
                Reason::BlockedFor(call, ..)
                | Reason::Blocked(call)
                | Reason::WokenBy(call, _)
                | Reason::LockHeldBy(call, _) => of_runtime || syscall::is_futex(call.syscall),
                _ => false,
            },
            Cause::AcceptQueue | Cause::TaskQueue => true,
            // On no thread; and not what was not seen.
            Cause::Unexplained => charge.reason.is_idle(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
