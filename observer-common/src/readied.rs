//! The record of a goroutine that is made ready, where that is recorded.

use crate::record::Header;

/// Where a goroutine keeps from where in its code it goes on when it runs again (`sched.pc`), bytes: the same in all
/// versions of Go since 1.19.
pub const GOES_ON_AT: u64 = 64;

records! {
    /// A thread makes a runtime task ready that waited. When a thread turns to that, a [`crate::PollStart`] says.
    Readied: 40 {
        /// `tid`: the thread that does it.
        header: Header,
        /// Its process.
        tgid: u32,
        /// Zero.
        reserved: u32,
        /// Runtime task that it is in, see [`crate::task`]: none where the runtime does it by itself, as for timers.
        task: u64,
        /// Runtime task that is ready now.
        readied: u64,
    }
}
