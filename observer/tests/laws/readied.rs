//! What is told of requests whose goroutines wait for others, where it is recorded which made which ready: short
//! streams, each with the one answer that its events support.

mod unseen;

use bytemuck::Zeroable as _;
use observer::attribution::notes;
use observer::event;
use observer::model::cause::Cause;
use observer::model::id::Pid;
use observer::model::request::{Culprit, Request, Span};
use observer_common::{
    Header, Kind, PollStart, Readied, Receive, SwitchIn, SwitchOut, Waking, conn, flags, task,
};
use proptest::prelude::*;
use syscalls::Sysno;

use super::check::Law;
use super::machine::START_NS;
use super::script::{A, B, OTHER, PID, Script, TASK_A, TASK_B, charged_us, header, of_second};

/// Numbers of wait reasons since Go 1.26.
const SLEEP: u64 = 14;
const RECEIVE: u64 = 19;
const IO_WAIT: u64 = 2;
const MUTEX: u64 = 22;
const SUSPENDED: u64 = 30;

/// Where in their code goroutines go on that have waited, and one that lost its turn to run.
const PARKED: u64 = 0x43_5d8e;
const PREEMPTED: u64 = 0x46_0a31;

/// What a record says of a goroutine that waited last for this.
fn waited(id: u64, reason: u64) -> u64 {
    task::HAS_STAY | reason << (task::STAY_SHIFT + 8) | id
}

/// The same, of one that waited for a channel.
fn goroutine(id: u64) -> u64 {
    waited(id, RECEIVE)
}

/// A goroutine is made ready, and begins to run.
struct Ready {
    at_us: u64,
    /// By the second thread.
    by_second: bool,
    runs_us: u64,
    on_second: bool,
}

impl Script {
    fn of_go() -> Self {
        let mut script = Self::begin();
        script.record(&event::Runtime {
            task_ids: 1,
            ..event::Runtime::new(START_NS + 10_000, Pid(PID), "go", "go1.26.8", "")
        });
        script
    }

    /// The goroutine in which a thread is makes this one ready.
    fn readies(mut self, header: Header, by: u64, readied: u64) -> Self {
        self.record(&Readied {
            header,
            tgid: PID,
            reserved: 0,
            task: by,
            readied,
        });
        self
    }

    /// A thread begins to run a goroutine that was made ready, if that was seen.
    fn runs(self, header: Header, task: u64, queued: Option<Header>) -> Self {
        self.runs_from(header, task, queued, if queued.is_some() { PARKED } else { 0 })
    }

    /// The same of one that goes on from this place in its code.
    fn runs_from(mut self, header: Header, task: u64, queued: Option<Header>, goes_on: u64) -> Self {
        self.record(&PollStart {
            header,
            tgid: PID,
            queued_by: queued.map_or(0, |queued| queued.tid),
            frame: goes_on,
            task,
            queued_ns: queued.map_or(0, |queued| queued.at_ns),
        });
        self
    }

    /// The goroutine `by` makes this one ready, which runs later.
    fn hands_on(self, ready: &Ready, by: u64, to: u64) -> Self {
        let of = |is_second, kind, at_us| {
            if is_second {
                of_second(kind, at_us)
            } else {
                header(kind, at_us)
            }
        };
        let readied = of(ready.by_second, Kind::Readied, ready.at_us);
        let runs = of(ready.on_second, Kind::PollStart, ready.runs_us);
        self.readies(readied, by, to).runs(runs, to, Some(readied))
    }

    /// The first thread writes a file to the disk meanwhile.
    fn syncs(mut self, from_us: u64, to_us: u64, task: u64) -> Self {
        self.record(&SwitchOut {
            header: header(Kind::SwitchOut, from_us),
            tgid: PID,
            state: 2,
            syscall: Sysno::fdatasync as i32,
            args: [7, 0, 0, 0],
            task,
            ..SwitchOut::zeroed()
        });
        self.record(&Waking {
            header: header(Kind::Waking, to_us),
            tgid: PID,
            waker_syscall: -1,
            ..Waking::zeroed()
        });
        self.record(&SwitchIn {
            header: Header {
                at_ns: header(Kind::SwitchIn, to_us).at_ns + 1,
                ..header(Kind::SwitchIn, to_us)
            },
            tgid: PID,
            ..SwitchIn::zeroed()
        });
        self
    }

