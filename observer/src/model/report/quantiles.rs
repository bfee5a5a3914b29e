//! What is said of quantiles of latency: the quantiles, and where the time of the requests around them went.

use std::net::SocketAddr;

use crate::model::cause::{Budget, Cause};
use crate::model::id::Pid;
use crate::model::request::HeldBy;

/// Latency quantiles to three significant digits; `min`, `mean` and `max` are exact. All in ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AtQuantiles {
    /// Requests ranked 45 % to 55 %.
    pub p50: BandMeans,
    /// Requests ranked 98.5 % to 99.5 %.
    pub p99: BandMeans,
    /// Requests ranked 99.85 % to 99.95 %.
    pub p999: BandMeans,
}

/// Means over one band of ranks.
#[derive(Clone, Debug, Default, PartialEq)]
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
    pub rss: Option<RssMeans>,
    /// Mean page faults of a request.
    pub faults: FaultMeans,
    /// What the longest waits of these requests waited for, the most time first.
    pub waited_for: Vec<WaitedFor>,
    /// How long all their longest waits for other things were, ns by cause.
    pub waited_for_others_ns: Budget,
}

/// Mean resident memory of the process at both ends of a request, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RssMeans {
    /// At the first read.
    pub start: u64,
    /// At the last send.
    pub end: u64,
}

/// Mean page faults of a request, to the thousandth.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FaultMeans {
    /// Served without I/O.
    pub minor: f64,
    /// Waited for I/O.
    pub major: f64,
}

/// What the longest waits of some requests waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitedFor {
    /// What these waits are charged to.
    pub cause: Cause,
    /// Requests of the band whose longest wait this was, rounded up.
    pub requests: u64,
    /// Mean length of these waits, ns.
    pub mean_ns: u64,
    /// System call that they were in, or that held the worker.
    pub syscall: Option<&'static str>,
    /// What that call was on.
    pub object: Option<String>,
    /// Peer that was waited for.
    pub peer: Option<SocketAddr>,
    /// Process that was waited behind.
    pub pid: Option<Pid>,
    /// Name of the thread that was waited behind.
    pub comm: Option<String>,
    /// Request that this thread was serving.
    pub request: Option<String>,
    /// What the language's runtime did, or what it has the task for that this thread was in.
    pub runtime: Option<&'static str>,
    /// This thread is one of a runtime's blocking pool.
    pub pool: bool,
    /// Function that it was seen running in the most of these waits, over the run.
    pub function: Option<String>,
    /// What kept TCP from sending the last bytes.
    pub held_by: Option<HeldBy>,
    /// Where in its code the goroutine waited.
    pub waits_in: Option<String>,
    /// What called that.
    pub called_by: Option<String>,
}
