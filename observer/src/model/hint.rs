//! What a user should know who looks at a run, and what to do about it: a value for outputs.

use super::id::Pid;

/// Something that is known to be missing from a run, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// Which of the known ones.
    pub kind: HintKind,
    /// The watched process that it is about; of a port on which there was none there is none.
    pub pid: Option<Pid>,
    /// Other processes that it names.
    pub pids: Vec<Pid>,
    /// What is known, in a sentence.
    pub text: String,
    /// What to do, in words or as a command.
    pub remedy: String,
}

/// Hints that are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HintKind {
    /// It ended, and others listen where it did.
    Successor,
    /// Processes that it started listen, and are not watched.
    Children,
    /// It listens on a Unix socket.
    UnixSocket,
    /// It has an `io_uring`.
    IoUring,
    /// It was sent something or sent something itself, and nothing of it was a turn.
    NoTurns,
    /// It listens, and there was no traffic.
    NoTraffic,
    /// It listens nowhere.
    NotListening,
    /// Where it listens could not be seen.
    Unseen,
    /// On a port that was to be watched nobody listened who could be.
    NobodyListened,
    /// The queue of a listener was full.
    QueueFull,
    /// Records found no room in their ring.
    RecordsLost,
    /// Tables of observer were full.
    FullTables,
}

impl HintKind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::Successor,
        Self::Children,
        Self::UnixSocket,
        Self::IoUring,
        Self::NoTurns,
        Self::NoTraffic,
        Self::NotListening,
        Self::Unseen,
        Self::NobodyListened,
        Self::QueueFull,
        Self::RecordsLost,
        Self::FullTables,
    ];

    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Successor => "successor",
            Self::Children => "children",
            Self::UnixSocket => "unix_socket",
            Self::IoUring => "io_uring",
            Self::NoTurns => "no_turns",
            Self::NoTraffic => "no_traffic",
            Self::NotListening => "not_listening",
            Self::Unseen => "unseen",
            Self::NobodyListened => "nobody_listened",
            Self::QueueFull => "queue_full",
            Self::RecordsLost => "records_lost",
            Self::FullTables => "full_tables",
        }
    }
}

impl Hint {
    /// All of it in one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!("{}: {}", self.text, self.remedy)
    }
}
