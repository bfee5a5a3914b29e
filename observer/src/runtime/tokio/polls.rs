//! Polls of runtime tasks, where they are recorded: which poll a thread is in, how long each took, and how long its
//! task had been queued before.
//!
//! Which task is polled is read from the task's memory, whose layout no version of the runtime promises. It is believed
//! while it agrees with the task that the thread's own word names in the middle of a poll, where the process has one;
//! before that, and where the two differ, the task is not known.

use observer_common::{PollEnd, PollStart};
use rustc_hash::FxHashMap;

use crate::model::full::{Full, Table};
use crate::model::id::{Pid, Task, Tid};
use crate::model::poll::Poll;
use crate::model::report::ProbeCost;

/// What a probe costs each time that a thread comes by it, ns: the trap, mostly. Measured, see `docs/cost.md`.
pub const PROBE_NS: u64 = 3_800;

/// Polls inside one another that are followed on a thread, at most. The kernel follows no more.
const MAX_DEPTH: usize = 64;

/// Threads that are followed at once, at most; when there are more, all are forgotten.
const MAX_THREADS: usize = 16_384;

/// A poll that is not over.
#[derive(Clone, Copy, Debug)]
struct Open {
    frame: u64,
    start_ns: u64,
    queued_ns: u64,
    task: Task,
}

/// How far the ids of a process's tasks are proved.
#[derive(Clone, Copy, Debug, Default)]
enum IdProof {
    #[default]
    Nothing,
    /// One task was polled and named by its thread.
    One(Task),
    /// So were two: no constant that happens to be equal.
    Proved,
}

/// The polls of all watched threads.
#[derive(Debug, Default)]
pub struct Polls {
    /// The outermost first.
    open: FxHashMap<Tid, Vec<Open>>,
    proofs: FxHashMap<Pid, IdProof>,
    hits: u64,
    /// Polls that were forgotten or are not followed.
    pub full: Full,
}

impl Polls {
    /// A poll begins. Gives its task.
    pub fn started(&mut self, event: &PollStart) -> Task {
        // One where it was queued, if that was seen, and this.
        self.hits += if event.queued_ns == 0 { 1 } else { 2 };
        let tid = Tid(event.header.tid);
        if self.open.len() >= MAX_THREADS && !self.open.contains_key(&tid) {
            let forgotten = self.open.values().map(Vec::len).sum::<usize>();
            self.full.count(Table::Polls, forgotten as u64);
            self.open.clear();
        }
        let open = self.open.entry(tid).or_default();
        // Stacks grow down: what does not lie above ended, and its end was lost.
        open.retain(|outer| outer.frame > event.frame);
        let task = Task::new(event.task);
        if open.len() < MAX_DEPTH {
            open.push(Open {
                frame: event.frame,
                start_ns: event.header.at_ns,
                queued_ns: event.queued_ns,
                task,
            });
        } else {
            self.full.count(Table::Polls, 1);
        }
        self.proved(Pid(event.tgid), task)
    }

    /// A poll is over. Gives it, if its start was seen.
    pub fn ended(&mut self, event: &PollEnd) -> Option<Poll> {
        self.hits += 1;
        let open = self.open.get_mut(&Tid(event.header.tid))?;
        open.retain(|outer| outer.frame >= event.frame);
        let poll = open.pop_if(|innermost| innermost.frame == event.frame)?;
        let waited_ns = poll.start_ns.checked_sub(poll.queued_ns);
        Some(Poll {
            task: self.proved(Pid(event.tgid), poll.task),
            pid: Pid(event.tgid),
            tid: Tid(event.header.tid),
            start_ns: poll.start_ns,
            dur_ns: event.header.at_ns.saturating_sub(poll.start_ns),
            queued_for_ns: waited_ns.filter(|_| poll.queued_ns != 0),
        })
    }

    /// The task that a thread polls; none outside of polls.
    #[must_use]
    pub fn task(&self, tid: Tid, pid: Pid) -> Task {
        let innermost = self.open.get(&tid).and_then(|open| open.last());
        innermost.map_or(Task::NONE, |poll| self.proved(pid, poll.task))
    }

    /// A thread did something on a socket while its own word named `task`. Only what polls do is a proof: the runtime
    /// itself does other things with the word of one task between the start of another's poll and the task.
    pub fn seen_in(&mut self, tid: Tid, pid: Pid, task: Task) {
        if task.id().is_none() {
            return;
        }
        let Some(polled) = self.open.get(&tid).and_then(|open| open.last()) else {
            return;
        };
        let proof = self.proofs.entry(pid).or_default();
        *proof = match *proof {
            _ if polled.task != task => IdProof::Nothing,
            IdProof::Nothing => IdProof::One(task),
            IdProof::One(first) if first != task => IdProof::Proved,
            proof => proof,
        };
    }

    /// What the probes cost since the last time.
    pub fn take_cost(&mut self) -> ProbeCost {
        let hits = std::mem::take(&mut self.hits);
        ProbeCost {
            hits,
            estimated_ns: hits.saturating_mul(PROBE_NS),
        }
    }

    /// Events are missing: polls may have ended.
    pub fn lost(&mut self) {
        self.open.clear();
    }

    /// A thread ended.
    pub fn thread_ended(&mut self, tid: Tid) {
        self.open.remove(&tid);
    }

