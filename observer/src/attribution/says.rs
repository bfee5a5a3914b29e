//! What the goroutine of a request says itself of what it waited for, where no event does.

use super::moves::{Move, Position};
use super::path::{Charge, Reason};
use super::service::Walk;
use crate::model::cause::Cause;
use crate::runtime::go::{self, Stay};
use crate::threads::{LastRun, State};

const SEEN_AT_MUTEX: &str = "suspended: its goroutine was seen waiting for a mutex";

impl Walk<'_, '_> {
    /// Not where its goroutine says that it waited for a lock or a channel, or was seen so.
    pub(super) fn may_have_set_a_timer(&self) -> bool {
        let says = self.stays();
        says.is_none_or(|(version, read, sent)| sent.ends_by_timer(read, version))
            && !self.waited_for_mutex()
            && self.last_waited_for(|version, last| last.can_end_by_timer(version))
    }

    /// Whether a peer can be what it waited for since `run`. Not where its goroutine says that it slept last, or waited
    /// for a mutex, or was seen so meanwhile.
    pub(super) fn may_have_waited_for_a_peer(&self, run: LastRun) -> bool {
        let says = self.last_waited_for(|version, last| last.can_end_by_answer(version));
        says && !self.was_seen_waiting_for_no_peer(run)
    }

    /// Whether its goroutine was seen since `run` waiting for something that no peer's answer ends.
    pub(super) fn was_seen_waiting_for_no_peer(&self, run: LastRun) -> bool {
        let (pid, go) = (self.turn.pid, self.evidence.go);
        let version = self.evidence.threads.runtime(pid).go_version();
        let is_known = version.zip(self.turn.read_task.id());
        is_known.is_some_and(|(version, task)| {
            go.waited_for_no_peer((pid, version), task, run.end_ns, self.now_ns)
        })
    }

    /// Whether what its goroutine waited for last, as it says when it answers, can be this. It says nothing of any
    /// suspension but the last.
    fn last_waited_for(&self, can_be: impl Fn(go::Version, Stay) -> bool) -> bool {
        let version = self.evidence.threads.runtime(self.turn.pid).go_version();
        let last = version
            .zip(self.turn.sent_stay)
            .filter(|_| !self.passed_last_wait);
        last.is_none_or(|(version, last)| can_be(version, last))
    }

    /// Goes to `run`, with a timer that was due now: its goroutine can have set that since it was seen at a mutex last.
    pub(super) fn waited_for_timer(&self, run: LastRun) -> Move {
        self.since_seen_at_mutex(run, Cause::Timer, Reason::Plain)
    }

    /// Goes to `run`, where no event says what was waited for since. Its goroutine may say that it was a mutex.
    pub(super) fn as_its_goroutine_says(&self, run: LastRun, otherwise: &'static str) -> Move {
        let cause = if self.waited_for_mutex() && self.is_its_only_wait(run) {
            Cause::Lock
        } else {
            Cause::Unexplained
        };
        self.since_seen_at_mutex(run, cause, self.idle_for(otherwise))
    }

    /// Goes to `run`, with this cause since its goroutine was seen at a mutex last. Before that it waited for it, if it
    /// had stopped but once by then.
    fn since_seen_at_mutex(&self, run: LastRun, cause: Cause, reason: Reason) -> Move {
        let (turn, go) = (self.turn, self.evidence.go);
        let seen = |task| go.last_for_mutex(turn.pid, task, run.end_ns, self.now_ns);
        let seen = turn
            .read_task
            .id()
            .filter(|_| cause != Cause::Lock)
            .and_then(seen);
        let Some(((seen_ns, then), (version, read, _))) = seen.zip(self.stays()) else {
            return self.resumed(run, cause, reason);
        };
        // Calls in between would only make these more.
        let is_mutex = then.is_some_and(|then| then.stopped_once(read, version, 0));
        let before = if is_mutex { Cause::Lock } else { Cause::Unexplained };
        let step = Move::to(Position::on(run.tid)).charging(seen_ns + 1, Charge::of(cause, reason));
        step.and_before(run.end_ns, Charge::of(before, Reason::Idle(SEEN_AT_MUTEX)))
    }

    /// Whether its goroutine has waited for a mutex, and for nothing else: it says so itself, or it was seen, and it
    /// has stopped to run but once.
    fn waited_for_mutex(&self) -> bool {
        let Some((version, read, sent)) = self.stays() else {
            return false;
        };
        let (turn, go) = (self.turn, self.evidence.go);
        let seen = |task| go.last_for_mutex(turn.pid, task, turn.read_ns, turn.sent_ns);
        sent.stopped_once(read, version, turn.operations)
            && (sent.waited_for_mutex(read, version) || turn.read_task.id().and_then(seen).is_some())
    }

    /// Whether the one stop that its goroutine counts is the suspension since `run`: it was seen at the mutex then, or
    /// this is the last suspension. Not after a system call: who lost its P in that waits for another, which is
    /// no stop.
    fn is_its_only_wait(&self, run: LastRun) -> bool {
        let (pid, go) = (self.turn.pid, self.evidence.go);
        let seen = |task| go.last_for_mutex(pid, task, run.end_ns, self.now_ns);
        let was_seen = self.turn.read_task.id().and_then(seen).is_some();
        was_seen || !self.passed_last_wait && !self.came_from_a_call(run)
    }

    /// Whether a thread on which the request ran last had been in a call for it just before.
    fn came_from_a_call(&self, run: LastRun) -> bool {
        let thread = self.evidence.threads.get(run.tid);
        let blocked = thread.and_then(|thread| {
            let mut back = thread.back_from(run.end_ns);
            back.find_map(|slice| match slice.state {
                State::Blocked(block) => Some(block),
                _ => None,
            })
        });
        blocked.is_some_and(|block| !block.wait.is_idle() && block.owner.request() == Some(self.turn.id))
    }

    /// What its goroutine says that it waited for last, where that is now and no event says it.
    pub(super) fn waited_or(&self, otherwise: &'static str) -> &'static str {
        let says = self.stays().filter(|_| !self.passed_last_wait);
        let waited = says.and_then(|(version, read, sent)| sent.waited(read, version));
        waited.unwrap_or(otherwise)
    }

    /// The same, where it was on no thread.
    fn idle_for(&self, otherwise: &'static str) -> Reason {
        let note = self.waited_or(otherwise);
        match self.in_mark() {
            Some(what) => Reason::IdleInMark(note, what),
            None => Reason::Idle(note),
        }
    }

    /// What the marking of garbage is called that it waited for, where nothing else came after.
    pub(super) fn in_mark(&self) -> Option<&'static str> {
        let (version, read, sent) = self.stays().filter(|_| !self.passed_last_wait)?;
        sent.waited_in_mark(read, version)
    }

    /// What the goroutine that served it said when it read it and when it answered, in a program of this version.
    fn stays(&self) -> Option<(go::Version, Stay, Stay)> {
        let version = self.evidence.threads.runtime(self.turn.pid).go_version()?;
        let is_one = self.turn.read_task == self.turn.sent_task;
        let (read, sent) = self.turn.read_stay.zip(self.turn.sent_stay).filter(|_| is_one)?;
        Some((version, read, sent))
    }
}
