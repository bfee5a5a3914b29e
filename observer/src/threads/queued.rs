//! Where polls are recorded, or which goroutines threads run: which tasks threads turn to, and when these were queued,
//! of the newest of all threads together.

use observer_common::PollStart;
use rustc_hash::FxHashMap;

use super::Threads;
use crate::model::full::Table;
use crate::model::id::{Pid, Task, TaskId, Tid};
use crate::newest::Newest;
use crate::runtime::go::Stay;

/// Polls that are remembered: 2 MiB. As far back as the slices of a saturated worker reach, which are two a poll.
const MAX_POLLS: usize = 32_768;

const _: () = assert!(MAX_POLLS * size_of::<QueuedPoll>() <= 2 << 20);

/// Goroutines of which it is remembered where they ran last. One more, and all are forgotten.
const MAX_GOROUTINES: usize = 65_536;

/// How a poll came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueuedPoll {
    /// When it began, ns.
    start_ns: u64,
    /// When its task was queued, ns; 0 for a goroutine of which that was not seen.
    pub at_ns: u64,
    /// Thread that polled.
    tid: Tid,
    /// Thread that queued the task.
    pub by: Tid,
    /// The task, where it is a goroutine.
    pub task: Task,
    /// What it says of its wait, where it is a goroutine.
    pub(crate) stay: Option<Stay>,
    /// It is a goroutine that did not wait: it goes on elsewhere in its code than those that did.
    pub(crate) lost_its_turn: bool,
    /// The thread on which it ran before, and when it began to run there, ns.
    pub before: Option<(Tid, u64)>,
}

/// The newest polls whose tasks were seen to be queued, in the order of their starts.
#[derive(Debug, Default)]
pub(super) struct Queue {
    polls: Newest<QueuedPoll, MAX_POLLS>,
    /// Of those that began before this, some were forgotten, ns.
    remembered_from_ns: u64,
    /// Where each goroutine ran last, and since when, ns.
    last: FxHashMap<(Pid, TaskId), (Tid, u64)>,
    /// Where the goroutines of each process go on that have waited, which is one place; `None` where it is not.
    go_on_at: FxHashMap<Pid, Option<u64>>,
}

impl Queue {
    /// Thread `tid` began at `start_ns` to poll a task that thread `by` had queued at `at_ns`.
    pub(super) fn polled(&mut self, tid: Tid, start_ns: u64, at_ns: u64, by: Tid) {
        self.push(QueuedPoll {
            start_ns,
            at_ns,
            tid,
            by,
            task: Task::UNKNOWN,
            stay: None,
            lost_its_turn: false,
            before: None,
        });
    }

    /// A thread of process `pid` begins to run this goroutine, which says this of its wait, or that it was suspended.
    /// Gives of how many it is forgotten for that where they ran last.
    pub(super) fn runs(
        &mut self,
        event: &PollStart,
        pid: Pid,
        task: Task,
        stay: Option<Stay>,
        was_suspended: bool,
    ) -> u64 {
        let (tid, start_ns) = (Tid(event.header.tid), event.header.at_ns);
        let mut forgotten = 0;
        let before = task.id().and_then(|id| {
            if self.last.len() == MAX_GOROUTINES && !self.last.contains_key(&(pid, id)) {
                forgotten = self.last.len() as u64;
                self.last.clear();
            }
            self.last.insert((pid, id), (tid, start_ns))
        });
        let lost_its_turn = self.lost_its_turn(event, pid, was_suspended);
        self.push(QueuedPoll {
            start_ns,
            at_ns: event.queued_ns,
            tid,
            by: Tid(event.queued_by),
            task,
            stay,
            lost_its_turn,
            before,
        });
        forgotten
    }

    /// Whether a goroutine goes on elsewhere than those that have waited. Those that another one made ready have, and
    /// tell where that is.
    fn lost_its_turn(&mut self, event: &PollStart, pid: Pid, was_suspended: bool) -> bool {
        let goes_on = event.frame;
        if goes_on == 0 || was_suspended {
            return false;
        }
        if event.queued_ns == 0 {
            let place = self.go_on_at.get(&pid).copied().flatten();
            return place.is_some_and(|place| place != goes_on);
        }
        let place = self.go_on_at.entry(pid).or_insert(Some(goes_on));
        if *place != Some(goes_on) {
            *place = None;
        }
        false
    }