    /// A process became another program, or ended.
    pub fn process_ended(&mut self, pid: Pid) {
        self.proofs.remove(&pid);
    }

    fn proved(&self, pid: Pid, task: Task) -> Task {
        match self.proofs.get(&pid) {
            Some(IdProof::Proved) => task,
            _ => Task::UNKNOWN,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable as _;
    use observer_common::Header;

    use super::*;

    const PID: Pid = Pid(40);
    const TID: Tid = Tid(41);

    fn header(at_ns: u64) -> Header {
        Header {
            at_ns,
            tid: TID.0,
            ..Header::zeroed()
        }
    }

    fn starts(at_ns: u64, frame: u64, task: u64, queued_ns: u64) -> PollStart {
        PollStart {
            header: header(at_ns),
            tgid: PID.0,
            queued_by: 0,
            frame,
            task,
            queued_ns,
        }
    }

    fn ends(at_ns: u64, frame: u64) -> PollEnd {
        PollEnd {
            header: header(at_ns),
            tgid: PID.0,
            reserved: 0,
            frame,
        }
    }

    /// Two tasks were polled, and named by the thread's own word.
    fn proved() -> Polls {
        let mut polls = Polls::default();
        for task in [5, 6] {
            polls.started(&starts(1, 900, task, 0));
            polls.seen_in(TID, PID, Task::new(task));
            polls.ended(&ends(2, 900));
        }
        polls
    }

    #[test]
    fn a_poll_took_from_its_start_to_its_end_after_its_task_was_queued() {
        let mut polls = proved();
        polls.started(&starts(100, 900, 7, 60));
        let poll = polls.ended(&ends(130, 900)).unwrap();
        assert_eq!(
            (poll.start_ns, poll.dur_ns, poll.queued_for_ns),
            (100, 30, Some(40))
        );
        assert_eq!(poll.task, Task::new(7));
    }

    #[test]
    fn a_task_that_nothing_was_seen_to_queue_has_no_time_in_the_queue() {
        let mut polls = Polls::default();
        polls.started(&starts(100, 900, 7, 0));
        assert_eq!(polls.ended(&ends(130, 900)).unwrap().queued_for_ns, None);
    }

    #[test]
    fn a_poll_inside_another_is_the_one_that_the_thread_is_in_until_it_ends() {
        let mut polls = proved();
        polls.started(&starts(100, 900, 7, 0));
        polls.started(&starts(110, 800, 8, 0));
        assert_eq!(polls.task(TID, PID), Task::new(8));
        assert_eq!(polls.ended(&ends(120, 800)).unwrap().dur_ns, 10);
        assert_eq!(polls.task(TID, PID), Task::new(7));
        assert_eq!(polls.ended(&ends(130, 900)).unwrap().dur_ns, 30);
        assert_eq!(polls.task(TID, PID), Task::NONE);
    }

    #[test]
    fn a_poll_whose_end_was_lost_is_not_ended_by_another() {
        let mut polls = proved();
        polls.started(&starts(100, 900, 7, 0));
        polls.started(&starts(110, 800, 8, 0));
        assert_eq!(polls.ended(&ends(130, 900)).unwrap().task, Task::new(7));
        polls.started(&starts(140, 800, 8, 0));
        polls.started(&starts(200, 900, 9, 0));
        assert_eq!(polls.ended(&ends(210, 900)).unwrap().dur_ns, 10);
        assert_eq!(polls.task(TID, PID), Task::NONE);
    }

    #[test]
    fn polls_that_are_not_followed_are_counted() {
        let mut polls = Polls::default();
        for frame in (1..=MAX_DEPTH as u64 + 1).rev() {
            polls.started(&starts(1, frame, 7, 0));
        }
        assert_eq!(
            polls.full.take().counts().collect::<Vec<_>>(),
            [(Table::Polls, 1)]
        );
        for tid in TID.0..=TID.0 + MAX_THREADS as u32 {
            let event = starts(2, 900, 7, 0);
            polls.started(&PollStart {
                header: Header { tid, ..event.header },
                ..event
            });
        }
        // Of the first thread only the one that goes on: its others lie below.
        let forgotten = MAX_THREADS as u64;
        assert_eq!(
            polls.full.take().counts().collect::<Vec<_>>(),
            [(Table::Polls, forgotten)]
        );
    }

    #[test]
    fn an_end_without_a_start_is_no_poll() {
        let mut polls = proved();
        polls.started(&starts(100, 900, 7, 0));
        assert_eq!(polls.ended(&ends(120, 800)), None);
        assert_eq!(polls.task(TID, PID), Task::new(7));
    }

    #[test]
    fn a_task_is_unknown_until_two_are_proved_and_after_one_was_another() {
        let mut polls = Polls::default();
        assert_eq!(polls.started(&starts(1, 900, 5, 0)), Task::UNKNOWN);
        polls.seen_in(TID, PID, Task::new(5));
        polls.seen_in(TID, PID, Task::new(5));
        assert_eq!(polls.task(TID, PID), Task::UNKNOWN);
        polls.ended(&ends(2, 900));
        polls.started(&starts(3, 900, 6, 0));
        polls.seen_in(TID, PID, Task::new(6));
        assert_eq!(polls.task(TID, PID), Task::new(6));
        polls.seen_in(TID, PID, Task::new(7));
        assert_eq!(polls.task(TID, PID), Task::UNKNOWN);
    }
}
