//! What is told of a request that gave a job to a blocking pool, and whose worker was never idle: short streams, each
//! with the one answer that its events support.

use bytemuck::Zeroable as _;
use observer::event;
use observer::model::cause::Cause;
use observer::model::id::Pid;
use observer::model::request::{Confidence, Request};
use observer::runtime::RuntimeName;
use observer_common::{Header, Kind, SwitchIn, SwitchOut, Waking, conn, flags, task};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use syscalls::Sysno;

use super::check::Law;
use super::machine::START_NS;
use super::script::{A, B, PID, SECOND, Script, TASK_A, TASK_B, WORKER, charged_us, header, of_second};

/// Another thread of it.
const THIRD: u32 = 103;

/// Where the pool's thread waits for jobs.
const FUTEX: u64 = 0x1000;

/// A job that the pool's thread did before.
const JOB: u64 = 99;

fn of_third(kind: Kind, at_us: u64) -> Header {
    Header {
        tid: THIRD,
        cpu: 2,
        ..header(kind, at_us)
    }
}

impl Script {
    /// The program has tokio, and the second thread blocks for a moment in a job, as those of its pool do.
    fn with_a_pool(mut self) -> Self {
        self.record(&event::Runtime {
            task_ids: 1,
            schedulers: 1,
            ..event::Runtime::new(
                START_NS + 1_500,
                Pid(PID),
                RuntimeName::Tokio.name(),
                "1.48.0",
                "",
            )
        });
        self.record(&SwitchOut {
            header: of_second(Kind::SwitchOut, 2),
            tgid: PID,
            state: 1,
            syscall: Sysno::fsync as i32,
            flags: flags::NO_SCHEDULER,
            task: JOB,
            ..SwitchOut::zeroed()
        });
        self.pool_gets_a_cpu(5)
    }

    fn pool_parks(mut self, at_us: u64) -> Self {
        self.record(&SwitchOut {
            header: of_second(Kind::SwitchOut, at_us),
            tgid: PID,
            state: 1,
            syscall: Sysno::futex as i32,
            args: [FUTEX, libc::FUTEX_WAIT as u64, 1, 1],
            task: task::NONE,
            ..SwitchOut::zeroed()
        });
        self
    }

    fn gives_a_job(mut self, at_us: u64, task: u64) -> Self {
        self.record(&Waking {
            header: Header {
                cpu: 0,
                ..of_second(Kind::Waking, at_us)
            },
            tgid: PID,
            waker_tid: WORKER,
            waker_tgid: PID,
            waker_syscall: Sysno::futex as i32,
            waker_task: task,
            conn: conn::NONE,
            ..Waking::zeroed()
        });
        self
    }

    fn pool_gets_a_cpu(mut self, at_us: u64) -> Self {
        self.record(&SwitchIn {
            header: of_second(Kind::SwitchIn, at_us),
            tgid: PID,
            ..SwitchIn::zeroed()
        });
        self
    }

    /// The worker loses its CPU in this task.
    fn loses_its_cpu(mut self, at_us: u64, task: u64) -> Self {
        self.record(&SwitchOut {
            header: header(Kind::SwitchOut, at_us),
            tgid: PID,
            syscall: -1,
            flags: flags::PREEMPTED,
            task,
            ..SwitchOut::zeroed()
        });
        self
    }

    fn gets_a_cpu(mut self, at_us: u64) -> Self {
        self.record(&SwitchIn {
            header: header(Kind::SwitchIn, at_us),
            tgid: PID,
            ..SwitchIn::zeroed()
        });
        self
    }

    /// A third thread waits for the pool's queue, or for what guards it.
    fn third_parks(mut self, at_us: u64) -> Self {
        self.record(&SwitchOut {
            header: of_third(Kind::SwitchOut, at_us),
            tgid: PID,
            state: 1,
            syscall: Sysno::futex as i32,
            args: [FUTEX + 64, libc::FUTEX_WAIT as u64, 1, 0],
            task: task::NONE,
            ..SwitchOut::zeroed()
        });
        self
    }

    fn pool_wakes_the_third(mut self, at_us: u64) -> Self {
        self.record(&Waking {
            header: Header {
                cpu: 1,
                ..of_third(Kind::Waking, at_us)
            },
            tgid: PID,
            waker_tid: SECOND,
            waker_tgid: PID,
            waker_syscall: Sysno::futex as i32,
            waker_task: task::NONE,
            conn: conn::NONE,
            ..Waking::zeroed()
        });
        self
    }

    /// It is blocked in a job from then to then.
    fn pool_sleeps(mut self, from_us: u64, to_us: u64) -> Self {
        self.record(&SwitchOut {
            header: of_second(Kind::SwitchOut, from_us),
            tgid: PID,
            state: 1,
            syscall: Sysno::clock_nanosleep as i32,
            flags: flags::NO_SCHEDULER,
            task: JOB + 1,
            ..SwitchOut::zeroed()
        });
        self.record(&Waking {
            header: of_second(Kind::Waking, to_us),
            tgid: PID,
            waker_syscall: -1,
            waker_task: task::UNKNOWN,
            conn: conn::NONE,
            ..Waking::zeroed()
        });
        self.pool_gets_a_cpu(to_us + 1).pool_parks(to_us + 5)
    }

