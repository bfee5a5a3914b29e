//! Which futexes are taken for a lock of a whole program, and who had it.

use bytemuck::Zeroable as _;
use observer_common::{Header, SwitchIn, SwitchOut, Waking};

use super::aside::ENOUGH_ASIDE;
use super::lock::ENOUGH_GIVEN;
use super::*;

const PID: Pid = Pid(7);
const LOCK: u64 = 0x7000;
const ASIDE: u64 = 0x9000;
const POLL_NS: u64 = 5_000_000;

/// Threads of a program, each on a CPU of its own where it runs.
#[derive(Default)]
struct Program {
    threads: Threads,
    at_ns: u64,
}

impl Program {
    fn header(&mut self, tid: u32) -> Header {
        self.at_ns += 1_000;
        Header {
            at_ns: self.at_ns,
            tid,
            cpu: tid as u16,
            ..Header::zeroed()
        }
    }

    fn passes(&mut self, ns: u64) {
        self.at_ns += ns;
    }

    fn waits_at(&mut self, tid: u32, futex: u64, timeout: u64) {
        let event = SwitchOut {
            header: self.header(tid),
            tgid: PID.0,
            state: 1,
            syscall: libc::SYS_futex as i32,
            args: [futex, 137, 0, timeout],
            ..SwitchOut::zeroed()
        };
        self.threads.switch_out(&event);
    }

    fn wants(&mut self, tid: u32) {
        self.waits_at(tid, LOCK, 0x7fff);
    }

    fn sleeps(&mut self, tid: u32) {
        let event = SwitchOut {
            header: self.header(tid),
            tgid: PID.0,
            state: 1,
            syscall: libc::SYS_clock_nanosleep as i32,
            ..SwitchOut::zeroed()
        };
        self.threads.switch_out(&event);
    }

    /// A thread is woken by another, or by its time. Gives when.
    fn woken(&mut self, tid: u32, by: Option<u32>) -> u64 {
        let event = Waking {
            header: Header {
                cpu: by.unwrap_or(tid) as u16,
                ..self.header(tid)
            },
            tgid: PID.0,
            waker_tid: by.unwrap_or_default(),
            waker_tgid: by.map_or(0, |_| PID.0),
            waker_syscall: by.map_or(-1, |_| libc::SYS_futex as i32),
            ..Waking::zeroed()
        };
        self.threads.woken(&event);
        let switch = SwitchIn {
            header: self.header(tid),
            tgid: PID.0,
            ..SwitchIn::zeroed()
        };
        self.threads.switch_in(&switch);
        event.header.at_ns
    }

    /// It asks again when its time is over.
    fn asks_again(&mut self, tid: u32) {
        self.passes(POLL_NS);
        self.woken(tid, None);
        self.wants(tid);
    }

    /// One has it, two want it, ask again, and each is given it in its turn, so often that it is believed to be a lock:
    /// the first has it in the end, and both others want it.
    fn passing_it_on(times: u32) -> Self {
        let mut program = Self::default();
        [1, 2, 3].iter().for_each(|&tid| {
            program.woken(tid, None);
        });
        [2, 3].into_iter().for_each(|tid| program.wants(tid));
        for turn in 0..times {
            let [has, next, other] = [turn, turn + 1, turn + 2].map(|turn| 1 + turn % 3);
            program.asks_again(other);
            program.woken(next, Some(has));
            program.wants(has);
        }
        program
    }

    fn with_a_lock() -> Self {
        Self::passing_it_on(3 * ENOUGH_GIVEN)
    }

    /// Whether what a thread waits for now is taken for a lock.
    fn waits_for_lock(&self, tid: u32) -> bool {
        let block = self.block(tid, self.at_ns + 1);
        block.is_some_and(|block| block.wait == Wait::GlobalLock)
    }

    fn block(&self, tid: u32, at_ns: u64) -> Option<Block> {
        match self.threads.get(Tid(tid))?.before(at_ns)?.state {
            State::Blocked(block) => Some(block),
            _ => None,
        }
    }

