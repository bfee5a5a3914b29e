//! What is taken of which charge.

use syscalls::Sysno;

use super::super::path::Call;
use super::*;
use crate::model::id::{ConnId, Pid, Task};
use crate::threads::Owner;

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

/// What a runtime took that did this.
fn taken(phases: &[Phase], assists: &[Assist], stops: &[Stop]) -> Taken {
    let mut taken = Taken::default();
    let of_runtime = [OF_MACHINE].into_iter();
    taken.begin(
        phases.iter().copied(),
        assists.iter().copied(),
        stops.iter(),
        of_runtime,
    );
    taken
}

/// The parts of a charge from `from_ns` to `to_ns` that were taken, the last first.
fn parts(mut taken: Taken, charge: &Charge, from_ns: u64, mut to_ns: u64) -> Vec<(u64, u64)> {
    let mut parts = Vec::new();
    while let Some((first_ns, last_ns, instead)) = taken.walk(charge, from_ns, to_ns) {
        assert_eq!(instead.cause, Cause::Runtime);
        parts.push((first_ns, last_ns));
        to_ns = first_ns;
    }
    parts
}

fn phase(kind: PhaseKind, from_ns: u64, to_ns: u64) -> Phase {
    Phase {
        kind,
        from_ns,
        to_ns,
        cycle: 12,
    }
}

fn unexplained(reason: Reason) -> Charge {
    Charge::of(Cause::Unexplained, reason)
}

fn in_call(syscall: Sysno) -> Reason {
    Reason::Blocked(Call {
        pid: Pid(7),
        syscall: syscall as i32,
        arg0: 0,
        woken_for: ConnId::NONE,
    })
}

fn on(tid: Tid, cause: Cause, reason: Reason) -> Charge {
    Charge::on(tid, None, cause, reason)
}

/// Which part of each charge from 0 to 100 is that of a stop from 10 to 20.
fn all_have(part: Option<(u64, u64)>, rows: &[(&str, Charge)]) {
    for (rule, charge) in rows {
        let last = taken(&[], &[], &[stop(10, 20)]).walk(charge, 0, 100);
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
        let last = taken(&[], &[], &[stop(50, 60), stop(10, 20)]).walk(&waits, from_ns, to_ns);
        last.map(|(first, last, _)| (first, last))
    };
    assert_eq!(last(0, 100), Some((50, 60)));
    assert_eq!(last(0, 55), Some((50, 55)));
    assert_eq!(last(15, 50), Some((15, 20)));
    assert_eq!(last(20, 50), None);
    assert_eq!(last(55, 55), None);
}

#[test]
fn what_is_summed_up_begins_after_the_last_stop() {
    let stopped = taken(
        &[phase(PhaseKind::Stop, 0, 200)],
        &[],
        &[stop(50, 60), stop(10, 20)],
    );
    assert_eq!(stopped.free_since_ns(100), Some(60));
    assert_eq!(stopped.free_since_ns(60), None);
    assert_eq!(stopped.free_since_ns(55), None);
    assert_eq!(stopped.free_since_ns(50), Some(20));
    assert_eq!(stopped.free_since_ns(5), Some(0));
}

#[test]
fn what_was_waited_through_is_taken_as_far_as_it_lies_in_a_phase() {
    let phases = [
        phase(PhaseKind::Stop, 300, 320),
        phase(PhaseKind::Mark, 120, 300),
        phase(PhaseKind::Stop, 100, 120),
    ];
    let of = |reason, from_ns, to_ns| parts(taken(&phases, &[], &[]), &unexplained(reason), from_ns, to_ns);
    let idle = Reason::Idle("idle");
    assert_eq!(of(idle, 0, 1_000), [(300, 320), (100, 120)]);
    assert_eq!(of(idle, 110, 310), [(300, 310), (110, 120)]);
    let assists = Reason::IdleInMark("assists", MARK_ASSIST);
    assert_eq!(of(assists, 110, 305), [(300, 305), (120, 300), (110, 120)]);
    assert_eq!(of(Reason::Note("not seen"), 0, 1_000), []);
}

#[test]
fn phases_in_no_order_take_nothing_twice() {
    let phases = [
        phase(PhaseKind::Stop, 10, 50),
        phase(PhaseKind::Stop, 20, 200),
        phase(PhaseKind::Stop, 100, 200),
    ];
    let idle = unexplained(Reason::Idle("idle"));
    assert_eq!(
        parts(taken(&phases, &[], &[]), &idle, 0, 150),
        [(20, 150), (10, 20)]
    );
}

#[test]
fn what_a_request_computed_is_taken_where_its_own_thread_helped_to_mark() {
    let assist = Assist {
        tid: OF_PROGRAM,
        from_ns: 10,
        to_ns: 20,
        cycle: Some(12),
    };
    let of = |tid, cause| {
        parts(
            taken(&[], &[assist], &[]),
            &on(tid, cause, Reason::Plain),
            15,
            100,
        )
    };
    assert_eq!(of(OF_PROGRAM, Cause::OnCpu), [(15, 20)]);
    assert_eq!(of(Tid(77), Cause::OnCpu), []);
    assert_eq!(
        of(OF_PROGRAM, Cause::WorkerBusy),
        [],
        "it helped for another request"
    );
    assert_eq!(of(OF_PROGRAM, Cause::RunQueue), [], "it had lost its CPU");
}
