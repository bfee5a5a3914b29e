//! What is known of the language runtimes whose tasks are followed: a room for each.
//!
//! A room has all that its runtime alone decides: what it calls things, what the order of its ids says, what its
//! threads are to it. It takes records and gives values; `source` knows it by its names. How a runtime is found and
//! proved in a running process stands in a room of the same name in `source/live/runtime`.
//!
//! Which runtime a process has is one value ([`Runtime`]), which a fact tells (`pipeline/runtimes.rs`) and `threads`
//! keeps: every rule asks that. Of each thread it is asked what its runtime makes of it ([`ThreadInRuntime`]).

pub mod go;
pub mod jvm;
mod of_process;
mod thread;
pub mod tokio;

pub use of_process::{Runtime, RuntimeName};
pub(crate) use thread::ThreadInRuntime;