    /// Who had the lock for which a thread waited just before, and since when, ns.
    fn holder(&self, tid: u32, at_ns: u64) -> Option<(u32, u64)> {
        let slice = self.threads.get(Tid(tid))?.before(at_ns)?;
        let held = self.threads.holder(PID, Tid(tid), &slice, at_ns);
        held.map(|(holder, since_ns)| (holder.0, since_ns))
    }
}

#[test]
fn what_threads_want_again_and_again_and_pass_on_is_a_lock_and_who_gives_it_on_had_it() {
    let mut program = Program::with_a_lock();
    assert!(program.waits_for_lock(2) && program.waits_for_lock(3));
    program.passes(2 * POLL_NS);
    let first_ns = program.woken(2, Some(1));
    program.passes(POLL_NS);
    let second_ns = program.woken(3, Some(2));
    assert_eq!(program.holder(2, first_ns).unwrap().0, 1);
    // The third waited for both.
    assert_eq!(program.holder(3, second_ns), Some((2, first_ns)));
    assert_eq!(program.holder(3, first_ns).unwrap().0, 1);
    // Who has it now is not known before it gives it on.
    program.wants(2);
    assert_eq!(program.holder(2, program.at_ns + POLL_NS), None);
}

#[test]
fn a_few_times_are_not_enough() {
    let mut program = Program::passing_it_on(ENOUGH_GIVEN - 1);
    assert!(!program.waits_for_lock(2));
    program.woken(2, Some(1));
    program.wants(1);
    assert!(!program.waits_for_lock(1));
}

#[test]
fn who_had_it_before_its_own_wait_was_over_is_not_known_where_nobody_was_woken() {
    let mut program = Program::with_a_lock();
    // The first lets go while the second asks again, and nobody is woken.
    let before_ns = program.at_ns + POLL_NS;
    program.passes(2 * POLL_NS);
    let taken_ns = program.woken(2, None);
    program.passes(POLL_NS);
    let given_ns = program.woken(3, Some(2));
    assert_eq!(program.holder(3, given_ns), Some((2, taken_ns)));
    assert_eq!(program.holder(3, before_ns), None);
}

#[test]
fn a_thread_that_ran_had_it_and_says_nothing_of_who_had_it_later() {
    let mut program = Program::with_a_lock();
    program.passes(POLL_NS);
    let over_ns = program.woken(2, None);
    program.passes(2 * WORK_NS);
    program.wants(2);
    program.passes(POLL_NS);
    program.woken(3, Some(1));
    assert_eq!(program.holder(2, over_ns), None);
}

#[test]
fn who_waits_aside_waits_for_the_one_that_has_taken_the_lock() {
    [ASIDE, LOCK + 4]
        .into_iter()
        .for_each(who_waits_at_this_waits_for_who_has_taken_the_lock);
}

fn who_waits_at_this_waits_for_who_has_taken_the_lock(aside: u64) {
    let mut program = Program::with_a_lock();
    let mut is_told = false;
    for _ in 0..=ENOUGH_ASIDE {
        program.woken(2, Some(1));
        program.waits_at(1, aside, 0);
        is_told = program.waits_for_lock(1);
        let taken_ns = program.woken(1, Some(2));
        if is_told {
            assert_eq!(program.holder(1, taken_ns), Some((2, 0)));
        }
        program.wants(1);
        program.woken(1, Some(2));
        program.wants(2);
    }
    assert!(is_told);
    // One that lets go wakes nobody where those who want it have just stopped to wait.
    program.passes(POLL_NS);
    let over_ns = program.woken(2, None);
    program.waits_at(1, aside, 0);
    assert!(program.waits_for_lock(1));
    program.woken(1, Some(2));
    assert_eq!(program.holder(2, over_ns).unwrap().0, 1);
}

#[test]
fn who_ran_for_long_and_wants_it_again_has_just_let_go_of_it() {
    let mut program = Program::with_a_lock();
    let taken_ns = program.woken(2, Some(1));
    program.wants(1);
    program.passes(2 * POLL_NS);
    let over_ns = [3, 1].map(|tid| program.woken(tid, None));
    program.wants(2);
    program.passes(WORK_NS / 2);
    program.woken(2, Some(3));
    for (tid, over_ns) in [3, 1].into_iter().zip(over_ns) {
        assert_eq!(program.holder(tid, over_ns), Some((2, taken_ns)));
    }
}

