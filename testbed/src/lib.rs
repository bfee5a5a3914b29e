//! What the programs of the testbed share with each other, and with who judges observer by them.
//!
//! The programs know nothing of observer. What they really did is `truth`, in files of `lines`: the lab reads what they
//! wrote by the same definitions.

pub mod clock;
pub mod duration;
pub mod kept;
pub mod lines;
#[cfg(feature = "programs")]
pub mod peer;
#[cfg(feature = "programs")]
pub mod ran;
pub mod server;
pub mod truth;
