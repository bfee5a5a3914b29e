//! Values of the `task` fields that are not the id of a runtime task.
//!
//! A runtime task is the runtime's own identity of the work that a thread does, such as the id of a tokio task.

/// Not known: the process has no runtime whose ids can be read, or the thread's memory could not be.
pub const UNKNOWN: u64 = 0;

/// The thread was in no task.
pub const NONE: u64 = u64::MAX;
