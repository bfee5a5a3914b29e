//! Where it is recorded which goroutine made which ready: a request whose goroutine waited goes back to the one that
//! ended the wait, and from that one on to who made it ready, until it comes to where the request ran before.
//!
//! What these did since then is what the request waited for. Where one of them is another request's own, or did
//! something for another, it waited behind that request.

use super::moves::{Charged, HandedOff, Move, Position};
use super::path::{Call, Charge, Path, Reason};
use super::service::Walk;
use super::{Evidence, notes};
use crate::model::cause::Cause;
use crate::model::id::{ConnId, Pid, RequestId, Task, TaskId, Tid};
use crate::runtime::go::{Stay, Version};
use crate::threads::{Began, Block, LastRun, Owner, QueuedPoll, Slice, State};

/// Requests that had something one after the other and are told each by itself, at most.
const MAX_HOLDERS: usize = 64;

const NOT_TOLD: &str = "suspended: what the goroutine waited for that ended its wait is not recorded";

impl Walk<'_, '_> {
    /// The thread began just now to run the goroutine that the walk is at: from there it goes to who made that ready.
    pub(super) fn at_the_beginning_of_its_goroutine(&self) -> Option<Move> {
        if !self.goroutines {
            return None;
        }
        let began = self.evidence.threads.began(self.at.tid, self.now_ns)?;
        let is_seen = began.at_ns > self.since.end_ns && began.at_ns < self.now_ns;
        match self.at.handed_off {
            Some(handed_off) if handed_off.task == began.task.id() => {
                let run = handed_off.run;
                if began.at_ns > 0 && began.at_ns <= run.end_ns {
                    // It had only to get a thread since the request ran.
                    return Some(Move {
                        queued_ns: Some(run.end_ns),
                        ..Move::to(Position::on(run.tid))
                    });
                }
                if is_seen {
                    Some(self.made_ready(&began, handed_off))
                } else {
                    self.came_by_itself(&began, handed_off)
                }
            }
            None if !self.is_own_goroutine(began.task) => None,
            None if is_seen => Some(self.own_made_ready(&began)),
            None => self.own_was_ready(&began),
            _ => None,
        }
    }

    /// Whether a goroutine read the request or answers it.
    fn is_own_goroutine(&self, task: Task) -> bool {
        task.id().is_some() && (task == self.turn.read_task || task == self.turn.sent_task)
    }

    /// The request's own goroutine was made ready.
    fn own_made_ready(&self, began: &QueuedPoll) -> Move {
        let then = self.back_to(began.at_ns);
        let step = match Maker::of(self.evidence, began) {
            _ if self.helped_to_mark(began) => then.ended_by_runtime(began, then.last_run()),
            Maker::Goroutine(task, None) => to_goroutine(began.by, task, then.last_run_that_is(true), None),
            Maker::Goroutine(_, Some(request)) if request == self.turn.id => Move::to(Position::on(began.by)),
            Maker::Goroutine(..) => behind_goroutine(began, then.last_run()),
            Maker::Runtime => then.ended_by_runtime(began, then.last_run()),
            Maker::NotSeen => then.unqueued(),
        };
        Move {
            queued_ns: Some(began.at_ns),
            ..step
        }
    }

    /// The request's own goroutine had only lost its turn to run, or came back from a call.
    fn own_was_ready(&self, began: &QueuedPoll) -> Option<Move> {
        let run = self.last_run_that_is(true);
        let was_ready = began.before.is_some() && self.was_ready(began) && run.end_ns < self.now_ns;
        was_ready.then(|| Move {
            queued_ns: Some(run.end_ns),
            ..Move::to(Position::on(run.tid))
        })
    }

