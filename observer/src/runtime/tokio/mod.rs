//! tokio, Rust's runtime: tasks that are polled by workers, and jobs of a blocking pool.

mod identity;
mod ids;
pub(crate) mod names;
pub mod polls;
mod roles;
mod told;
mod workers;

pub(crate) use identity::{Identity, Known, wait_in};
pub(crate) use ids::Ids;
pub use roles::Counted;
pub(crate) use roles::Role;
pub(crate) use told::Runtimes;
pub use workers::{Roles, Workers};
pub(crate) use workers::{ThreadRole, by_process};
