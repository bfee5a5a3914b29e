//! What is received on a connection: a turn of its client that begins or goes on, or what a peer answers.

use observer_common::{Receive, flags};

use super::Connections;
use super::connection::{ByteAhead, Connection};
use super::opened::Opened;
use super::turn::Turn;
use crate::model::id::{ConnId, Pid, RequestId, Task, Tid};
use crate::model::operation::{Direction, Operation};
use crate::runtime::go::Stay;

impl Connections {
    /// Bytes were received. Returns the operation for the thread, and the turn that this ended.
    pub fn received(&mut self, event: &Receive, head: &[u8]) -> (Option<Operation>, Option<RequestId>) {
        let at_ns = event.header.at_ns;
        let (conn, pid) = (ConnId(event.conn), Pid(event.tgid));
        let opened = self.opened(conn, pid, event.flags, || Opened::of_received(head));
        let is_whole = at_ns >= self.whole_since_ns;
        // What came before can have been read before, unseen.
        let arrived_ns = if event.arrived_ns < self.whole_since_ns {
            0
        } else {
            event.arrived_ns
        };
        let Some(connection) = self.used(conn, opened, at_ns, event.result) else {
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
        let is_new_fd = connection.uses(pid, event.fd);
        let is_unknown = connection.is_used_unknown();
        let outbound = connection.opened == Opened::Outbound;
        let (request, ended) = match connection.opened {
            Opened::Unknown => (None, None),
            Opened::Outbound => (connection.is_answered(at_ns), None),
            Opened::Inbound if connection.is_read_ahead(event) => {
                connection.ahead.get_or_insert(ByteAhead {
                    arrived_ns,
                    head: head.first().copied(),
                });
                return (None, None);
            }
            Opened::Inbound => {
                let (request, ended) = connection.reads(event, head, arrived_ns);
                if connection.closed {
                    self.leaves(conn, at_ns);
                }
                (request, ended)
            }
        };
        if is_unknown {
            self.counts.unknown_direction(pid);
        }
        if is_new_fd {
            self.fds.add(pid, event.fd, conn, &self.full);
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
    /// Inbound: whether this is the byte for which a goroutine of net/http waits beside the one that serves, to see the
    /// client go away meanwhile. Where the next request comes as soon as this one is answered it is the first byte of
    /// that, and the one that serves reads the rest.
    fn is_read_ahead(&self, event: &Receive) -> bool {
        let task = Task::new(event.task);
        let is_another = |turn: &Turn| turn.is_answered() && turn.sent_task.differs_from(task);
        let is_beside = self.turn.as_deref().is_some_and(is_another);
        event.result == 1 && is_beside && Stay::of(event.task).is_some()
    }

    /// Outbound: bytes of the peer were read. Gives the request that they are for.
    fn is_answered(&mut self, at_ns: u64) -> Option<RequestId> {
        self.read_ns = at_ns;
        self.used_for
    }

    /// Inbound: bytes were received that came at `arrived_ns` (0: not seen). Returns the turn to which they belong, and
    /// the one that this ended.
    fn reads(
        &mut self,
        event: &Receive,
        head: &[u8],
        arrived_ns: u64,
    ) -> (Option<RequestId>, Option<RequestId>) {
        let ended = self.end_turn();
        let mut ahead = None;
        if self.turn.is_none() {
            ahead = self.ahead.take();
            let arrived_ns = ahead.map_or(arrived_ns, |ahead| ahead.arrived_ns);
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
            turn.operations = turn
                .operations
                .saturating_add((event.header.at_ns > turn.read_ns).into());
            turn.bytes_in += u64::from(event.result.unsigned_abs());
            turn.touched_by(Tid(event.header.tid), true);
            if let Some(ahead) = ahead {
                turn.bytes_in += 1;
                turn.add_head(ahead.head.as_slice());
            }
            turn.add_head(head);
            turn.id
        });
        (turn, ended)
    }
}
