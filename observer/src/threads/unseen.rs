//! Threads that were not seen to get the CPU that they have. The kernel's own account tells since when they have it,
//! and how long they waited for it.

use observer_common::OnCpuSince;

use super::Threads;
use super::state::{Began, Block, State};
use super::thread::Thread;
use crate::model::id::{Pid, Tid};

impl Threads {
    /// A thread has a CPU, and was not seen to get it.
    pub fn on_cpu_since(&mut self, event: &OnCpuSince) {
        let (tid, pid) = (Tid(event.header.tid), Pid(event.tgid));
        if let Some((thread, ..)) = self.known(tid, pid) {
            let block = thread.on_cpu_since(event);
            self.ended_unseen(pid, tid, block);
        }
    }

    /// A thread got a CPU, and of the block that it was in it was not seen how that ended.
    pub(super) fn ended_unseen(&mut self, pid: Pid, tid: Tid, block: Option<(u64, Block)>) {
        if let Some((at_ns, block)) = block {
            let giver = block.handed_off_by().and_then(|by| self.threads.get(&by.tid));
            self.locks.woken(pid, tid, &block, giver, at_ns);
            self.returns.woken(pid, tid, (0, &block), at_ns);
        }
    }
}

impl Thread {
    /// The thread was not seen to get the CPU that it has: since when, and how long it could have run before that, is
    /// the kernel's account. Who made it run, and who had the CPU, is not known. Gives the block that it was in until
    /// then, and when that ended, ns.
    fn on_cpu_since(&mut self, event: &OnCpuSince) -> Option<(u64, Block)> {
        let cpu = event.header.cpu;
        let since_ns = event.since_ns.min(event.header.at_ns).max(self.facts.since_ns);
        let mut ended = self.ends_unseen();
        if let Some((end_ns, block)) = &mut ended {
            if self.facts.early_wake.take().is_none() {
                let queued_ns = event.queued_ns.saturating_sub(self.facts.queued_ns);
                *end_ns = since_ns.saturating_sub(queued_ns).max(self.facts.since_ns);
            }
            if block.wake.is_none() && block.wait.is_idle() {
                // What it was given to do is what counts, and that is not known.
                let owner = self.belief.owner;
                let runnable = State::runnable(cpu, false);
                self.close(*end_ns, State::Unknown { owner }, runnable, None);
            } else {
                self.end_block(*end_ns, *block, cpu);
            }
        }
        if let State::Runnable { preempted, .. } = self.facts.state {
            // A quota kept it from running, or others of its group since.
            let may_be_throttled = event.throttled_ns > self.facts.throttled_ns;
            let owner = self.belief.owner;
            let before = if may_be_throttled {
                State::Unknown { owner }
            } else {
                State::runnable(cpu, preempted)
            };
            let running = State::Running {
                cpu,
                owner,
                began: Began::Plain,
            };
            self.close(since_ns, before, running, None);
        }
        ended
    }

    /// The block that it is still in when it gets a CPU, as its end was not seen, or came before it; and when it ended,
    /// ns.
    pub(super) fn ends_unseen(&self) -> Option<(u64, Block)> {
        let State::Blocked(block) = self.facts.state else {
            return None;
        };
        let block = self.facts.early_wake.map_or(block, |wake| block.ended_by(wake));
        Some((self.facts.since_ns.saturating_add(1), block))
    }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable as _;
    use observer_common::{Header, SwitchIn, SwitchOut, Waking, flags};

    use super::*;

    const PID: Pid = Pid(1);
    const TID: Tid = Tid(2);

    fn header(at_ns: u64) -> Header {
        Header {
            at_ns,
            tid: TID.0,
            ..Header::zeroed()
        }
    }

    /// A thread that left its CPU at 100 ns in this call, when it had waited for CPUs for 5,000 ns.
    fn left_in(syscall: libc::c_long, flags: u32) -> Threads {
        let mut threads = Threads::default();
        leaves_in(&mut threads, syscall, flags);
        threads
    }

    fn leaves_in(threads: &mut Threads, syscall: libc::c_long, flags: u32) {
        threads.switch_out(&SwitchOut {
            header: header(100),
            tgid: PID.0,
            state: 1,
            syscall: syscall as i32,
            queued_ns: 5_000,
            flags,
            ..SwitchOut::zeroed()
        });
    }

    fn left(flags: u32) -> Threads {
        left_in(libc::SYS_fsync, flags)
    }

