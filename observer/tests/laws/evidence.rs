//! What every thread did, read off a stream in the plainest way: what a request is charged must lie in it.
//!
//! Knows nothing of requests' paths or owners. It is true only for streams without loss or disorder.

use std::collections::{HashMap, HashSet};

use observer::attribution::notes;
use observer::event::{self, Event, GoCycle};
use observer::model::cause::Cause;
use observer::model::id::Task;
use observer::model::request::{Confidence, Request, Span};
use observer::runtime::jvm;
use observer::syscall;
use observer_common::limits::NETWORK_MARK_NS;
use observer_common::{Header, ProcessChange, Stolen, flags, task};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::accepts::Accepts;
use super::outside::Outside;
use super::ownership::{self, Ownership};
use super::stream::Stream;
use super::theft;

/// What a thread does from some time on.
#[derive(Clone, Copy, Debug)]
enum Doing {
    Running { cpu: u16 },
    Runnable,
    Blocked { syscall: i32 },
}

/// A thread waited until one ended that which can stop others.
#[derive(Clone, Copy, Debug)]
struct Stopped {
    pid: u32,
    by: u32,
    from_ns: u64,
    to_ns: u64,
}

/// Every thread's past.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    threads: HashMap<u32, Vec<(u64, Doing)>>,
    /// Runtime tasks in which a thread was seen, as they were recorded.
    tasks: HashSet<(u32, u64)>,
    /// When which thread was seen in which function.
    functions: HashSet<(u32, u64, String)>,
    /// What a hypervisor took.
    thefts: Vec<Stolen>,
    /// Waits of threads that another ended which may have stopped them.
    stops: Vec<Stopped>,
    /// What Go's runtime did.
    cycles: Vec<GoCycle>,
    /// When which thread was seen to help to mark, and what was recorded of its goroutine.
    assists: Vec<(u64, u32, u64)>,
    /// What happened outside of the threads.
    outside: Outside,
    /// Who accepted.
    accepts: Accepts,
    /// For which requests threads ran.
    pub(crate) ownership: Ownership,
}

impl Truth {
    /// Reads it off `stream`.
    pub(crate) fn of(stream: &Stream) -> Self {
        let mut truth = Self::default();
        let mut names = HashMap::new();
        let mut ownership = ownership::Reading::default();
        for event in stream.events() {
            ownership.event(&event);
            truth.stops.extend(truth.stopped(&event));
            truth.tasks.extend(stamp(&event));
            truth.assists.extend(assists(&event));
            truth.outside.event(&event);
            truth.accepts.event(&event);
            for (tid, at_ns, doing) in does(&event) {
                truth.accepts.does(tid, at_ns, &event);
                truth.threads.entry(tid).or_default().push((at_ns, doing));
            }
            match event {
                Event::Function(event) => {
                    names.insert(event.number, event::text(&event.name));
                }
                Event::Sample(event) => {
                    let name = names.get(&event.function).cloned();
                    let seen = name.map(|name| (event.header.tid, event.sampled_ns, name));
                    truth.functions.extend(seen);
                }
                Event::Stolen(event) => truth.thefts.push(*event),
                Event::GoCycle(event) => truth.cycles.push(*event),
                _ => {}
            }
        }
        truth.ownership = ownership.end();
        truth
    }

    /// Whether `claim` was so for the thread from `from_ns` until `to_ns`.
    fn throughout(&self, tid: u32, from_ns: u64, to_ns: u64, claim: impl Fn(Doing) -> bool) -> bool {
        let past = self.threads.get(&tid).map_or(&[][..], Vec::as_slice);
        let first = past.partition_point(|&(at_ns, _)| at_ns <= from_ns);
        let last = past.partition_point(|&(at_ns, _)| at_ns < to_ns);
        first > 0 && past[first - 1..last].iter().all(|&(_, doing)| claim(doing))
    }

