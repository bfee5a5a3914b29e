//! Jobs that threads of a pool hand back to the event loop that gave them: who had which, and for which request.
//!
//! A loop reads a request and wakes a thread that had nothing to do; that thread wakes the loop where it waits for
//! events, and the loop answers. Neither end alone tells for whom the job was: a loop reads several requests before it
//! serves the first, and when it is awake other threads may be done, too. Both together do: the request was read when
//! the loop gave the job, or had a job that was handed back right then, and it was answered when the job was over.

mod event_loop;
mod job;
mod known;

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use self::event_loop::Loop;
use self::job::{Given, Job, JobOf, MAX_IN_ROW, Open};
use super::fed::MAX_LOOPS;
use super::state::Block;
use crate::model::full::{Full, Table};
use crate::model::id::{Pid, RequestId, Tid};
use crate::newest::Newest;
use crate::syscall;

/// Threads that event loops give jobs to that are remembered of a process.
const MAX_HELPERS: usize = 256;

/// Requests that a loop had in hand since it was woken that are remembered, the newest.
const MAX_IN_HAND: usize = 32;

/// Jobs that ended while their loop was awake that are remembered, the newest.
const MAX_ENDED: usize = 64;

/// A timer is due so much before the time for which a loop waits at the latest, ns: it waits for whole milliseconds.
const TIMER_SLACK_NS: u64 = 1_000_000;

/// What is known of the jobs of all processes.
#[derive(Debug, Default)]
pub(super) struct Returns {
    programs: FxHashMap<Pid, Program>,
    /// What was not remembered.
    pub(super) full: Full,
}

/// The loops of a process, and the threads that work for them.
#[derive(Debug, Default)]
struct Program {
    loops: BTreeMap<Tid, Loop>,
    helpers: BTreeMap<Tid, Helper>,
    /// Jobs that ended while a loop was awake.
    ended: Newest<Arc<Job>, MAX_ENDED>,
    /// When the last of those ended that are forgotten, ns.
    forgotten_ns: u64,
    /// Of so many jobs it was told for whom they were.
    jobs_told: u32,
    /// A job was of a request that its loop had left before: it had waited for a thread.
    has_queue: bool,
    /// The process has a runtime that tells for whom its threads work.
    is_told_otherwise: bool,
}

/// A thread that a loop gave something to do.
#[derive(Debug, Default)]
struct Helper {
    job: Option<Open>,
    /// Of so many of its jobs it was told for whom they were.
    jobs_told: u32,
    /// It has woken its loop when one was over.
    has_woken: bool,
    /// It reads or answers requests itself.
    serves: bool,
}

impl Program {
    /// Loop `by` gives thread `tid`, which had nothing to do, something to do.
    fn gives(&mut self, by: Tid, tid: Tid, at_ns: u64, full: &Full) {
        if self.loops.contains_key(&tid) {
            return;
        }
        let Some(own) = self.loops.get_mut(&by).filter(|own| own.awake_ns > 0) else {
            return;
        };
        own.is_otherwise = true;
        let given = Given {
            by,
            in_hand: own.in_hand.iter().copied().collect(),
            after: own.woken_by.clone(),
            is_cut: own.is_cut,
        };
        if self.helpers.len() == MAX_HELPERS && !self.helpers.contains_key(&tid) {
            full.count(Table::PoolThreads, 1);
            return;
        }
        self.helpers.entry(tid).or_default().job = Some(Open {
            from_ns: at_ns,
            given: Some(given),
        });
    }

    /// A thread goes on with whatever there is to do.
    fn goes_on(&mut self, tid: Tid, from_ns: u64) {
        if let Some(helper) = self.helpers.get_mut(&tid) {
            helper.job = Some(Open { from_ns, given: None });
        }
    }

    /// The job of a thread is over.
    fn ends(&mut self, tid: Tid, at_ns: u64) -> Option<Arc<Job>> {
        let helper = self.helpers.get_mut(&tid).filter(|helper| !helper.serves)?;
        let Open { from_ns, given } = helper.job.take()?;
        let interval = JobOf {
            tid,
            from_ns,
            to_ns: at_ns,
        };
        let job = Job { interval, given };
        Some(Arc::new(if job.row() < MAX_IN_ROW {
            job
        } else {
            job.without_row()
        }))
    }