    /// A goroutine was made ready that did something for the request since it ran at `handed_off.run`.
    fn made_ready(&self, began: &QueuedPoll, handed_off: HandedOff) -> Move {
        let then = self.back_to(began.at_ns);
        let run = handed_off.run;
        let step = match Maker::of(self.evidence, began) {
            _ if self.helped_to_mark(began) => then.ended_by_runtime(began, run),
            Maker::Goroutine(_, Some(request)) if request == self.turn.id => Move::to(Position::on(began.by)),
            Maker::Goroutine(task, None) => to_goroutine(began.by, task, run, handed_off.busy_for),
            Maker::Goroutine(..) if self.wanted_a_lock(began) => behind_goroutine(began, run),
            // What another request gave it is not what ours waited for.
            Maker::Goroutine(..) => then.waker_not_known(run),
            Maker::Runtime => then.ended_by_runtime(began, run),
            Maker::NotSeen => then.waker_not_known(run),
        };
        Move {
            queued_ns: Some(began.at_ns),
            ..step
        }
    }

    /// A goroutine that did something for the request goes on, and no other was seen to make it ready: it came back
    /// from a call or a socket, lost its turn to run, or is new.
    fn came_by_itself(&self, began: &QueuedPoll, handed_off: HandedOff) -> Option<Move> {
        let run = handed_off.run;
        let left = began.before.and_then(|(tid, since_ns)| {
            let thread = self.evidence.threads.get(tid)?;
            Some((tid, thread.left(began.task, since_ns)?.min(self.now_ns)))
        });
        let Some((tid, left_ns)) = left else {
            let is_new = self.says(began).is_some_and(|(stay, _)| stay.never_waited());
            return Some(if is_new {
                Move {
                    queued_ns: Some(run.end_ns),
                    ..Move::to(Position::on(run.tid)).inferred_if(true)
                }
            } else {
                self.waker_not_known(run)
            });
        };
        if left_ns == self.now_ns && tid == self.at.tid {
            // It was on this thread just before, as far as that is known.
            return None;
        }
        let to = if left_ns > run.end_ns {
            Position {
                tid,
                handed_off: Some(handed_off),
            }
        } else {
            Position::on(run.tid)
        };
        let from_ns = left_ns.max(run.end_ns);
        if self.was_ready(began) {
            return Some(Move {
                queued_ns: Some(from_ns),
                ..Move::to(to)
            });
        }
        let charge = Charge::of(Cause::Unexplained, Reason::Idle(NOT_TOLD));
        Some(Move::to(to).charging(from_ns, charge).inferred_if(true))
    }

    /// Whether a goroutine waited for what another one had, and not for what that gives it.
    fn wanted_a_lock(&self, began: &QueuedPoll) -> bool {
        let says = self.says(began);
        says.is_some_and(|(stay, version)| stay.is_ended_by_unlock(version))
    }

    /// Whether a goroutine that nobody was seen to make ready was so all the time since it left its thread: it lost its
    /// turn to run, or came back from a call. It goes on elsewhere than those that waited, it has never waited, or what
    /// it says that it waited for last only another goroutine can end, and that was seen.
    fn was_ready(&self, began: &QueuedPoll) -> bool {
        let says = self.says(began);
        began.lost_its_turn || says.is_some_and(|(stay, version)| stay.is_ended_by_ready(version))
    }

    /// A goroutine that did something for the request received bytes of a peer: from their arrival on they waited for
    /// it, and before, the request waited for the peer since it ran. What goroutines share a connection send on it for
    /// each of their requests is not told apart.
    pub(super) fn goroutine_was_answered(&self, conn: ConnId, arrived_ns: u64) -> Option<Move> {
        let HandedOff { run, .. } = self
            .at
            .handed_off
            .filter(|at| self.goroutines && at.task.is_some())?;
        let charge = Charge::of(Cause::Downstream, Reason::Peer(conn));
        let step = self.since_run(run, charge).inferred_if(true);
        Some(Move {
            ready_ns: (arrived_ns > 0).then(|| arrived_ns.max(run.end_ns).min(self.now_ns)),
            ..step
        })
    }

