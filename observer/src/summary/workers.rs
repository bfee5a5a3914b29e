//! What the workers and the threads of blocking pools did, in this window and since the start.

use std::sync::Arc;

use crate::model::full::{Full, Table};
use crate::model::id::{Pid, Tid};
use crate::model::report::{LongestTask, PoolTotals, ProcessRoles, ProcessWorkers, WorkerTotals};
use crate::runtime::tokio::JobCounts;
use crate::syscall;
use crate::threads::Usage;

/// Workers that are told apart; beyond, the one that was not seen for longest makes room.
const MAX_WORKERS: usize = 1024;

/// Processes of which it is known how long nobody was free; beyond, the one that was not asked about for longest makes
/// room.
const MAX_PROCESSES: usize = 1024;

/// Workers of a process that are listed.
const LISTED: usize = 16;

/// What a worker, or a thread of a blocking pool, did.
#[derive(Clone, Copy, Debug)]
pub struct WorkerUsage<'a> {
    /// Process.
    pub pid: Pid,
    /// Thread.
    pub tid: Tid,
    /// Its name, where known.
    pub comm: Option<&'a Arc<str>>,
    /// What it did.
    pub usage: &'a Usage,
    /// The request that kept it longest, where it was one.
    pub request: Option<&'a str>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Workers {
    workers: Vec<Worker>,
    processes: Vec<ProcessWaits>,
    /// Number of the window.
    window: u64,
    /// Those that made room.
    pub(super) full: Full,
}

#[derive(Clone, Debug)]
struct Worker {
    pid: Pid,
    tid: Tid,
    comm: Option<Arc<str>>,
    is_of_pool: bool,
    seen_in: u64,
    window: WorkerSums,
    run: WorkerSums,
}

#[derive(Clone, Debug, Default)]
struct WorkerSums {
    ran_ns: u64,
    runnable_ns: u64,
    blocked_ns: u64,
    parked_ns: u64,
    turns: u64,
    longest: Option<LongestTask>,
    jobs: JobCounts,
}

/// How long requests of a process waited while no worker was free, ns, and what its threads are.
#[derive(Clone, Debug)]
struct ProcessWaits {
    pid: Pid,
    seen_in: u64,
    window_ns: u64,
    run_ns: u64,
    /// What its threads are to it, where that is told.
    window_roles: Option<ProcessRoles>,
    run_roles: Option<ProcessRoles>,
}

