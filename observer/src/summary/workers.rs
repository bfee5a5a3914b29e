//! What the workers did, in this window and since the start.

use std::rc::Rc;

use super::report::{LongestTurn, ProcessWorkers, WorkerTotals};
use crate::syscall;
use crate::threads::Usage;

/// Workers that are told apart; beyond, the one that was not seen for longest makes room.
const MAX_WORKERS: usize = 1024;

/// Workers of a process that are listed.
const LISTED: usize = 16;

/// What a worker did.
#[derive(Clone, Copy, Debug)]
pub struct WorkerUsage<'a> {
    /// Process.
    pub pid: u32,
    /// Thread.
    pub tid: u32,
    /// Its name, where known.
    pub comm: Option<&'a Rc<str>>,
    /// What it did.
    pub usage: &'a Usage,
    /// The request that kept it longest, where it was one.
    pub request: Option<&'a str>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Workers {
    workers: Vec<Worker>,
    processes: Vec<Process>,
    /// Number of the window.
    window: u64,
}

#[derive(Clone, Debug)]
struct Worker {
    pid: u32,
    tid: u32,
    comm: Option<Rc<str>>,
    seen_in: u64,
    window: Part,
    run: Part,
}

#[derive(Clone, Debug, Default)]
struct Part {
    ran_ns: u64,
    runnable_ns: u64,
    blocked_ns: u64,
    parked_ns: u64,
    turns: u64,
    longest: Option<LongestTurn>,
}

/// How long requests of a process waited while no worker was free, ns.
#[derive(Clone, Copy, Debug)]
struct Process {
    pid: u32,
    window_ns: u64,
    run_ns: u64,
}

impl Part {
    fn add(&mut self, worker: &WorkerUsage<'_>) {
        let usage = worker.usage;
        self.ran_ns = self.ran_ns.saturating_add(usage.ran_ns);
        self.runnable_ns = self.runnable_ns.saturating_add(usage.runnable_ns);
        self.blocked_ns = self.blocked_ns.saturating_add(usage.blocked_ns);
        self.parked_ns = self.parked_ns.saturating_add(usage.parked_ns);
        self.turns += usage.turns;
        if let Some(longest) = usage.longest
            && self
                .longest
                .as_ref()
                .is_none_or(|known| known.dur_ns < longest.dur_ns)
        {
            self.longest = Some(LongestTurn {
                dur_ns: longest.dur_ns,
                task: longest.task.id(),
                request: worker.request.map(str::to_owned),
                syscall: longest.syscall.and_then(syscall::name),
            });
        }
    }

    fn known_ns(&self) -> u64 {
        [self.runnable_ns, self.blocked_ns, self.parked_ns]
            .into_iter()
            .fold(self.ran_ns, u64::saturating_add)
    }

    fn totals(&self, worker: &Worker) -> WorkerTotals {
        let share = |ns: u64| (ns as f64 / self.known_ns() as f64 * 10_000.0).round() / 10_000.0;
        WorkerTotals {
            tid: worker.tid,
            comm: worker.comm.as_deref().map(str::to_owned),
            busy: share(self.ran_ns),
            run_queue: share(self.runnable_ns),
            blocked: share(self.blocked_ns),
            parked: share(self.parked_ns),
            turns: self.turns,
            longest: self.longest.clone(),
        }
    }
}

impl Workers {
    pub(super) fn add(&mut self, worker: &WorkerUsage<'_>) {
        let id = |known: &Worker| (known.pid, known.tid) == (worker.pid, worker.tid);
        let index = self
            .workers
            .iter()
            .position(id)
            .unwrap_or_else(|| self.new_worker(worker));
        let known = &mut self.workers[index];
        known.seen_in = self.window;
        known.comm = worker.comm.cloned();
        known.window.add(worker);
        known.run.add(worker);
    }

