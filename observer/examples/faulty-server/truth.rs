//! What was really done to each request, kept for the lab and never shown to who observes.
//!
//! Only faults whose size nothing but the kernel knows are measured with system calls, see `blocked`.

use std::fmt::Display;
use std::{fs, thread_local};

use serde::Serialize;
use tokio::runtime::Handle;
use tokio::task;

use crate::clock;
use crate::kept::Kept;

/// Requests that are kept, at most.
pub(crate) const SLOTS: usize = 1 << 16;
/// Stretches of one request that are kept, at most.
const STRETCHES: usize = 4;

/// The truth of a run.
pub(crate) type Truth = Kept<Record>;

/// One request as its handler saw it, or the work of a task that no request waits for.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Record {
    /// The `id` of its query, 0 without one, and for a task that is no request's.
    pub(crate) id: u64,
    /// Thread on which the handler began.
    pub(crate) tid: u32,
    /// Task in which the handler ran.
    pub(crate) task: Option<u64>,
    /// Runtime of that task.
    pub(crate) runtime: Option<u64>,
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    pub(crate) injected: [Option<Stretch>; STRETCHES],
}

/// One injected fault. Its own length is between `least_ns` and `most_ns`: what else was between the two readings of
/// the clock, a wait for the CPU above all, the handler cannot always tell apart.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Stretch {
    pub(crate) kind: Kind,
    pub(crate) from_ns: u64,
    pub(crate) to_ns: u64,
    pub(crate) least_ns: u64,
    pub(crate) most_ns: u64,
    /// The task whose work it was; of a wait, the one that was waited for. Where known.
    pub(crate) task: Option<u64>,
}

/// What a stretch was.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Computing.
    Cpu,
    /// Ready to compute, without a CPU.
    OffCpu,
    /// On a CPU that a hypervisor had.
    Stolen,
    /// A sleep in the kernel.
    Sleep,
    /// A sleep of the runtime's.
    Timer,
    /// A wait for a mutex of the standard library.
    Lock,
    /// A wait for a mutex of the runtime.
    AsyncLock,
    /// A wait for the disk in a call for it.
    Disk,
    /// A wait for the disk in a page fault.
    Fault,
    /// A wait for a thread of the blocking pool.
    PoolQueue,
    /// A wait for a task that takes one job after the other from a channel.
    ChannelQueue,
    /// From a task's wakeup until it was polled.
    TaskQueue,
    /// A wait for a connection to the peer.
    ConnectionQueue,
    /// A wait for the peer.
    Peer,
    /// The listener was left alone.
    NotAccepting,
}

impl Record {
    pub(crate) fn begin(id: u64) -> Self {
        Self {
            id,
            tid: tid(),
            task: current_task(),
            runtime: Handle::try_current()
                .ok()
                .and_then(|runtime| number(runtime.id())),
            start_ns: clock::now_ns(),
            ..Self::default()
        }
    }

    /// Adds a stretch. A handler has at most as many as there is room for.
    pub(crate) fn add(&mut self, stretch: Stretch) {
        if let Some(free) = self.injected.iter_mut().find(|slot| slot.is_none()) {
            *free = Some(stretch);
        }
    }
}

impl Stretch {
    /// From then until now, at least so long.
    pub(crate) fn until_now(kind: Kind, from_ns: u64, least_ns: u64) -> Self {
        let to_ns = clock::now_ns();
        let most_ns = to_ns.saturating_sub(from_ns);
        Self {
            kind,
            from_ns,
            to_ns,
            least_ns: least_ns.min(most_ns),
            most_ns,
            task: None,
        }
    }

    /// From then until now, in which it took exactly so long.
    pub(crate) fn exactly(kind: Kind, from_ns: u64, took_ns: u64) -> Self {
        Self {
            kind,
            from_ns,
            to_ns: clock::now_ns(),
            least_ns: took_ns,
            most_ns: took_ns,
            task: None,
        }
    }

    /// The same, with the task that did it.
    pub(crate) fn by(self, task: Option<u64>) -> Self {
        Self { task, ..self }
    }
}

/// The task that calls this.
pub(crate) fn current_task() -> Option<u64> {
    number(task::try_id()?)
}

/// Tokio shows the numbers of tasks and runtimes, and has no other way to them.
fn number(id: impl Display) -> Option<u64> {
    id.to_string().parse().ok()
}

/// The calling thread, 0 if /proc does not tell. It is asked once a thread.
pub(crate) fn tid() -> u32 {
    thread_local! {
        static TID: u32 = fs::read_link("/proc/thread-self")
            .ok()
            .and_then(|link| link.file_name()?.to_str()?.parse().ok())
            .unwrap_or(0);
    }
    TID.with(|tid| *tid)
}