    /// The worker turns to B at 100 us, and goes on with A at this time.
    fn serves_b_until(self, at_us: u64) -> Result<Request, TestCaseError> {
        let script = self.reads(100, B, TASK_B, 90).sends(at_us, B, TASK_B);
        script.sends(at_us + 10, A, TASK_A).request(A)
    }
}

/// A reads, and gives a job to the pool.
fn given() -> Script {
    Script::begin()
        .with_a_pool()
        .pool_parks(10)
        .reads(50, A, TASK_A, 40)
        .gives_a_job(60, TASK_A)
}

#[test]
fn whose_job_is_done_before_it_leaves_its_worker_waits_for_the_worker() -> Law {
    let request = given().pool_gets_a_cpu(65).pool_parks(80).serves_b_until(1_000)?;
    prop_assert_eq!(charged_us(&request, Cause::WorkerBusy), 900);
    prop_assert_eq!(request.figures.confidence, Confidence::Inferred);
    Ok(())
}

/// To take the job out of the queue it woke another that waited for what guards the queue. That was not the job.
#[test]
fn a_thread_of_a_pool_does_the_job_for_which_it_was_woken_also_if_it_wakes_another_first() -> Law {
    let script = given()
        .third_parks(62)
        .pool_gets_a_cpu(65)
        .pool_wakes_the_third(70);
    let script = script.reads(75, B, TASK_B, 74).pool_sleeps(80, 2_000);
    let request = script
        .sends(2_050, B, TASK_B)
        .sends(2_060, A, TASK_A)
        .request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::Syscall), 1_920);
    Ok(())
}

/// The job is done while the worker, which was busy with B, waits for a CPU.
#[test]
fn whose_job_is_done_while_its_worker_has_no_cpu_waits_for_that_from_then_on() -> Law {
    let script = given().pool_gets_a_cpu(65).reads(75, B, TASK_B, 74);
    let script = script
        .loses_its_cpu(100, TASK_B)
        .pool_sleeps(110, 2_000)
        .gets_a_cpu(3_000);
    let request = script
        .sends(3_005, B, TASK_B)
        .sends(3_010, A, TASK_A)
        .request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::Syscall), 1_890);
    prop_assert_eq!(charged_us(&request, Cause::RunQueue), 996);
    Ok(())
}

/// What a thread of the pool does meanwhile does not keep it.
#[test]
fn who_loses_its_cpu_in_its_own_task_waits_for_a_cpu_all_the_time() -> Law {
    let script = given()
        .pool_gets_a_cpu(65)
        .loses_its_cpu(100, TASK_A)
        .pool_sleeps(110, 2_000);
    let request = script.gets_a_cpu(3_000).sends(3_010, A, TASK_A).request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::RunQueue), 2_900);
    prop_assert_eq!(charged_us(&request, Cause::Syscall), 0);
    Ok(())
}

/// The runtime looks for timers between tasks, and no event tells.
#[test]
fn after_so_long_it_can_have_waited_for_a_timer() -> Law {
    let request = given().pool_gets_a_cpu(65).pool_parks(80).serves_b_until(3_000)?;
    prop_assert_eq!(charged_us(&request, Cause::WorkerBusy), 0);
    prop_assert_eq!(charged_us(&request, Cause::Unexplained), 2_900);
    Ok(())
}

#[test]
fn whose_thread_of_the_pool_has_no_cpu_waits_for_one() -> Law {
    let script = given().reads(100, B, TASK_B, 90).sends(3_000, B, TASK_B);
    let script = script.sends(3_010, A, TASK_A).pool_gets_a_cpu(4_000);
    let request = script.request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::RunQueue), 2_900);
    prop_assert_eq!(request.figures.confidence, Confidence::Inferred);
    Ok(())
}

/// It was woken for another request: that it has no CPU keeps this one from nothing.
#[test]
fn a_job_of_another_explains_nothing() -> Law {
    let script = Script::begin()
        .with_a_pool()
        .pool_parks(10)
        .reads(50, A, TASK_A, 40);
    let script = script.reads(100, B, TASK_B, 90).gives_a_job(110, TASK_B);
    let script = script.sends(3_000, B, TASK_B).sends(3_010, A, TASK_A);
    let request = script.pool_gets_a_cpu(4_000).request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::RunQueue), 0);
    prop_assert_eq!(charged_us(&request, Cause::Unexplained), 2_900);
    Ok(())
}

/// A thread that never ran a job may be anybody's, such as a logger's.
#[test]
fn whose_thread_is_of_no_pool_explains_nothing() -> Law {
    let script = Script::begin()
        .pool_parks(10)
        .reads(50, A, TASK_A, 40)
        .gives_a_job(60, TASK_A);
    let script = script.reads(100, B, TASK_B, 90).sends(3_000, B, TASK_B);
    let request = script.sends(3_010, A, TASK_A).pool_gets_a_cpu(4_000).request(A)?;
    prop_assert_eq!(charged_us(&request, Cause::RunQueue), 0);
    prop_assert_eq!(charged_us(&request, Cause::Unexplained), 2_900);
    Ok(())
}
