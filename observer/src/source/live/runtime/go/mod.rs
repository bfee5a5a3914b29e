//! Go in a process: which version, where each thread keeps its `g`, and the proof on the running threads.

mod hunt;
mod offsets;
mod program;

pub(super) use hunt::Hunt;
pub(super) use program::{GPlace, GoImage};
