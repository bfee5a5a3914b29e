//! What threads do: run, wait in calls, are woken and preempted.

use observer_common::{Kind, Seen, SwitchIn, SwitchOut, Waking, conn, flags, task, thread_state};
use syscalls::Sysno;

use super::works::AtWork;
use super::{CPUS, Machine, network, pick};

/// A thread of a watched process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Thread {
    pub(super) tid: u32,
    pub(super) pid: u32,
    pub(super) activity: Activity,
    /// Faults so far.
    pub(super) faults: u32,
    /// Runtime task that it is in.
    pub(super) task: u64,
    /// For whom it works, where the machine knows.
    pub(super) at_work: Option<AtWork>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activity {
    Running { cpu: usize },
    Runnable,
    Blocked,
    Ended,
}

const INTERRUPTIBLE: u32 = 1;

/// Who has a CPU that no watched thread has: another program, or nobody.
fn stranger(how: u8) -> (u32, u32, [u8; 16]) {
    if how & 64 == 0 {
        (0, 0, *b"swapper/0\0\0\0\0\0\0\0")
    } else {
        (900, 900, *b"hog\0\0\0\0\0\0\0\0\0\0\0\0\0")
    }
}

/// The name of a watched thread: three of four may stop the others.
fn name(tid: u32) -> [u8; 16] {
    if tid.is_multiple_of(4) {
        [0; 16]
    } else {
        *b"VM Thread\0\0\0\0\0\0\0"
    }
}

/// A blocking call with its arguments and state. All calls exist on every architecture.
pub(super) fn call(how: u8) -> (i32, [u64; 4], u32) {
    let (forever, private_wait) = (u64::from(u32::MAX), 128);
    let on = |call: Sysno, args| (call as i32, args, INTERRUPTIBLE);
    match how % 16 {
        0..3 => on(Sysno::epoll_pwait, [3, 0, 64, forever]),
        3 => on(Sysno::epoll_pwait, [3, 0, 64, 5]),
        4 | 5 => on(Sysno::futex, [0x7000, private_wait, 1, 0]),
        6 => on(Sysno::futex, [0x7000, private_wait, 1, 0x7fff]),
        7 => on(Sysno::futex, [0x7000, private_wait, 2, 0]),
        8 | 9 => on(Sysno::clock_nanosleep, [1, 0, 0x7000, 0]),
        10 => on(
            Sysno::read,
            [network::fd(network::FIRST_OUTBOUND) as u64, 0, 0, 0],
        ),
        11 => on(Sysno::read, [7, 0, 0, 0]),
        12 => on(
            Sysno::recvfrom,
            [network::fd(1 + u64::from(how / 16)) as u64, 0, 0, 0],
        ),
        13 => on(
            Sysno::sendto,
            [network::fd(1 + u64::from(how / 16)) as u64, 0, 0, 0],
        ),
        14 if how & 16 == 0 => (-1, [0; 4], thread_state::UNINTERRUPTIBLE),
        14 => (-1, [0; 4], INTERRUPTIBLE),
        _ => on(
            Sysno::ppoll,
            [network::fd(network::FIRST_OUTBOUND) as u64, 1, 0, 0],
        ),
    }
}

/// Whether a thread that leaves its CPU in this call is still at its request, and does not wait for work.
fn is_at_work(thread: &Thread, call: i32, args: [u64; 4]) -> bool {
    let is_on = |conn: u64| args[0] == network::fd(conn) as u64;
    let is_its = || thread.at_work.is_some_and(|at_work| is_on(at_work.request.conn));
    match Sysno::new(call.max(0) as usize).filter(|_| call >= 0) {
        Some(Sysno::epoll_pwait | Sysno::futex | Sysno::ppoll) => false,
        Some(Sysno::recvfrom | Sysno::sendto) => is_its(),
        _ => true,
    }
}