    /// Go's runtime ended a wait by itself: for a timer, if the goroutine can have waited for one. Or it waited for
    /// garbage to be marked, and one that marks ended that.
    fn ended_by_runtime(&self, began: &QueuedPoll, run: LastRun) -> Move {
        let not_timer = self
            .says(began)
            .filter(|(stay, version)| !stay.can_end_by_timer(*version));
        let waited = not_timer.and_then(|(stay, version)| {
            let note = stay.waited_last(version)?;
            Some(match stay.waits_in_mark(version) {
                Some(what) => Reason::IdleInMark(note, what),
                None => Reason::Idle(note),
            })
        });
        let charge = match waited {
            Some(reason) => Charge::of(Cause::Unexplained, reason),
            None => Charge::of(Cause::Timer, Reason::Plain),
        };
        self.since_run(run, charge)
    }

    /// What a goroutine says of the wait that was over when it began to run, in a program of this version.
    fn says(&self, began: &QueuedPoll) -> Option<(Stay, Version)> {
        began
            .stay
            .zip(self.evidence.threads.runtime(self.turn.pid).go_version())
    }

    /// Whether a goroutine waited to help the garbage collection, or for a cycle of it.
    fn helped_to_mark(&self, began: &QueuedPoll) -> bool {
        let says = self.says(began);
        says.is_some_and(|(stay, version)| stay.waits_in_mark(version).is_some())
    }

    fn waker_not_known(&self, run: LastRun) -> Move {
        let charge = Charge::of(Cause::Unexplained, Reason::Idle(NOT_TOLD));
        self.since_run(run, charge).inferred_if(true)
    }

    /// Goes to where the request ran, charging what lies between.
    fn since_run(&self, run: LastRun, charge: Charge) -> Move {
        Move::to(Position::on(run.tid)).charging(run.end_ns, charge)
    }

    /// The goroutine that the request waited for did something for another one in this slice.
    pub(super) fn goroutine_was_busy(&self, from_ns: u64, pid: Pid, slice: &Slice) -> Option<Move> {
        let handed_off = self.at.handed_off.filter(|_| self.goroutines)?;
        if handed_off.task.is_none() || handed_off.task != slice.task.id() {
            return None;
        }
        let (State::Running { owner, .. } | State::Blocked(Block { owner, .. })) = slice.state else {
            return None;
        };
        let busy_for = owner.request().or(handed_off.busy_for)?;
        if busy_for == self.turn.id {
            return None;
        }
        let (tid, owner) = (self.at.tid, Owner::WokenFor(busy_for));
        let received = match slice.state {
            State::Running {
                began: Began::Received { conn, arrived_ns },
                ..
            } if slice.from_ns == from_ns => Some((conn, arrived_ns)),
            _ => None,
        };
        let charge = match slice.state {
            State::Running { cpu, .. } => {
                let reason = Reason::RanFor(owner, slice.task);
                Charge::on(tid, Some(cpu), Cause::WorkerBusy, reason)
            }
            State::Blocked(block) if !block.wait.is_idle() => {
                let call = Call::of(pid, &block);
                let reason = Reason::BlockedFor(call, owner, slice.task);
                Charge::on(tid, None, Cause::WorkerBlocked, reason)
            }
            _ => return None,
        };
        let to = Position {
            handed_off: Some(HandedOff {
                busy_for: Some(busy_for),
                ..handed_off
            }),
            ..self.at
        };
        Some(Move {
            // It had what came for ours, too.
            received,
            ..Move::to(to).charging(from_ns, charge)
        })
    }
}

/// To a goroutine that ended a wait now, on this thread: what it did since the request ran is what that waited for.
fn to_goroutine(tid: Tid, task: TaskId, run: LastRun, busy_for: Option<RequestId>) -> Move {
    Move::to(Position {
        tid,
        handed_off: Some(HandedOff {
            run,
            task: Some(task),
            other_before: false,
            call_found: false,
            busy_for,
        }),
    })
}

