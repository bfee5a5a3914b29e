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
            let block = thread.ends_unseen();
            thread.on_cpu_since(event);
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
    /// the kernel's account. Who made it run, and who had the CPU, is not known.
    fn on_cpu_since(&mut self, event: &OnCpuSince) {
        let cpu = event.header.cpu;
        let since_ns = event.since_ns.min(event.header.at_ns).max(self.facts.since_ns);
        if let State::Blocked(block) = self.facts.state {
            if let Some(wake) = self.facts.early_wake.take() {
                self.end_block(self.facts.since_ns.saturating_add(1), block.ended_by(wake), cpu);
            } else {
                let queued_ns = event.queued_ns.saturating_sub(self.facts.queued_ns);
                let ready_ns = since_ns.saturating_sub(queued_ns).max(self.facts.since_ns);
                self.end_block(ready_ns, block, cpu);
            }
        }
        if let State::Runnable { .. } = self.facts.state {
            let running = State::Running {
                cpu,
                owner: self.belief.owner,
                began: Began::Plain,
            };
            self.close(since_ns, self.facts.state, running, None);
        }
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
    use observer_common::{Header, SwitchOut, flags};

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

    /// A thread that left its CPU at 100 ns, when it had waited for CPUs for 5,000 ns.
    fn left(flags: u32) -> Threads {
        let mut threads = Threads::default();
        threads.switch_out(&SwitchOut {
            header: header(100),
            tgid: PID.0,
            state: 1,
            syscall: libc::SYS_fsync as i32,
            queued_ns: 5_000,
            flags,
            ..SwitchOut::zeroed()
        });
        threads
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
