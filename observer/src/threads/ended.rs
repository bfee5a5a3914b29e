//! Threads that end. What they did is known for a while after: a request can be over later than the thread that
//! answered it, as where its process ends while another still holds the connection.
//!
//! A thread begins to end, closes what it has open, wakes who waits for it, and leaves its CPU for the last time: only
//! then nothing more comes of it.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::Threads;
use super::thread::Thread;
use crate::model::full::Table;
use crate::model::id::{Pid, Tid};

/// For how long it is known what a thread did that has ended, ns; and after what time one that began to end has, though
/// that was not seen.
const KEPT_NS: u64 = 2_000_000_000;

/// Threads of which that is known, the newest, and of those that end at a time.
const MAX_ENDED: usize = 4_096;

/// By id, with when each ended, ns.
#[derive(Debug, Default)]
pub(super) struct EndedThreads {
    threads: FxHashMap<Tid, (u64, Thread)>,
    /// When each ended, the oldest first. One whose id was used again is not among the threads any more.
    order: VecDeque<(u64, Tid)>,
}

impl EndedThreads {
    pub(super) fn get(&self, tid: Tid) -> Option<&Thread> {
        self.threads.get(&tid).map(|(_, thread)| thread)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Thread> {
        self.threads.values().map(|(_, thread)| thread)
    }

    pub(super) fn with_ids(&self) -> impl Iterator<Item = (Tid, &Thread)> {
        self.threads.iter().map(|(&tid, (_, thread))| (tid, thread))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Thread> {
        self.threads.values_mut().map(|(_, thread)| thread)
    }

    /// A thread ended.
    fn add(&mut self, tid: Tid, at_ns: u64, thread: Thread) {
        self.order.push_back((at_ns, tid));
        self.threads.insert(tid, (at_ns, thread));
    }

    /// The id is another thread's now.
    fn used_again(&mut self, tid: Tid) -> Option<Thread> {
        self.threads.remove(&tid).map(|(_, thread)| thread)
    }

    /// When the oldest ended, ns.
    fn oldest_ns(&self) -> Option<u64> {
        self.order.front().map(|&(at_ns, _)| at_ns)
    }

    /// Forgets the oldest, and gives it if its id was not used again.
    fn take_oldest(&mut self) -> Option<(Tid, Thread)> {
        let (at_ns, tid) = self.order.pop_front()?;
        let (ended_ns, _) = self.threads.get(&tid)?;
        (*ended_ns == at_ns).then_some(())?;
        Some((tid, self.used_again(tid)?))
    }
}

impl Threads {
    /// A thread begins to end.
    pub fn exits(&mut self, tid: Tid, at_ns: u64) {
        let Some(thread) = self.threads.get_mut(&tid) else {
            return;
        };
        thread.exits_ns = Some(at_ns);
        thread.meter_for_the_last_time(at_ns);
        self.exiting.push_back((at_ns, tid));
        if self.exiting.len() > MAX_ENDED && self.end_first_exiting() {
            self.full.count(Table::EndedThreads, 1);
        }
    }

    /// Of a thread that is still ending, the last switch was lost. Tells whether the first to begin to end was one.
    fn end_first_exiting(&mut self) -> bool {
        let Some((at_ns, tid)) = self.exiting.pop_front() else {
            return false;
        };
        let thread = self.threads.get(&tid);
        let is_ending = thread.is_some_and(|thread| thread.exits_ns == Some(at_ns));
        if is_ending {
            self.ended(tid, at_ns);
        }
        is_ending
    }

    /// A thread left its CPU for the last time.
    pub fn ended(&mut self, tid: Tid, at_ns: u64) {
        let Some(mut thread) = self.threads.remove(&tid) else {
            return;
        };
        self.of_processes.remove(&(thread.pid, tid));
        if let Some(availability) = self.availability.get_mut(&thread.pid) {
            availability.change(at_ns, thread.metering.counted_free, None);
            if availability.is_empty() {
                self.availability.remove(&thread.pid);
            }
        }
        thread.ended(at_ns);
        let locks = self.locks.places(thread.pid);
        self.casts.ended(&mut thread, &locks);
        self.fed.ended(thread.pid, tid);
        self.returns.ended(thread.pid, tid);
        self.stops.thread_ended(thread.pid, tid);
        self.locks.ended(thread.pid, tid);
        if self.ended.order.len() == MAX_ENDED && self.forget_first_ended() {
            self.full.count(Table::EndedThreads, 1);
        }
        self.ended.add(tid, at_ns, thread);
    }

    /// A process ended, and with it every thread that was not seen to do so.
    pub fn all_ended(&mut self, pid: Pid, at_ns: u64) {
        let threads = self.of_process(pid);
        let left = threads.filter(|(_, thread)| thread.exits_ns.is_none());
        let left: Vec<Tid> = left.map(|(tid, _)| tid).collect();
        left.into_iter().for_each(|tid| self.ended(tid, at_ns));
    }

    /// The id is another thread's from now on.
    pub(super) fn used_again(&mut self, tid: Tid, at_ns: u64) {
        self.ended(tid, at_ns);
        if let Some(thread) = self.ended.used_again(tid) {
            self.acceptors.ended(thread.pid, tid);
        }
    }

    /// Forgets threads that ended long ago.
    pub fn forget_ended(&mut self, now_ns: u64) {
        let long_ago = |at_ns: u64| at_ns < now_ns.saturating_sub(KEPT_NS);
        while self.exiting.front().is_some_and(|&(at_ns, _)| long_ago(at_ns)) {
            self.end_first_exiting();
        }
        while self.ended.oldest_ns().is_some_and(long_ago) {
            self.forget_first_ended();
        }
    }

    /// Whether there was one.
    fn forget_first_ended(&mut self) -> bool {
        let oldest = self.ended.take_oldest();
        if let Some((tid, thread)) = &oldest {
            self.acceptors.ended(thread.pid, *tid);
        }
        oldest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Owner, State};
    use super::*;
    use crate::model::id::{ConnId, RequestId, Task};
    use crate::model::operation::{Direction, Operation};

    const PID: Pid = Pid(7);
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
            read_by: None,
            faults: (0, 0),
            task: Task::UNKNOWN,
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
    fn what_a_thread_still_does_while_it_ends_is_its_own() {
        let mut threads = Threads::default();
        serves(&mut threads, TID, 100);
        threads.exits(TID, 200);
        threads.all_ended(PID, 200);
        assert_eq!(threads.owner(TID), Some(ID));
        serves(&mut threads, TID, 300);
        threads.ended(TID, 400);
        assert_eq!(threads.get(TID).unwrap().before(150).unwrap().from_ns, 100);
        assert_eq!(threads.owner(TID), None);
    }

    #[test]
    fn with_its_process_a_thread_ends_that_was_not_seen_to() {
        let mut threads = Threads::default();
        serves(&mut threads, TID, 100);
        threads.all_ended(PID, 200);
        assert_eq!(threads.owner(TID), None);
    }

    #[test]
    fn the_threads_of_a_process_are_known_until_they_end() {
        let by = |at_ns| observer_common::Header {
            tid: 1,
            at_ns,
            ..bytemuck::Zeroable::zeroed()
        };
        let mut threads = Threads::default();
        serves(&mut threads, Tid(9), 100);
        serves(&mut threads, TID, 100);
        threads.started(&by(100), Pid(6), Tid(10), "another's");
        let of = |threads: &Threads, pid| threads.of_process(pid).map(|(tid, _)| tid).collect::<Vec<_>>();
        assert_eq!(
            (of(&threads, PID), of(&threads, Pid(6))),
            (vec![TID, Tid(9)], vec![Tid(10)])
        );
        threads.ended(TID, 200);
        // Its id is another process's thread's from now on.
        threads.started(&by(300), Pid(6), TID, "another's");
        assert_eq!(
            (of(&threads, PID), of(&threads, Pid(6))),
            (vec![Tid(9)], vec![TID, Tid(10)])
        );
    }

    #[test]
    fn a_thread_whose_last_switch_was_lost_ends_after_a_while() {
        let mut threads = Threads::default();
        serves(&mut threads, TID, 100);
        threads.exits(TID, 200);
        threads.forget_ended(200 + KEPT_NS);
        assert_eq!(threads.owner(TID), Some(ID));
        threads.forget_ended(201 + KEPT_NS);
        assert!(threads.get(TID).is_none());
    }

    #[test]
    fn an_id_that_is_used_again_is_another_thread() {
        let by = |at_ns| observer_common::Header {
            tid: 1,
            at_ns,
            ..bytemuck::Zeroable::zeroed()
        };
        let mut threads = Threads::default();
        serves(&mut threads, TID, 100);
        threads.ended(TID, 200);
        threads.started(&by(300), PID, TID, "another");
        assert!(threads.get(TID).unwrap().before(150).is_none());
        threads.ended(TID, 400);
        // Its forerunner's end is long ago, its own is not.
        threads.forget_ended(201 + KEPT_NS);
        assert_eq!(threads.get(TID).unwrap().started_by(), Some((Tid(1), 300)));
        // The end of this one is lost.
        threads.started(&by(500), PID, TID, "a third");
        threads.started(&by(600), PID, TID, "a fourth");
        assert_eq!(threads.get(TID).unwrap().started_by(), Some((Tid(1), 600)));
        assert!(threads.get(TID).unwrap().before(550).is_none());
    }

    #[test]
    fn who_accepted_is_known_as_long_as_what_it_did() {
        let mut threads = Threads::default();
        serves(&mut threads, TID, 100);
        threads.acceptors.woken(PID, TID, &threads.full);
        threads.ended(TID, 200);
        assert_eq!(threads.acceptors(PID), [TID]);
        threads.forget_ended(201 + KEPT_NS);
        assert!(threads.acceptors(PID).is_empty());
    }

    #[test]
    fn of_more_threads_that_are_still_ending_the_first_counts_as_ended() {
        let mut threads = Threads::default();
        for tid in (1..=MAX_ENDED as u32 + 1).map(Tid) {
            assert_eq!(threads.take_full().counts().count(), 0);
            serves(&mut threads, tid, 100);
            threads.exits(tid, 200);
        }
        assert_eq!((threads.owner(Tid(1)), threads.owner(Tid(2))), (None, Some(ID)));
        let counts: Vec<_> = threads.take_full().counts().collect();
        assert_eq!(counts, [(Table::EndedThreads, 1)]);
        // One that has left its CPU for good makes room for another.
        threads.ended(Tid(2), 300);
        serves(&mut threads, Tid(1), 300);
        threads.exits(Tid(1), 300);
        assert_eq!(threads.take_full().counts().count(), 0);
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
        // One whose id was used again is not forgotten for another.
        threads.used_again(Tid(2), 300);
        serves(&mut threads, Tid(1), 300);
        threads.ended(Tid(1), 300);
        assert_eq!(threads.take_full().counts().count(), 0);
    }
}