    /// What a request is charged for its threads, they did.
    pub(crate) fn supports(&self, request: &Request) -> Result<(), TestCaseError> {
        theft::supports(&self.thefts, request)?;
        self.ownership.supports(request)?;
        if request.figures.confidence == Confidence::Exact {
            prop_assert!(request.task.is_some(), "no task is known of {request:?}");
        }
        self.supports_sums(request)?;
        for span in request
            .timeline
            .iter()
            .filter(|span| span.cause != Cause::Unexplained && !is_summed_up(span))
        {
            let from_ns = request.figures.arrival_ns + span.at_ns;
            let so = span.tid.is_none_or(|tid| {
                self.throughout(tid.0, from_ns, from_ns + span.dur_ns, |doing| agrees(span, doing))
            });
            self.supports_functions(span, from_ns)?;
            if span.detail.runtime.is_some_and(|work| work.what == jvm::STOP) {
                let stopped = self.is_stopped(request, span, from_ns);
                prop_assert!(stopped, "nobody had stopped it: {span:?}\nof {request:?}");
                continue;
            }
            let so = so
                && match span.cause {
                    Cause::Runtime => self.has_phase(span, from_ns),
                    _ => span.tid.is_some() || self.outside.agrees(request, span),
                };
            prop_assert!(so, "charged without evidence: {span:?}\nof {request:?}");
            if let Some(culprit) = &span.culprit
                && let Some(task) = culprit.task
            {
                let seen = self.tasks.contains(&(culprit.tid.0, task.0));
                prop_assert!(seen, "never seen in its task: {span:?}");
            }
        }
        Ok(())
    }

    /// The wait that a wakeup ended, if the thread that made it can stop others.
    fn stopped(&self, event: &Event<'_>) -> Option<Stopped> {
        let Event::Waking(event) = event else { return None };
        let &(from_ns, doing) = self.threads.get(&event.header.tid)?.last()?;
        let waited = matches!(doing, Doing::Blocked { syscall } if syscall::is_futex(syscall));
        (waited && jvm::may_be_vm_thread(&event.waker_comm)).then_some(Stopped {
            pid: event.tgid,
            by: event.waker_tid,
            from_ns,
            to_ns: event.header.at_ns,
        })
    }

    /// Whether all the time of a span threads of the request's process waited for the one that is said to have stopped
    /// them.
    fn is_stopped(&self, request: &Request, span: &Span, from_ns: u64) -> bool {
        let by = span.culprit.as_ref().map(|culprit| culprit.tid.0);
        let its = |stop: &&Stopped| Some(stop.by) == by && stop.pid == request.figures.pid.0;
        let mut known_ns = from_ns + span.dur_ns;
        while known_ns > from_ns {
            let stops = self.stops.iter().filter(its);
            let meets = stops.filter(|stop| stop.from_ns < known_ns && known_ns <= stop.to_ns);
            let Some(first_ns) = meets.map(|stop| stop.from_ns).min() else {
                return false;
            };
            known_ns = first_ns;
        }
        true
    }

    /// Whether the thread was seen in the same assist before a span and after it.
    fn assists(&self, span: &Span, from_ns: u64) -> bool {
        let to_ns = from_ns + span.dur_ns;
        let mut of_thread = self
            .assists
            .iter()
            .filter(|look| Some(look.1) == span.tid.map(|tid| tid.0));
        let before = of_thread.clone().rfind(|look| look.0 <= from_ns);
        let after = of_thread.find(|look| look.0 >= to_ns);
        before
            .zip(after)
            .is_some_and(|(before, after)| before.2 == after.2)
    }

    /// Whether a span lies in a part of its cycle in which the runtime does what it says.
    fn has_phase(&self, span: &Span, from_ns: u64) -> bool {
        let Some(work) = span.detail.runtime else {
            return false;
        };
        let lies_in = |begin_ns, end_ns| begin_ns <= from_ns && from_ns + span.dur_ns <= end_ns;
        if span.cpu.is_some() {
            return self.assists(span, from_ns);
        }
        let mut its = self
            .cycles
            .iter()
            .filter(|cycle| Some(cycle.number) == work.cycle);
        its.any(|cycle| match work.what {
            "stop of the world" => {
                lies_in(cycle.begin_ns, cycle.mark_ns) || lies_in(cycle.marked_ns, cycle.end_ns)
            }
            _ => lies_in(cycle.mark_ns, cycle.marked_ns),
        })
    }

