//! Tasks that are workers themselves.
//!
//! tokio starts each worker of its thread pool as a blocking task, and this task's id is what a worker has between the
//! tasks that it polls. To the rest of observer that is no task at all, so these ids are learned here and taken out of
//! the records. A thread that waits for the runtime's events has its worker's id. Of several workers only one waits for
//! events at a time, the others park on a futex, on which a task may wait too. But the workers are the first tasks that
//! a runtime starts: their ids are older than those of all tasks that they poll, and stay on their threads.
//!
//! Ids begin to be read in the middle of requests. Those of a thread count from when it was first seen between two
//! tasks, or receiving: what it does then has a beginning with an id, and not only an end.

use observer_common::task;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::syscall;

/// Threads, and ids, that are remembered. Where there are more, it begins anew.
const MOST: usize = 4096;

/// The workers of one process, as far as they are known.
#[derive(Debug)]
pub(super) struct Workers {
    /// Ids of workers, and their threads.
    ids: FxHashMap<u64, u32>,
    /// Ids that are none, although they looked like it.
    refused: FxHashSet<u64>,
    /// The lowest id that each thread was seen with.
    lowest: FxHashMap<u32, Lowest>,
    /// The lowest id of a task that received.
    oldest_receiver: u64,
    /// Threads whose ids count.
    counting: FxHashSet<u32>,
    /// Threads that received and did not answer yet: they are in a task.
    serving: FxHashSet<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Lowest {
    id: u64,
    /// The thread had another one since.
    left: bool,
}

/// Whether the field of a record has the id of a task.
fn is_id(field: u64) -> bool {
    field != task::UNKNOWN && field != task::NONE
}

impl Workers {
    /// None is known yet.
    pub(super) fn new() -> Self {
        Self {
            ids: FxHashMap::default(),
            refused: FxHashSet::default(),
            lowest: FxHashMap::default(),
            oldest_receiver: u64::MAX,
            counting: FxHashSet::default(),
            serving: FxHashSet::default(),
        }
    }

    /// A thread waits for the runtime's events with this id.
    pub(super) fn waits_for_events(&mut self, tid: u32, id: u64) {
        if !is_id(id) || self.refused.contains(&id) {
            return;
        }
        if self.ids.len() >= MOST {
            self.ids.clear();
        }
        self.ids.insert(id, tid);
    }

    /// A thread left its CPU in this system call.
    pub(super) fn left_cpu(&mut self, tid: u32, id: u64, call: i32) {
        if !is_id(id) {
            return;
        }
        let came_back = self.see(tid, id);
        let is_lowest = self.lowest.get(&tid).is_some_and(|lowest| lowest.id == id);
        // What is not known to receive yet can still be a connection's task.
        let older = is_lowest && id < self.oldest_receiver && !self.serving.contains(&tid);
        let parks = syscall::is_futex(call) && (came_back || older);
        if parks || syscall::waits_for_events(call) {
            self.waits_for_events(tid, id);
        }
    }

    /// A thread sent something.
    pub(super) fn sent(&mut self, tid: u32) {
        self.serving.remove(&tid);
    }

    /// A thread received in this task, which is no worker then. Also to be told where the id is not known.
    pub(super) fn received(&mut self, tid: u32, id: u64) {
        if self.serving.len() >= MOST {
            self.serving.clear();
        }
        self.serving.insert(tid);
        if !is_id(id) {
            return;
        }
        self.count(tid);
        self.see(tid, id);
        self.has_receiver(id);
    }

    /// A task of this id receives.
    pub(super) fn has_receiver(&mut self, id: u64) {
        self.oldest_receiver = self.oldest_receiver.min(id);
        if self.ids.contains_key(&id) {
            self.refuse(id);
        }
    }

    fn refuse(&mut self, id: u64) {
        if self.refused.len() >= MOST {
            self.refused.clear();
        }
        self.ids.remove(&id);
        self.refused.insert(id);
    }

