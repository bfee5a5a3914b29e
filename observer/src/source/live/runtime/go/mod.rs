//! Go in a process: which version, where each thread keeps its `g`, and the proof on the running threads.

mod collection;
mod hunt;
mod memory;
mod offsets;
mod program;

pub(super) use collection::Collection;
pub(super) use hunt::Hunt;
pub(super) use program::{GPlace, GoImage};