/// What was waited for since `run` was for a goroutine of another request to let go of it.
fn behind_goroutine(began: &QueuedPoll, run: LastRun) -> Move {
    Move {
        charged: Charged::LetGo(run.end_ns, *began),
        ..Move::to(Position::on(run.tid))
    }
}

/// Charges what a goroutine waited for that another request's made ready, back to `from_ns`: to that request, and where
/// its own goroutine was made ready after it had waited for the same, before that to who made it so. Who had it before
/// as many as are told is not named.
pub(super) fn charge(evidence: &Evidence<'_>, made: QueuedPoll, from_ns: u64, path: &mut Path) {
    let mut made = made;
    for _ in 0..MAX_HOLDERS {
        let Maker::Goroutine(task, Some(request)) = Maker::of(evidence, &made) else {
            return;
        };
        let reason = Reason::LetGoBy(made.by, Task::new(task.0), request);
        let before = made_ready_before(evidence, &made, from_ns).filter(|before| {
            let had_to_wait = before.stay.map(Stay::reason) == made.stay.map(Stay::reason);
            had_to_wait && matches!(Maker::of(evidence, before), Maker::Goroutine(_, Some(_)))
        });
        let since_ns = before.map_or(from_ns, |before| before.at_ns);
        path.charge(since_ns, Charge::of(Cause::Lock, reason));
        match before {
            Some(before) => made = before,
            None => return,
        }
    }
    path.charge(
        from_ns,
        Charge::of(Cause::Lock, Reason::Note(notes::TOO_MANY_STEPS)),
    );
}

/// How the goroutine that made this one ready was made so itself, if that was after `from_ns`.
fn made_ready_before(evidence: &Evidence<'_>, made: &QueuedPoll, from_ns: u64) -> Option<QueuedPoll> {
    let thread = evidence.threads.get(made.by)?;
    let mut back = thread.back_from(made.at_ns);
    let first = back.next()?;
    let its = back.take_while(|slice| slice.task == first.task && slice.to_ns > from_ns);
    let began_ns = its.last().map_or(first.from_ns, |slice| slice.from_ns);
    let mut before = evidence.threads.began(made.by, began_ns)?;
    // It lost its turn to run in between.
    for _ in 0..MAX_HOLDERS {
        let Some((tid, since_ns)) = before.before.filter(|_| before.at_ns == 0) else {
            break;
        };
        before = evidence.threads.began(tid, since_ns)?;
    }
    (before.task == first.task && from_ns < before.at_ns && before.at_ns < made.at_ns).then_some(before)
}

/// Who made a goroutine ready.
enum Maker {
    /// A goroutine, which is this request's own, if one's.
    Goroutine(TaskId, Option<RequestId>),
    /// The runtime itself: a timer was due, mostly.
    Runtime,
    /// That is not known.
    NotSeen,
}

impl Maker {
    fn of(evidence: &Evidence<'_>, made: &QueuedPoll) -> Self {
        let Some(thread) = evidence.threads.get(made.by) else {
            return Self::NotSeen;
        };
        // What it did until then, and what it did then.
        let did = thread.before(made.at_ns);
        let Some((did, then)) = did.zip(thread.before(made.at_ns.saturating_add(1))) else {
            return Self::NotSeen;
        };
        let State::Running {
            began: Began::Readied(by),
            ..
        } = then.state
        else {
            return Self::NotSeen;
        };
        match (by.id(), did.state) {
            (None, _) if by == Task::NONE => Self::Runtime,
            (Some(task), State::Running { owner, .. }) => {
                // What uses a connection to a peer works for a request, too, and is not its own.
                let serves = evidence.threads.served_by(thread.pid, by);
                let is_own = |request: &RequestId| serves.is_some_and(|own| own.conn == request.conn);
                Self::Goroutine(task, owner.request().filter(is_own))
            }
            _ => Self::NotSeen,
        }
    }
}