    /// For which jobs the loop can have answered a request that it had read at `read_ns`. If just one of those that are
    /// over since it was woken was given for that request, it is that one's, with those before it, the last first. If
    /// that is not seen, because the thread went on from one job to the next, and nothing else can have made the
    /// request go on, it is the only one that is over. And neither, if one that was answered before needs that job, or
    /// if a timer is due for which the request may have waited, and the job may be another's.
    fn answers(
        &mut self,
        tid: Tid,
        request: RequestId,
        read_ns: Option<u64>,
        ran_last_ns: impl Fn(Tid, u64) -> Option<u64>,
        at_ns: u64,
        full: &Full,
    ) -> Option<Vec<JobOf>> {
        let over = self.over(tid)?;
        let own = self.loops.get_mut(&tid)?;
        let awake_ns = own.awake_ns;
        let is_due = own
            .due_ns
            .is_some_and(|due_ns| due_ns <= at_ns.saturating_add(TIMER_SLACK_NS));
        let went_on = !own.has(request);
        let nothing_else = went_on && !own.is_otherwise && !is_due;
        own.is_otherwise |= went_on;
        let is_cut =
            self.forgotten_ns >= awake_ns || own.claims.is_cut() || over.iter().any(|job| job.is_cut());
        let is_its = |job: &Arc<Job>| job.of(request).is_some();
        let is_forgotten = |job: &Arc<Job>| job.may_be_of_forgotten(request, read_ns);
        let may_need = went_on || over.iter().any(is_forgotten);
        let may_be = over.iter().filter(|job| is_its(job) || is_forgotten(job));
        let may_be: Vec<_> = may_be.cloned().collect();
        let found = if may_be.iter().any(is_its) {
            match &may_be[..] {
                [job] if !is_due || job.can_be_of_no_other() => {
                    job.of(request).map(|jobs| (jobs, job.clone()))
                }
                _ => {
                    own.claims.push(may_be);
                    None
                }
            }
        } else {
            let only = nothing_else.then(|| self.only_one_over(over, awake_ns, read_ns, &ran_last_ns));
            only.flatten().map(|job| (vec![job.interval], job))
        };
        let own = self.loops.get(&tid)?;
        let Some((jobs, job)) = found.filter(|(_, job)| !own.claims.need(job)) else {
            if is_cut && may_need && self.jobs_told >= known::ENOUGH {
                full.count(Table::PoolThreads, 1);
            }
            if went_on {
                self.cut(awake_ns, &ran_last_ns);
            }
            return None;
        };
        self.has_queue |= !is_its(&job);
        self.forget_job(tid, &job);
        self.jobs_told = self.jobs_told.saturating_add(1);
        for job in &jobs {
            if let Some(helper) = self.helpers.get_mut(&job.tid) {
                helper.jobs_told = helper.jobs_told.saturating_add(1);
            }
        }
        Some(jobs)
    }

    /// The jobs that a loop had given and that are over since it was woken.
    fn over(&self, tid: Tid) -> Option<Vec<Arc<Job>>> {
        let own = self.loops.get(&tid).filter(|own| own.awake_ns > 0)?;
        let since = self.ended.iter().filter(|job| {
            let is_its = |given: &Given| given.by == tid;
            job.interval.to_ns >= own.awake_ns && job.given.as_ref().is_some_and(is_its)
        });
        Some(own.woken_by.iter().chain(since).cloned().collect())
    }

    /// The only job that is over, as far as is known, if it can be that of a request that had been read at `read_ns`.
    fn only_one_over(
        &self,
        over: Vec<Arc<Job>>,
        awake_ns: u64,
        read_ns: Option<u64>,
        ran_last_ns: &impl Fn(Tid, u64) -> Option<u64>,
    ) -> Option<Arc<Job>> {
        let over = if over.is_empty() {
            self.may_be_over(awake_ns, ran_last_ns)
        } else {
            over
        };
        let [job] = <[_; 1]>::try_from(over).ok()?;
        job.may_be_of(read_ns?).then_some(job)
    }

    /// Jobs that may have ended since the loop was woken, as far as it is not known whether: their threads ran since,
    /// and went on with something. Each ends where its thread ran last.
    fn may_be_over(&self, awake_ns: u64, ran_last_ns: &impl Fn(Tid, u64) -> Option<u64>) -> Vec<Arc<Job>> {
        let helpers = self
            .helpers
            .iter()
            .filter(|(_, helper)| helper.jobs_told > 0 && !helper.serves);
        let at_work = helpers.filter_map(|(&tid, helper)| Some((tid, helper.job.as_ref()?)));
        at_work
            .filter_map(|(tid, job)| {
                let interval = JobOf {
                    tid,
                    from_ns: job.from_ns,
                    to_ns: ran_last_ns(tid, awake_ns).filter(|&to_ns| to_ns > job.from_ns)?,
                };
                let given = None;
                Some(Arc::new(Job { interval, given }))
            })
            .collect()
    }

    /// A request went on, and any of these jobs can have been its: of what their threads do it is not known any more
    /// since when they do that.
    fn cut(&mut self, awake_ns: u64, ran_last_ns: &impl Fn(Tid, u64) -> Option<u64>) {
        for job in self.may_be_over(awake_ns, ran_last_ns) {
            self.goes_on(job.interval.tid, job.interval.to_ns);
        }
    }

    /// For whom this job was is told.
    fn forget_job(&mut self, by: Tid, job: &Arc<Job>) {
        if let Some(own) = self.loops.get_mut(&by) {
            own.woken_by.take_if(|woken_by| Arc::ptr_eq(woken_by, job));
            own.claims.told(job);
        }
        self.ended.retain(|ended| !Arc::ptr_eq(ended, job));
        let JobOf { tid, to_ns, .. } = job.interval;
        if let Some(open) = self.helpers.get_mut(&tid).and_then(|helper| helper.job.as_mut())
            && open.from_ns < to_ns
        {
            // It was over then.
            *open = Open {
                from_ns: to_ns,
                given: None,
            };
        }
    }
}

