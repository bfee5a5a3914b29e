//! The live source: loads the kernel half, attaches its signals, drains its rings on a timer.
//!
//! It knows the kernel and procfs, and nothing of what events mean.

mod direct;
mod drain;
mod facts;
mod found;
mod kernel_half;
mod map_value;
mod misses;
mod named_fds;
pub mod offsets;
pub mod privilege;
mod processes;
mod program_time;
mod rings;
pub mod runtime;
mod serving;
pub mod signals;
mod socket_info;
mod sockets;
mod stacks;
mod stolen;
pub mod targets;
pub mod types;
mod unsent;

pub use drain::LiveSource;
pub use kernel_half::{KernelHalf, LoadOptions};
