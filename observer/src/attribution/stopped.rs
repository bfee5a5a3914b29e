//! How much of a path its program was stopped by its own language runtime.
//!
//! While it is, whatever the program's threads were to do waits: the request's own thread at the barrier, the one that
//! would read it, whoever holds the lock. That is one wait for one reason, whoever the walk is at. What goes on
//! meanwhile by itself, such as a peer's answer or a timer, is waited for as ever.

use super::path::{Call, Charge, Reason};
use crate::model::cause::Cause;
use crate::model::id::Tid;
use crate::syscall;
use crate::threads::Stop;

/// The stops in the time of one path, which is walked from its end back.
#[derive(Debug, Default)]
pub(super) struct Stopped {
    /// The last to end comes first.
    stops: Vec<Stop>,
    /// So many of them are behind the walk.
    passed: usize,
    /// Threads that work for the runtime, in the order of their ids.
    of_runtime: Vec<Tid>,
}

impl Stopped {
    /// These stops, of which the last to end comes first; `of_runtime` are threads that work for the runtime.
    pub(super) fn by<'a>(
        stops: impl Iterator<Item = &'a Stop>,
        of_runtime: impl Iterator<Item = Tid>,
    ) -> Self {
        let stops: Vec<Stop> = stops.copied().collect();
        if stops.is_empty() {
            return Self::default();
        }
        let mut of_runtime: Vec<Tid> = of_runtime.collect();
        of_runtime.sort_unstable();
        Self {
            stops,
            passed: 0,
            of_runtime,
        }
    }

    /// The last part of a charge from `from_ns` to `to_ns` that is the stop's, from when to when, ns. What is later is
    /// walked.
    pub(super) fn last(&mut self, charge: &Charge, from_ns: u64, to_ns: u64) -> Option<(u64, u64, Stop)> {
        let ahead = self.stops[self.passed..].iter();
        self.passed += ahead.take_while(|stop| stop.from_ns >= to_ns).count();
        let met = self.stops[self.passed..]
            .iter()
            .take_while(|stop| stop.to_ns > from_ns)
            .map(|stop| (stop.from_ns.max(from_ns), stop.to_ns.min(to_ns), stop));
        let mut taken =
            met.filter(|&(first_ns, last_ns, stop)| first_ns < last_ns && self.takes(stop, charge));
        taken
            .next()
            .map(|(first_ns, last_ns, stop)| (first_ns, last_ns, *stop))
    }

    /// Where the time in which nothing was stopped begins that ends at `at_ns`, ns. `None` if something was then.
    pub(super) fn free_since_ns(&self, at_ns: u64) -> Option<u64> {
        let mut ahead = self.stops[self.passed..].iter();
        let last_ns = ahead
            .find(|stop| stop.from_ns < at_ns)
            .map_or(0, |stop| stop.to_ns);
        (last_ns < at_ns).then_some(last_ns)
    }

    /// Whether what is charged there waited for the end of the stop.
    fn takes(&self, stop: &Stop, charge: &Charge) -> bool {
        let works = |tid| tid == stop.by.tid || self.of_runtime.binary_search(&tid).is_ok();
        let of_runtime = charge.tid.is_some_and(works);
        match charge.cause {
            Cause::OnCpu | Cause::RunQueue | Cause::WorkerBusy | Cause::Stolen => of_runtime,
            Cause::WorkerBlocked | Cause::Syscall | Cause::Lock => match charge.reason {
                Reason::BlockedFor(call, ..)
                | Reason::Blocked(call)
                | Reason::WokenBy(call, _)
                | Reason::HeldBy(call, _) => of_runtime || is_futex(call),
                _ => false,
            },
            Cause::AcceptQueue | Cause::TaskQueue => true,
            // On no thread; and not what was not seen.
            Cause::Unexplained => charge.reason.is_idle(),
            _ => false,
        }
    }
}

