//! Explains how a request went on with bytes that its threads received: from its client, or from a peer.

use super::moves::Move;
use super::path::{Charge, Reason};
use super::service::Walk;
use crate::connections::Opened;
use crate::model::cause::Cause;
use crate::model::id::ConnId;

impl Walk<'_, '_> {
    /// The request went on with bytes that were received on `conn`.
    pub(super) fn received(&self, conn: ConnId, arrived_ns: u64) -> Option<Move> {
        if conn != self.turn.id.conn {
            self.answered(conn, arrived_ns)
        } else if arrived_ns > 0 {
            self.client_went_on(arrived_ns)
        } else {
            None
        }
    }

    /// The request went on because `conn`, which the process opened, had bytes: from their arrival on they
    /// waited for this thread; before, the request waited for the peer.
    fn answered(&self, conn: ConnId, arrived_ns: u64) -> Option<Move> {
        let connection = self.evidence.connections.get(conn)?;
        if connection.opened != Opened::Outbound {
            return None;
        }
        if let Some(step) = self.goroutine_was_answered(conn, arrived_ns) {
            return Some(step);
        }
        let since_ns = self.since.end_ns;
        let ready_ns = (arrived_ns > 0).then(|| arrived_ns.clamp(since_ns, self.now_ns));
        let ready = ready_ns.map_or(*self, |ready_ns| self.back_to(ready_ns));
        if ready.was_seen_waiting_for_no_peer(ready.last_run()) {
            return None;
        }
        let connections = self.evidence.connections;
        let sent = connections.last_send_for(conn, self.turn.id, self.turn.read_ns, ready.now_ns);
        let (from_ns, tid) = sent.map_or_else(
            || {
                let run = ready.last_run();
                (run.end_ns, run.tid)
            },
            |sent| (sent.at_ns, sent.tid),
        );
        let from_ns = from_ns.max(since_ns);
        let to = ready.back_to(from_ns).handed_off_by(tid);
        let charge = Charge::of(Cause::Downstream, Reason::Peer(conn));
        Some(Move {
            ready_ns,
            ..Move::to(to).charging(from_ns, charge)
        })
    }
}
