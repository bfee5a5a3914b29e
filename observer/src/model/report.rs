//! What a summary says, as plain values: the totals of a run or of one window, ready to be written.
//!
//! Nothing here counts or computes, and nothing knows how it is printed. The field names are those of
//! the `window` and `end` lines of JSON Lines; `docs/schema.md` explains each.

mod run;

use std::net::SocketAddr;

use serde::{Serialize, Serializer};

use super::cause::{Budget, Cause};
use super::hint::Hint;
use super::protocol::Protocol;
use super::request::HeldBy;

pub use run::{LongPoll, OwnCost, PollTotals, ProbeCost};

/// The totals of one window, with the totals of the run up to its end.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Window {
    /// Start, ns since the Unix epoch.
    pub start_unix_ns: u64,
    /// Length, ns.
    pub duration_ns: u64,
    /// What happened in the window.
    #[serde(flatten)]
    pub totals: Totals,
    /// What is missing from the run by then, and what to do.
    pub hints: Vec<Hint>,
    /// What happened from the start of the run to the end of the window. For people: the line leaves it out.
    #[serde(skip)]
    pub run: Totals,
}

/// The totals of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct End {
    /// Start, ns since the Unix epoch.
    pub start_unix_ns: u64,
    /// Length, ns.
    pub duration_ns: u64,
    /// Requests that had been read and had no answer when the run ended. None of the totals counts them.
    pub under_way: u64,
    /// What happened in the run.
    #[serde(flatten)]
    pub totals: Totals,
    /// What is missing from the run, and what to do.
    pub hints: Vec<Hint>,
}

/// Counts and figures over a stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Totals {
    /// Of all watched processes.
    #[serde(flatten)]
    pub figures: ProcessFigures,
    /// Polls of runtime tasks, where they are recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub polls: Option<PollTotals>,
    /// Records and requests lost, by reason.
    #[serde(serialize_with = "as_map")]
    pub lost: Vec<(&'static str, u64)>,
    /// What was forgotten or found no place in tables that were full, by table.
    #[serde(serialize_with = "as_map")]
    pub full: Vec<(&'static str, u64)>,
    /// What the observer itself cost; absent where nobody measured (a replay).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<OwnCost>,
    /// The same figures of each target, by pid.
    pub targets: Vec<TargetTotals>,
    /// Of all requests, those of targets that are not told apart, because there are too many.
    pub targets_other: u64,
}

/// What was counted of one target: of a process that is watched, with those that were forked from it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TargetTotals {
    /// Its first process.
    pub pid: u32,
    /// Name of that in the kernel, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comm: Option<String>,
    /// How many of its processes were seen.
    pub processes: u64,
    /// Which, as far as there are not too many.
    pub pids: Vec<u32>,
    /// Of these processes together.
    #[serde(flatten)]
    pub figures: ProcessFigures,
}

/// What some processes did: those of one target, or all.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ProcessFigures {
    /// Whose turns the requests are; absent while there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
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
    /// Requests that were read before their connection was first seen: only their answer was. `requests` leaves them out.
    pub begun_before: u64,
    /// Connections that were used while nobody could tell which side had opened them. Nothing of theirs is in `requests`
    /// until something tells.
    pub unknown_direction: u64,
    /// Of `requests`, those whose latency was outside 1 ns..1 h and was counted at the bound.
    pub clamped: u64,
    /// Requests by how sure their attribution is.
    pub confidence: ByConfidence,
    /// Requests by status class.
    pub status: ByStatus,
    /// Latency; absent without requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ns: Option<Quantiles>,
    /// Where the time went, around three quantiles; absent without requests.
    #[serde(skip_serializing_if = "Option::is_none")]
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diagnosis: Option<Diagnosis>,
}

/// Requests by how sure their attribution is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ByConfidence {
    /// From the runtime's own task identity.
    pub exact: u64,
    /// From the order of events.
    pub inferred: u64,
    /// Something needed was not seen.
    pub partial: u64,
}

/// Requests by class of HTTP status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ByStatus {
    /// 100 to 199.
    #[serde(rename = "1xx")]
    pub informational: u64,
    /// 200 to 299.
    #[serde(rename = "2xx")]
    pub success: u64,
    /// 300 to 399.
    #[serde(rename = "3xx")]
    pub redirect: u64,
    /// 400 to 499.
    #[serde(rename = "4xx")]
    pub client_error: u64,
    /// 500 to 599.
    #[serde(rename = "5xx")]
    pub server_error: u64,
    /// No HTTP, no response head seen, or a status outside 100 to 599.
    pub unknown: u64,
}

/// Latency quantiles to three significant digits; `min`, `mean` and `max` are exact. All in ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Quantiles {
    /// Smallest.
    pub min: u64,
    /// Mean, rounded down.
    pub mean: u64,
    /// Half of the requests took at most this.
    pub p50: u64,
    /// 90 %.
    pub p90: u64,
    /// 99 %.
    pub p99: u64,
    /// 99.9 %.
    pub p999: u64,
    /// Largest.
    pub max: u64,
}

/// The means of the requests around three quantiles of latency.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AtQuantiles {
    /// Requests ranked 45 % to 55 %.
    pub p50: BandMeans,
    /// Requests ranked 98.5 % to 99.5 %.
    pub p99: BandMeans,
    /// Requests ranked 99.85 % to 99.95 %.
    pub p999: BandMeans,
}

