//! What a summary says, as plain values: the totals of a run or of one window, ready to be written.
//!
//! Nothing here counts or computes. The names of the fields are those of the `window` and `end` lines, and
//! `docs/schema.md` explains each.

mod cost;
mod cycles;
mod diagnosis;
mod goroutines;
mod polls;
mod processes;
mod quantiles;
mod roles;

use super::hint::Hint;
use super::id::Pid;
use super::protocol::Protocol;

pub use cost::{LookCost, OwnCost, ProbeCost};
pub use cycles::CycleTotals;
pub use diagnosis::{Diagnosis, Trouble};
pub use goroutines::GoroutineTotals;
pub use polls::{LongPoll, PollTotals};
pub use processes::{LongestTask, PoolTotals, ProcessMemory, ProcessWorkers, WorkerTotals};
pub use quantiles::{AtQuantiles, BandMeans, FaultMeans, Quantiles, RssMeans, WaitedFor};
pub use roles::{FedBy, ProcessRoles, Role, RoleThread, RoleTotals};

/// The totals of one window, with the totals of the run up to its end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Window {
    /// Start, ns since the Unix epoch.
    pub start_unix_ns: u64,
    /// Length, ns.
    pub duration_ns: u64,
    /// What happened in the window.
    pub totals: Totals,
    /// What is missing from the run by then, and what to do.
    pub hints: Vec<Hint>,
    /// What happened from the start of the run to the end of the window. For people.
    pub run: Totals,
}

/// The totals of the run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct End {
    /// Start, ns since the Unix epoch.
    pub start_unix_ns: u64,
    /// Length, ns.
    pub duration_ns: u64,
    /// Requests that had been read and had no answer when the run ended. None of the totals counts them.
    pub under_way: u64,
    /// The recording breaks off, and what came after that is in nothing here.
    pub truncated: bool,
    /// What happened in the run.
    pub totals: Totals,
    /// What is missing from the run, and what to do.
    pub hints: Vec<Hint>,
}

/// Counts and figures over an interval.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals {
    /// Of all watched processes.
    pub figures: ProcessFigures,
    /// Polls of runtime tasks, where they are recorded.
    pub polls: Option<PollTotals>,
    /// Garbage collection of processes that run Go, by pid.
    pub gc: Vec<CycleTotals>,
    /// Goroutines of processes whose memory tells how many there are, by pid.
    pub goroutines: Vec<GoroutineTotals>,
    /// Records and requests lost, by reason.
    pub lost: Vec<(&'static str, u64)>,
    /// What was forgotten or found no place in tables that were full, by table.
    pub full: Vec<(&'static str, u64)>,
    /// What the observer itself cost; absent where nobody measured (a replay).
    pub cost: Option<OwnCost>,
    /// The same figures of each target, by pid.
    pub targets: Vec<TargetTotals>,
    /// Of all requests, those of targets that are not told apart, because there are too many.
    pub targets_other: u64,
}

/// What was counted of one target: of a process that is watched, with those that were forked from it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TargetTotals {
    /// Its first process.
    pub pid: Pid,
    /// Name of that in the kernel, where known.
    pub comm: Option<String>,
    /// How many of its processes were seen.
    pub processes: u64,
    /// Which, as far as there are not too many.
    pub pids: Vec<Pid>,
    /// None of its processes is there any more.
    pub ended: bool,
    /// Of these processes together.
    pub figures: ProcessFigures,
}

/// What some processes did: those of one target, or all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProcessFigures {
    /// Whose turns the requests are; absent while there was none.
    pub protocol: Option<Protocol>,
    /// Requests finished, each one counted, written or not.
    pub requests: u64,
    /// Of these, requests with records lost inside their window.
    pub incomplete: u64,
    /// Requests whose connection was closed before anything was sent. `requests` leaves them out.
    pub unanswered: u64,
    /// Sends that belong to no request: it was taken for finished, or there was none.
    pub late_sends: u64,
    /// Of `requests`, those of which TCP had bytes unsent after the last send, where it was not seen when they left.
    pub unsent: u64,
    /// Requests that were read before their connection was first seen: only their answer was. `requests` leaves them
    /// out.
    pub begun_before: u64,
    /// Connections that were used while nobody could tell which side had opened them. Nothing of theirs is in
    /// `requests` until something tells.
    pub unknown_direction: u64,
    /// Of `requests`, those whose latency was outside 1 ns..1 h and was counted at the bound.
    pub clamped: u64,
    /// Requests by how sure their attribution is.
    pub confidence: ByConfidence,
    /// Requests by status class.
    pub status: ByStatus,
    /// Latency; absent without requests.
    pub latency_ns: Option<Quantiles>,
    /// Where the time went, around three quantiles; absent without requests.
    pub at: Option<AtQuantiles>,
    /// The paths with the most requests, most first.
    pub paths: Vec<PathTotals>,
    /// Requests with a path that `paths` does not list.
    pub paths_other: u64,
    /// Of these, requests whose path was not even counted by itself, because the table of paths was full.
    pub paths_overflow: u64,
    /// Turns of other protocols, none of which is among the requests.
    pub other_protocols: Vec<ProtocolTotals>,
    /// Memory of the processes, by pid.
    pub memory: Vec<ProcessMemory>,
    /// What the workers of each process did, by pid.
    pub workers: Vec<ProcessWorkers>,
    /// What the evidence says is wrong, where it is clear.
    pub diagnosis: Option<Diagnosis>,
}

/// Requests by how sure their attribution is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByConfidence {
    /// From the runtime's own task identity.
    pub exact: u64,
    /// From the order of events.
    pub inferred: u64,
    /// Something needed was not seen.
    pub partial: u64,
}

/// Requests by class of HTTP status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByStatus {
    /// 100 to 199.
    pub informational: u64,
    /// 200 to 299.
    pub success: u64,
    /// 300 to 399.
    pub redirect: u64,
    /// 400 to 499.
    pub client_error: u64,
    /// 500 to 599.
    pub server_error: u64,
    /// No HTTP, no response head seen, or a status outside 100 to 599.
    pub unknown: u64,
}

/// One path's share of the requests. Its quantiles are to about 3 %.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathTotals {
    /// Path without its query string.
    pub path: String,
    /// Requests.
    pub requests: u64,
    /// Median latency, ns.
    pub p50_ns: u64,
    /// 99 % of its requests took at most about this, ns.
    pub p99_ns: u64,
}

/// Turns of a protocol that is not the leading one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtocolTotals {
    /// Which.
    pub protocol: Protocol,
    /// Turns finished.
    pub turns: u64,
    /// Turns whose connection was closed before anything was sent. `turns` leaves them out.
    pub unanswered: u64,
    /// Half of the turns took at most this, ns.
    pub p50_ns: Option<u64>,
    /// 99 %.
    pub p99_ns: Option<u64>,
}
