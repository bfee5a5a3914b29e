//! Go in a process: which version, where each thread keeps its `g`, and the proof on the running threads; with
//! `--goroutines`, the functions found that are probed.

mod collection;
mod function_names;
pub mod functions;
mod hunt;
mod memory;
mod offsets;
mod parked;
mod pclntab;
mod program;
mod scheduler;

pub(super) use collection::Collection;
pub(super) use hunt::Hunt;
pub(super) use parked::Looks;
pub(super) use program::{GPlace, GoImage};
pub(super) use scheduler::Scheduler;