/// Means over one band of ranks.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct BandMeans {
    /// How many requests the band is wide, rounded to the nearest, at least 1.
    pub requests: u64,
    /// Mean latency, ns: the sum of `budget_ns`, to the nanosecond.
    pub latency_ns: u64,
    /// Mean time from arrival to first read, ns.
    pub receive_queue_ns: u64,
    /// Mean ns for each cause, each rounded down.
    pub budget_ns: Budget,
    /// Mean resident memory; absent where no request of the band carried it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rss: Option<RssMeans>,
    /// Mean page faults of a request.
    pub faults: FaultMeans,
    /// What the longest waits of these requests waited for, the most time first.
    pub waited_for: Vec<WaitedFor>,
}

/// What the longest waits of some requests waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WaitedFor {
    /// What these waits are charged to.
    pub cause: Cause,
    /// Requests of the band whose longest wait this was, rounded up.
    pub requests: u64,
    /// Mean length of these waits, ns.
    pub mean_ns: u64,
    /// System call that they were in, or that held the worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub syscall: Option<&'static str>,
    /// What that call was on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Peer that was waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<SocketAddr>,
    /// Process that was waited behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Name of the thread that was waited behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comm: Option<String>,
    /// Request that this thread was serving.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// This thread is one of a runtime's blocking pool.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pool: bool,
    /// Function that it was seen running in the most of these waits, over the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// What kept TCP from sending the last bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_by: Option<HeldBy>,
}

/// Mean resident memory of the process at both ends of a request, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RssMeans {
    /// At the first read.
    pub start: u64,
    /// At the last send.
    pub end: u64,
}

/// Mean page faults of a request, to the thousandth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct FaultMeans {
    /// Served without I/O.
    pub minor: f64,
    /// Waited for I/O.
    pub major: f64,
}

/// One path's share of the requests. Its quantiles are to about 3 %.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ProtocolTotals {
    /// Which.
    pub protocol: Protocol,
    /// Turns finished.
    pub turns: u64,
    /// Turns whose connection was closed before anything was sent. `turns` leaves them out.
    pub unanswered: u64,
    /// Half of the turns took at most this, ns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_ns: Option<u64>,
    /// 99 %.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_ns: Option<u64>,
}

/// Memory of one process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProcessMemory {
    /// Process.
    pub pid: u32,
    /// Resident memory at the last look, bytes.
    pub rss_bytes: u64,
    /// Most resident memory at any look, bytes.
    pub rss_max_bytes: u64,
    /// Page faults served without I/O, of all its threads.
    pub minor_faults: u64,
    /// Page faults that waited for I/O.
    pub major_faults: u64,
}

/// What the workers of a process did: the threads that received from its clients.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ProcessWorkers {
    /// Process.
    pub pid: u32,
    /// How many workers were seen.
    pub count: u64,
    /// Time in which requests waited to be read while none of them was free, ns.
    pub none_free_ns: u64,
    /// Those that were busiest, the busiest first.
    pub threads: Vec<WorkerTotals>,
    /// The one that ran or waited for a CPU least; it need not be listed.
    #[serde(skip)]
    pub idlest: Option<WorkerTotals>,
    /// Its blocking pool; absent where no thread of one was seen at work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolTotals>,
}

/// What the threads of a process's blocking pools did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PoolTotals {
    /// How many were seen at work.
    pub threads: u64,
    /// Share of its time in which the least busy of them was in a job.
    pub busy: f64,
    /// Jobs that they were seen to begin.
    pub jobs: u64,
    /// Of these, jobs that began right where another one had ended.
    pub queued: u64,
}

/// What one worker did, in shares of the time that is known.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct WorkerTotals {
    /// Thread.
    pub tid: u32,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comm: Option<String>,
    /// It ran.
    pub busy: f64,
    /// It could have run.
    pub run_queue: f64,
    /// It was blocked in a call.
    pub blocked: f64,
    /// It had nothing to do.
    pub parked: f64,
    /// How often it was seen to turn to a runtime task.
    pub turns: u64,
    /// What kept it longest; absent where the runtime's tasks are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest: Option<LongestTurn>,
}

/// What kept a worker longest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LongestTurn {
    /// How long, ns.
    pub dur_ns: u64,
    /// The runtime task that did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<u64>,
    /// The request that this served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The system call that it was blocked in; absent where it ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub syscall: Option<&'static str>,
}

/// What the evidence says is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// Which of the known troubles.
    pub kind: Trouble,
    /// The evidence in a sentence.
    pub text: String,
}

/// Troubles that are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// A CPU quota is used up.
    Quota,
    /// Other processes have the CPUs.
    CpuTaken,
    /// Workers are blocked in calls.
    BlockedWorkers,
    /// Every worker is busy all the time.
    Saturated,
    /// Some workers are busy while others have nothing to do.
    Imbalanced,
    /// Jobs wait for a thread of the blocking pool.
    PoolExhausted,
    /// A hypervisor takes the CPUs away.
    Stolen,
    /// TCP holds the last bytes of responses back.
    HeldBack,
}

fn as_map<S: Serializer>(pairs: &[(&'static str, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().copied())
}