impl Returns {
    /// A thread waits for its events with `epoll`.
    pub(super) fn loops(&mut self, pid: Pid, tid: Tid) {
        let program = self.programs.entry(pid).or_default();
        if program.is_told_otherwise {
            return;
        }
        if program.loops.len() == MAX_LOOPS && !program.loops.contains_key(&tid) {
            self.full.count(Table::PoolThreads, 1);
            return;
        }
        program.loops.insert(tid, Loop::default());
        program.helpers.remove(&tid);
    }

    /// A thread waits, and not for a time or a lock: if it works for a loop, it has nothing to do.
    pub(super) fn rests(&mut self, pid: Pid, tid: Tid, at_ns: u64) {
        let Some(program) = self.programs.get_mut(&pid) else {
            return;
        };
        let Some(job) = program.ends(tid, at_ns) else {
            return;
        };
        if let Some(forgotten) = program.ended.push(job) {
            program.forgotten_ns = forgotten.interval.to_ns;
        }
    }

    /// A thread was woken from this wait.
    pub(super) fn woken(&mut self, pid: Pid, tid: Tid, (waited_ns, block): (u64, &Block), at_ns: u64) {
        let Some(program) = self.programs.get_mut(&pid) else {
            return;
        };
        let by = block.handed_off_by().filter(|by| by.pid == pid).map(|by| by.tid);
        if syscall::waits_for_events(block.syscall) {
            let job = by.and_then(|by| program.ends(by, at_ns));
            if let Some((by, _)) = by.zip(job.as_ref()) {
                program.goes_on(by, at_ns);
                if let Some(helper) = program.helpers.get_mut(&by) {
                    helper.has_woken = true;
                }
            }
            if let Some(own) = program.loops.get_mut(&tid) {
                *own = Loop {
                    awake_ns: at_ns,
                    woken_by: job,
                    due_ns: block.wait.due_ns(at_ns.saturating_sub(waited_ns)),
                    ..Loop::default()
                };
            }
        } else if let Some(by) = by.filter(|_| program.rested(tid, block.wait)) {
            program.goes_on(tid, at_ns);
            program.gives(by, tid, at_ns, &self.full);
        }
    }

    /// Thread `by` began another.
    pub(super) fn begins(&mut self, pid: Pid, by: Tid, tid: Tid, at_ns: u64) {
        if let Some(program) = self.programs.get_mut(&pid) {
            program.gives(by, tid, at_ns, &self.full);
        }
    }

    /// A thread read a request.
    pub(super) fn reads(&mut self, pid: Pid, tid: Tid, request: RequestId) {
        let Some(program) = self.programs.get_mut(&pid) else {
            return;
        };
        if let Some(own) = program.loops.get_mut(&tid) {
            own.has(request);
        } else if let Some(helper) = program.helpers.get_mut(&tid) {
            helper.serves = true;
        }
    }

    /// A thread sent something of the answer to a request; where that is the first of it, it had been read at
    /// `read_ns`. Gives what others did for that, if that is known, the last first.
    pub(super) fn answers(
        &mut self,
        pid: Pid,
        tid: Tid,
        request: RequestId,
        read_ns: Option<u64>,
        ran_last_ns: impl Fn(Tid, u64) -> Option<u64>,
        at_ns: u64,
    ) -> Option<Vec<JobOf>> {
        let program = self.programs.get_mut(&pid)?;
        if let Some(helper) = program.helpers.get_mut(&tid) {
            helper.serves = true;
        }
        program.answers(tid, request, read_ns, ran_last_ns, at_ns, &self.full)
    }

    /// A thread received something from a peer.
    pub(super) fn hears(&mut self, pid: Pid, tid: Tid) {
        let program = self.programs.get_mut(&pid);
        if let Some(own) = program.and_then(|program| program.loops.get_mut(&tid)) {
            own.is_otherwise = true;
        }
    }

    /// A thread ended.
    pub(super) fn ended(&mut self, pid: Pid, tid: Tid) {
        if let Some(program) = self.programs.get_mut(&pid) {
            program.loops.remove(&tid);
            program.helpers.remove(&tid);
        }
    }

    /// Events were lost: which job a thread has is not known.
    pub(super) fn lost(&mut self) {
        for program in self.programs.values_mut() {
            program.loops.values_mut().for_each(|own| *own = Loop::default());
            program.helpers.values_mut().for_each(|helper| helper.job = None);
            program.ended.clear();
        }
    }

    /// The process has a runtime that tells for whom its threads work.
    pub(super) fn switches(&mut self, pid: Pid) {
        let program = Program {
            is_told_otherwise: true,
            ..Program::default()
        };
        self.programs.insert(pid, program);
    }

    /// The process became another program, or ended.
    pub(super) fn forget(&mut self, pid: Pid) {
        self.programs.remove(&pid);
    }
}

#[cfg(test)]
mod tests;
