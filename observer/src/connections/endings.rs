//! When turns and connections are over, as time shows it.
//!
//! It does not know what ends a turn at once, which is the next one.

use std::collections::VecDeque;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Connection, Connections, QUIET_NS, SETTLED_NS, Turn};
use crate::model::id::{ConnId, Pid, RequestId};

/// Entries that a queue may have beside two for each connection. With one more, those make room that say nothing any
/// more, which leaves one for each connection at most.
pub(super) const MOST_STALE: usize = 1024;

/// Lets those entries of a queue make room that are not `current`, and all of a connection but the first.
fn bound(
    queue: &mut VecDeque<(u64, ConnId)>,
    connections: &FxHashMap<ConnId, Box<Connection>>,
    is_current: impl Fn(&Connection, u64) -> bool,
) {
    if queue.len() > 2 * connections.len() + MOST_STALE {
        let mut known = FxHashSet::default();
        queue.retain(|&(at_ns, conn)| {
            let connection = connections.get(&conn);
            connection.is_some_and(|connection| is_current(connection, at_ns)) && known.insert(conn)
        });
    }
}

impl Connections {
    /// Something was heard of the end of a connection's turn: it ends when it is quiet from then on.
    pub(super) fn is_heard_of(&mut self, conn: ConnId, at_ns: u64) {
        self.quiet.push_back((at_ns, conn));
        bound(&mut self.quiet, &self.connections, |connection, heard_ns| {
            let turn = connection.turn.as_ref();
            turn.is_some_and(|turn| turn.heard_ns == heard_ns)
        });
    }

    /// Something of the answer to a connection's turn was sent.
    pub(super) fn is_sent(&mut self, conn: ConnId, at_ns: u64) {
        self.is_heard_of(conn, at_ns);
        self.settling.push_back((at_ns, conn));
        bound(&mut self.settling, &self.connections, |connection, sent_ns| {
            let turn = connection.turn.as_ref();
            turn.is_some_and(|turn| turn.sent_ns == sent_ns)
        });
    }

    /// A connection is over, and the turn that it has is not answered.
    pub(super) fn leaves(&mut self, conn: ConnId, at_ns: u64) {
        self.leaving.push_back((at_ns, conn));
        bound(&mut self.leaving, &self.connections, |connection, _| {
            connection.is_unanswered()
        });
    }

    /// A connection is over. What is known of it is kept for a while: others may have waited for its requests.
    pub fn closed(&mut self, conn: ConnId) {
        if let Some(oldest) = self.closed.push(conn) {
            self.forget(oldest);
        }
    }

    /// The turn of a connection that was over before the call that answered it had ended: where the client has left,
    /// its refusal comes back within that call.
    pub fn answered_too_late(&mut self, conn: ConnId) -> Option<RequestId> {
        let connection = self.connections.get_mut(&conn)?;
        if connection.closed {
            connection.end_turn()
        } else {
            None
        }
    }

    /// Counts the requests that are certain at `now_ns` never to be answered.
    pub fn count_unanswered(&mut self, now_ns: u64) {
        while let Some(&(left_ns, conn)) = self.leaving.front()
            && left_ns.saturating_add(SETTLED_NS) <= now_ns
        {
            self.leaving.pop_front();
            if let Some(connection) = self.connections.get_mut(&conn)
                && self.counts.unanswered(connection)
            {
                connection.retire_turn();
            }
        }
    }

    /// How many connections have a turn at the moment: one that was answered, and one that was not.
    pub(crate) fn open_turns(&self) -> (u64, u64) {
        let turns = self
            .connections
            .values()
            .filter_map(|connection| connection.turn.as_ref());
        turns.fold((0, 0), |(answered, unanswered), turn| {
            let is_answered = turn.is_answered();
            (
                answered + u64::from(is_answered),
                unanswered + u64::from(!is_answered),
            )
        })
    }

    /// Takes one turn that has probably ended at `now_ns`, but none whose answer found no room. It goes on being the
    /// current one.
    pub fn take_settled(&mut self, now_ns: u64) -> Option<RequestId> {
        while let Some(&(sent_ns, conn)) = self.settling.front() {
            if sent_ns.saturating_add(SETTLED_NS) > now_ns {
                return None;
            }
            self.settling.pop_front();
            let turn = self
                .connections
                .get(&conn)
                .and_then(|connection| connection.turn.as_ref());
            if let Some(turn) = turn.filter(|turn| turn.sent_ns == sent_ns && !turn.is_stalled()) {
                return Some(turn.id);
            }
        }
        None
    }

    /// Takes the turns of process `pid` that were answered and are not taken yet. They go on being the current ones.
    pub fn take_answered_of(&mut self, pid: Pid) -> Vec<RequestId> {
        let connections = &self.connections;
        let answered = |&(sent_ns, conn): &(u64, ConnId)| {
            let turn = connections.get(&conn)?.turn.as_ref()?;
            (turn.pid == pid && turn.sent_ns == sent_ns).then_some(turn.id)
        };
        let taken: Vec<_> = self.settling.iter().filter_map(answered).collect();
        if !taken.is_empty() {
            self.settling.retain(|entry| answered(entry).is_none());
        }
        taken
    }

    /// Takes one turn whose end is certain at `now_ns`, because it was quiet since, and is not known to go on, with its
    /// descriptor.
    pub fn take_quiet(&mut self, now_ns: u64, goes_on: impl Fn(&Turn, i32) -> bool) -> Option<RequestId> {
        while let Some(&(heard_ns, conn)) = self.quiet.front() {
            if heard_ns.saturating_add(QUIET_NS) > now_ns {
                return None;
            }
            self.quiet.pop_front();
            let Some(connection) = self.connections.get_mut(&conn) else {
                continue;
            };
            let (_, fd) = connection.used_by;
            let Some(turn) = connection.turn.as_mut().filter(|turn| turn.heard_ns == heard_ns) else {
                continue;
            };
            if goes_on(turn, fd) {
                turn.heard_ns = now_ns;
                self.quiet.push_back((now_ns, conn));
                continue;
            }
            return connection.end_turn();
        }
        None
    }
}