#[test]
fn threads_that_wait_for_work_of_another_do_not_wait_for_a_lock() {
    let mut program = Program::default();
    [1, 2, 3, 4].iter().for_each(|&tid| {
        program.woken(tid, None);
    });
    [2, 3, 4].into_iter().for_each(|tid| program.wants(tid));
    for turn in 0..100 {
        let tid = 2 + turn % 3;
        program.asks_again(2 + (turn + 1) % 3);
        program.woken(tid, Some(1));
        program.wants(tid);
        assert!(!program.waits_for_lock(tid));
    }
}

/// Each gives work to the next, and does its own before it waits for more.
/// Who never waits for it itself gives it on, again and again, to one that has wanted it for long.
fn given_by_who_never_waits(gives_after_computing: bool) -> bool {
    let mut program = Program::with_a_lock();
    program.woken(9, None);
    for _ in 0..ENOUGH_GIVEN {
        program.asks_again(2);
        if !gives_after_computing {
            program.sleeps(9);
            program.woken(9, None);
        }
        program.woken(2, Some(9));
        program.wants(2);
    }
    program.waits_for_lock(2)
}

#[test]
fn who_computes_all_the_time_can_have_a_lock_for_which_it_never_waits_and_who_waits_for_work_cannot() {
    assert!(given_by_who_never_waits(true));
    assert!(!given_by_who_never_waits(false));
}

#[test]
fn threads_that_give_each_other_work_do_not_wait_for_a_lock() {
    let mut program = Program::default();
    [1, 2, 3, 4].iter().for_each(|&tid| {
        program.woken(tid, None);
    });
    [2, 3, 4].into_iter().for_each(|tid| program.wants(tid));
    for turn in 0..200_u32 {
        let [gives, takes, other] = [turn, turn + 1, turn + 2].map(|turn| 1 + turn % 4);
        program.asks_again(other);
        program.woken(takes, Some(gives));
        program.passes(2 * WORK_NS);
        // Another has been waiting all the time, and is not woken.
        program.wants(takes);
        assert!(!program.waits_for_lock(takes), "{turn}");
        program.woken(takes, Some(gives));
        program.wants(gives);
        assert!(!program.waits_for_lock(gives), "{turn}");
    }
}

#[test]
fn what_all_threads_wait_for_at_once_nobody_has() {
    let mut program = Program::with_a_lock();
    program.wants(1);
    for turn in 0..3 * ENOUGH_GIVEN {
        program.asks_again(1 + turn % 3);
    }
    assert!(!program.waits_for_lock(1));
}

#[test]
fn what_threads_wait_for_without_a_time_is_no_lock() {
    for (timed, untimed) in [(LOCK, LOCK), (LOCK + 4, LOCK + 4)] {
        let mut program = Program::with_a_lock();
        program.sleeps(1);
        program.woken(1, None);
        program.woken(2, None);
        program.waits_at(2, timed, 1);
        program.waits_at(1, untimed, 0);
        program.asks_again(3);
        assert!(!program.waits_for_lock(1) && !program.waits_for_lock(3));
    }
}

#[test]
fn what_threads_wait_for_at_the_other_word_without_a_time_says_nothing_of_a_lock_that_has_one() {
    let mut program = Program::with_a_lock();
    program.sleeps(1);
    program.woken(1, None);
    program.waits_at(1, LOCK + 4, 0);
    program.asks_again(2);
    assert!(!program.waits_for_lock(1) && program.waits_for_lock(2));
}

#[test]
fn after_a_loss_nobody_knows_who_had_it() {
    let mut program = Program::with_a_lock();
    let given_ns = program.woken(2, Some(1));
    program.threads.lost(program.at_ns);
    program.passes(1);
    assert_eq!(
        program.threads.locks.pairs[&PID][0]
            .given_after(given_ns)
            .map(|_| ()),
        None
    );
}

mod full;
