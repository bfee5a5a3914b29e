//! tokio, Rust's runtime: tasks that are polled by workers, and jobs of a blocking pool.

mod identity;
mod ids;
pub(crate) mod names;
pub mod polls;
mod reported;
mod roles;
mod thread;
mod workers;

pub(crate) use identity::KnownTask;
pub(crate) use ids::Ids;
pub(crate) use reported::Reported;
pub use roles::JobCounts;
pub(crate) use thread::ThreadOfTokio;
pub use workers::{Roles, RuntimeWorkers};
pub(crate) use workers::{ThreadRole, by_process};