    /// The second thread reads A, and has nothing to do from then on.
    fn second_reads_and_waits(mut self, at_us: u64) -> Self {
        self.record(&Receive {
            header: of_second(Kind::Receive, at_us),
            tgid: PID,
            fd: A as i32,
            conn: A,
            task: goroutine(TASK_A),
            flags: flags::INBOUND,
            arrived_ns: START_NS + (at_us - 10) * 1_000,
            result: 5,
            ..Receive::zeroed()
        });
        self.second_idles(at_us + 10, u64::from(u32::MAX))
    }
}

fn spans(request: &Request, cause: Cause) -> Vec<&Span> {
    request
        .timeline
        .iter()
        .filter(|span| span.cause == cause)
        .collect()
}

/// The requests behind which time was charged to a cause, and in which goroutines these were.
fn behind(request: &Request, cause: Cause) -> Vec<Option<u64>> {
    let culprits = spans(request, cause)
        .into_iter()
        .filter_map(|span| span.culprit.as_ref());
    culprits
        .map(|culprit: &Culprit| culprit.task.map(|task| task.0))
        .collect()
}

/// A gives a job to a goroutine, which computes for it, writes it to the disk, and makes A's ready again.
#[test]
fn what_a_goroutine_did_that_was_given_a_job_is_what_the_request_did() -> Law {
    let given = Ready {
        at_us: 60,
        by_second: false,
        runs_us: 70,
        on_second: false,
    };
    let done = Ready {
        at_us: 3_100,
        by_second: false,
        runs_us: 3_110,
        on_second: false,
    };
    let script = Script::of_go().reads(50, A, goroutine(TASK_A), 40);
    let script = script
        .hands_on(&given, goroutine(TASK_A), goroutine(OTHER))
        .syncs(1_000, 3_000, goroutine(OTHER))
        .hands_on(&done, goroutine(OTHER), goroutine(TASK_A));
    let request = script.sends(3_200, A, goroutine(TASK_A)).request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::Syscall), 2_000);
    prop_assert_eq!(charged_us(&request, Cause::Unexplained), 0);
    prop_assert_eq!(
        spans(&request, Cause::Syscall)[0].detail.syscall,
        Some("fdatasync")
    );
    Ok(())
}

/// The goroutine that does jobs is at one of B when A gives it another one.
#[test]
fn who_gives_a_job_to_a_goroutine_that_has_another_waits_behind_the_request_of_that() -> Law {
    let given = Ready {
        at_us: 60,
        by_second: false,
        runs_us: 70,
        on_second: false,
    };
    let script = Script::of_go()
        .reads(50, B, goroutine(TASK_B), 40)
        .hands_on(&given, goroutine(TASK_B), goroutine(OTHER))
        .second_reads_and_waits(90);
    let script = script.syncs(500, 1_000, goroutine(OTHER)).readies(
        header(Kind::Readied, 1_200),
        goroutine(OTHER),
        goroutine(TASK_B),
    );
    let done = header(Kind::Readied, 2_000);
    let script = script
        .readies(done, goroutine(OTHER), goroutine(TASK_A))
        .second_is_woken(2_005, None)
        .runs(of_second(Kind::PollStart, 2_010), goroutine(TASK_A), Some(done));
    let request = script.second_sends(2_100, A, goroutine(TASK_A)).request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::WorkerBusy), 599);
    prop_assert_eq!(behind(&request, Cause::WorkerBusy), [Some(OTHER), Some(OTHER)]);
    prop_assert_eq!(charged_us(&request, Cause::WorkerBlocked), 500);
    // Of its thread nothing is known before it read.
    prop_assert_eq!(charged_us(&request, Cause::Unexplained), 10);
    Ok(())
}

/// B has what A wants, and lets go of it.
#[test]
fn whom_a_goroutine_of_another_request_made_ready_waited_for_what_that_had() -> Law {
    let script = Script::of_go()
        .reads(50, B, goroutine(TASK_B), 40)
        .second_reads_and_waits(90);
    let let_go = header(Kind::Readied, 1_200);
    let script = script
        .readies(let_go, goroutine(TASK_B), waited(TASK_A, MUTEX))
        .second_is_woken(1_205, None)
        .runs(
            of_second(Kind::PollStart, 1_210),
            waited(TASK_A, MUTEX),
            Some(let_go),
        );
    let request = script.second_sends(1_300, A, waited(TASK_A, MUTEX)).request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::Lock), 1_100);
    prop_assert_eq!(behind(&request, Cause::Lock), [Some(TASK_B)]);
    Ok(())
}