impl Machine {
    /// One of the threads that do this, with its index.
    fn who_is(&self, who: u8, does: impl Fn(Activity) -> bool) -> Option<(usize, Thread)> {
        let found = self
            .threads
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, thread)| does(thread.activity));
        pick(&found.collect::<Vec<_>>(), who)
    }

    /// One of the threads that run: index, thread, CPU.
    pub(super) fn running(&self, who: u8) -> Option<(usize, Thread, usize)> {
        let (index, thread) = self.who_is(who, |activity| matches!(activity, Activity::Running { .. }))?;
        let Activity::Running { cpu } = thread.activity else {
            return None;
        };
        Some((index, thread, cpu))
    }

    /// A thread does something for a connection: mostly, if its runtime is known, in the task of that. Gives the task.
    pub(super) fn turn_to(&mut self, index: usize, cookie: u64, how: u8) -> u64 {
        let thread = &mut self.threads[index];
        thread.task = match how % 16 {
            _ if thread.pid != super::PIDS[0] => task::UNKNOWN,
            0 => task::UNKNOWN,
            1 => task::NONE,
            2..6 => thread.task,
            _ => 1_000 + cookie % 1_000,
        };
        let (tid, task) = (thread.tid, thread.task);
        if task != task::UNKNOWN && task != task::NONE {
            // It is on one thread at a time.
            self.have_turned_away(|other| other.tid != tid && other.task == task);
        }
        task
    }

    /// A thread leaves its CPU.
    pub(super) fn leave(&mut self, index: usize, to: Activity, call: (i32, [u64; 4], u32), how: u8) {
        let Activity::Running { cpu } = self.threads[index].activity else {
            return;
        };
        let before = self.threads[index].task;
        let idle = call.0 == Sysno::epoll_pwait as i32 || call.0 == Sysno::futex as i32;
        if idle && !matches!(how % 16, 5 | 6) && self.threads[index].task != task::UNKNOWN {
            // Some workers are a task themselves, and in it while they wait for work.
            let tid = self.threads[index].tid;
            self.threads[index].task = if tid.is_multiple_of(2) {
                task::NONE
            } else {
                tid.into()
            };
        }
        let thread = self.threads[index];
        let event = SwitchOut {
            header: self.header(Kind::SwitchOut, thread.tid, cpu),
            tgid: thread.pid,
            state: call.2,
            min_flt: thread.faults,
            maj_flt: thread.faults / 8,
            syscall: call.0,
            reserved: 0,
            reserved_second: 0,
            flags: Self::runtime_flags(&thread, how)
                | (u32::from(to == Activity::Runnable) * flags::PREEMPTED)
                | (u32::from(call.0 == Sysno::ppoll as i32) * flags::POLLS_FEW),
            args: call.1,
            throttled_ns: self.throttled_ns,
            task: thread.task,
            queued_ns: 0,
            reserved_third: 0,
        };
        self.record(&event);
        if to != Activity::Ended && before == thread.task && is_at_work(&thread, call.0, call.1) {
            self.is_at_it(index);
        } else {
            self.turns_away(index);
        }
        self.threads[index].activity = to;
        self.threads[index].faults += u32::from(how % 3);
        self.running[cpu] = None;
    }

    /// What its variables tell of the runtime that a thread is in: some threads run jobs.
    fn runtime_flags(thread: &Thread, how: u8) -> u32 {
        match (thread.task, thread.tid % 4) {
            (task::UNKNOWN, _) => 0,
            (task::NONE, _) => flags::FIRST_KIND,
            (_, 3) if !how.is_multiple_of(8) => flags::NO_SCHEDULER,
            _ => flags::SECOND_KIND,
        }
    }

    pub(super) fn block(&mut self, who: u8, how: u8) {
        if let Some((index, ..)) = self.running(who) {
            self.leave(index, Activity::Blocked, call(how), how);
        }
    }

    pub(super) fn preempt(&mut self, who: u8, how: u8) {
        if let Some((index, ..)) = self.running(who) {
            self.leave(index, Activity::Runnable, (-1, [0; 4], 0), how);
        }
    }

    /// A CPU's clock ticks while a thread runs, perhaps in another task than before.
    pub(super) fn see(&mut self, who: u8, how: u8) {
        let Some((index, thread, _)) = self.running(who) else {
            return;
        };
        let task = if how.is_multiple_of(4) {
            self.turn_to(index, u64::from(how), how)
        } else {
            thread.task
        };
        if task != thread.task {
            self.has_turned_away(index);
        }
        self.is_seen(index, task);
    }

    /// A CPU's clock ticks while a thread runs in this task.
    pub(super) fn is_seen(&mut self, index: usize, task: u64) {
        let thread = self.threads[index];
        let Activity::Running { cpu } = thread.activity else {
            return;
        };
        let event = Seen {
            header: self.header(Kind::Seen, thread.tid, cpu),
            tgid: thread.pid,
            reserved: 0,
            task,
        };
        self.record(&event);
        self.is_at_it(index);
    }

    /// One of the runnable threads gets a CPU.
    pub(super) fn run(&mut self, who: u8, how: u8) {
        if let Some((index, _)) = self.who_is(who, |activity| activity == Activity::Runnable) {
            self.runs(index, how);
        }
    }

    /// A runnable thread gets a CPU, if need be another's.
    pub(super) fn runs(&mut self, index: usize, how: u8) {
        let thread = self.threads[index];
        let cpu = usize::from(how) % CPUS;
        let (mut prev_tid, mut prev_tgid, prev_comm) = stranger(how);
        if let Some(other) = self.running[cpu] {
            (prev_tid, prev_tgid) = (self.threads[other].tid, self.threads[other].pid);
            self.leave(other, Activity::Runnable, (-1, [0; 4], 0), how);
        }
        if how.is_multiple_of(5) {
            // A CPU quota had kept it waiting, or another thread of its group.
            self.throttled_ns += u64::from(how) * 10_000;
        }
        let event = SwitchIn {
            header: self.header(Kind::SwitchIn, thread.tid, cpu),
            tgid: thread.pid,
            prev_tid,
            prev_tgid,
            flags: 0,
            prev_ran_ns: u64::from(how / 4) * 1_000,
            throttled_ns: self.throttled_ns,
            prev_comm,
        };
        self.record(&event);
        self.is_at_it(index);
        self.begin_to_look(thread.tid, cpu);
        self.threads[index].activity = Activity::Running { cpu };
        self.running[cpu] = Some(index);
    }

    /// A thread is woken: by another, by a timer, or by the network.
    pub(super) fn wake(&mut self, who: u8, how: u8) {
        let conns = self.conns();
        match how % 4 {
            0 => self.woken(who, how, None, conn::NONE),
            1 | 2 if how >= 0x80 => self.stop(how),
            1 | 2 => {
                let by = [Sysno::futex, Sysno::write, Sysno::sendto, Sysno::close][usize::from(how / 4) % 4];
                self.woken(who, how, Some(by as i32), conn::NONE);
            }
            _ => self.woken(who, how, None, pick(&conns, how / 4).unwrap_or(conn::LISTENER)),
        }
    }

    /// A blocked thread becomes runnable: by a call of the thread on some CPU, or by an interrupt there.
    pub(super) fn woken(&mut self, who: u8, how: u8, by_call: Option<i32>, conn: u64) {
        if let Some((index, _)) = self.who_is(who, |activity| activity == Activity::Blocked) {
            self.wakes(index, how, by_call, conn);
        }
    }

    /// The thread on some CPU stops those of its process that run, as a language runtime does, and wakes them later.
    fn stop(&mut self, how: u8) {
        let Some(stopper) = self.running[usize::from(how / 16) % CPUS] else {
            return;
        };
        let pid = self.threads[stopper].pid;
        let runs = |index: &usize| {
            let thread = self.threads[*index];
            *index != stopper && thread.pid == pid && matches!(thread.activity, Activity::Running { .. })
        };
        let stopped: Vec<usize> = (0..self.threads.len()).filter(runs).collect();
        for &index in &stopped {
            let barrier = (Sysno::futex as i32, [0x7100, 128, 3, 0], INTERRUPTIBLE);
            self.leave(index, Activity::Blocked, barrier, how);
        }
        self.now_ns += u64::from(how) * 10_000;
        for index in stopped {
            self.wakes(index, how, Some(Sysno::futex as i32), conn::NONE);
        }
    }

    /// The thread on some CPU wakes one, or an interrupt there does.
    pub(super) fn wakes(&mut self, index: usize, how: u8, by_call: Option<i32>, conn: u64) {
        let thread = self.threads[index];
        // Who is woken by its bytes watches it.
        self.is_accepted(conn);
        let cpu = usize::from(how / 16) % CPUS;
        let ((waker_tid, waker_tgid, waker_comm), waker_task) = match self.running[cpu] {
            Some(waker) => {
                let waker = self.threads[waker];
                ((waker.tid, waker.pid, name(waker.tid)), waker.task)
            }
            None => (stranger(how), task::UNKNOWN),
        };
        let watched = self.running[cpu].is_some();
        let event = Waking {
            header: self.header(Kind::Waking, thread.tid, cpu),
            tgid: thread.pid,
            waker_tid,
            waker_tgid,
            waker_syscall: by_call.filter(|_| watched).unwrap_or(-1),
            conn,
            throttled_ns: self.throttled_ns,
            waker_task,
            waker_comm,
        };
        self.record(&event);
        if let Some(waker) = self.running[cpu] {
            self.is_at_it(waker);
        }
        self.threads[index].activity = Activity::Runnable;
    }
}