    fn on_cpu_since(since_ns: u64, queued_ns: u64) -> OnCpuSince {
        OnCpuSince {
            header: header(1_000),
            tgid: PID.0,
            since_ns,
            queued_ns,
            ..OnCpuSince::zeroed()
        }
    }

    /// Where the slices of the thread end, and what it did in each.
    fn slices(threads: &Threads) -> Vec<(u64, &'static str)> {
        let mut slices: Vec<_> = threads
            .get(TID)
            .unwrap()
            .back_from(1_000)
            .map(|slice| {
                let what = match slice.state {
                    State::Unknown { .. } => "unknown",
                    State::Running { .. } => "runs",
                    State::Runnable { .. } => "can run",
                    State::Blocked(_) => "waits",
                };
                (slice.to_ns, what)
            })
            .collect();
        slices.reverse();
        slices
    }

    #[test]
    fn the_account_tells_how_long_a_thread_waited_and_how_long_it_could_have_run() {
        let mut threads = left(0);
        threads.on_cpu_since(&on_cpu_since(700, 5_150));
        assert_eq!(
            slices(&threads),
            [(550, "waits"), (700, "can run"), (1_000, "runs")]
        );
    }

    #[test]
    fn what_ended_a_wait_for_something_to_do_is_not_known() {
        let mut threads = left_in(libc::SYS_epoll_wait, 0);
        threads.on_cpu_since(&on_cpu_since(700, 5_150));
        let told = [(550, "unknown"), (700, "can run"), (1_000, "runs")];
        assert_eq!(slices(&threads), told);
    }

    /// A wakeup that comes before the switch ends the wait as soon as that begins.
    #[test]
    fn what_ended_a_wait_for_something_to_do_before_it_began_is_known() {
        let mut threads = Threads::default();
        threads.switch_in(&SwitchIn {
            header: header(50),
            tgid: PID.0,
            ..SwitchIn::zeroed()
        });
        threads.woken(&Waking {
            header: header(90),
            tgid: PID.0,
            waker_syscall: -1,
            ..Waking::zeroed()
        });
        leaves_in(&mut threads, libc::SYS_epoll_wait, 0);
        threads.on_cpu_since(&on_cpu_since(700, 5_150));
        assert_eq!(
            slices(&threads),
            [(100, "runs"), (101, "waits"), (700, "can run"), (1_000, "runs")]
        );
    }

    #[test]
    fn it_waited_for_the_cpu_that_it_got() {
        let mut threads = left(flags::PREEMPTED);
        let mut got = on_cpu_since(700, 5_590);
        got.header.cpu = 3;
        threads.on_cpu_since(&got);
        let waited = threads.get(TID).unwrap().before(700).unwrap();
        assert!(
            matches!(waited.state, State::Runnable { cpu: 3, .. }),
            "{waited:?}"
        );
    }

    #[test]
    fn where_a_quota_was_used_up_it_is_not_known_what_kept_a_thread_from_running() {
        let mut threads = left(flags::PREEMPTED);
        threads.on_cpu_since(&OnCpuSince {
            throttled_ns: 10,
            ..on_cpu_since(700, 5_590)
        });
        assert_eq!(slices(&threads), [(700, "unknown"), (1_000, "runs")]);

        // Of one that was blocked the account says as well how long it could have run: while it was kept from it, too.
        let mut threads = left(0);
        threads.on_cpu_since(&OnCpuSince {
            throttled_ns: 10,
            ..on_cpu_since(700, 5_150)
        });
        assert_eq!(
            slices(&threads),
            [(550, "waits"), (700, "unknown"), (1_000, "runs")]
        );
    }

    #[test]
    fn who_was_preempted_could_have_run_all_the_time() {
        let mut threads = left(flags::PREEMPTED);
        threads.on_cpu_since(&on_cpu_since(700, 5_590));
        assert_eq!(slices(&threads), [(700, "can run"), (1_000, "runs")]);
    }

    #[test]
    fn an_account_that_cannot_be_stays_within_what_was_seen() {
        let mut threads = left(0);
        threads.on_cpu_since(&on_cpu_since(50, u64::MAX));
        assert_eq!(slices(&threads), [(1_000, "runs")]);
        threads.on_cpu_since(&on_cpu_since(u64::MAX, 0));
        assert_eq!(slices(&threads), [(1_000, "runs")]);
    }

    #[test]
    fn of_a_thread_of_which_nothing_was_seen_before_it_tells_nothing() {
        let mut threads = Threads::default();
        threads.on_cpu_since(&on_cpu_since(700, 0));
        assert_eq!(slices(&threads), [(1_000, "unknown")]);
    }
}
