//! For which request each runtime task works, as far as its socket operations and its waker tell.

use rustc_hash::FxHashMap;

use super::state::Owner;
use crate::model::full::{Full, Table};
use crate::model::id::{Pid, RequestId, Task, TaskId};
use crate::runtime::Runtime;
use crate::runtime::tokio::{Ids, KnownTask};

/// Tasks that are remembered; of those not seen for longest, up to half are forgotten for others. A connection is one.
const MAX_TASKS: usize = 32_768;

/// What one task works for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Work {
    /// The request.
    pub(super) request: RequestId,
    /// It received from or sent to the request's client. Otherwise it is inferred that it began to run for the request.
    pub(super) by_identity: bool,
    /// The last that it did on the client's connection was to send: what follows may already be for another request.
    pub(super) answered: bool,
}

/// What is known of a task in which a thread is seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TaskFacts {
    pub(super) work: Option<Work>,
    /// No newer task of its process was seen before, where the order of ids tells.
    pub(super) is_newest: bool,
    /// The runtime that runs it; of no task, none.
    pub(super) runtime: Runtime,
}

impl TaskFacts {
    /// For whom it works.
    pub(super) fn works_for(&self) -> Owner {
        match self.work {
            Some(work) if work.by_identity => Owner::Request(work.request),
            Some(work) => Owner::WokenFor(work.request),
            None => Owner::Nobody,
        }
    }

    /// Whether it answered the request that it served.
    pub(super) fn has_answered(&self) -> bool {
        self.work.is_some_and(|work| work.answered)
    }
}

/// The tasks of all watched processes.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    /// Those seen lately.
    recent: FxHashMap<(Pid, TaskId), Work>,
    /// Those seen before.
    older: FxHashMap<(Pid, TaskId), Work>,
    /// By process.
    ids: FxHashMap<Pid, Ids>,
    /// Tasks that were forgotten before they had answered what they read. Of others nothing more is asked, as a rule.
    pub(super) full: Full,
}

impl Tasks {
    fn get(&self, pid: Pid, id: TaskId) -> Option<Work> {
        let found = self.recent.get(&(pid, id));
        found.or_else(|| self.older.get(&(pid, id))).copied()
    }

    fn remember(&mut self, pid: Pid, id: TaskId, work: Work) {
        if self.recent.len() >= MAX_TASKS / 2 {
            let serves = |(id, work): &(&(Pid, TaskId), &Work)| {
                work.by_identity && !work.answered && !self.recent.contains_key(*id)
            };
            let serving = self.older.iter().filter(serves).count();
            self.full.count(Table::Tasks, serving as u64);
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert((pid, id), work);
    }

    /// The request that a task of process `pid` serves by its own socket operations.
    pub(super) fn serves(&self, pid: Pid, task: Task) -> Option<RequestId> {
        let work = self.get(pid, task.id()?)?;
        work.by_identity.then_some(work.request)
    }

    /// A task read a request or answered it.
    pub(super) fn took(&mut self, pid: Pid, task: Task, request: RequestId, answered: bool) {
        let Some(id) = task.id() else { return };
        let work = Work {
            request,
            by_identity: true,
            answered,
        };
        match self.recent.get_mut(&(pid, id)) {
            // So its id is known to be one that serves.
            Some(known) if known.by_identity => *known = work,
            _ => {
                self.ids.entry(pid).or_default().served(id);
                self.remember(pid, id, work);
            }
        }
    }

    /// What is known of a task in which a thread of this runtime is seen now.
    pub(super) fn facts(&mut self, pid: Pid, task: Task, runtime: Runtime) -> TaskFacts {
        task.id().map_or_else(TaskFacts::default, |id| TaskFacts {
            is_newest: runtime.ids_rise() && self.ids.entry(pid).or_default().saw_newest(id),
            runtime,
            work: self.get(pid, id),
        })
    }

    /// A task works for this request, if for one, by the order of events.
    pub(super) fn infer(&mut self, pid: Pid, task: Task, request: Option<RequestId>) {
        if let (Some(id), Some(request)) = (task.id(), request) {
            let work = Work {
                request,
                by_identity: false,
                answered: false,
            };
            self.remember(pid, id, work);
        }
    }

    /// A task works for this request, or for none that is known, unless its own socket operations say for which.
    pub(super) fn works_for(&mut self, pid: Pid, task: Task, request: Option<RequestId>) {
        let Some(id) = task.id() else { return };
        match self.get(pid, id) {
            Some(work) if work.by_identity => {}
            Some(_) if request.is_none() => {
                self.recent.remove(&(pid, id));
                self.older.remove(&(pid, id));
            }
            _ => self.infer(pid, task, request),
        }
    }

    /// The request that a task serves by its own socket operations and has not answered.
    pub(super) fn owes(&self, pid: Pid, task: Task) -> Option<RequestId> {
        let work = self.get(pid, task.id()?)?;
        (work.by_identity && !work.answered).then_some(work.request)
    }

    /// What is known of a task in which a thread waits.
    pub(super) fn known(&self, pid: Pid, task: Task) -> KnownTask {
        let ids = self.ids.get(&pid).copied().unwrap_or_default();
        KnownTask {
            serves: self.serves(pid, task).is_some(),
            is_older_than_servers: task.id().is_some_and(|id| ids.is_older_than_servers(id)),
        }
    }

    /// Process `pid` became another program, or ended: its ids begin anew.
    pub(super) fn forget_process(&mut self, pid: Pid) {
        self.recent.retain(|&(of, _), _| of != pid);
        self.older.retain(|&(of, _), _| of != pid);
        self.ids.remove(&pid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::ConnId;

    #[test]
    fn a_task_that_is_forgotten_with_a_request_that_it_has_not_answered_is_counted() {
        let mut tasks = Tasks::default();
        let tasks_of_a_half = MAX_TASKS as u64 / 2;
        for id in 1..=3 * tasks_of_a_half {
            let request = RequestId {
                conn: ConnId(id),
                nth: 1,
            };
            tasks.took(Pid(7), Task::new(id), request, id > 2);
        }
        assert_eq!(tasks.serves(Pid(7), Task::new(1)), None);
        assert_eq!(tasks.full.counts().collect::<Vec<_>>(), [(Table::Tasks, 2)]);
    }
}
