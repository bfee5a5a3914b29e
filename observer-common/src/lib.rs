//! What observer's two halves share: the layouts of the records that the kernel half writes, the names of
//! its maps, programs and load-time constants, and the limits that both must agree on.
//!
//! Nothing here knows how a record is produced or what it means for a request.
//!
//! All times are nanoseconds of `CLOCK_MONOTONIC`, as `bpf_ktime_get_ns` gives them. Every record starts with
//! a [`Header`] and has a fixed size that its [`Kind`] determines ([`Kind::size`]).

#![no_std]

#[macro_use]
mod layout;
pub mod collection;
mod held;
pub mod http;
mod kind;
pub mod limits;
pub mod names;
mod offsets;
mod presence;
mod readied;
mod record;
pub mod seek;
mod stack;
pub mod task;
pub mod tcp;
pub mod thread_state;
mod unseen;

pub use held::{Held, Left};
pub use kind::Kind;
pub use offsets::{AccountOffsets, FAIR_PRIO, Offsets, SendingOffsets, rss};
pub use presence::Presence;
pub use readied::{GOES_ON_AT, Readied};
pub use record::{
    Connection, Header, Losses, LostReason, Occupied, PollEnd, PollStart, Process, ProcessChange, Receive,
    ReceiveHead, Seen, Send, SendHead, Stolen, SwitchIn, SwitchOut, Waking, conn, flags,
};
pub use stack::{Stack, StackHead};
pub use task::TaskPath;
pub use unseen::OnCpuSince;
