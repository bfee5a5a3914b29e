//! What is known of the language runtimes whose tasks are followed: a room for each.
//!
//! A room has all that its runtime alone decides: what it calls things, what the order of its ids says, what its
//! threads are to it. It takes records and gives values; `source` knows it by its names. How a runtime is found and
//! proved in a running process stands in a room of the same name in `source/live/runtime`.
//!
//! `threads` asks of each of its threads what the runtime makes of it ([`ThreadInRuntime`]). Which runtime that is, the
//! fact tells that names the one of a process (`pipeline/runtimes.rs`).

pub mod go;
pub mod jvm;
mod thread;
pub mod tokio;

pub(crate) use thread::ThreadInRuntime;
