//! What requests and the tasks of a runtime are known by.

use observer_common::task;

/// Identity of a request: its connection and its place on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RequestId {
    /// Connection.
    pub conn: u64,
    /// Place on the connection, from 1.
    pub nth: u64,
}

/// The runtime task that a thread is in: the runtime's own identity of the work that it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Task(u64);

impl Task {
    /// Not known.
    pub const UNKNOWN: Self = Self(task::UNKNOWN);

    /// None: the thread is between tasks, or in the runtime itself.
    pub const NONE: Self = Self(task::NONE);

    /// The task in a record's field.
    #[must_use]
    pub const fn new(field: u64) -> Self {
        Self(field)
    }

    /// The runtime's id of it, if it is one.
    #[must_use]
    pub const fn id(self) -> Option<u64> {
        match self.0 {
            task::UNKNOWN | task::NONE => None,
            id => Some(id),
        }
    }

    /// Whether it is known in which task the thread is, or that it is in none.
    #[must_use]
    pub const fn is_known(self) -> bool {
        self.0 != task::UNKNOWN
    }

    /// Whether both are tasks, and not the same.
    #[must_use]
    pub fn differs_from(self, other: Self) -> bool {
        self != other && self.id().is_some() && other.id().is_some()
    }
}
