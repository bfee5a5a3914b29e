//! Go's runtime: goroutines that are run by its threads, which it calls Ms.

mod cycles;
mod processes;
mod stay;
mod version;

pub use cycles::{Cycle, CycleCounts};
pub(crate) use cycles::{Phase, PhaseKind};
pub use processes::{Heap, Processes};
pub(crate) use stay::Stay;
pub use version::Version;
