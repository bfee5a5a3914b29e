//! What the threads of a process are to it.

use crate::model::id::Tid;

/// What a thread is, by what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// It accepts connections, and leaves what comes on them to others.
    Acceptor,
    /// It waits for events of many descriptors.
    EventLoop,
    /// It waits until other threads give it something to do.
    Pool,
    /// It serves one connection at a time, from its first request to its last.
    Connection,
    /// It goes on when a time has come, and for nothing else.
    Timer,
    /// It does what the language's runtime needs.
    Runtime,
}

impl Role {
    /// All of them, in their order.
    pub const ALL: [Self; 6] = [
        Self::Acceptor,
        Self::EventLoop,
        Self::Pool,
        Self::Connection,
        Self::Timer,
        Self::Runtime,
    ];

    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Acceptor => "acceptor",
            Self::EventLoop => "event_loop",
            Self::Pool => "pool",
            Self::Connection => "connection",
            Self::Timer => "timer",
            Self::Runtime => "runtime",
        }
    }
}

/// What the threads of a process are to it, as far as that is told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProcessRoles {
    /// Those of one kind together; each pool by itself.
    pub roles: Vec<RoleTotals>,
    /// Threads of which too little was seen, or what fits nothing.
    pub no_role: u64,
}

/// Threads of a process that are the same to it.
#[derive(Clone, Debug, PartialEq)]
pub struct RoleTotals {
    /// What they are.
    pub role: Role,
    /// How many there are at the end of the time.
    pub count: u64,
    /// How many ended meanwhile; of pools all are told with the largest.
    pub ended: u64,
    /// How many of all these had something to do, on average.
    pub at_work: f64,
    /// Of event loops, how many descriptors of `epoll` they wait at.
    pub epolls: Option<u64>,
    /// Of a pool, who gave it something to do, most often first.
    pub fed_by: Vec<FedBy>,
    /// Those that had something to do for longest, the first first.
    pub threads: Vec<RoleThread>,
}

/// A thread that gives a pool something to do.
#[derive(Clone, Debug, PartialEq)]
pub struct FedBy {
    /// Thread.
    pub tid: Tid,
    /// Its name, where known.
    pub comm: Option<String>,
    /// What it is itself, where that is told.
    pub role: Option<Role>,
    /// The system call in which the pool waits for it; absent where it is only known that the pool answers what this
    /// thread has read.
    pub syscall: Option<&'static str>,
    /// How often it did.
    pub times: u64,
}

/// A thread, with why it is taken for what it is.
#[derive(Clone, Debug, PartialEq)]
pub struct RoleThread {
    /// Thread.
    pub tid: Tid,
    /// Its name, where known.
    pub comm: Option<String>,
    /// Share of the time in which it ran.
    pub busy: f64,
    /// Share of the time in which it had something to do.
    pub at_work: f64,
    /// Of an event loop, the descriptor of `epoll` at which it waits.
    pub epoll: Option<u32>,
    /// What it did, by what that is called.
    pub evidence: Vec<(&'static str, u64)>,
}
