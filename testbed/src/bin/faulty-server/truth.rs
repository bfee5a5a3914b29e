//! Where the truth about each request is kept, for the lab and never for who observes.
//!
//! Only faults whose size nothing but the kernel knows are measured with system calls, see `blocked`.

use std::fmt::Display;

use testbed::clock;
use testbed::kept::Kept;
use testbed::ran::tid;
use testbed::truth::Served;
use tokio::runtime::Handle;
use tokio::task;

/// Requests that are kept, at most.
pub(crate) const SLOTS: usize = 1 << 16;

/// The truth of a run.
pub(crate) type Truth = Kept<Served>;

/// A request with this number whose handler begins now, in the task that calls this.
pub(crate) fn begin(id: u64) -> Served {
    Served {
        id,
        tid: tid(),
        task: current_task(),
        runtime: Handle::try_current()
            .ok()
            .and_then(|runtime| number(runtime.id())),
        start_ns: clock::now_ns(),
        ..Served::default()
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
