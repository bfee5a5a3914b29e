//! Which goroutines serve a request that has not been answered, and when each is to be looked at.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rustc_hash::FxHashMap;

use crate::model::id::{ConnId, TaskId};

/// For so long a request is left alone, ns. After that its goroutine is looked at, and again each time that it has been
/// in flight for twice as long as at the last look.
pub(super) const PATIENCE_NS: u64 = 10_000_000;

/// Who has been in flight for longer is not looked at any more, ns: a stream, or a client that is never answered.
const LONGEST_NS: u64 = 10_000_000_000;

/// Requests that are followed, at most.
const MOST_TURNS: usize = 65_536;

/// The requests of one process.
#[derive(Default)]
pub(super) struct InFlight {
    turns: FxHashMap<ConnId, Turn>,
    /// When each is due, the first on top. What is not as its turn has it is void.
    due: BinaryHeap<Reverse<(u64, ConnId)>>,
}

struct Turn {
    goroutine: TaskId,
    read_ns: u64,
    due_ns: u64,
}

impl InFlight {
    /// This goroutine read on a connection. `begins` tells whether that can be the beginning of a request. Gives
    /// whether there is room for it.
    pub(super) fn received(&mut self, conn: ConnId, goroutine: TaskId, at_ns: u64, begins: bool) -> bool {
        if let Some(turn) = self.turns.get_mut(&conn) {
            // Records come CPU by CPU: that of an earlier request can come after.
            if at_ns < turn.read_ns {
                return true;
            }
            if !begins {
                turn.goroutine = goroutine;
                return true;
            }
        }
        if self.turns.len() >= MOST_TURNS && !self.turns.contains_key(&conn) {
            return false;
        }
        let due_ns = at_ns.saturating_add(PATIENCE_NS);
        let turn = Turn {
            goroutine,
            read_ns: at_ns,
            due_ns,
        };
        self.turns.insert(conn, turn);
        self.due.push(Reverse((due_ns, conn)));
        true
    }

    /// It was answered on a connection, or that is over. Records come CPU by CPU: that of a later read can come before.
    pub(super) fn answered(&mut self, conn: ConnId, at_ns: u64) {
        if self.turns.get(&conn).is_some_and(|turn| turn.read_ns <= at_ns) {
            self.turns.remove(&conn);
        }
    }

    /// The next one that is due.
    pub(super) fn next(&mut self, now_ns: u64) -> Option<TaskId> {
        while let Some(&Reverse((due_ns, conn))) = self.due.peek()
            && due_ns <= now_ns
        {
            self.due.pop();
            let turn = self.turns.get_mut(&conn).filter(|turn| turn.due_ns == due_ns);
            if let Some(turn) = turn {
                let goroutine = turn.goroutine;
                let age_ns = now_ns.saturating_sub(turn.read_ns);
                if age_ns < LONGEST_NS {
                    turn.due_ns = now_ns.saturating_add(age_ns.max(PATIENCE_NS));
                    self.due.push(Reverse((turn.due_ns, conn)));
                } else {
                    self.turns.remove(&conn);
                }
                return Some(goroutine);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn received(in_flight: &mut InFlight, conn: u64, goroutine: u64, at_ns: u64, begins: bool) {
        assert!(in_flight.received(ConnId(conn), TaskId(goroutine), at_ns, begins));
    }

    /// When a look is due, if somebody looks each millisecond until `to_ms`.
    fn looks(in_flight: &mut InFlight, to_ms: u64) -> Vec<(u64, u64)> {
        let mut seen = Vec::new();
        for at_ms in 0..=to_ms {
            while let Some(goroutine) = in_flight.next(at_ms * MS) {
                seen.push((at_ms, goroutine.0));
            }
        }
        seen
    }

    #[test]
    fn an_earlier_request_of_its_connection_of_which_is_told_later_changes_nothing() {
        let mut in_flight = InFlight::default();
        received(&mut in_flight, 1, 42, 5 * MS, true);
        received(&mut in_flight, 1, 41, 2 * MS, true);
        in_flight.answered(ConnId(1), 3 * MS);
        assert_eq!(looks(&mut in_flight, 20), [(15, 42)]);
    }

    #[test]
    fn a_request_is_looked_at_after_its_time_and_again_when_it_is_twice_as_old() {
        let mut in_flight = InFlight::default();
        received(&mut in_flight, 1, 41, 0, true);
        received(&mut in_flight, 2, 42, 5 * MS, true);
        assert_eq!(
            looks(&mut in_flight, 90),
            [
                (10, 41),
                (15, 42),
                (20, 41),
                (25, 42),
                (40, 41),
                (45, 42),
                (80, 41),
                (85, 42)
            ]
        );
    }

    #[test]
    fn what_goes_on_for_ever_is_not_looked_at_for_ever() {
        let mut in_flight = InFlight::default();
        received(&mut in_flight, 1, 41, 0, true);
        let seen = looks(&mut in_flight, 100_000);
        assert_eq!((seen.len(), seen.last()), (11, Some(&(10_240, 41))));
        assert!(in_flight.turns.is_empty() && in_flight.due.is_empty());
    }

    #[test]
    fn what_was_answered_is_not_looked_at_whatever_the_order_of_the_records() {
        let mut in_flight = InFlight::default();
        received(&mut in_flight, 1, 41, 0, true);
        in_flight.answered(ConnId(1), 2 * MS);
        received(&mut in_flight, 2, 42, 3 * MS, true);
        in_flight.answered(ConnId(2), 2 * MS);
        assert_eq!(looks(&mut in_flight, 19), [(13, 42)]);
        in_flight.answered(ConnId(2), 20 * MS);
        assert_eq!(looks(&mut in_flight, 99), []);
        assert!(in_flight.turns.is_empty() && in_flight.due.is_empty());
    }

    #[test]
    fn who_reads_the_rest_of_a_request_serves_it() {
        let mut in_flight = InFlight::default();
        received(&mut in_flight, 1, 41, 0, true);
        received(&mut in_flight, 1, 42, MS, true);
        received(&mut in_flight, 1, 43, 8 * MS, false);
        assert_eq!(looks(&mut in_flight, 19), [(11, 43)]);
        received(&mut in_flight, 2, 44, 0, false);
        assert_eq!(looks(&mut in_flight, 20).last(), Some(&(20, 44)));
    }

    #[test]
    fn there_is_room_for_so_many_and_for_those_again() {
        let mut in_flight = InFlight::default();
        for conn in 0..MOST_TURNS as u64 {
            received(&mut in_flight, conn, conn, 0, true);
        }
        assert!(!in_flight.received(ConnId(u64::MAX), TaskId(41), 0, true));
        received(&mut in_flight, 7, 41, 1, true);
        in_flight.answered(ConnId(7), 2);
        received(&mut in_flight, u64::MAX, 41, 3, true);
    }
}