/// Each of them waited for it, too.
#[test]
fn of_many_that_had_it_one_after_the_other_the_last_are_told() -> Law {
    const HOLDERS: u64 = 70;
    const TOLD: usize = 64;
    let holder = |nth| waited(100 + nth, MUTEX);
    let mut script = Script::of_go();
    // The first reads last, and runs.
    for nth in (0..HOLDERS).rev() {
        script = script.reads(80 - nth, 100 + nth, holder(nth), 5);
    }
    script = script.second_reads_and_waits(90);
    let let_go_us = |nth| 200 + 10 * nth;
    for nth in 0..HOLDERS - 1 {
        let ready = Ready {
            at_us: let_go_us(nth),
            by_second: false,
            runs_us: let_go_us(nth) + 5,
            on_second: false,
        };
        script = script.hands_on(&ready, holder(nth), holder(nth + 1));
    }
    let last_us = let_go_us(HOLDERS - 1);
    let let_go = header(Kind::Readied, last_us);
    let script = script
        .readies(let_go, holder(HOLDERS - 1), waited(TASK_A, MUTEX))
        .second_is_woken(last_us + 5, None)
        .runs(
            of_second(Kind::PollStart, last_us + 10),
            waited(TASK_A, MUTEX),
            Some(let_go),
        );
    let script = script.second_sends(last_us + 100, A, waited(TASK_A, MUTEX));
    let request = script.request_given_up(A)?;
    let spans = spans(&request, Cause::Lock);
    let (first, told) = spans.split_first().unwrap();
    prop_assert_eq!(told.len(), TOLD);
    prop_assert!(
        told.iter()
            .all(|span| span.culprit.is_some() && span.dur_ns == 10_000)
    );
    prop_assert_eq!(&first.culprit, &None);
    prop_assert_eq!(first.detail.note, Some(notes::TOO_MANY_STEPS));
    // It waits since 100.
    prop_assert_eq!(charged_us(&request, Cause::Lock), last_us - 100);
    Ok(())
}

/// Its thread has nothing to do meanwhile.
#[test]
fn whom_the_runtime_made_ready_waited_for_a_timer_if_it_can_have_set_one() -> Law {
    for (reason, timer_us) in [(SLEEP, 900), (MUTEX, 0)] {
        let script = Script::of_go().reads(50, A, goroutine(TASK_A), 40);
        let script = script.idles(100, u64::from(u32::MAX)).woken(995, conn::NONE);
        let due = header(Kind::Readied, 1_000);
        let script = script.readies(due, task::NONE, waited(TASK_A, reason)).runs(
            header(Kind::PollStart, 1_010),
            waited(TASK_A, reason),
            Some(due),
        );
        let request = script.sends(1_100, A, waited(TASK_A, reason)).request(A)?;
        prop_assert_eq!(charged_us(&request, Cause::Timer), timer_us);
        prop_assert_eq!(charged_us(&request, Cause::Unexplained), 900 - timer_us);
        prop_assert_eq!(charged_us(&request, Cause::TaskQueue), 10);
    }
    Ok(())
}

/// A's goroutine is ready all that time, and its thread runs another one.
#[test]
fn a_goroutine_that_is_ready_waits_behind_what_its_thread_runs() -> Law {
    let given = Ready {
        at_us: 60,
        by_second: false,
        runs_us: 70,
        on_second: false,
    };
    let script = Script::of_go().reads(50, A, goroutine(TASK_A), 40);
    let ready = header(Kind::Readied, 100);
    let script = script
        .hands_on(&given, goroutine(TASK_A), goroutine(OTHER))
        .readies(ready, goroutine(OTHER), goroutine(TASK_A))
        .runs(header(Kind::PollStart, 2_000), goroutine(TASK_A), Some(ready));
    let request = script.sends(2_100, A, goroutine(TASK_A)).request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::WorkerBusy), 1_900);
    prop_assert_eq!(behind(&request, Cause::WorkerBusy), [Some(OTHER)]);
    Ok(())
}
