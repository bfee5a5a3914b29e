//! What is received on a connection: a turn of its client that begins or goes on, or what a peer answers.

use observer_common::{Receive, flags};

use super::Connections;
use super::connection::Connection;
use super::role::Role;
use super::turn::Turn;
use crate::model::id::{ConnId, Pid, RequestId, Task, Tid};
use crate::threads::{Direction, Operation};

impl Connections {
    /// Bytes were received. Returns the operation for the thread, and the turn that this ended.
    pub fn received(&mut self, event: &Receive, head: &[u8]) -> (Option<Operation>, Option<RequestId>) {
        let at_ns = event.header.at_ns;
        let (conn, pid) = (ConnId(event.conn), Pid(event.tgid));
        let role = self.role(conn, pid, event.flags, || Role::of_received(head));
        let is_whole = at_ns >= self.whole_since_ns;
        // What came before can have been read before, unseen.
        let arrived_ns = if event.arrived_ns < self.whole_since_ns {
            0
        } else {
            event.arrived_ns
        };
        let Some(connection) = self.used(conn, role, at_ns, event.result) else {
            return (None, None);
        };
        if !is_whole {
            connection.found = true;
            return (None, None);
        }
        connection.is_known_to(Tid(event.header.tid), at_ns);
        if event.result <= 0 || event.flags & flags::PEEK != 0 {
            return (None, None);
        }
        let is_new_fd = connection.uses(event.fd);
        let is_unknown = connection.is_used_unknown();
        let outbound = connection.role == Role::Outbound;
        let (request, ended) = match connection.role {
            Role::Unknown => (None, None),
            Role::Outbound => (connection.used_for, None),
            Role::Inbound => {
                let (request, ended) = connection.reads(event, head, arrived_ns);
                if connection.closed {
                    self.leaving.push_back((at_ns, conn));
                }
                (request, ended)
            }
        };
        if is_unknown {
            self.counts.unknown_direction(pid);
        }
        if is_new_fd {
            self.remember_fd(pid, event.fd, conn);
        }
        let operation = Operation {
            at_ns,
            direction: Direction::In,
            conn,
            arrived_ns,
            request,
            outbound,
            stalled: false,
            faults: (event.min_flt, event.maj_flt),
            task: Task::new(event.task),
            read_by: None,
        };
        (Some(operation), ended)
    }
}

impl Connection {
    /// Inbound: bytes were received that came at `arrived_ns` (0: not seen). Returns the turn to which they belong, and the
    /// one that this ended.
    fn reads(
        &mut self,
        event: &Receive,
        head: &[u8],
        arrived_ns: u64,
    ) -> (Option<RequestId>, Option<RequestId>) {
        let ended = self.end_turn();
        if self.turn.is_none() {
            self.nth += 1;
            let id = RequestId {
                conn: ConnId(event.conn),
                nth: self.nth,
            };
            let mut turn = Turn::begin(id, event, arrived_ns, self.accepted);
            turn.arrival_seen &= !self.may_have_begun_before(head);
            self.begin_turn(turn);
        }
        let turn = self.turn.as_mut().map(|turn| {
            turn.bytes_in += u64::from(event.result.unsigned_abs());
            turn.touched_by(Tid(event.header.tid));
            turn.add_head(head);
            turn.id
        });
        (turn, ended)
    }
}
