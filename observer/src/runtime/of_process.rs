//! The runtime of a process: which it is, and what follows from that for its tasks and threads.
//!
//! Rules ask for the property that they mean, and only words for people ask for the name.

use super::go;

/// Runtimes whose tasks can be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuntimeName {
    /// Of Rust.
    Tokio,
    /// Of Go.
    Go,
}

impl RuntimeName {
    const ALL: [Self; 2] = [Self::Tokio, Self::Go];

    /// As users see it, and as facts have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tokio => "tokio",
            Self::Go => "go",
        }
    }

    /// The one that is called so.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|runtime| runtime.name() == name)
    }
}

/// The runtime of a process, as far as it is known.
///
/// A Java virtual machine is none of these: its threads run the program themselves. When it stops them is told by what
/// they do (`threads/stops.rs`), also where it is in a program that has one of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Runtime {
    /// None is known: what threads do is all that there is.
    #[default]
    Unknown,
    /// tokio.
    Tokio,
    /// Go.
    Go {
        /// Its version, where its goroutines are known.
        version: Option<go::Version>,
    },
}

impl Runtime {
    /// What was found out about a process: a runtime of this name and version, and whether the ids of its tasks are
    /// known.
    pub(crate) fn found(name: &str, version: Option<&str>, task_ids: bool) -> Self {
        match RuntimeName::of(name) {
            Some(RuntimeName::Tokio) => Self::Tokio,
            Some(RuntimeName::Go) => Self::Go {
                version: go::Version::of(version.unwrap_or_default()).filter(|_| task_ids),
            },
            None => Self::Unknown,
        }
    }

    /// The version of Go, where its goroutines are known.
    pub(crate) const fn go_version(self) -> Option<go::Version> {
        match self {
            Self::Go { version } => version,
            Self::Unknown | Self::Tokio => None,
        }
    }

    /// Whether its threads turn from one request to another whenever that has to wait.
    pub(crate) const fn switches_threads(self) -> bool {
        match self {
            Self::Unknown => false,
            Self::Tokio | Self::Go { .. } => true,
        }
    }

    /// Whether any of its threads takes up any of its tasks: who was woken looks for whatever there is to do, and a
    /// task waits for none of them. One of tokio's waits for the worker that has it, and a program without a runtime
    /// wakes the thread that is to do something.
    pub(crate) const fn tasks_move_between_threads(self) -> bool {
        match self {
            Self::Unknown | Self::Tokio => false,
            Self::Go { .. } => true,
        }
    }

    /// Whether a task is seen on its thread before it reads the next request. One of tokio is first seen when it reads.
    pub(crate) const fn tasks_are_seen_before_they_read(self) -> bool {
        match self {
            Self::Unknown | Self::Tokio => false,
            Self::Go { .. } => true,
        }
    }

    /// Whether the larger one of two ids of tasks is that of the younger one.
    pub(crate) const fn ids_rise(self) -> bool {
        match self {
            Self::Tokio => true,
            Self::Unknown | Self::Go { .. } => false,
        }
    }

    /// Whether jobs that block can be given to a pool of threads for that.
    pub(crate) const fn has_blocking_pool(self) -> bool {
        match self {
            Self::Tokio => true,
            Self::Unknown | Self::Go { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_the_runtime_that_was_found_and_no_other_by_default() {
        let version = go::Version::of("go1.26");
        assert_eq!(Runtime::found("tokio", Some("1.48.0"), true), Runtime::Tokio);
        assert_eq!(
            Runtime::found("go", Some("go1.26.8"), true),
            Runtime::Go { version }
        );
        let unknown = Runtime::Go { version: None };
        assert_eq!(Runtime::found("go", Some("go1.26.8"), false), unknown);
        assert_eq!(Runtime::found("", None, true), Runtime::Unknown);
    }
}
