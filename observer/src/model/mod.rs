//! What is known of a run, as plain values: requests, figures, processes, and what they are known by.
//!
//! Every stage may use them, and they know no stage. Nothing here computes. What is a line of JSON Lines as it stands, or a
//! part of one, has its names and serializes itself (`report`, `process`, `runtime`, `hint`; `header` in recordings too).
//! A request is more than its line says: the view of it is the output's.

pub mod cause;
pub mod full;
pub mod header;
pub mod hint;
pub mod id;
pub(crate) mod own_threads;
pub mod poll;
pub mod privilege;
pub mod process;
pub mod protocol;
pub mod report;
pub mod request;
pub mod runtime;