    /// Where a request is charged by sums what a thread did, these are its sums.
    fn supports_sums(&self, request: &Request) -> Result<(), TestCaseError> {
        let together =
            |one: &Span, next: &Span| is_summed_up(one) && is_summed_up(next) && one.tid == next.tid;
        for spans in request.timeline.chunk_by(together) {
            let (Some(first), Some(last)) = (spans.first(), spans.last()) else {
                continue;
            };
            let Some(tid) = first.tid.filter(|_| is_summed_up(first)) else {
                continue;
            };
            let at_ns = |ns| request.figures.arrival_ns + ns;
            let (from_ns, to_ns) = (at_ns(first.at_ns), at_ns(last.at_ns + last.dur_ns));
            let charged_ns = |causes: &[Cause]| {
                let of_causes = spans.iter().filter(|span| causes.contains(&span.cause));
                of_causes.map(|span| span.dur_ns).sum::<u64>()
            };
            let did_ns = |claim: fn(Doing) -> bool| self.sum_ns(tid.0, from_ns, to_ns, claim);
            let ran_ns = did_ns(|doing| matches!(doing, Doing::Running { .. }));
            let runnable_ns = did_ns(|doing| matches!(doing, Doing::Runnable));
            // Of a thread that accepts it is one, what it ran and what it was blocked.
            let queued_ns = charged_ns(&[Cause::AcceptQueue]);
            let busy_ns = charged_ns(&[Cause::WorkerBusy]);
            prop_assert!(queued_ns > 0 || busy_ns == ran_ns, "{ran_ns} ns: {request:?}");
            prop_assert_eq!(
                charged_ns(&[Cause::RunQueue, Cause::Throttled]),
                runnable_ns,
                "{:?}",
                request
            );
        }
        Ok(())
    }

    /// For how long between two times a thread did what `claim` says, ns.
    fn sum_ns(&self, tid: u32, from_ns: u64, to_ns: u64, claim: impl Fn(Doing) -> bool) -> u64 {
        let past = self.threads.get(&tid).map_or(&[][..], Vec::as_slice);
        let ends_ns = past.iter().skip(1).map(|&(at_ns, _)| at_ns).chain([u64::MAX]);
        let did = past.iter().zip(ends_ns).filter(|((_, doing), _)| claim(*doing));
        did.map(|(&(at_ns, _), end_ns)| end_ns.min(to_ns).saturating_sub(at_ns.max(from_ns)))
            .sum()
    }

    /// What a request says of its wait to be accepted is so. Where records were lost, that is not known.
    pub(crate) fn supports_accept_queue(&self, request: &Request) -> Result<(), TestCaseError> {
        self.accepts.supports(request)
    }

    /// Functions are those in which the thread was seen within the span.
    fn supports_functions(&self, span: &Span, from_ns: u64) -> Result<(), TestCaseError> {
        let own = span.tid.zip(span.detail.function.as_ref());
        let culprit = span.culprit.as_ref();
        let culprits = culprit.and_then(|culprit| Some((culprit.tid, culprit.function.as_ref()?)));
        for (tid, function) in own.into_iter().chain(culprits) {
            let within = |at_ns| from_ns <= at_ns && at_ns < from_ns + span.dur_ns;
            let mut seen = self.functions.iter();
            let seen = seen.any(|(of, at_ns, name)| *of == tid.0 && within(*at_ns) && **name == **function);
            prop_assert!(seen, "never seen in its function: {span:?}");
        }
        Ok(())
    }
}

/// What threads do from an event on: which thread, when, what.
fn does(event: &Event<'_>) -> Vec<(u32, u64, Doing)> {
    let runs = |header: Header| (header.tid, header.at_ns, Doing::Running { cpu: header.cpu });
    match event {
        // A thread that was begun can run from then on.
        Event::Process(event)
            if event.change == ProcessChange::Fork as u32
                && (event.child_tgid == event.tgid || event.flags & flags::WATCHED != 0) =>
        {
            vec![(event.child_tid, event.header.at_ns, Doing::Runnable)]
        }
        Event::SwitchIn(event) => vec![runs(event.header)],
        Event::SwitchOut(event) => {
            let doing = if event.flags & flags::PREEMPTED != 0 {
                Doing::Runnable
            } else {
                Doing::Blocked {
                    syscall: event.syscall,
                }
            };
            vec![(event.header.tid, event.header.at_ns, doing)]
        }
        // Whoever wakes another runs, too.
        Event::Waking(event) => vec![
            runs(Header {
                tid: event.waker_tid,
                ..event.header
            }),
            (event.header.tid, event.header.at_ns, Doing::Runnable),
        ],
        // Whoever calls runs: this is the first that is seen of a thread that ran from the start on.
        Event::Receive(event, _) => vec![runs(event.header)],
        Event::Send(event, _) => vec![runs(event.header)],
        Event::Seen(event) => vec![runs(event.header)],
        Event::PollStart(event) => vec![runs(event.header)],
        Event::Readied(event) => vec![runs(event.header)],
        _ => Vec::new(),
    }
}

