//! What is known of a run, as plain values: requests, figures, processes, and what they are known by.
//!
//! Every stage may use them, and they know no stage, nor how they are written. They have names, and can be added up and
//! counted: nothing else here computes. Only the `header` serializes itself, with the ids in it: a recording begins
//! with it, and an output.

pub mod cause;
pub mod full;
pub mod header;
pub mod hint;
pub mod id;
pub mod operation;
pub(crate) mod own_threads;
pub mod poll;
pub mod privilege;
pub mod process;
pub mod protocol;
pub mod report;
pub mod request;
pub mod runtime;
