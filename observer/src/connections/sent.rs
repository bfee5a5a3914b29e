//! What is sent on a connection: an answer to its client, or what a request asks of a peer.

use observer_common::Send;

use super::Connections;
use super::connection::{Connection, OutboundSend, Stray};
use super::opened::Opened;
use super::protocol::http1;
use crate::model::id::{ConnId, Pid, RequestId, Task, Tid};
use crate::model::operation::{Direction, Operation};
use crate::runtime::go::Stay;

impl Connections {
    /// Bytes were sent: in a runtime task that serves `served`, by a thread that was running for `owner`, where known.
    /// Both are asked only where it matters.
    pub fn sent(
        &mut self,
        event: &Send,
        head: &[u8],
        served: impl FnOnce() -> Option<RequestId>,
        owner: impl FnOnce() -> Option<RequestId>,
    ) -> Option<Operation> {
        let at_ns = event.header.at_ns;
        let (conn, pid) = (ConnId(event.conn), Pid(event.tgid));
        let opened = self.opened(conn, pid, event.flags, || Opened::of_sent(head));
        let owner = if opened == Opened::Inbound {
            None
        } else {
            // One that has its answer can have given the connection to another before it answers itself.
            served().or_else(|| self.open_user(conn)).or_else(owner)
        };
        let is_whole = at_ns >= self.whole_since_ns;
        let connection = self.used(conn, opened, at_ns, event.result)?;
        if !is_whole {
            connection.found = true;
            return None;
        }
        if connection.took_interim(event, head) {
            return None;
        }
        let outbound = connection.opened == Opened::Outbound;
        let is_unknown = event.result > 0 && connection.is_used_unknown();
        let read_by = connection.reader().filter(|_| event.result > 0);
        let (request, stray) = if outbound {
            connection.asks_its_peer(event, owner);
            (owner, None)
        } else {
            let request = connection.answers(event, head);
            let stray = request.is_none().then(|| connection.stray(event, head));
            (request, stray.flatten())
        };
        let is_new_fd = connection.uses(pid, event.fd);
        if let Some(stray) = stray {
            self.counts.stray(pid, stray);
        }
        if is_unknown {
            self.counts.unknown_direction(pid);
        }
        if !outbound && event.result > 0 && request.is_some() {
            self.is_sent(conn, at_ns);
            self.calls.has_other_end(conn, &self.connections);
        }
        if is_new_fd {
            self.fds.add(pid, event.fd, conn, &self.full);
        }
        Some(Operation {
            at_ns,
            direction: Direction::Out,
            conn,
            arrived_ns: 0,
            request,
            outbound,
            stalled: event.result <= 0,
            read_by,
            faults: (event.min_flt, event.maj_flt),
            task: Task::new(event.task),
        })
    }
}

impl Connection {
    /// Takes what was sent if it is no answer, but asks the client to go on, and tells whether it was. What its receive
    /// has said of the thread still holds then.
    fn took_interim(&mut self, event: &Send, head: &[u8]) -> bool {
        let bytes = bytes(event);
        match &mut self.turn {
            Some(turn) if self.opened != Opened::Outbound && http1::is_interim(head, bytes) => {
                turn.bytes_out += bytes;
                turn.touched_by(Tid(event.header.tid), true);
                true
            }
            _ => false,
        }
    }

    /// Outbound: bytes were sent for `request`, where known.
    fn asks_its_peer(&mut self, event: &Send, request: Option<RequestId>) {
        if event.result > 0 {
            self.sent_to_peer(OutboundSend {
                at_ns: event.header.at_ns,
                tid: Tid(event.header.tid),
                request,
                read_ns: self.read_ns,
            });
        }
    }

    /// Something of the answer was sent, or was to be: gives the turn, if there is one.
    fn answers(&mut self, event: &Send, head: &[u8]) -> Option<RequestId> {
        let (at_ns, tid) = (event.header.at_ns, Tid(event.header.tid));
        let turn = self.turn.as_mut()?;
        turn.touched_by(tid, true);
        turn.operations = turn.operations.saturating_add(1);
        if event.result == -libc::EAGAIN {
            turn.stalls.begins(at_ns);
        }
        if event.result > 0 {
            turn.stalls.ends(at_ns);
            turn.status = turn.status.or_else(|| http1::final_status(head));
            if !turn.is_answered() {
                self.speech.answered(turn);
            }
            turn.sent_ns = at_ns;
            turn.heard_ns = at_ns;
            turn.held = self.held.take().filter(|held| held.sent_ns == at_ns);
            turn.sent_tid = Some(tid);
            turn.sent_task = Task::new(event.task);
            turn.sent_stay = Stay::of(event.task);
            turn.bytes_out += bytes(event);
            turn.rss_end = event.rss_pages;
        }
        Some(turn.id)
    }

    /// Bytes were sent while there was no turn: gives what they are, where that is to be counted.
    fn stray(&mut self, event: &Send, head: &[u8]) -> Option<Stray> {
        let counts =
            self.opened == Opened::Inbound && event.result > 0 && !http1::is_interim(head, bytes(event));
        counts.then(|| self.sent_without_turn(event.header.at_ns))
    }
}

/// Bytes that were sent.
fn bytes(event: &Send) -> u64 {
    u64::from(event.result.max(0).unsigned_abs())
}