/// The thread that a record says to be in a runtime task, and the task.
fn stamp(event: &Event<'_>) -> Option<(u32, u64)> {
    let (tid, task) = match event {
        Event::Receive(event, _) => (event.header.tid, event.task),
        Event::Send(event, _) => (event.header.tid, event.task),
        Event::SwitchOut(event) => (event.header.tid, event.task),
        Event::Seen(event) => (event.header.tid, event.task),
        Event::Waking(event) => (event.waker_tid, event.waker_task),
        Event::PollStart(event) => (event.header.tid, event.task),
        Event::Readied(event) => (event.header.tid, event.task),
        _ => return None,
    };
    Some((tid, Task::new(task).id()?.0))
}

/// When a thread is seen to help to mark, and what is recorded of its goroutine.
fn assists(event: &Event<'_>) -> Option<(u64, u32, u64)> {
    let (header, task) = match event {
        Event::SwitchOut(event) => (event.header, event.task),
        Event::Seen(event) => (event.header, event.task),
        _ => return None,
    };
    let waits = task & task::FOR_RUNTIME != 0 && task & task::HAS_STAY != 0 && task != task::NONE;
    waits.then_some((header.at_ns, header.tid, task))
}

/// Whether a thread that is in this call can have nothing to do.
fn idles(call: i32) -> bool {
    syscall::waits_for_events(call) || syscall::is_poll(call) || syscall::is_futex(call)
}

/// Whether a span of a thread may be charged to its cause while the thread does this.
fn agrees(span: &Span, doing: Doing) -> bool {
    match (span.cause, doing) {
        (
            Cause::OnCpu | Cause::WorkerBusy | Cause::TaskQueue | Cause::Stolen | Cause::Runtime,
            Doing::Running { cpu },
        ) => span.cpu == Some(cpu),
        (Cause::RunQueue | Cause::Throttled, Doing::Runnable) => true,
        // Who is named did something else, or waited for a CPU.
        (Cause::AcceptQueue, doing) => match (&span.culprit, doing) {
            // It had nothing to do; or what it did was for many others.
            (None, Doing::Blocked { syscall }) => idles(syscall),
            (None, _) => span
                .detail
                .note
                .is_some_and(|note| note.starts_with("behind many others")),
            (Some(culprit), Doing::Blocked { syscall }) => culprit.syscall == syscall::name(syscall),
            (Some(culprit), Doing::Running { cpu }) => culprit.syscall.is_none() && span.cpu == Some(cpu),
            (Some(_), Doing::Runnable) => false,
        },
        // A task was in the queue, and it had nothing to do.
        (Cause::TaskQueue, Doing::Blocked { syscall }) => idles(syscall),
        // It had nothing to do, or waited for others to stop.
        (Cause::Runtime, Doing::Blocked { syscall }) => idles(syscall),
        // A time that the call was given.
        (Cause::Timer, Doing::Blocked { syscall }) => {
            syscall::is_futex(syscall) && span.detail.syscall == syscall::name(syscall)
        }
        // Data was ready, and the wakeup that it caused was on its way: never for longer than the kernel half
        // waits for it.
        (Cause::RunQueue, Doing::Blocked { .. }) => {
            span.detail.note == Some("waking the thread") && span.dur_ns <= NETWORK_MARK_NS
        }
        (
            Cause::WorkerBlocked
            | Cause::Syscall
            | Cause::Lock
            | Cause::PageFault
            | Cause::SendBlocked
            | Cause::Client
            | Cause::Downstream,
            Doing::Blocked { syscall },
        ) => span.detail.syscall == syscall::name(syscall),
        _ => false,
    }
}

/// Whether of a span only its length is known, and not when in the spans around it it was.
fn is_summed_up(span: &Span) -> bool {
    span.detail.note == Some(notes::SUMMED_UP)
}
