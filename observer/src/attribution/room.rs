//! Explains why a request waited whose answer had found no room in its socket, where it did other things since, such as
//! to read more of a file.

use super::moves::Move;
use super::notes;
use super::path::{Charge, Reason};
use super::service::Walk;
use crate::model::cause::Cause;
use crate::syscall::Wait;
use crate::threads::{LastRun, Slice, State};

impl Walk<'_, '_> {
    /// The request stopped at `run`, and went on when there was room for what it had to send.
    pub(super) fn found_room(&self, run: LastRun) -> Move {
        let step = self.resumed(run, Cause::SendBlocked, Reason::Peer(self.turn.id.conn));
        let stalled = self.turn.stalled_since(self.now_ns);
        let Some(stalled_ns) = stalled.filter(|&stalled_ns| run.end_ns < stalled_ns) else {
            return step;
        };
        // Where the send was that found none, nothing else is recorded of its thread.
        step.charging(
            stalled_ns,
            Charge::of(Cause::SendBlocked, Reason::Peer(self.turn.id.conn)),
        )
        .and_before(run.end_ns, Charge::unexplained(Some(run.tid), notes::NO_RECORD))
    }

    /// When it was last certain that there was no room for what the request, which stopped at `run`, had to send: its
    /// thread waited for events, and would have been told. Of a runtime with tasks any of its workers would have been,
    /// and none waits while another has a task that is ready; other threads can keep what they were told to themselves.
    pub(super) fn had_no_room_at(&self, run: LastRun) -> Option<u64> {
        let stalled_ns = self.turn.stalled_since(self.now_ns)?;
        let any_worker = self.turn.read_task.is_known();
        let tids = self.turn.tids().filter(|&tid| any_worker || tid == self.at.tid);
        let threads = tids.filter_map(|tid| self.evidence.threads.get(tid));
        let waits = threads.filter(|thread| thread.is_worker()).filter_map(|thread| {
            let back = thread.back_from(self.now_ns);
            let is_since = |slice: &Slice| slice.from_ns >= run.end_ns && slice.to_ns > stalled_ns;
            let mut since = back.take_while(is_since);
            since.find(|slice| match slice.state {
                State::Blocked(block) => matches!(block.wait, Wait::EventLoop { .. }),
                _ => false,
            })
        });
        waits.map(|slice| slice.to_ns.min(self.now_ns)).max()
    }
}
