//! What Go's runtime calls the functions of its scheduler, as they stand in programs.

/// Makes a goroutine ready, its first argument.
pub(crate) const READY: &str = "runtime.ready";

/// Has the thread run a goroutine, its first argument.
pub(crate) const EXECUTE: &str = "runtime.execute";
