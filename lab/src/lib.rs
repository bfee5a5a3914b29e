//! What the lab's programs share: what they run, and that it ends with them.

pub mod child;
pub mod programs;
pub mod server;