    /// Makes a place for a worker, if need be another's.
    fn new_worker(&mut self, worker: &WorkerUsage<'_>) -> usize {
        if self.workers.len() == MAX_WORKERS {
            let seen = self.workers.iter().enumerate();
            if let Some((stalest, _)) = seen.min_by_key(|(_, known)| known.seen_in) {
                self.workers.swap_remove(stalest);
            }
        }
        self.workers.push(Worker {
            pid: worker.pid,
            tid: worker.tid,
            comm: None,
            seen_in: self.window,
            window: Part::default(),
            run: Part::default(),
        });
        self.workers.len() - 1
    }

    pub(super) fn none_free(&mut self, pid: u32, ns: u64) {
        if !self.processes.iter().any(|process| process.pid == pid) {
            self.processes.push(Process {
                pid,
                window_ns: 0,
                run_ns: 0,
            });
        }
        for process in self.processes.iter_mut().filter(|process| process.pid == pid) {
            process.window_ns = process.window_ns.saturating_add(ns);
            process.run_ns = process.run_ns.saturating_add(ns);
        }
    }

    pub(super) fn window(&self) -> Vec<ProcessWorkers> {
        self.list(|worker| &worker.window, |process| process.window_ns)
    }

    pub(super) fn run(&self) -> Vec<ProcessWorkers> {
        self.list(|worker| &worker.run, |process| process.run_ns)
    }

    fn list(
        &self,
        part: impl Fn(&Worker) -> &Part,
        none_free_ns: impl Fn(&Process) -> u64,
    ) -> Vec<ProcessWorkers> {
        let mut listed = Vec::new();
        for process in &self.processes {
            let of_process = self.workers.iter().filter(|worker| worker.pid == process.pid);
            let mut threads: Vec<_> = of_process
                .filter(|worker| part(worker).known_ns() > 0)
                .map(|worker| part(worker).totals(worker))
                .collect();
            threads.sort_by(|one, other| other.busy.total_cmp(&one.busy).then(one.tid.cmp(&other.tid)));
            let count = threads.len() as u64;
            threads.truncate(LISTED);
            if count > 0 {
                listed.push(ProcessWorkers {
                    pid: process.pid,
                    count,
                    none_free_ns: none_free_ns(process),
                    threads,
                });
            }
        }
        listed.sort_by_key(|process| process.pid);
        listed
    }

    pub(super) fn close_window(&mut self) {
        self.window += 1;
        for worker in &mut self.workers {
            worker.window = Part::default();
        }
        for process in &mut self.processes {
            process.window_ns = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(ran_ns: u64, parked_ns: u64) -> Usage {
        Usage {
            ran_ns,
            parked_ns,
            turns: 1,
            ..Usage::default()
        }
    }

    fn worker(tid: u32, usage: &Usage) -> WorkerUsage<'_> {
        WorkerUsage {
            pid: 7,
            tid,
            comm: None,
            usage,
            request: None,
        }
    }

    #[test]
    fn threads_that_come_and_go_make_room_for_those_that_are_there() {
        let (mut workers, ran) = (Workers::default(), usage(1, 0));
        workers.none_free(7, 0);
        for tid in 0..3 * MAX_WORKERS as u32 {
            workers.add(&worker(tid, &ran));
            workers.close_window();
        }
        workers.add(&worker(u32::MAX, &ran));
        assert_eq!(workers.window()[0].threads[0].tid, u32::MAX);
        assert_eq!(workers.workers.len(), MAX_WORKERS);
    }

    #[test]
    fn the_busiest_comes_first_and_a_window_ends() {
        let mut workers = Workers::default();
        workers.none_free(7, 40);
        workers.add(&worker(8, &usage(25, 75)));
        workers.add(&worker(9, &usage(100, 0)));
        let listed = workers.window().pop().unwrap();
        let busy: Vec<_> = listed
            .threads
            .iter()
            .map(|worker| (worker.tid, worker.busy))
            .collect();
        assert_eq!((listed.count, listed.none_free_ns), (2, 40));
        assert_eq!(busy, [(9, 1.0), (8, 0.25)]);

        workers.close_window();
        assert_eq!(workers.window(), []);
        workers.add(&worker(8, &usage(75, 25)));
        assert_eq!(workers.run()[0].threads[1].busy, 0.5);
        assert_eq!(workers.run()[0].threads[1].turns, 2);
    }
}
