//! Go's runtime: goroutines that are run by its threads, which it calls Ms.

mod stay;
mod version;

pub(crate) use stay::Stay;
pub use version::Version;
