//! What is known of a run, as plain values: requests, figures, processes, and what they are known by.
//!
//! Every stage may use them, and they know no stage. Nothing here computes, and nothing knows how it is printed.

pub mod cause;
pub mod full;
pub mod header;
pub mod hint;
pub mod id;
pub mod poll;
pub mod process;
pub mod protocol;
pub mod report;
pub mod request;
pub mod runtime;
