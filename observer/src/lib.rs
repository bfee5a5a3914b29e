//! observer attaches to a running server from the kernel and explains each slow request.
//!
//! Events come from a [`source`], the live kernel or a recording; the [`pipeline`] follows [`threads`] and
//! [`connections`], explains each finished turn ([`attribution`]), counts it ([`summary`]) and hands it to an
//! [`output`]. What they say to each other are values of the [`model`]. No later stage is known to an earlier one,
//! which `cargo xtask tidy` checks. See ARCHITECTURE.md.

pub mod attribution;
pub mod connections;
pub mod event;
pub mod losses;
pub mod model;
mod newest;
pub mod output;
pub mod pipeline;
pub mod runtime;
mod serving;
pub mod source;
pub mod summary;
pub mod syscall;
pub mod threads;
