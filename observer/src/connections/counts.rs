//! What could not be made part of a request, by the process that it concerns.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use super::connection::{Connection, Stray};
use crate::model::full::{Full, Table};
use crate::model::id::Pid;
use crate::model::protocol::Protocol;

/// Processes that are counted apart between two times of asking; what others come to is counted as process 0.
const MAX_PROCESSES: usize = 4096;

/// What could not be made part of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that made room for others, and those that found none.
    pub refused_connections: u64,
    /// The rest, by process.
    pub by_process: BTreeMap<Pid, NotFollowed>,
    /// What was counted as process 0.
    pub full: Full,
}

/// What could not be made part of a request of one process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotFollowed {
    /// Sends after their request's end was taken for certain, or on a connection without a request.
    pub late_sends: u64,
    /// Requests that were never answered, in the order of [`Protocol::ALL`].
    pub unanswered: [u64; Protocol::ALL.len()],
    /// Answers to requests that had been read before their connection was first seen.
    pub begun_before: u64,
    /// Connections that were used while nobody could tell who had opened them.
    pub unknown_direction: u64,
}

impl AddAssign for NotFollowed {
    fn add_assign(&mut self, more: Self) {
        self.late_sends += more.late_sends;
        self.begun_before += more.begun_before;
        self.unknown_direction += more.unknown_direction;
        for (sum, more) in self.unanswered.iter_mut().zip(more.unanswered) {
            *sum += more;
        }
    }
}

impl Counts {
    /// Of all processes together.
    #[must_use]
    pub fn sum(&self) -> NotFollowed {
        let mut sum = NotFollowed::default();
        self.by_process.values().for_each(|counts| sum += *counts);
        sum
    }

    fn of(&mut self, pid: Pid) -> &mut NotFollowed {
        let is_full = self.by_process.len() >= MAX_PROCESSES && !self.by_process.contains_key(&pid);
        if is_full {
            self.full.count(Table::Processes, 1);
        }
        self.by_process
            .entry(if is_full { Pid::NONE } else { pid })
            .or_default()
    }

    /// Counts the current turn of a connection if it was not answered. Tells whether.
    pub(super) fn unanswered(&mut self, connection: &Connection) -> bool {
        let Some(turn) = connection.turn.as_ref().filter(|_| connection.is_unanswered()) else {
            return false;
        };
        let protocol = connection.speech.of(turn).unwrap_or_default();
        self.of(turn.pid).unanswered[protocol as usize] += 1;
        true
    }

    /// Process `pid` sent bytes while there was no turn.
    pub(super) fn stray(&mut self, pid: Pid, stray: Stray) {
        match stray {
            Stray::Late => self.of(pid).late_sends += 1,
            Stray::BegunBefore => self.of(pid).begun_before += 1,
            Stray::GoesOn => {}
        }
    }

    /// Process `pid` used a connection of which nobody can tell who opened it, for the first time.
    pub(super) fn unknown_direction(&mut self, pid: Pid) {
        self.of(pid).unknown_direction += 1;
    }
}
