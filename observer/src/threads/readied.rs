//! Where it is recorded which goroutine makes which ready, and which threads run: for whom goroutines work that serve
//! no client themselves.
//!
//! Who makes a goroutine ready that serves a request was done with something for that; and a goroutine that one makes
//! ready which works for a request works for that one, until it says otherwise by making another ready.

use observer_common::{PollStart, Readied};

use super::Threads;
use super::judgement::Observation;
use super::state::Began;
use crate::model::full::Table;
use crate::model::id::{Pid, RequestId, Task, Tid};
use crate::runtime::go::Stay;

impl Threads {
    /// Whether it is recorded which goroutine of process `pid` makes which ready.
    #[must_use]
    pub fn follows_goroutines(&self, pid: Pid) -> bool {
        self.followed.contains(&pid)
    }

    /// A thread begins to run a goroutine. Gives the request for which that works, if one is known.
    pub fn runs_goroutine(&mut self, event: &PollStart) -> Option<RequestId> {
        let (tid, pid) = (Tid(event.header.tid), Pid(event.tgid));
        let task = Task::new(event.task);
        self.followed.insert(pid);
        if event.queued_ns == 0 {
            // It comes from where no goroutine sent it.
            self.tasks.works_for(pid, task, None);
        }
        let stay = Stay::of(event.task);
        let version = self.runtime(pid).go_version();
        let was_suspended = version.is_none_or(|version| stay.is_none_or(|stay| stay.was_suspended(version)));
        let forgotten = self.queue.runs(event, pid, task, stay, was_suspended);
        self.full.count(Table::QueuedPolls, forgotten);
        self.turned_to(tid, pid, event.header.cpu, event.header.at_ns, task);
        self.owner(tid)
    }

    /// A thread makes a goroutine ready, in one of its own or in none.
    pub fn readied(&mut self, event: &Readied) {
        let (tid, pid) = (Tid(event.header.tid), Pid(event.tgid));
        let at_ns = event.header.at_ns;
        let (task, readied) = (Task::new(event.task), Task::new(event.readied));
        if readied.id().is_none() {
            return;
        }
        let serves = self.tasks.owes(pid, readied);
        let Some((thread, tasks, _)) = self.known(tid, pid) else {
            return;
        };
        thread.seen_running(at_ns, event.header.cpu, None);
        thread.seen_in(at_ns, task, None, tasks);
        let works_for = thread.belief.works_for().filter(|_| task.id().is_some());
        thread.observe(at_ns, Observation::Readies(serves), Began::Readied(task), None);
        if serves.is_some() {
            // It was done with that.
            tasks.works_for(pid, task, None);
        }
        tasks.works_for(pid, readied, works_for);
    }
}
