//! Processes and what is told about them from outside the kernel half.

use bytemuck::Zeroable as _;
use observer::event::{
    Cost, Ended, Executable, FdName, Full, Function, Listener, Looked, Lost, Memory, Port, Runtime, Sample,
    Successor, TargetAdded, TargetGone, ThreadName, Tick,
};
use observer::model::full::Table;
use observer::model::id::{Pid, Tid};
use observer_common::{Kind, LostReason, Process, ProcessChange, StackHead, conn, flags, thread_state};
use syscalls::Sysno;

use super::scheduler::{Activity, Thread};
use super::{Machine, PIDS, PORT};

impl Machine {
    /// Threads that were there before, the first two of which run without a record that says so.
    pub(super) fn begin(&mut self) {
        for (place, pid) in [PIDS[0], PIDS[1], PIDS[0], PIDS[0], PIDS[1]]
            .into_iter()
            .enumerate()
        {
            let activity = if place < self.running.len() {
                Activity::Running { cpu: place }
            } else {
                Activity::Blocked
            };
            let tid = self.new_thread(pid, activity);
            let name = ThreadName::new(self.at_ns(), Pid(pid), Tid(tid), *b"worker\0\0\0\0\0\0\0\0\0\0");
            self.record(&name);
        }
        let port = Port::new(self.at_ns(), Pid(PIDS[0]), PORT);
        self.record(&port);
        if self.ready.is_none() {
            self.run_tokio();
        }
        self.look(Pid(PIDS[0]));
    }

    /// The first process runs tokio.
    fn run_tokio(&mut self) {
        let runtime = Runtime {
            task_ids: 1,
            schedulers: 1,
            ..Runtime::new(self.at_ns(), Pid(PIDS[0]), "tokio", "1.48.0", "made up")
        };
        self.record(&runtime);
    }

    /// A process is looked at: it listens, and so does a child of its.
    fn look(&mut self, pid: Pid) {
        let own = Listener::tcp(self.at_ns(), pid, pid, 1, PORT);
        self.record(&own.of(Pid(1), "server"));
        let childs = Listener::tcp(self.at_ns(), Pid(pid.0 + 1), pid, 1, PORT);
        self.record(&childs.of(pid, "worker"));
        let unix = Listener::unix(self.at_ns(), pid, pid, 2, "/run/\x1b.sock");
        self.record(&unix.of(Pid(1), "server"));
        let looked = Looked::new(self.at_ns(), pid, "server", 3, false);
        self.record(&looked);
    }

    fn new_thread(&mut self, pid: u32, activity: Activity) -> u32 {
        let tid = self.next_tid;
        self.next_tid += 1;
        self.threads.push(Thread {
            tid,
            pid,
            activity,
            faults: 5,
            task: observer_common::task::UNKNOWN,
            at_work: None,
        });
        tid
    }

    /// A running thread begins another thread, a child or another program, or ends.
    pub(super) fn change_process(&mut self, who: u8, how: u8) {
        let Some((index, thread, cpu)) = self.running(who) else {
            return;
        };
        let watched = how.is_multiple_of(3);
        let (change, child) = match how % 4 {
            0 => (
                ProcessChange::Fork,
                (self.new_thread(thread.pid, Activity::Runnable), thread.pid),
            ),
            // The first thread of a process has its number.
            1 if watched => {
                let child = self.new_thread(self.next_tid, Activity::Runnable);
                (ProcessChange::Fork, (child, child))
            }
            1 => (
                ProcessChange::Fork,
                (9_000 + u32::from(how), 9_000 + u32::from(how)),
            ),
            2 => (ProcessChange::Exec, (thread.tid, thread.pid)),
            _ => (ProcessChange::Exit, (thread.tid, thread.pid)),
        };
        let mut others = self.threads.iter().filter(|other| other.tid != thread.tid);
        let is_last = !others.any(|other| other.pid == thread.pid && other.activity != Activity::Ended);
        let event = Process {
            header: self.header(Kind::Process, thread.tid, cpu),
            tgid: thread.pid,
            change: change as u32,
            child_tid: child.0,
            child_tgid: child.1,
            flags: match change {
                ProcessChange::Exit if is_last => flags::GROUP_DEAD,
                ProcessChange::Fork if child.1 != thread.pid && watched => flags::WATCHED,
                _ => 0,
            },
            reserved: 0,
            comm: *b"name\0\0\0\0\0\0\0\0\0\0\0\0",
        };
        self.record(&event);
        if change == ProcessChange::Exec {
            self.have_turned_away(|other| other.pid == thread.pid);
        }
        if change == ProcessChange::Exit {
            self.ends(index, how);
        }
    }

