//! What is told of threads that hand their jobs back, and to whom their past is given.

use rustc_hash::FxHashSet;

use super::super::Threads;
use super::super::state::State;
use super::super::thread::Thread;
use super::{Helper, Program, Returns};
use crate::model::id::{Pid, Tid};
use crate::model::operation::{Direction, Operation};
use crate::syscall::Wait;

/// For so many jobs it must have been told for whom they were before nothing else is believed of the threads.
pub(super) const ENOUGH: u32 = 16;

impl Returns {
    /// Whether threads of a process hand their jobs back to its event loops.
    fn are_handed_back(&self, pid: Pid) -> bool {
        self.programs
            .get(&pid)
            .is_some_and(|program| program.jobs_told >= ENOUGH)
    }

    /// Whether a thread hands its jobs back to event loops.
    pub(in super::super) fn hands_back(&self, pid: Pid, tid: Tid) -> bool {
        self.helper(pid, tid).is_some_and(|helper| helper.jobs_told > 0)
    }

    /// A thread that may hand jobs back, in a process whose threads do.
    fn helper(&self, pid: Pid, tid: Tid) -> Option<&Helper> {
        let program = self.programs.get(&pid)?;
        let helper = program.helpers.get(&tid).filter(|helper| !helper.serves);
        helper.filter(|_| program.jobs_told >= ENOUGH)
    }
}

impl Program {
    /// Whether a thread that waited so had nothing to do.
    pub(super) fn rested(&self, tid: Tid, wait: Wait) -> bool {
        let is_between_jobs = || self.helpers.get(&tid).is_some_and(|helper| helper.job.is_none());
        match wait {
            Wait::Park { timeout } => !timeout,
            Wait::Condition { timeout: false } => is_between_jobs(),
            _ => false,
        }
    }
}

impl Threads {
    /// Whether threads of process `pid` hand their jobs back to its event loops.
    #[must_use]
    pub fn jobs_are_handed_back(&self, pid: Pid) -> bool {
        self.returns.are_handed_back(pid)
    }

    /// Whether a job of process `pid` that was given then had to wait, if it was for one of the pools of these threads
    /// of which none was free. As far as was seen: where jobs never wait, another thread is begun.
    #[must_use]
    pub fn a_job_may_wait(&self, pid: Pid, at_ns: u64) -> bool {
        let Some(program) = self
            .returns
            .programs
            .get(&pid)
            .filter(|program| program.has_queue)
        else {
            return false;
        };
        let mut judged = FxHashSet::default();
        program.helpers.keys().any(|&tid| {
            if judged.contains(&tid) || !self.returns.hands_back(pid, tid) {
                return false;
            }
            judged.extend(self.fed.sharing_with(pid, tid));
            self.none_is_free(pid, tid, at_ns, at_ns)
        })
    }

    /// Whether one of these threads ran between two times.
    #[must_use]
    pub fn may_have_handed_back(&self, pid: Pid, from_ns: u64, to_ns: u64) -> bool {
        let program = self.returns.programs.get(&pid);
        let mut helpers = program.into_iter().flat_map(|program| program.helpers.keys());
        helpers.any(|&tid| {
            let ran = self.get(tid).map(|thread| thread.ran_last_ns(from_ns, to_ns));
            ran.flatten().is_some()
        })
    }

    /// Whether a thread hands its jobs back to event loops of process `pid`: for whom it worked is told when they are
    /// over, and by nothing else.
    #[must_use]
    pub fn hands_back(&self, pid: Pid, tid: Tid) -> bool {
        self.returns.hands_back(pid, tid)
    }

    /// Whether what an event loop of process `pid` gave a thread may have been a job that is handed back, though that
    /// may not be told of any.
    #[must_use]
    pub fn may_hand_back(&self, pid: Pid, tid: Tid) -> bool {
        let helper = self.returns.helper(pid, tid);
        helper.is_some_and(|helper| helper.jobs_told > 0 || helper.has_woken)
    }

    /// What a socket operation tells of jobs. Gives the threads of which it is known by that that they worked for its
    /// request: what they did is that one's from then on.
    pub(in super::super) fn jobs_known_by(&mut self, tid: Tid, pid: Pid, operation: &Operation) -> Vec<Tid> {
        if operation.outbound && operation.direction == Direction::In {
            self.returns.hears(pid, tid);
        }
        let Some(request) = operation.request.filter(|_| !operation.outbound) else {
            return Vec::new();
        };
        if operation.direction == Direction::In {
            self.returns.reads(pid, tid, request);
            return Vec::new();
        }
        let read_ns = operation.read_by.map(|(_, read_ns)| read_ns);
        let at_ns = operation.at_ns;
        let threads = &self.threads;
        let ran_last_ns = |tid, since_ns| threads.get(&tid)?.ran_last_ns(since_ns, at_ns);
        let jobs = self
            .returns
            .answers(pid, tid, request, read_ns, ran_last_ns, at_ns);
        let jobs = jobs.unwrap_or_default();
        for job in &jobs {
            self.fed.hands_back(pid, job.tid, tid, job.to_ns, &self.full);
            if let Some(thread) = self.threads.get_mut(&job.tid) {
                thread.ends_at(job.to_ns);
                thread.worked_for(request, job.from_ns, job.to_ns);
            }
        }
        jobs.iter().map(|job| job.tid).collect()
    }
}

impl Thread {
    /// Whether it waits for another thread, for as long as that takes.
    pub(in super::super) fn rests(&self) -> bool {
        match self.facts.state {
            State::Blocked(block) => {
                block.wait == Wait::Park { timeout: false } || self.waits_for_the_next(&block)
            }
            _ => false,
        }
    }

    /// When it ran last between two times, ns.
    fn ran_last_ns(&self, since_ns: u64, at_ns: u64) -> Option<u64> {
        let back = self.back_from(at_ns).take_while(|slice| slice.to_ns > since_ns);
        let mut ran = back.filter(|slice| matches!(slice.state, State::Running { .. }));
        ran.next().map(|slice| slice.to_ns)
    }

    /// What it does now, if it began before, is something else from then on.
    fn ends_at(&mut self, at_ns: u64) {
        if matches!(self.facts.state, State::Running { .. }) && self.facts.since_ns < at_ns {
            self.close(at_ns, self.facts.state, self.facts.state, None);
        }
    }
}
