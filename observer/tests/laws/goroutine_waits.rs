//! What requests that goroutines serve waited for, by what these say of their waits, and by what was seen of them.

use bytemuck::Zeroable as _;
use observer::model::cause::Cause;
use observer_common::{Kind, SwitchOut, conn};
use proptest::prelude::*;
use syscalls::Sysno;

use super::check::Law;
use super::goroutines::{AT_MUTEX, IO_WAIT, MUTEX, SLEEP, reads, seen, stay};
use super::script::{A, OTHER, PEER, PID, TASK_A, charged_us, header};

/// Its worker waits for a timer meanwhile, which is another's where the goroutine waited for a lock.
#[test]
fn a_timer_is_what_a_request_waited_for_only_if_its_goroutine_slept() -> Law {
    let read = stay(TASK_A, 0, IO_WAIT);
    for (reason, timer_us) in [(SLEEP, 10_000), (MUTEX, 0)] {
        let script = reads("go1.26.8", read).idles(60, 10).woken(10_060, conn::NONE);
        let request = script.sends(10_100, A, stay(TASK_A, 1, reason)).request(A)?;
        prop_assert_eq!(charged_us(&request, Cause::Timer), timer_us);
    }
    Ok(())
}

/// Another goroutine asks a peer meanwhile, and the answer wakes the worker.
#[test]
fn a_peer_is_what_a_request_waited_for_only_if_its_goroutine_did_not_sleep_or_wait_for_a_mutex() -> Law {
    let read = stay(TASK_A, 0, IO_WAIT);
    for (reason, budget_us) in [
        (IO_WAIT, [10_000, 0, 0, 0]),
        (SLEEP, [0, 0, 0, 10_000]),
        (MUTEX, [0, 0, 10_000, 0]),
    ] {
        let script = reads("go1.26.8", read)
            .asks(55, OTHER)
            .idles(60, 100)
            .woken(10_060, PEER);
        let request = script.sends(10_100, A, stay(TASK_A, 1, reason)).request(A)?;
        let causes = [Cause::Downstream, Cause::Timer, Cause::Lock, Cause::Unexplained];
        let budget = causes.map(|cause| charged_us(&request, cause));
        prop_assert_eq!(budget, budget_us, "{:?}", request.timeline);
    }
    Ok(())
}

/// Another goroutine asks a peer meanwhile. It sleeps, is seen so, and is read something when the answer is there.
#[test]
fn who_is_seen_asleep_does_not_wait_for_a_peer_meanwhile() -> Law {
    const ASLEEP: [&str; 3] = ["runtime.gopark", "time.Sleep", "main.f"];
    for (reason, downstream_us) in [(SLEEP, 0), (IO_WAIT, 10_000)] {
        let mut script = reads("go1.26.8", stay(TASK_A, 0, IO_WAIT))
            .asks(55, OTHER)
            .idles(60, 100);
        script.record(&seen(5_000, stay(TASK_A, 1, reason), ASLEEP));
        let script = script.woken(10_060, PEER);
        let request = script.sends(10_100, A, stay(TASK_A, 2, IO_WAIT)).request(A)?;
        prop_assert_eq!(charged_us(&request, Cause::Downstream), downstream_us);
    }
    Ok(())
}

/// It asks a peer, and sleeps when it has the answer.
#[test]
fn what_a_goroutine_waited_for_last_says_nothing_of_what_it_waited_for_before() -> Law {
    let script = reads("go1.26.8", stay(TASK_A, 0, IO_WAIT))
        .asks(55, stay(TASK_A, 0, IO_WAIT))
        .idles(60, 100)
        .woken(10_060, PEER)
        .seen(10_070, stay(TASK_A, 1, IO_WAIT))
        .idles(10_080, 10)
        .woken(20_080, conn::NONE);
    let request = script.sends(20_100, A, stay(TASK_A, 2, SLEEP)).request(A)?;
    let budget = [Cause::Downstream, Cause::Timer].map(|cause| charged_us(&request, cause));
    prop_assert_eq!(budget, [10_000, 10_000], "{:?}", request.timeline);
    Ok(())
}

