//! Threads that have ended. What they did is known for a while: a request can be over later than the thread that
//! answered it, as where that ends without closing its connection.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::Threads;
use super::thread::Thread;
use crate::model::full::{Full, Table};
use crate::model::id::{Pid, Tid};

/// For how long it is known what a thread did that has ended, ns.
const KEPT_NS: u64 = 2_000_000_000;

/// Threads of which that is known, the newest.
const MAX_ENDED: usize = 4_096;

/// By id, with when each ended, ns.
#[derive(Debug, Default)]
pub(super) struct Ended {
    threads: FxHashMap<Tid, (u64, Thread)>,
    /// When each ended, the oldest first. One whose id was used again is not among the threads any more.
    order: VecDeque<(u64, Tid)>,
}

impl Ended {
    pub(super) fn get(&self, tid: Tid) -> Option<&Thread> {
        self.threads.get(&tid).map(|(_, thread)| thread)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Thread> {
        self.threads.values().map(|(_, thread)| thread)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Thread> {
        self.threads.values_mut().map(|(_, thread)| thread)
    }

    /// A thread ended. What its last moments added under its id is nothing to what is known already.
    fn add(&mut self, tid: Tid, at_ns: u64, thread: Thread, full: &Full) {
        if self.get(tid).is_some_and(|known| known.pid == thread.pid) {
            return;
        }
        if self.order.len() == MAX_ENDED {
            full.count(Table::EndedThreads, 1);
            self.forget_oldest();
        }
        self.order.push_back((at_ns, tid));
        self.threads.insert(tid, (at_ns, thread));
    }

    /// The id is another thread's now.
    pub(super) fn used_again(&mut self, tid: Tid) {
        self.threads.remove(&tid);
    }

    fn forget_oldest(&mut self) {
        if let Some((at_ns, tid)) = self.order.pop_front()
            && self
                .threads
                .get(&tid)
                .is_some_and(|(ended_ns, _)| *ended_ns == at_ns)
        {
            self.threads.remove(&tid);
        }
    }

    fn forget_before(&mut self, ns: u64) {
        while self.order.front().is_some_and(|&(at_ns, _)| at_ns < ns) {
            self.forget_oldest();
        }
    }
}

impl Threads {
    /// A thread ended.
    pub fn ended(&mut self, tid: Tid, at_ns: u64) {
        let Some(mut thread) = self.threads.remove(&tid) else {
            return;
        };
        self.acceptors.ended(thread.pid, tid);
        if let Some(availability) = self.availability.get_mut(&thread.pid) {
            availability.change(at_ns, thread.metering.counted_free, None);
            if availability.is_empty() {
                self.availability.remove(&thread.pid);
            }
        }
        thread.ended(at_ns);
        self.ended.add(tid, at_ns, thread, &self.full);
    }

    /// A process ended, and with it every thread of which that was not told.
    pub fn all_ended(&mut self, pid: Pid, at_ns: u64) {
        let of_process = self.threads.iter().filter(|(_, thread)| thread.pid == pid);
        for tid in of_process.map(|(&tid, _)| tid).collect::<Vec<_>>() {
            self.ended(tid, at_ns);
        }
    }

    /// Forgets threads that ended long ago.
    pub fn forget_ended(&mut self, now_ns: u64) {
        self.ended.forget_before(now_ns.saturating_sub(KEPT_NS));
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Owner, State};
    use super::*;
    use crate::model::id::{ConnId, RequestId};
    use crate::threads::{Direction, Operation};

    const PID: Pid = Pid(7);
    const OTHER: Pid = Pid(8);
    const TID: Tid = Tid(8);

    const ID: RequestId = RequestId {
        conn: ConnId(5),
        nth: 1,
    };

    fn serves(threads: &mut Threads, tid: Tid, at_ns: u64) {
        let receive = Operation {
            at_ns,
            direction: Direction::In,
            conn: ID.conn,
            arrived_ns: at_ns,
            request: Some(ID),
            outbound: false,
            stalled: false,
            faults: (0, 0),
            task: observer_common::task::UNKNOWN,
        };
        threads.operated(tid, PID, 0, &receive);
    }

    #[test]
    fn what_a_thread_did_is_known_for_a_while_after_its_end() {
        let mut threads = Threads::default();
        serves(&mut threads, TID, 100);
        threads.ended(TID, 200);
        threads.forget_ended(200 + KEPT_NS);
        let before = |at_ns| threads.get(TID).unwrap().before(at_ns).unwrap();
        assert!(matches!(before(150).state, State::Running { .. }));
        assert!(matches!(before(200).state, State::Running { .. }));
        let nothing = State::Unknown { owner: Owner::Nobody };
        assert_eq!((before(300).from_ns, before(300).state), (200, nothing));
        assert_eq!(threads.owner(TID), None);
        threads.forget_ended(201 + KEPT_NS);
        assert!(threads.get(TID).is_none());
    }

    #[test]
    fn an_id_that_is_used_again_is_another_thread() {
        let mut threads = Threads::default();
        serves(&mut threads, TID, 100);
        threads.ended(TID, 200);
        let by = observer_common::Header {
            tid: 1,
            at_ns: 300,
            ..bytemuck::Zeroable::zeroed()
        };
        threads.started(&by, OTHER, TID, "another");
        threads.ended(TID, 400);
        assert_eq!(threads.get(TID).unwrap().pid, OTHER);
        // Its forerunner's end is long ago, its own is not.
        threads.forget_ended(201 + KEPT_NS);
        assert_eq!(threads.get(TID).unwrap().pid, OTHER);
    }

    #[test]
    fn of_more_threads_that_end_the_first_are_forgotten_and_counted() {
        let mut threads = Threads::default();
        for tid in (1..=MAX_ENDED as u32 + 1).map(Tid) {
            serves(&mut threads, tid, 100);
            threads.ended(tid, 200);
        }
        assert!(threads.get(Tid(1)).is_none() && threads.get(Tid(2)).is_some());
        let counts: Vec<_> = threads.take_full().counts().collect();
        assert_eq!(counts, [(Table::EndedThreads, 1)]);
    }
}