    fn push(&mut self, poll: QueuedPoll) {
        if let Some(forgotten) = self.polls.push(poll) {
            self.remembered_from_ns = forgotten.start_ns.saturating_add(1);
        }
    }

    /// Process `pid` became another program, or ended.
    pub(super) fn forget_process(&mut self, pid: Pid) {
        self.last.retain(|&(of, _), _| of != pid);
        self.go_on_at.remove(&pid);
    }

    /// How the poll that thread `tid` began at just this time came about.
    pub(super) fn of(&self, tid: Tid, start_ns: u64) -> Option<QueuedPoll> {
        let from = self.polls.partition_point(|poll| poll.start_ns < start_ns);
        let then = self.polls.range(from..);
        let mut then = then.take_while(|poll| poll.start_ns == start_ns);
        then.find(|poll| poll.tid == tid).copied()
    }
}

impl Threads {
    /// Whether polls are recorded.
    pub fn tells_polls(&self) -> bool {
        !self.queue.polls.is_empty()
    }

    /// A thread begins to poll a task that was queued before.
    pub fn polled(&mut self, event: &PollStart) {
        let (tid, start_ns) = (Tid(event.header.tid), event.header.at_ns);
        self.queue
            .polled(tid, start_ns, event.queued_ns, Tid(event.queued_by));
    }

    /// How the poll that a thread began at just this time came about, where that was recorded.
    #[must_use]
    pub fn queued(&self, tid: Tid, start_ns: u64) -> Option<QueuedPoll> {
        self.began(tid, start_ns).filter(|began| began.at_ns > 0)
    }

    /// The same, also of a goroutine that nothing was seen to make ready.
    #[must_use]
    pub fn began(&self, tid: Tid, start_ns: u64) -> Option<QueuedPoll> {
        let began = self.queue.of(tid, start_ns);
        if began.is_none() && start_ns < self.queue.remembered_from_ns {
            self.full.count(Table::QueuedPolls, 1);
        }
        began
    }

    /// A thread on `cpu` turned to `task`, or to none, by beginning to poll it or ending a poll.
    pub fn turned_to(&mut self, tid: Tid, pid: Pid, cpu: u16, at_ns: u64, task: Task) {
        let Some((thread, tasks, _)) = self.known(tid, pid) else {
            return;
        };
        thread.in_runtime.polls(task);
        if task.is_known() {
            thread.seen_running(at_ns, cpu, None);
            let task = thread.in_runtime.task(task);
            thread.turned_to(at_ns, task, tasks);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::full::Full;

    const BY: Tid = Tid(9);

    #[test]
    fn a_poll_is_found_by_its_thread_and_start() {
        let mut queue = Queue::default();
        for (tid, start_ns) in [(1, 100), (2, 100), (1, 200)] {
            queue.polled(Tid(tid), start_ns, start_ns - u64::from(tid), BY);
        }
        assert_eq!(queue.of(Tid(2), 100).map(|queued| queued.at_ns), Some(98));
        assert_eq!(queue.of(Tid(1), 200).map(|queued| queued.at_ns), Some(199));
        assert_eq!(queue.of(Tid(1), 150), None);
        assert_eq!(queue.of(Tid(3), 100), None);
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut queue = Queue::default();
        let polls = MAX_POLLS as u64 + 10;
        (0..polls).for_each(|start_ns| queue.polled(Tid(1), start_ns, start_ns, BY));
        assert_eq!(queue.of(Tid(1), 9), None);
        assert!(queue.of(Tid(1), 10).is_some());
        let threads = Threads {
            queue,
            ..Threads::default()
        };
        assert!(threads.queued(Tid(1), 10).is_some());
        assert_eq!(threads.take_full(), Full::default());
        assert!(threads.queued(Tid(1), 9).is_none());
        assert_eq!(
            threads.take_full().counts().collect::<Vec<_>>(),
            [(Table::QueuedPolls, 1)]
        );
    }
}