fn is_futex(call: Call) -> bool {
    syscall::is_futex(call.syscall)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::Pid;
    use crate::model::id::Task;
    use crate::threads::{Occupant, Owner};
    use syscalls::Sysno;

    const OF_PROGRAM: Tid = Tid(9);
    const OF_MACHINE: Tid = Tid(8);

    fn stop(from_ns: u64, to_ns: u64) -> Stop {
        Stop {
            pid: Pid(7),
            from_ns,
            to_ns,
            by: Occupant::default(),
        }
    }

    fn stopped(stops: &[Stop]) -> Stopped {
        Stopped::by(stops.iter(), [OF_MACHINE].into_iter())
    }

    fn in_call(syscall: Sysno) -> Reason {
        Reason::Blocked(Call {
            pid: Pid(7),
            syscall: syscall as i32,
            arg0: 0,
        })
    }

    fn on(tid: Tid, cause: Cause, reason: Reason) -> Charge {
        Charge::on(tid, None, cause, reason)
    }

    /// Which part of each charge from 0 to 100 is that of a stop from 10 to 20.
    fn all_have(part: Option<(u64, u64)>, rows: &[(&str, Charge)]) {
        for (rule, charge) in rows {
            let last = stopped(&[stop(10, 20)]).last(charge, 0, 100);
            assert_eq!(
                last.map(|(first_ns, last_ns, _)| (first_ns, last_ns)),
                part,
                "{rule}"
            );
        }
    }

    #[test]
    fn who_waits_for_what_the_program_is_to_do_waits_for_the_end_of_the_stop() {
        let in_futex = in_call(Sysno::futex);
        let sleeps = in_call(Sysno::clock_nanosleep);
        all_have(
            Some((10, 20)),
            &[
                ("nobody took it up", Charge::idle(None, "")),
                (
                    "its own thread is at the barrier",
                    on(OF_PROGRAM, Cause::Lock, in_futex),
                ),
                (
                    "it is behind one that is",
                    on(OF_PROGRAM, Cause::WorkerBlocked, in_futex),
                ),
                (
                    "the stopper runs, asked by the request",
                    on(OF_MACHINE, Cause::OnCpu, Reason::Plain),
                ),
                (
                    "and waits for a CPU",
                    on(OF_MACHINE, Cause::RunQueue, Reason::Plain),
                ),
                (
                    "and sleeps until all are at the barrier",
                    on(OF_MACHINE, Cause::Syscall, sleeps),
                ),
            ],
        );
    }

    #[test]
    fn what_goes_on_by_itself_is_waited_for_as_ever() {
        let ran = Reason::RanFor(Owner::Others, Task::NONE);
        all_have(
            None,
            &[
                (
                    "its own thread computes in a library",
                    on(OF_PROGRAM, Cause::OnCpu, Reason::Plain),
                ),
                (
                    "it is behind one that does",
                    on(OF_PROGRAM, Cause::WorkerBusy, ran),
                ),
                ("it was not seen", Charge::unexplained(Some(OF_PROGRAM), "")),
                (
                    "a thread that was never seen at the barrier computes",
                    on(Tid(77), Cause::OnCpu, Reason::Plain),
                ),
                ("a disk", on(OF_PROGRAM, Cause::Syscall, in_call(Sysno::fsync))),
                ("a timer", on(OF_PROGRAM, Cause::Timer, in_call(Sysno::futex))),
                ("a peer", Charge::of(Cause::Downstream, Reason::Plain)),
            ],
        );
    }

    #[test]
    fn of_a_charge_the_last_part_is_found_that_a_stop_has() {
        let waits = Charge::idle(None, "");
        let last = |from_ns, to_ns| {
            stopped(&[stop(50, 60), stop(10, 20)])
                .last(&waits, from_ns, to_ns)
                .map(|(first, last, _)| (first, last))
        };
        assert_eq!(last(0, 100), Some((50, 60)));
        assert_eq!(last(0, 55), Some((50, 55)));
        assert_eq!(last(15, 50), Some((15, 20)));
        assert_eq!(last(20, 50), None);
        assert_eq!(last(55, 55), None);
    }

    #[test]
    fn what_is_summed_up_begins_after_the_last_stop() {
        let stopped = stopped(&[stop(50, 60), stop(10, 20)]);
        assert_eq!(stopped.free_since_ns(100), Some(60));
        assert_eq!(stopped.free_since_ns(60), None);
        assert_eq!(stopped.free_since_ns(55), None);
        assert_eq!(stopped.free_since_ns(50), Some(20));
        assert_eq!(stopped.free_since_ns(5), Some(0));
    }
}