    /// A thread ends. The kernel has told that first. Then the thread closes what it has open, wakes who waits for it,
    /// and leaves its CPU for the last time.
    fn ends(&mut self, index: usize, how: u8) {
        let pid = Pid(self.threads[index].pid);
        self.turns_away(index);
        if how & 16 != 0 {
            self.shut(how, how / 64);
            self.woken(how, how, Some(Sysno::exit as i32), conn::NONE);
        }
        let exit = (Sysno::exit as i32, [0; 4], thread_state::DEAD);
        self.leave(index, Activity::Ended, exit, how);
        let successor = Successor::new(self.at_ns(), pid, Pid(7_000), "server", PORT, how & 32 != 0);
        self.record(&successor);
        let ended = Ended::new(self.at_ns(), pid, PORT, 1);
        self.record(&ended);
    }

    /// The first thread begins another, which takes its CPU and ends.
    pub(super) fn live_shortly(&mut self) {
        let (begins, ends) = (0, 3);
        self.change_process(0, begins);
        self.run(0, 0);
        // Of the two that run, the first is the one on the other CPU.
        self.change_process(1, ends);
        self.threads.pop();
        self.run(0, 0);
    }

    pub(super) fn tell_fact(&mut self, who: u8, how: u8) {
        let (at_ns, pid) = (self.at_ns(), Pid(PIDS[usize::from(who) % PIDS.len()]));
        let amount = u64::from(how);
        match how % 8 {
            0 => self.record(&FdName::new(at_ns, pid, 7, "/var/lib/data")),
            1 => self.record(&FdName::new(at_ns, pid, i32::from(how), "socket:[4026]")),
            2 => self.record(&Memory::new(at_ns, pid, amount << 12, amount, amount / 9)),
            3 => self.look(pid),
            4 => self.record(&TargetAdded::new(at_ns, Pid(8_000), Some(pid), "child")),
            5 => {
                self.record(&Executable::new(at_ns, Pid(8_001), "/srv/later"));
                let added = TargetAdded::new(self.at_ns(), Pid(8_001), None, "later");
                self.record(&added);
            }
            6 => self.record(&TargetGone::new(at_ns, Pid(8_000 + u32::from(how & 1)))),
            _ => self.record(&Cost::new(at_ns, amount, amount, amount << 12, amount)),
        }
    }

    /// A thread that runs is sampled; now and then the function has a name by then.
    pub(super) fn sample(&mut self, who: u8, how: u8) {
        let Some((_, thread, cpu)) = self.running(who) else {
            return;
        };
        let function = u32::from(how % 4);
        if how.is_multiple_of(3) && function != Sample::NOT_NAMED {
            let at_ns = self.at_ns();
            self.record(&Function::new(at_ns, function, &format!("app::f{function}")));
        }
        let at_ns = self.at_ns();
        let head = StackHead {
            at_ns,
            tgid: thread.pid,
            tid: thread.tid,
            cpu: cpu as u32,
            stands_for_ns: 1_000_000,
            ..StackHead::zeroed()
        };
        self.record(&Sample::new(at_ns, &head, function));
    }

    pub(super) fn tick(&mut self, _who: u8, _how: u8) {
        let tick = Tick::new(self.at_ns());
        self.record(&tick);
    }

    /// A loss or a full table is told of, without one: only rarely, because nobody knows what threads do after a loss.
    pub(super) fn tell_loss(&mut self, who: u8, how: u8) {
        if who.is_multiple_of(8) {
            let at_ns = self.at_ns();
            let from_ns = at_ns - u64::from(how) * 1_000;
            self.record(&Lost::new(
                at_ns,
                1,
                from_ns,
                at_ns,
                LostReason::SocketState as u32,
            ));
            self.have_turned_away(|_| true);
        }
        if who.is_multiple_of(16) {
            let at_ns = self.at_ns();
            let refused = LostReason::TooManyTargets as u32;
            self.record(&Lost::new(at_ns, u64::from(how), at_ns, at_ns, refused));
        }
        if who.is_multiple_of(32) {
            let full = Full::new(self.at_ns(), Table::Serving, u64::from(how));
            self.record(&full);
        }
    }
}