impl WorkerSums {
    fn add(&mut self, worker: &WorkerUsage<'_>) {
        let usage = worker.usage;
        self.ran_ns = self.ran_ns.saturating_add(usage.ran_ns);
        self.runnable_ns = self.runnable_ns.saturating_add(usage.runnable_ns);
        self.blocked_ns = self.blocked_ns.saturating_add(usage.blocked_ns);
        self.parked_ns = self.parked_ns.saturating_add(usage.parked_ns);
        self.turns += usage.turns;
        if let Some(jobs) = usage.jobs {
            self.jobs.begun += jobs.begun;
            self.jobs.queued += jobs.queued;
        }
        if let Some(longest) = usage.longest
            && self
                .longest
                .as_ref()
                .is_none_or(|known| known.dur_ns < longest.dur_ns)
        {
            self.longest = Some(LongestTask {
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

    fn share(&self, ns: u64) -> f64 {
        (ns as f64 / self.known_ns() as f64 * 10_000.0).round() / 10_000.0
    }

    fn totals(&self, worker: &Worker) -> WorkerTotals {
        let share = |ns| self.share(ns);
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
        known.is_of_pool = worker.usage.jobs.is_some();
        known.window.add(worker);
        known.run.add(worker);
    }

    /// Makes a place for a worker, if need be another's.
    fn new_worker(&mut self, worker: &WorkerUsage<'_>) -> usize {
        if self.workers.len() == MAX_WORKERS {
            let seen = self.workers.iter().enumerate();
            if let Some((stalest, _)) = seen.min_by_key(|(_, known)| known.seen_in) {
                self.workers.swap_remove(stalest);
                self.full.count(Table::Workers, 1);
            }
        }
        self.workers.push(Worker {
            pid: worker.pid,
            tid: worker.tid,
            comm: None,
            is_of_pool: false,
            seen_in: self.window,
            window: WorkerSums::default(),
            run: WorkerSums::default(),
        });
        self.workers.len() - 1
    }

    pub(super) fn none_free(&mut self, pid: Pid, ns: u64) {
        let known = self.processes.iter().position(|process| process.pid == pid);
        let index = known.unwrap_or_else(|| self.new_process(pid));
        let process = &mut self.processes[index];
        process.seen_in = self.window;
        process.window_ns = process.window_ns.saturating_add(ns);
        process.run_ns = process.run_ns.saturating_add(ns);
        (process.window_roles, process.run_roles) = (None, None);
    }

    /// Tells what the threads of a process are to it, after [`none_free`](Self::none_free).
    pub(super) fn roles(&mut self, pid: Pid, window: ProcessRoles, run: ProcessRoles) {
        if let Some(process) = self.processes.iter_mut().find(|process| process.pid == pid) {
            (process.window_roles, process.run_roles) = (Some(window), Some(run));
        }
    }

    /// Makes a place for a process, if need be another's.
    fn new_process(&mut self, pid: Pid) -> usize {
        if self.processes.len() == MAX_PROCESSES {
            let seen = self.processes.iter().enumerate();
            if let Some((stalest, _)) = seen.min_by_key(|(_, known)| known.seen_in) {
                self.processes.swap_remove(stalest);
                self.full.count(Table::Workers, 1);
            }
        }
        self.processes.push(ProcessWaits {
            pid,
            seen_in: self.window,
            window_ns: 0,
            run_ns: 0,
            window_roles: None,
            run_roles: None,
        });
        self.processes.len() - 1
    }

    /// Makes room of the process that had this number before, with its workers.
    pub(super) fn forget(&mut self, pid: Pid) {
        let before = self.workers.len() + self.processes.len();
        self.workers.retain(|worker| worker.pid != pid);
        self.processes.retain(|process| process.pid != pid);
        let left = self.workers.len() + self.processes.len();
        self.full.count(Table::Workers, (before - left) as u64);
    }

    pub(super) fn window(&self) -> Vec<ProcessWorkers> {
        let of_process = |process: &ProcessWaits| (process.window_ns, process.window_roles.clone());
        self.list(|worker| &worker.window, of_process)
    }

    pub(super) fn run(&self) -> Vec<ProcessWorkers> {
        let of_process = |process: &ProcessWaits| (process.run_ns, process.run_roles.clone());
        self.list(|worker| &worker.run, of_process)
    }

    fn list(
        &self,
        part: impl Fn(&Worker) -> &WorkerSums,
        of_process: impl Fn(&ProcessWaits) -> (u64, Option<ProcessRoles>),
    ) -> Vec<ProcessWorkers> {
        let mut listed = Vec::new();
        for process in &self.processes {
            let known = |worker: &&Worker| worker.pid == process.pid && part(worker).known_ns() > 0;
            let known = self.workers.iter().filter(known);
            let (pool, workers): (Vec<_>, Vec<_>) = known.partition(|worker| worker.is_of_pool);
            let mut threads: Vec<_> = workers
                .into_iter()
                .map(|worker| part(worker).totals(worker))
                .collect();
            threads.sort_by(|one, other| other.busy.total_cmp(&one.busy).then(one.tid.cmp(&other.tid)));
            let count = threads.len() as u64;
            let loaded = |worker: &WorkerTotals| worker.busy + worker.run_queue;
            let idlest = threads
                .iter()
                .min_by(|one, other| loaded(one).total_cmp(&loaded(other)))
                .cloned();
            threads.truncate(LISTED);
            let (none_free_ns, by_role) = of_process(process);
            // Each request can have had a thread of its own.
            if count > 0 || by_role.is_some() {
                listed.push(ProcessWorkers {
                    pid: process.pid,
                    count,
                    none_free_ns,
                    threads,
                    idlest,
                    pool: pool_totals(pool.into_iter().map(&part)),
                    by_role,
                });
            }
        }
        listed.sort_by_key(|process| process.pid);
        listed
    }

    pub(super) fn close_window(&mut self) {
        self.window += 1;
        for worker in &mut self.workers {
            worker.window = WorkerSums::default();
        }
        for process in &mut self.processes {
            process.window_ns = 0;
            process.window_roles = None;
        }
    }
}

/// Of these threads together.
fn pool_totals<'a>(threads: impl Iterator<Item = &'a WorkerSums>) -> Option<PoolTotals> {
    let one = |thread: &WorkerSums| PoolTotals {
        threads: 1,
        busy: thread.share(thread.known_ns().saturating_sub(thread.parked_ns)),
        jobs: thread.jobs.begun,
        queued: thread.jobs.queued,
    };
    threads.map(one).reduce(|all, thread| PoolTotals {
        threads: all.threads + 1,
        busy: all.busy.min(thread.busy),
        jobs: all.jobs + thread.jobs,
        queued: all.queued + thread.queued,
    })
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
            pid: Pid(7),
            tid: Tid(tid),
            comm: None,
            usage,
            request: None,
        }
    }

    #[test]
    fn threads_that_come_and_go_make_room_for_those_that_are_there() {
        let (mut workers, ran) = (Workers::default(), usage(1, 0));
        workers.none_free(Pid(7), 0);
        for tid in 0..3 * MAX_WORKERS as u32 {
            workers.add(&worker(tid, &ran));
            workers.close_window();
        }
        workers.add(&worker(u32::MAX, &ran));
        assert_eq!(workers.window()[0].threads[0].tid, Tid(u32::MAX));
        assert_eq!(workers.workers.len(), MAX_WORKERS);
    }

    #[test]
    fn the_busiest_comes_first_and_a_window_ends() {
        let mut workers = Workers::default();
        workers.none_free(Pid(7), 40);
        workers.add(&worker(8, &usage(25, 75)));
        workers.add(&worker(9, &usage(100, 0)));
        let listed = workers.window().pop().unwrap();
        let busy: Vec<_> = listed
            .threads
            .iter()
            .map(|worker| (worker.tid, worker.busy))
            .collect();
        assert_eq!((listed.count, listed.none_free_ns), (2, 40));
        assert_eq!(busy, [(Tid(9), 1.0), (Tid(8), 0.25)]);

        workers.close_window();
        assert_eq!(workers.window(), []);
        workers.add(&worker(8, &usage(75, 25)));
        assert_eq!(workers.run()[0].threads[1].busy, 0.5);
        assert_eq!(workers.run()[0].threads[1].turns, 2);
    }

    #[test]
    fn threads_of_the_pool_are_no_workers_and_the_least_busy_of_them_tells_for_all() {
        let mut workers = Workers::default();
        workers.none_free(Pid(7), 0);
        workers.add(&worker(8, &usage(30, 70)));
        for (tid, blocked_ns, parked_ns, queued) in [(20, 80, 20, 2), (21, 100, 0, 5)] {
            let usage = Usage {
                blocked_ns,
                parked_ns,
                jobs: Some(JobCounts { begun: 6, queued }),
                ..Usage::default()
            };
            workers.add(&worker(tid, &usage));
        }
        let listed = workers.window().pop().unwrap();
        assert_eq!((listed.count, listed.threads.len()), (1, 1));
        let expected = PoolTotals {
            threads: 2,
            busy: 0.8,
            jobs: 12,
            queued: 7,
        };
        assert_eq!(listed.pool, Some(expected));
    }

    #[test]
    fn the_idlest_worker_is_known_also_where_it_is_not_listed() {
        let mut workers = Workers::default();
        workers.none_free(Pid(7), 0);
        for tid in 0..3 * LISTED as u32 {
            workers.add(&worker(tid, &usage(100 - u64::from(tid), tid.into())));
        }
        let listed = workers.window().pop().unwrap();
        let idlest = listed.idlest.unwrap();
        assert_eq!(
            (listed.threads.len(), idlest.tid),
            (LISTED, Tid(3 * LISTED as u32 - 1))
        );
    }
}
