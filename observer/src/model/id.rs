//! What processes, threads, connections, requests and the tasks of a runtime are known by.
//!
//! Each has a type of its own, so that none is taken for another. Records have plain numbers: who takes one apart says
//! which each is.

use std::fmt::{self, Display, Formatter};

use observer_common::{conn, task};
use serde::{Deserialize, Serialize};

/// A process, by the number that the kernel gives it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(transparent)]
#[serde(transparent)]
pub struct Pid(pub u32);

impl Pid {
    /// None that has a program: the idle threads of the kernel are of this one.
    pub const NONE: Self = Self(0);
}

impl Display for Pid {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A thread, by the number that the kernel gives it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Tid(pub u32);

impl Tid {
    /// The idle thread of a CPU, which has no program.
    pub const IDLE: Self = Self(0);
}

impl Display for Tid {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A connection, by the cookie of its socket, which is unique while the machine is up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct ConnId(pub u64);

impl ConnId {
    /// None.
    pub const NONE: Self = Self(conn::NONE);
}

impl Display for ConnId {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Identity of a request: its connection and its place on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RequestId {
    /// Connection.
    pub conn: ConnId,
    /// Place on the connection, from 1.
    pub nth: u64,
}

/// A task of a runtime, by the number that the runtime gives it: unique in its process, as long as that is one program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct TaskId(pub u64);

impl Display for TaskId {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// In which runtime task a thread is, as far as that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Task(u64);

impl Task {
    /// Not known.
    pub const UNKNOWN: Self = Self(task::UNKNOWN);

    /// None: the thread is between tasks, or in the runtime itself.
    pub const NONE: Self = Self(task::NONE);

    /// The task in a record's field, without what may stand beside its id.
    #[must_use]
    pub const fn new(field: u64) -> Self {
        Self(match field {
            task::NONE => field,
            _ if field & task::HAS_STAY != 0 => field & task::ID_OF_STAY,
            _ => field,
        })
    }

    /// What `new` makes this of.
    #[must_use]
    pub const fn field(self) -> u64 {
        self.0
    }

    /// What the task is known by, if it is one.
    #[must_use]
    pub const fn id(self) -> Option<TaskId> {
        match self.0 {
            task::UNKNOWN | task::NONE => None,
            id => Some(TaskId(id)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_in_a_task_in_none_or_it_is_not_known() {
        assert_eq!(Task::new(31).id(), Some(TaskId(31)));
        assert_eq!([Task::NONE.id(), Task::UNKNOWN.id()], [None, None]);
        assert!(Task::NONE.is_known() && !Task::UNKNOWN.is_known());
        assert!(Task::new(31).differs_from(Task::new(32)));
        assert!(!Task::new(31).differs_from(Task::NONE));
    }

    #[test]
    fn a_task_is_the_same_however_often_it_left_its_thread() {
        let stay = |stops: u64| Task::new(task::HAS_STAY | stops << task::STAY_SHIFT | 31);
        assert_eq!([stay(0), stay(255)], [Task::new(31); 2]);
    }

    #[test]
    fn an_id_is_printed_as_its_number() {
        assert_eq!(TaskId(31).to_string(), "31");
    }
}