/// Its worker waits for a timer meanwhile.
#[test]
fn a_request_waited_for_a_mutex_only_if_its_goroutine_waited_for_nothing_else() -> Law {
    const SELECT: u64 = 18;
    let lock = Some(AT_MUTEX);
    let group = Some(["runtime.gopark", "sync.(*WaitGroup).Wait", "main.f"]);
    for (read, sent, seen_in, lock_us) in [
        ((0, IO_WAIT), (1, MUTEX), None, 10_000),
        ((0, IO_WAIT), (2, MUTEX), None, 0),
        ((0, IO_WAIT), (1, SELECT), None, 0),
        ((0, MUTEX), (1, MUTEX), None, 0),
        ((0, MUTEX), (1, MUTEX), lock, 10_000),
        ((0, MUTEX), (1, MUTEX), group, 0),
        ((0, MUTEX), (2, MUTEX), lock, 0),
    ] {
        let mut script = reads("go1.26.8", stay(TASK_A, read.0, read.1)).idles(60, 10);
        if let Some(functions) = seen_in {
            script.record(&seen(5_000, stay(TASK_A, sent.0, sent.1), functions));
        }
        let script = script.woken(10_060, conn::NONE);
        let request = script.sends(10_100, A, stay(TASK_A, sent.0, sent.1)).request(A)?;
        prop_assert_eq!(charged_us(&request, Cause::Lock), lock_us);
    }
    Ok(())
}

/// It waits for a mutex and then sleeps: of both there is no event but the timer's.
#[test]
fn a_timer_is_waited_for_since_its_goroutine_was_seen_at_a_mutex_at_the_earliest() -> Law {
    for (stops, lock_us, unexplained_us) in [(1, 3_940, 0), (2, 0, 3_940)] {
        let mut script = reads("go1.26.8", stay(TASK_A, 0, IO_WAIT)).idles(60, 10);
        script.record(&seen(4_000, stay(TASK_A, stops, MUTEX), AT_MUTEX));
        let script = script.woken(10_060, conn::NONE);
        let sent = stay(TASK_A, stops + 1, SLEEP);
        let request = script.sends(10_100, A, sent).request(A)?;
        let budget = [Cause::Lock, Cause::Unexplained, Cause::Timer].map(|cause| charged_us(&request, cause));
        prop_assert_eq!(budget, [lock_us, unexplained_us, 6_059], "{:?}", request.timeline);
    }
    Ok(())
}

/// After the mutex it sleeps in a call, in which it loses its place among the goroutines that run. That it waits for
/// another is no stop.
#[test]
fn who_waits_to_run_again_after_a_call_does_not_wait_for_the_mutex_before_it() -> Law {
    let read = stay(TASK_A, 0, IO_WAIT);
    for (is_seen, lock_us) in [(false, 0), (true, 1_000)] {
        let mut script = reads("go1.26.8", read).idles(60, 1_000);
        if is_seen {
            script.record(&seen(500, stay(TASK_A, 1, MUTEX), AT_MUTEX));
        }
        let mut script = script.woken(1_060, conn::NONE);
        script.record(&SwitchOut {
            header: header(Kind::SwitchOut, 1_080),
            tgid: PID,
            state: 1,
            syscall: Sysno::nanosleep as i32,
            task: stay(TASK_A, 1, MUTEX),
            ..SwitchOut::zeroed()
        });
        let script = script.woken(2_000, conn::NONE).idles(2_010, 1_000);
        let script = script.woken(10_060, conn::NONE);
        let request = script.sends(10_100, A, stay(TASK_A, 1, MUTEX)).request(A)?;
        prop_assert_eq!(
            charged_us(&request, Cause::Lock),
            lock_us,
            "{:?}",
            request.timeline
        );
    }
    Ok(())
}
