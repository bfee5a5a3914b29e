//! Explains why a request waited that had given a job to a blocking pool, where no event says who did the job. Threads
//! of a pool take each other's jobs, and who ends one wakes a worker only where one sleeps.
//!
//! Evidence: the last thing that the request's task did for another thread was to wake one of the pool. What that
//! thread did since is why the request waited, or what the worker did.

use super::moves::{HandedOff, Move, Position};
use super::service::Walk;
use crate::model::id::Tid;
use crate::threads::{Began, LastRun, State};

/// The runtime's clock ticks so often, ns. A task that was not polled while its worker ran others for longer than this
/// can have waited for a timer.
const TICK_NS: u64 = 1_000_000;

impl Walk<'_, '_> {
    /// The request gave a job to a pool when it ran at `run`. If the thread that it woke for that has not had a CPU
    /// since, that is why it waited; if that was done with what it found, the request could go on.
    pub(super) fn waited_for_its_job(&self, run: LastRun) -> Option<Move> {
        let threads = self.evidence.threads;
        if !threads.runtime(self.turn.pid).has_blocking_pool() {
            return None;
        }
        let (given_ns, to) = self.last_given(run)?;
        let thread = threads.get(to).filter(|thread| thread.is_of_pool())?;
        let now = thread.before(self.now_ns)?;
        if matches!(now.state, State::Runnable { .. }) && now.from_ns == given_ns {
            let handed_off = HandedOff {
                run,
                task: None,
                other_before: false,
                call_found: false,
                busy_for: None,
            };
            let at = Position {
                tid: to,
                handed_off: Some(handed_off),
            };
            return Some(Move::to(at).inferred_if(true));
        }
        let then = thread.before(run.end_ns)?;
        let was_done = matches!(then.state, State::Blocked(block) if block.wait.is_idle());
        (was_done && then.from_ns > given_ns && self.others_ran_ns(run.end_ns) <= TICK_NS).then(|| {
            let ready = Move {
                ready_ns: Some(run.end_ns),
                ..Move::to(Position::on(run.tid))
            };
            ready.inferred_if(true)
        })
    }

    /// When a task of the request, in the poll that ended with `run`, last woke a thread, ns, and which.
    fn last_given(&self, run: LastRun) -> Option<(u64, Tid)> {
        let thread = self.evidence.threads.get(run.tid)?;
        let given = thread.back_from(run.end_ns).find_map(|slice| match slice.state {
            State::Running { owner, began, .. }
                if owner.request() == Some(self.turn.id) && slice.task.id().is_some() =>
            {
                match began {
                    Began::HandedOff(to) => Some(Some((slice.from_ns, to))),
                    _ => None,
                }
            }
            State::Runnable { .. } => None,
            State::Blocked(block) if !block.wait.is_idle() && block.owner.request() == Some(self.turn.id) => {
                None
            }
            _ => Some(None),
        });
        given.flatten()
    }

    /// How long the thread did something since then but wait for a CPU, ns.
    fn others_ran_ns(&self, since_ns: u64) -> u64 {
        let Some(thread) = self.evidence.threads.get(self.at.tid) else {
            return 0;
        };
        let back = thread
            .back_from(self.now_ns)
            .take_while(|slice| slice.to_ns > since_ns);
        let runs = back.filter(|slice| !matches!(slice.state, State::Runnable { .. }));
        runs.map(|slice| {
            slice
                .to_ns
                .min(self.now_ns)
                .saturating_sub(slice.from_ns.max(since_ns))
        })
        .sum()
    }
}