    /// Takes note of a thread and its id. Tells whether it has its lowest one again after others.
    fn see(&mut self, tid: u32, id: u64) -> bool {
        if self.ids.get(&id).is_some_and(|&of| of != tid) {
            // It moved from thread to thread, as tasks do.
            self.refuse(id);
        }
        if self.lowest.len() >= MOST {
            self.lowest.clear();
        }
        let lowest = self.lowest.entry(tid).or_insert(Lowest { id, left: false });
        if id < lowest.id {
            *lowest = Lowest { id, left: false };
        }
        lowest.left |= id != lowest.id;
        lowest.left && id == lowest.id
    }

    /// From now on the ids of this thread count.
    fn count(&mut self, tid: u32) {
        if self.counting.len() >= MOST {
            self.counting.clear();
        }
        self.counting.insert(tid);
    }

    /// What the field of a record of this thread says once workers are no tasks.
    pub(super) fn settled(&mut self, tid: u32, id: u64) -> u64 {
        if id == task::NONE || self.ids.contains_key(&id) {
            self.count(tid);
            self.serving.remove(&tid);
            return task::NONE;
        }
        if self.counting.contains(&tid) {
            id
        } else {
            task::UNKNOWN
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Workers {
        /// Of a thread that counts.
        fn of(&mut self, id: u64) -> u64 {
            self.count(99);
            self.settled(99, id)
        }
    }

    const FUTEX: i32 = 202;
    const EPOLL_WAIT: i32 = 232;

    #[test]
    fn the_id_with_which_events_are_waited_for_is_a_workers() {
        let mut workers = Workers::new();
        workers.left_cpu(1, 2, EPOLL_WAIT);
        assert_eq!((workers.of(2), workers.of(3)), (task::NONE, 3));
        workers.left_cpu(1, task::NONE, EPOLL_WAIT);
        assert_eq!(workers.of(task::UNKNOWN), task::UNKNOWN);
    }

    #[test]
    fn so_is_the_oldest_id_of_a_thread_that_is_older_than_every_receiver() {
        let mut workers = Workers::new();
        workers.received(1, 9);
        workers.left_cpu(1, 9, FUTEX);
        assert_eq!(workers.of(9), 9, "it receives");
        workers.left_cpu(2, 11, FUTEX);
        assert_eq!(workers.of(11), 11, "it could be a job of a pool");
        workers.received(3, task::UNKNOWN);
        workers.left_cpu(3, 8, FUTEX);
        assert_eq!(workers.of(8), 8, "it received before ids were known");
        workers.sent(1);
        workers.left_cpu(1, 1, FUTEX);
        assert_eq!(workers.of(1), task::NONE);
    }

    #[test]
    fn so_is_the_oldest_id_to_which_a_thread_comes_back() {
        let mut workers = Workers::new();
        workers.received(2, 5);
        // A worker that took the place of another one has a newer id than tasks have that it does not poll.
        workers.left_cpu(1, 20, FUTEX);
        workers.left_cpu(1, 30, FUTEX);
        workers.left_cpu(1, 25, FUTEX);
        workers.left_cpu(1, 30, FUTEX);
        assert_eq!((workers.of(20), workers.of(30)), (20, 30));
        workers.left_cpu(1, 20, FUTEX);
        assert_eq!((workers.of(20), workers.of(30)), (task::NONE, 30));
    }

    #[test]
    fn what_receives_or_moves_to_another_thread_is_no_worker() {
        let mut workers = Workers::new();
        workers.left_cpu(1, 3, FUTEX);
        workers.left_cpu(2, 4, FUTEX);
        assert_eq!((workers.of(3), workers.of(4)), (task::NONE, task::NONE));
        workers.received(2, 3);
        workers.left_cpu(3, 4, -1);
        workers.left_cpu(1, 3, FUTEX);
        workers.left_cpu(2, 4, FUTEX);
        assert_eq!((workers.of(3), workers.of(4)), (3, 4));
    }

    #[test]
    fn ids_of_a_thread_count_from_its_first_receive_or_when_it_was_between_two_tasks() {
        let mut workers = Workers::new();
        assert_eq!(workers.settled(1, 7), task::UNKNOWN);
        workers.received(1, 7);
        assert_eq!(workers.settled(1, 7), 7);
        assert_eq!(workers.settled(2, 7), task::UNKNOWN);
        assert_eq!(workers.settled(2, task::NONE), task::NONE);
        assert_eq!(workers.settled(2, 7), 7);
    }
}
