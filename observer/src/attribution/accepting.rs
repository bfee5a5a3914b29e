//! Explains the time before the first read: where the connection is new, nobody accepted it at first, and then nobody
//! read.
//!
//! The kernel tells who accepted. Where it does not, the first sign that somebody knew of the connection does: the
//! first that a thread did on it, that this thread was begun, or that a thread which only accepts had nothing to do any
//! more. What the thread that accepted did before is why the connection waited.

use super::path::Path;
use super::{Evidence, waiting};
use crate::connections::{Accepted, Turn};
use crate::model::id::Tid;
use crate::syscall::Wait;
use crate::threads::{State, Thread};

/// Slices of a thread that accepts which are examined to find when it was done.
const MAX_STEPS: usize = 4096;

/// Said of the time before the first sign.
pub(super) const NOT_SEEN: &str = "until the first sign of it: when it was accepted was not seen";

/// Walks back from the first read to the arrival.
pub(super) fn walk(evidence: &Evidence<'_>, turn: &Turn, path: &mut Path) {
    let Some(accepted) = turn.accepted else {
        waiting::walk(evidence, turn, turn.read_tid, turn.arrival_ns, path);
        return;
    };
    let accepted = if accepted.seen {
        accepted
    } else {
        first_sign(evidence, turn, accepted, path)
    };
    let accepted_ns = accepted.at_ns.max(turn.arrival_ns);
    waiting::walk(evidence, turn, turn.read_tid, accepted_ns, path);
    waiting::walk_to_accept(evidence, turn, accepted.tid, turn.arrival_ns, path);
}

/// By when, and by whom, a connection was accepted of which another sign was seen first.
fn first_sign(evidence: &Evidence<'_>, turn: &Turn, seen: Accepted, path: &mut Path) -> Accepted {
    let first = evidence.threads.get(seen.tid);
    let began = first.and_then(Thread::started_by);
    let began = began.filter(|&(_, at_ns)| (seen.established_ns..seen.at_ns).contains(&at_ns));
    let mut accepted = began.map_or(seen, |(tid, at_ns)| Accepted { at_ns, tid, ..seen });
    for &tid in evidence.threads.acceptors(turn.pid) {
        if let Some(at_ns) = done_ns(evidence, tid, accepted).filter(|&at_ns| at_ns < accepted.at_ns) {
            path.mark_inferred();
            accepted = Accepted {
                at_ns,
                tid,
                ..accepted
            };
        }
    }
    accepted
}

/// When a thread that accepts first had nothing to do after the connection was established. In the call that accepts,
/// it found the queue empty; elsewhere it says something only of a thread that does not serve clients itself.
fn done_ns(evidence: &Evidence<'_>, tid: Tid, accepted: Accepted) -> Option<u64> {
    let thread = evidence.threads.get(tid)?;
    let only_accepts = !thread.is_worker();
    let back = thread.back_from(accepted.at_ns).take(MAX_STEPS);
    let since = back.take_while(|slice| slice.from_ns >= accepted.established_ns);
    let waits = since.filter(|slice| match slice.state {
        State::Blocked(block) => match block.wait {
            Wait::Accept => true,
            Wait::EventLoop { .. } => only_accepts,
            _ => false,
        },
        _ => false,
    });
    waits.map(|slice| slice.from_ns).last()
}
