//! Go's runtime: goroutines that are run by its threads, which it calls Ms.

mod assists;
mod cycles;
pub(crate) mod names;
mod probes;
mod processes;
mod stay;
mod version;
mod waits;

pub(crate) use assists::Assist;
pub use cycles::{Cycle, CycleCounts};
pub(crate) use cycles::{Phase, PhaseKind};
pub use probes::PROBE_NS;
pub(crate) use probes::Probes;
pub use processes::{Heap, Processes};
pub(crate) use stay::Stay;
pub(crate) use version::MARK_ASSIST;
pub use version::Version;
